//! A PDS that cannot answer without showing the user something (OpenID Connect Core section 3.1.2.6).

use causeway_types::ErrorCode;

/// Something that a PDS has to show the user but was not asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Required {
    AccountSelection,
    Login,
    Interaction,
    Consent,
}

impl Required {
    const ALL: [Self; 4] = [Self::AccountSelection, Self::Login, Self::Interaction, Self::Consent];

    /// The error code, the same at the PDS and here.
    pub(crate) const fn code(self) -> ErrorCode {
        match self {
            Self::AccountSelection => ErrorCode::AccountSelectionRequired,
            Self::Login => ErrorCode::LoginRequired,
            Self::Interaction => ErrorCode::InteractionRequired,
            Self::Consent => ErrorCode::ConsentRequired,
        }
    }

    /// Parses the `error` of a PDS.
    pub(crate) fn parse(error: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|required| required.code().as_str() == error)
    }
}
