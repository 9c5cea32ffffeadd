//! Token introspection (RFC 7662), and its signed answer (RFC 9701).

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_domain::token::{AccessSubject, AccessToken, RefreshRevocation, RefreshToken};
use causeway_store::tokens;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::claims::ActiveToken;
use causeway_types::{
    ClientId, ClientType, ErrorCode, Introspection, Resource, Resources, SigningAlg, Timestamp, TokenType,
    UpstreamSessionId,
};
use serde_json::json;

use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;
use crate::token::presented::{FoundToken, PresentedToken};
use crate::token::superseded;
use crate::upstream::atproto::handles;

/// Why a client gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError {
    /// Anybody could ask in the name of a public client (RFC 7662 section 4).
    #[error("introspection is for clients that authenticate: a public client already knows its own tokens")]
    PublicClient,
    /// A one-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl IntrospectError {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::PublicClient => ErrorCode::InvalidClient,
            Self::Replayed(replayed) => replayed.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<StoreError> for IntrospectError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Introspects a token for an authenticated client: one of its own, or an access token for a resource that
/// the operator has assigned to the client (RFC 7662 section 4).
///
/// # Errors
/// [`IntrospectError`].
#[tracing::instrument(name = "flow.introspect", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn introspect(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    token: &str,
) -> Result<Introspection, IntrospectError> {
    let client = &authenticated.client;
    if client.client_type() == ClientType::Public {
        return Err(IntrospectError::PublicClient);
    }
    authenticated.consume_alone::<IntrospectError>(ctx).await?;
    let presented = PresentedToken::new(token);
    let (question, issuer) = (Question { client: client.clone(), now: ctx.now() }, ctx.issuer().to_owned());
    let found = ctx.store().find(move |c| question.evaluate(c, &issuer, &presented)).await?;
    let seen = match found {
        Found::Nothing => None,
        Found::Active(seen) => Some(seen),
        Found::Unused(seen, row) => superseded::note_use(ctx, &row).await?.then_some(seen),
        Found::Superseded(session_id) => {
            superseded::end_superseded_grant(ctx, &session_id).await?;
            None
        }
    };
    let Some(seen) = seen else { return Ok(Introspection::Inactive) };
    let Seen { mut token, session } = *seen;
    if let Some(session) = session {
        token.username = handles::shown(ctx, &session).await;
    }
    Ok(Introspection::Active(Box::new(token)))
}

/// A valid token, and the session behind it if there is a user; it has no `username` yet.
struct Seen {
    token: ActiveToken,
    session: Option<SessionHead>,
}

/// The result of looking up a token for the client that asks.
enum Found {
    /// No valid token that the client may see.
    Nothing,
    Active(Box<Seen>),
    /// The same, of an access token that no resource has presented yet.
    Unused(Box<Seen>, Box<AccessToken>),
    /// A late retry replaced it before it was ever used: no client should have it.
    Superseded(UpstreamSessionId),
}

struct Question {
    client: Arc<Client>,
    now: Timestamp,
}

impl Question {
    fn evaluate(
        &self,
        c: &mut AnyConnection,
        issuer: &str,
        presented: &PresentedToken,
    ) -> Result<Found, Internal> {
        let Some((token, session)) = presented.find_with_session(c, &self.client.tenant_id)? else {
            return Ok(Found::Nothing);
        };
        let session = session.filter(|session| session.is_alive_at(self.now));
        match token {
            FoundToken::Access(token) => self.evaluate_access(c, issuer, token, session),
            FoundToken::Refresh(token) => Ok(self.evaluate_refresh(issuer, token, session)),
        }
    }

    fn evaluate_access(
        &self,
        c: &mut AnyConnection,
        issuer: &str,
        token: AccessToken,
        session: Option<SessionHead>,
    ) -> Result<Found, Internal> {
        if !self.may_see(&token.client_id, &token.resources) {
            return Ok(Found::Nothing);
        }
        let (sub, session, sid) = match &token.subject {
            AccessSubject::User(user) => {
                let Some(session) = session else { return Ok(Found::Nothing) };
                // The client has seen the token, but proves nothing about the key that it may be bound to.
                if token.dpop_jkt.is_none() && tokens::is_superseded(c, &token)? {
                    return Ok(Found::Superseded(session.session_id));
                }
                (user.did.to_string(), Some(session), Some(user.session_id.clone()))
            }
            AccessSubject::Client => (token.client_id.to_string(), None, None),
        };
        if token.revoked || token.expires_at <= self.now {
            return Ok(Found::Nothing);
        }
        let mut active = ActiveToken::new(issuer, sub, token.client_id.clone(), token.created_at);
        active.aud = token.resources.audience(issuer);
        active.scope = token.scope.clone();
        active.token_type = Some(TokenType::of(token.dpop_jkt.as_ref()));
        active.exp = Some(token.expires_at);
        active.cnf = token.dpop_jkt.clone().map(Into::into);
        active.sid = sid;
        let active = Box::new(Seen { token: active, session });
        let unused = token.first_used_at.is_none() && token.dpop_jkt.is_none();
        Ok(if unused { Found::Unused(active, Box::new(token)) } else { Found::Active(active) })
    }

    fn evaluate_refresh(&self, issuer: &str, token: RefreshToken, session: Option<SessionHead>) -> Found {
        if !self.is_owner(&token.client_id) {
            return Found::Nothing;
        }
        let Some(session) = session else { return Found::Nothing };
        if token.revoked == Some(RefreshRevocation::Superseded) && token.dpop_jkt.is_none() {
            return Found::Superseded(session.session_id);
        }
        let ended = token.expires_at.is_some_and(|end| end <= self.now);
        if token.used_at.is_some() || token.revoked.is_some() || ended {
            return Found::Nothing;
        }
        let mut active = ActiveToken::new(issuer, token.did, token.client_id, token.created_at);
        active.aud = token.resources.audience(issuer);
        active.scope = token.scope;
        active.exp = token.expires_at;
        active.cnf = token.dpop_jkt.map(Into::into);
        active.sid = Some(token.session_id);
        Found::Active(Box::new(Seen { token: active, session: Some(session) }))
    }

    fn is_owner(&self, owner: &ClientId) -> bool {
        *owner == self.client.client_id
    }

    /// Whether an access token is the client's, or for a resource that is.
    fn may_see(&self, owner: &ClientId, resources: &Resources) -> bool {
        let is_its_own = |resource: &Resource| self.client.entitlements.allowed_resources.contains(resource);
        self.is_owner(owner) || resources.iter().any(is_its_own)
    }
}

/// The answer as a signed JWT (RFC 9701 section 5).
///
/// # Errors
/// When the database does not answer, or signing fails.
pub async fn sign(ctx: &Ctx, client: &Client, answer: &Introspection) -> Result<String, Internal> {
    let alg = client.introspection_signed_response_alg().unwrap_or(SigningAlg::Rs256);
    let claims = json!({
        "iss": ctx.issuer(),
        "aud": client.client_id,
        "iat": ctx.now(),
        "token_introspection": answer,
    });
    issuer_keys::ensure(ctx).await?.sign(alg, "token-introspection+jwt", claims).await
}
