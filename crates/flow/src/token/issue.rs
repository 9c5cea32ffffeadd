//! The one path of every grant: preview, new tokens, transaction, response (RFC 6749 section 5).

use std::sync::Arc;

use causeway_domain::client::Entitlement;
use causeway_store::AnyConnection;

use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys::{self, KeySet};
use crate::operations::trace;
use crate::resource::access::Bearer;
use crate::resource::user_claims::{self, Asking, UserClaims};
use crate::token::id_token::{self, OPENID};
use crate::token::jwt_access;
use crate::token::new_tokens::{IssuedTokens, NewTokens};
use crate::token::refusal::{TokenError, TokenRefusal};
use crate::token::request::TokenRequest;
use crate::token::resolved_grant::{ResolvedGrant, UserGrant};
use crate::token::superseded::{self, EndedGrant};
use crate::upstream::atproto::handles;

/// A grant of the token endpoint: what a client presents, and the rules that turn it into tokens. Its checks
/// refuse with [`TokenError::Refused`].
pub(crate) trait Grant: Send + Sync + 'static {
    /// Whether an `id_token` comes with the tokens, and where its claims may be looked up.
    const ID_TOKEN: Option<Asking> = None;

    /// Whether its transaction only adds rows, as a rule.
    const ONLY_ADDS: bool = false;

    /// Checks what the client presented and resolves the grant behind it, as it stands now. Changes nothing.
    fn evaluate(&self, request: &TokenRequest, c: &mut AnyConnection) -> Result<ResolvedGrant, TokenError>;

    /// Does the same in the transaction that inserts the tokens, and consumes what the client presented by a
    /// compare-and-swap. What it writes before a refusal is committed.
    fn consume(
        &self,
        request: &TokenRequest,
        c: &mut AnyConnection,
        _tokens: &NewTokens,
    ) -> Result<Outcome, TokenError> {
        Ok(Outcome::Granted(self.evaluate(request, c)?))
    }

    /// Logs that the tokens were issued.
    fn log(grant: &ResolvedGrant);
}

/// The outcome of consuming a grant.
#[expect(clippy::large_enum_variant, reason = "most are granted, and all are matched at once")]
pub(crate) enum Outcome {
    /// The tokens are issued.
    Granted(ResolvedGrant),
    /// The request is refused.
    Refused(TokenRefusal),
    /// It is refused, and shows that two parties hold the grant, which has been ended.
    Revoked(TokenRefusal, EndedGrant),
}

/// Issues the tokens of a grant. The client has been authenticated and its key proven; that its assertion and
/// proof are used for the first time is part of the transaction.
///
/// # Errors
/// [`TokenError`].
pub(crate) async fn issue<G: Grant>(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    grant: G,
) -> Result<IssuedTokens, TokenError> {
    // Before anything is consumed, so that signing cannot fail for want of a key.
    let id_token = match G::ID_TOKEN {
        Some(asking) => Some((issuer_keys::current(ctx).await?, asking)),
        None => None,
    };
    let (grant, request) = (Arc::new(grant), Arc::new(TokenRequest::new(ctx, authenticated)));
    let tokens = NewTokens::make(&request, preview(ctx, &grant, &request).await?).await?;
    let (current, new) = (Arc::clone(&request), tokens.clone());
    let run = move |c: &mut AnyConnection| run(&*grant, &current, c, &new);
    let outcome = if G::ONLY_ADDS { ctx.store().add(run).await? } else { ctx.store().write(run).await? };
    match outcome {
        Outcome::Granted(resolved) => {
            if let Some(user) = &resolved.user {
                trace::correlate(user.session.correlation_id.as_ref());
            }
            G::log(&resolved);
            Ok(respond(&request, resolved, tokens, id_token).await?)
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Revoked(refusal, ended) => {
            superseded::follow_up(ctx, &ended).await;
            Err(refusal.into())
        }
    }
}

/// The grant as it stands now, for a client whose access tokens are signed. `None` for other clients, or when
/// the grant would be refused, so that nothing is signed needlessly.
async fn preview<G: Grant>(
    ctx: &Ctx,
    grant: &Arc<G>,
    request: &Arc<TokenRequest>,
) -> Result<Option<ResolvedGrant>, TokenError> {
    if !jwt_access::is_wanted(request.client()) {
        return Ok(None);
    }
    let (grant, request) = (Arc::clone(grant), Arc::clone(request));
    let evaluated = ctx.store().read(move |c| match grant.evaluate(&request, c) {
        Ok(resolved) => Ok(Some(resolved)),
        Err(TokenError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    });
    evaluated.await
}

/// The transaction. An error rolls everything back, a refusal does not.
fn run(
    grant: &impl Grant,
    request: &TokenRequest,
    c: &mut AnyConnection,
    tokens: &NewTokens,
) -> Result<Outcome, TokenError> {
    request.authenticated.consume::<TokenError>(c)?;
    match grant.consume(request, c, tokens) {
        Ok(Outcome::Granted(resolved)) => {
            tokens.insert(c, request.client(), &resolved)?;
            Ok(Outcome::Granted(resolved))
        }
        Err(TokenError::Refused(refusal)) => Ok(Outcome::Refused(refusal)),
        outcome => outcome,
    }
}

/// The response, after the rows of the tokens are committed.
async fn respond(
    request: &TokenRequest,
    grant: ResolvedGrant,
    tokens: NewTokens,
    id_token: Option<(Arc<KeySet>, Asking)>,
) -> Result<IssuedTokens, Internal> {
    let id_token = match (&grant.user, id_token) {
        (Some(user), Some((keys, asking))) => {
            let claims = user_claims(request, &grant, user, &tokens, asking).await;
            let subject = id_token::Subject {
                client: request.client(),
                session: &user.session,
                scope: &grant.access.scope,
                nonce: user.nonce.as_deref(),
                access_token: tokens.access_token(),
                claims: &claims,
            };
            id_token::issue(&request.ctx, &keys, subject).await?
        }
        _ => None,
    };
    Ok(tokens.issued(grant, id_token))
}

/// Claims of the `id_token` about the user beyond `sub`: none, unless the operator has enabled them.
async fn user_claims(
    request: &TokenRequest,
    grant: &ResolvedGrant,
    user: &UserGrant,
    tokens: &NewTokens,
    asking: Asking,
) -> UserClaims {
    let (ctx, client) = (&request.ctx, request.client());
    if !client.has_entitlement(Entitlement::IdTokenClaims) || !grant.access.scope.contains(OPENID) {
        return UserClaims::default();
    }
    let bearer = Bearer {
        user: user.user(),
        token: tokens.access_row(client, grant),
        session: user.session.clone(),
        upstream: None,
        dpop_nonce: None,
    };
    let handle = handles::shown(ctx, &user.session).await;
    user_claims::of(ctx, &bearer, handle.as_ref(), asking).await
}
