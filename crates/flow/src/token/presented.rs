//! A token that a client presents without saying of which type it is (RFC 7009 section 2.1, RFC 7662 section
//! 2.1).

use causeway_domain::session::SessionHead;
use causeway_domain::token::{AccessToken, RefreshToken};
use causeway_store::{AnyConnection, StoreError};
use causeway_store::{sessions, tokens};
use causeway_types::secret::{Access, PlainToken, Refresh};
use causeway_types::{ClientId, TenantId, TokenHash};

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

    /// Finds the token in the same way, and the session of this tenant behind it, in whatever state.
    pub(crate) fn find_with_session(
        &self,
        c: &mut AnyConnection,
        tenant_id: &TenantId,
    ) -> Result<Option<(FoundToken, Option<SessionHead>)>, StoreError> {
        if let Some((token, session)) = tokens::find_access_token_with_session(c, tenant_id, &self.access)? {
            return Ok(Some((FoundToken::Access(token), session)));
        }
        let Some(token) = tokens::find_refresh_token(c, &self.refresh)? else { return Ok(None) };
        let session = sessions::find_session_of_token(c, tenant_id, &token.session_id)?;
        Ok(Some((FoundToken::Refresh(token), session)))
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
