//! A token request, as far as every grant needs it.

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_store::AnyConnection;
use causeway_store::sessions;
use causeway_types::{GrantType, Resources, Scope, Timestamp, UpstreamSessionId};

use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::token::refusal::{TokenError, TokenRefusal};
use crate::token::resolved_grant::Authorization;

/// A token request of an authenticated client.
pub(crate) struct TokenRequest {
    pub(crate) ctx: Ctx,
    /// The client, and the key that it proved to hold.
    pub(crate) authenticated: AuthenticatedClient,
    /// The time of the request, the same for all its checks and tokens.
    pub(crate) now: Timestamp,
}

impl TokenRequest {
    pub(crate) fn new(ctx: &Ctx, authenticated: &AuthenticatedClient) -> Self {
        Self { ctx: ctx.clone(), authenticated: authenticated.clone(), now: ctx.now() }
    }

    /// The client.
    pub(crate) fn client(&self) -> &Client {
        &self.authenticated.client
    }

    /// Finds the live session behind a grant of this client.
    pub(crate) fn find_session(
        &self,
        c: &mut AnyConnection,
        id: &UpstreamSessionId,
    ) -> Result<SessionHead, TokenError> {
        let session = sessions::find_session_of_token(c, &self.client().tenant_id, id)?;
        let live = session.filter(|session| session.is_alive_at(self.now));
        Ok(live.ok_or(TokenRefusal::SessionEnded)?)
    }

    /// Narrows a scope to these resources: scopes of other resources are left out.
    pub(crate) fn authorization(&self, scope: &Scope, resources: Resources) -> Authorization {
        let scope = self.ctx.scopes().resource_scopes().within(scope, &resources);
        Authorization { scope, resources }
    }
}

/// Checks that a client may use a grant, and that tokens which have to be bound to a key will be.
pub(crate) fn check_grant_type(
    authenticated: &AuthenticatedClient,
    grant_type: GrantType,
) -> Result<(), TokenError> {
    if !authenticated.client.allows(grant_type) {
        return Err(TokenRefusal::Grant.into());
    }
    Ok(authenticated.check_binding()?)
}
