//! The grant that a code, a refresh token, a device code or a session resolves to at the token endpoint.

use causeway_domain::client::{Client, Entitlement};
use causeway_domain::grant::User;
use causeway_domain::session::SessionHead;
use causeway_domain::{Resources, Scope, Timestamp, UpstreamSessionId};
use causeway_store::AnyConnection;
use causeway_store::sessions;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys::KeySet;
use crate::resource::access::Bearer;
use crate::resource::user_claims::{self, Asking, UserClaims};
use crate::token::id_token::{self, OPENID};
use crate::token::issue::{IssuedTokens, NewTokens};
use crate::token::jwt_access::{self, JwtAccessClaims};
use crate::upstream::atproto::handles;

/// A resolved grant: the session behind it, and what its tokens allow.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedGrant {
    /// The session that the tokens give access to.
    pub(crate) session: SessionHead,
    /// The iteration of the upstream token set that the grant came from.
    pub(crate) session_iteration: Option<i64>,
    /// The full grant, which the refresh token carries on.
    pub(crate) granted: Authorization,
    /// The part of it that the access token is for.
    pub(crate) access: Authorization,
    /// The nonce of the authorization request, for the first `id_token` (OpenID Connect Core section 12.2).
    pub(crate) nonce: Option<String>,
}

/// The scope of a token, and the resources that it is for.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) scope: Scope,
    pub(crate) resources: Resources,
}

impl Authorization {
    /// Narrows a scope to these resources: scopes of other resources are left out.
    pub(crate) fn at(ctx: &Ctx, scope: &Scope, resources: Resources) -> Self {
        Self { scope: ctx.scopes().resource_scopes().within(scope, &resources), resources }
    }
}

impl ResolvedGrant {
    /// The response, after the rows of `pair` are committed.
    pub(crate) async fn answer(
        self,
        ctx: &Ctx,
        client: &Client,
        keys: &KeySet,
        pair: NewTokens,
        asking: Asking,
    ) -> Result<IssuedTokens, Internal> {
        let claims = self.user_claims(ctx, client, &pair, asking).await;
        let subject = id_token::Subject {
            client,
            session: &self.session,
            scope: &self.access.scope,
            nonce: self.nonce.as_deref(),
            access_token: pair.access_token(),
            claims: &claims,
        };
        let id_token = id_token::issue(ctx, keys, subject).await?;
        Ok(pair.issued(self.access.scope, self.session.did, id_token))
    }

    /// Claims of the `id_token` about the user beyond `sub`: none, unless the operator has enabled them.
    async fn user_claims(&self, ctx: &Ctx, client: &Client, pair: &NewTokens, asking: Asking) -> UserClaims {
        if !client.has_entitlement(Entitlement::IdTokenClaims) || !self.access.scope.contains(OPENID) {
            return UserClaims::default();
        }
        let bearer = Bearer {
            user: self.user(),
            token: pair.access_row(client, self),
            session: self.session.clone(),
            upstream: None,
            dpop_nonce: None,
        };
        let handle = handles::shown(ctx, &self.session).await;
        user_claims::of(ctx, &bearer, handle.as_ref(), asking).await
    }

    /// The user whom the tokens stand for.
    pub(crate) fn user(&self) -> User {
        User {
            did: self.session.did.clone(),
            session_id: self.session.session_id.clone(),
            session_iteration: self.session_iteration,
        }
    }
}

impl From<ResolvedGrant> for JwtAccessClaims {
    fn from(grant: ResolvedGrant) -> Self {
        let ResolvedGrant { session, access, .. } = grant;
        Self {
            sub: session.did.to_string(),
            scope: access.scope,
            resources: access.resources,
            auth_time: Some(session.created_at),
        }
    }
}

/// Previews the claims of a grant's access token, for a client whose access tokens are signed. `look` finds
/// the current grant. `None` for other clients, or when the grant will not be grant, so that nothing is
/// signed in vain.
pub(crate) async fn preview(
    ctx: &Ctx,
    client: &Client,
    evaluate: impl FnOnce(&mut AnyConnection) -> Result<Option<ResolvedGrant>, Internal> + Send + 'static,
) -> Result<Option<JwtAccessClaims>, Internal> {
    if !jwt_access::is_wanted(client) {
        return Ok(None);
    }
    ctx.store().read(move |c| Ok(evaluate(c)?.map(JwtAccessClaims::from))).await
}

/// Finds the live session behind a grant of this client.
pub(crate) fn find_session(
    c: &mut AnyConnection,
    client: &Client,
    id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<Option<SessionHead>, Internal> {
    let session = sessions::find_session_of_token(c, &client.tenant_id, id)?;
    Ok(session.filter(|session| session.is_alive_at(now)))
}
