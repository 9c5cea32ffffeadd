//! Operator-granted entitlements of a client.

/// An entitlement that only the operator grants, in a member of the client's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entitlement {
    /// To ask for the scope `background_access`.
    BackgroundAccess,
    /// To export the tokens that its sessions hold at PDSes.
    SessionExport,
    /// To receive the claims of the userinfo endpoint in its `id_token`s.
    IdTokenClaims,
}

impl Entitlement {
    /// Every entitlement.
    pub const ALL: [Self; 3] = [Self::BackgroundAccess, Self::SessionExport, Self::IdTokenClaims];

    /// The name of the metadata member.
    pub const fn member(self) -> &'static str {
        match self {
            Self::BackgroundAccess => "allow_background_access",
            Self::SessionExport => "allow_session_export",
            Self::IdTokenClaims => "id_token_claims",
        }
    }
}
