//! Work across tenants: what is due, by identifiers alone.

use causeway_types::{TenantId, TenantUser, Timestamp, UserId, UserNamespace};

/// Kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// Renew a credential.
    Refresh,
    /// Revoke a credential at its provider.
    Revoke,
    /// Tell the client that only the user can renew a connection that ends soon.
    Expiring,
    /// Give back what a provider issued for an authorization that was not completed.
    GiveBack,
    /// Erase what belongs to a deleted tenant or user, step by step.
    Erase,
    /// Register at an issuer: claimed by the process whose turn it is.
    Register,
}

impl WorkKind {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::Expiring => "expiring",
            Self::GiveBack => "give_back",
            Self::Erase => "erase",
            Self::Register => "register",
        }
    }
}

/// A piece of work. It names a row; everything else is read in a transaction of its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The kind.
    pub kind: WorkKind,
    /// The row.
    pub row_id: String,
    /// When it is due.
    pub due_at: Timestamp,
}

/// Whose data [`WorkKind::Erase`] erases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// Everything of the tenant.
    Tenant,
    /// Everything of one of its users.
    User(TenantUser),
}

impl Erasure {
    const TENANT: &str = "tenant";
    const USER: &str = "user.";

    /// The row that the work names. The length of the namespace stands before it, because both names may hold any
    /// character.
    pub fn row_id(&self) -> String {
        match self {
            Self::Tenant => Self::TENANT.to_owned(),
            Self::User(TenantUser { namespace, user_id }) => {
                let (namespace, user_id) = (namespace.as_str(), user_id.as_str());
                format!("{}{}.{namespace}{user_id}", Self::USER, namespace.len())
            }
        }
    }

    /// Reads the row.
    pub fn parse(row_id: &str) -> Option<Self> {
        if row_id == Self::TENANT {
            return Some(Self::Tenant);
        }
        let (length, names) = row_id.strip_prefix(Self::USER)?.split_once('.')?;
        let (namespace, user_id) = names.split_at_checked(length.parse().ok()?)?;
        let (namespace, user_id) = (UserNamespace::parse(namespace)?, UserId::parse(user_id)?);
        Some(Self::User(TenantUser { namespace, user_id }))
    }

    /// The user, if it is one's.
    pub const fn user(&self) -> Option<&TenantUser> {
        match self {
            Self::Tenant => None,
            Self::User(user) => Some(user),
        }
    }

    /// The work that erases it in a tenant, due at `due_at`.
    pub fn work(&self, tenant_id: &TenantId, due_at: Timestamp) -> WorkItem {
        WorkItem { tenant_id: tenant_id.clone(), kind: WorkKind::Erase, row_id: self.row_id(), due_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_what_is_erased() {
        let user = |namespace: &str, user_id: &str| {
            let namespace = UserNamespace::parse(namespace).unwrap();
            Erasure::User(TenantUser { namespace, user_id: UserId::parse(user_id).unwrap() })
        };
        for erasure in [
            Erasure::Tenant,
            user("c", "17"),
            user("a.b", "1.c"),
            user("\u{e9}", "x"),
            user("did", "did:web:a"),
        ] {
            assert_eq!(Erasure::parse(&erasure.row_id()), Some(erasure.clone()), "{erasure:?}");
        }
        assert_ne!(user("a", "bc").row_id(), user("ab", "c").row_id());
        for bad in ["", "user", "user.1", "user.9.ab", "user.1.a", "user.x.ab", "user.0.ab"] {
            assert_eq!(Erasure::parse(bad), None, "{bad}");
        }
    }
}
