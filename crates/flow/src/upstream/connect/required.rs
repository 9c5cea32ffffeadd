//! A provider that cannot answer without showing the user something (OpenID Connect Core section 3.1.2.6).

use causeway_types::ErrorCode;

/// Something that a provider has to show the user but was not asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// Its accounts, to choose from.
    AccountSelection,
    /// A login.
    Login,
    /// Anything else.
    Interaction,
    /// The rights of the client.
    Consent,
}

impl Required {
    const ALL: [Self; 4] = [Self::AccountSelection, Self::Login, Self::Interaction, Self::Consent];

    /// The error code, the same at the provider and here.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::AccountSelection => ErrorCode::AccountSelectionRequired,
            Self::Login => ErrorCode::LoginRequired,
            Self::Interaction => ErrorCode::InteractionRequired,
            Self::Consent => ErrorCode::ConsentRequired,
        }
    }

    /// Parses the `error` of a provider.
    pub fn parse(error: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|required| required.code().as_str() == error)
    }
}
