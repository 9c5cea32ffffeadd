//! A token that a client presents without saying of which type it is (RFC 7009 section 2.1, RFC 7662 section
//! 2.1).

use causeway_domain::token::{AccessToken, RefreshToken};
use causeway_store::tokens;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::secret::{Access, PlainToken, Refresh};
use causeway_types::{ClientId, TokenHash};

/// The token, as the database would have it.
pub(crate) struct PresentedToken {
    access: TokenHash<Access>,
    refresh: TokenHash<Refresh>,
}

/// A token of either type.
pub(crate) enum FoundToken {
    Access(AccessToken),
    Refresh(RefreshToken),
}

impl PresentedToken {
    pub(crate) fn new(token: &str) -> Self {
        Self { access: PlainToken::presented(token).hash(), refresh: PlainToken::presented(token).hash() }
    }

    /// Finds the token, whoever's it is and whether it is valid or not.
    pub(crate) fn find(&self, c: &mut AnyConnection) -> Result<Option<FoundToken>, StoreError> {
        if let Some(token) = tokens::find_access_token(c, &self.access)? {
            return Ok(Some(FoundToken::Access(token)));
        }
        Ok(tokens::find_refresh_token(c, &self.refresh)?.map(FoundToken::Refresh))
    }
}

impl FoundToken {
    /// The client that it was issued to.
    pub(crate) const fn client_id(&self) -> &ClientId {
        match self {
            Self::Access(token) => &token.client_id,
            Self::Refresh(token) => &token.client_id,
        }
    }
}
