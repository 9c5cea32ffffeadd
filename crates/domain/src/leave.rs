//! What a client may do only when whoever runs the server says so.

/// What a client does not say of itself: whoever runs the server does, in a member of its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// To ask for the scope `background_access`.
    BackgroundAccess,
    /// To have the tokens of its sessions at people's own servers.
    SessionExport,
    /// To have in its `id_token`s what the userinfo endpoint says.
    IdTokenClaims,
}

impl Leave {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::BackgroundAccess, Self::SessionExport, Self::IdTokenClaims];

    /// The member's name.
    pub const fn member(self) -> &'static str {
        match self {
            Self::BackgroundAccess => "allow_background_access",
            Self::SessionExport => "allow_session_export",
            Self::IdTokenClaims => "id_token_claims",
        }
    }
}
