//! Operator-granted entitlements of a client.

use std::collections::BTreeMap;

use causeway_types::Resource;

use super::pkce_policy::PkcePolicy;

/// An entitlement that is either granted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entitlement {
    /// To ask for the scope `background_access`.
    BackgroundAccess,
    /// To export the tokens that its sessions hold at PDSes.
    SessionExport,
    /// To receive the claims of the userinfo endpoint in its `id_token`s.
    IdTokenClaims,
    /// To make tenants and act in them.
    ManageTenants,
    /// To import connections that were made elsewhere.
    ImportConnections,
    /// To use its users' connections without confirming that they are the ones who connected.
    AllowUnconfirmed,
}

impl Entitlement {
    /// Every entitlement.
    pub const ALL: [Self; 6] = [
        Self::BackgroundAccess,
        Self::SessionExport,
        Self::IdTokenClaims,
        Self::ManageTenants,
        Self::ImportConnections,
        Self::AllowUnconfirmed,
    ];

    /// The member of the document in which the operator reads and sets it.
    pub const fn member(self) -> &'static str {
        match self {
            Self::BackgroundAccess => "allow_background_access",
            Self::SessionExport => "allow_session_export",
            Self::IdTokenClaims => "id_token_claims",
            Self::ManageTenants => "manage_tenants",
            Self::ImportConnections => "import_connections",
            Self::AllowUnconfirmed => "allow_unconfirmed",
        }
    }
}

/// The operator-granted entitlements of a client, beside what it registered itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is granted by itself")]
pub struct Entitlements {
    /// [`Entitlement::BackgroundAccess`].
    pub background_access: bool,
    /// [`Entitlement::SessionExport`].
    pub session_export: bool,
    /// [`Entitlement::IdTokenClaims`].
    pub id_token_claims: bool,
    /// Whether it may do without PKCE; see [`Client::pkce_policy`](crate::client::Client::pkce_policy).
    pub pkce: PkcePolicy,
    /// The third-party resources that it may request tokens for (RFC 8707).
    pub allowed_resources: Vec<Resource>,
    /// The providers whose accounts it may connect and relay to.
    pub providers: Vec<String>,
    /// The tools of MCP servers that it may call, by provider; where a provider is missing, all of them.
    pub mcp_tools: BTreeMap<String, Vec<String>>,
    /// [`Entitlement::ManageTenants`].
    pub manage_tenants: bool,
    /// [`Entitlement::ImportConnections`].
    pub import_connections: bool,
    /// [`Entitlement::AllowUnconfirmed`].
    pub allow_unconfirmed: bool,
}

impl Entitlements {
    /// Whether this one is granted.
    pub const fn has(&self, entitlement: Entitlement) -> bool {
        match entitlement {
            Entitlement::BackgroundAccess => self.background_access,
            Entitlement::SessionExport => self.session_export,
            Entitlement::IdTokenClaims => self.id_token_claims,
            Entitlement::ManageTenants => self.manage_tenants,
            Entitlement::ImportConnections => self.import_connections,
            Entitlement::AllowUnconfirmed => self.allow_unconfirmed,
        }
    }

    /// Grants or withdraws this one.
    pub const fn set(&mut self, entitlement: Entitlement, granted: bool) {
        match entitlement {
            Entitlement::BackgroundAccess => self.background_access = granted,
            Entitlement::SessionExport => self.session_export = granted,
            Entitlement::IdTokenClaims => self.id_token_claims = granted,
            Entitlement::ManageTenants => self.manage_tenants = granted,
            Entitlement::ImportConnections => self.import_connections = granted,
            Entitlement::AllowUnconfirmed => self.allow_unconfirmed = granted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entitlement, Entitlements};

    #[test]
    fn each_is_granted_and_withdrawn_by_itself() {
        for entitlement in Entitlement::ALL {
            let mut entitlements = Entitlements::default();
            entitlements.set(entitlement, true);
            let granted = Entitlement::ALL.map(|each| entitlements.has(each));
            assert_eq!(granted, Entitlement::ALL.map(|each| each == entitlement));
            entitlements.set(entitlement, false);
            assert_eq!(entitlements, Entitlements::default());
        }
    }
}
