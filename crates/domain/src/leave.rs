//! What a client may do only when whoever runs the server says so.

/// What a client does not say of itself: whoever runs the server does, in a member of its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// To ask for the scope `background_access`.
    BackgroundAccess,
    /// To have the tokens of its sessions at people's own servers.
    SessionExport,
}

impl Leave {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::BackgroundAccess, Self::SessionExport];

    /// The member's name.
    pub const fn member(self) -> &'static str {
        match self {
            Self::BackgroundAccess => "allow_background_access",
            Self::SessionExport => "allow_session_export",
        }
    }
}
