//! Calls to a provider with the credentials of a session, for a caller who holds nothing but our access token.
//!
//! Both the scope of that token and the scope that the provider granted have to allow the call. What the kind of
//! provider is about is behind [`Called`](crate::upstream::traits::Called): which calls are allowed, how credentials
//! are presented, and what an answer says about them. Bodies, statuses, repetitions and budgets are handled here, for
//! all kinds.

pub mod raw_json;
pub mod repository;

pub(crate) mod answer;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod request;

mod account;
mod exchange;
mod strip;

use causeway_types::Scope;

pub use self::answer::RelayAnswer;
pub use self::connection::{AccountCredential, CalledAccount, CalledConnection};
pub use self::error::{CallError, RelayError, Resend};
pub use self::request::{
    CheckedTarget, KEPT_BYTES, KEPT_WRITES_BYTES, RelayBody, RelayRequest, RelayTarget, Repeats, Waits,
    kept_bytes, may_be_read,
};
pub use causeway_outbound::header::HeaderName;
pub use causeway_outbound::{Method, UploadError};
pub use causeway_providers::relay::TargetError;

use self::account::OwnCredential;
use self::exchange::Exchange;
use crate::ctx::Ctx;
use crate::resource::access::Bearer;
use crate::upstream::keeper::{self, UsableSession};
use crate::upstream::traits::{PermitRequest, RefusedAgain};

/// Calls the provider of a token's session, and returns its answer, including its errors.
///
/// # Errors
/// [`RelayError`].
#[tracing::instrument(
    name = "flow.relay",
    skip_all,
    fields(nsid = request.nsid().ok().map(tracing::field::display), session = %bearer.session.session_id)
)]
pub async fn relay(ctx: &Ctx, bearer: &Bearer, request: RelayRequest) -> Result<RelayAnswer, RelayError> {
    let found = keeper::of_bearer(ctx, bearer).await?;
    call(ctx, &bearer.token.scope, found, request).await
}

/// Calls the provider of a session on behalf of a caller with this scope.
///
/// The session is refreshed first when necessary, and once more when the provider refuses its credentials. The request
/// is then sent again if its body still can be.
///
/// # Errors
/// [`RelayError`].
pub async fn call(
    ctx: &Ctx,
    scope: &Scope,
    found: UsableSession,
    request: RelayRequest,
) -> Result<RelayAnswer, RelayError> {
    call_with(ctx, scope, found, None, request).await
}

/// The same with a connection. Calls for a managed account that has credentials of its own are made with those, which
/// `found` holds then: the user's are neither refreshed nor judged.
///
/// # Errors
/// [`RelayError`].
pub(crate) async fn call_with(
    ctx: &Ctx,
    scope: &Scope,
    found: UsableSession,
    connection: Option<&CalledConnection>,
    mut request: RelayRequest,
) -> Result<RelayAnswer, RelayError> {
    let upstream = ctx.upstreams().of(&found.head)?;
    let permitted = PermitRequest { scope, live: &found, connection };
    let permit = upstream.permit(&permitted, &mut request).await?;
    let account = connection.and_then(|connection| connection.account.as_ref()).and_then(OwnCredential::of);
    let live = if account.is_some() { found } else { keeper::freshen(ctx, found).await? };
    let exchange =
        Exchange { ctx: Some(ctx), http: ctx.outbound(), upstream: &*upstream, live: &live, connection };
    let answer = match exchange.send(&mut request).await {
        Ok(answer) => answer,
        Err(error) => match upstream.second_chance(&live, &error).await {
            Some(reason) => match account {
                Some(own) => Box::pin(account::again(ctx, exchange, own, &mut request, reason)).await?,
                None => Box::pin(again(ctx, exchange, permit.refused_again, &mut request, reason)).await?,
            },
            None => return Err(error.into()),
        },
    };
    if !permit.may_be_page && is_page(&answer) {
        return Err(RelayError::Invalid(format!("status {} with a web page", answer.status())));
    }
    strip::without(ctx, &upstream, permit.strip, &request.method, answer).await
}

/// Seconds during which credentials count as new: a provider that refuses them then would refuse the next ones, too.
const NEW_SECONDS: i64 = 60;

/// Renews the session, and repeats the call if its body is still available. Credentials that were renewed just now are not
/// renewed again.
async fn again(
    ctx: &Ctx,
    refused: Exchange<'_>,
    refused_again: RefusedAgain,
    request: &mut RelayRequest,
    reason: Resend,
) -> Result<RelayAnswer, RelayError> {
    if refused_again == RefusedAgain::RequireReauth && is_new(ctx, refused.live) {
        return Err(keeper::reject_session(ctx, refused.live).await.into());
    }
    let live = keeper::renew_session(ctx, refused.live).await?;
    if !request.may_be_repeated() {
        return Err(RelayError::Resend(reason));
    }
    match (Exchange { live: &live, ..refused }).send(request).await {
        Err(CallError::BodySpent) => Err(RelayError::Resend(reason)),
        Err(CallError::CredentialsRefused) if refused_again == RefusedAgain::RequireReauth => {
            Err(keeper::reject_session(ctx, &live).await.into())
        }
        outcome => Ok(outcome?),
    }
}

/// Whether credentials have just taken the place of others.
fn is_new(ctx: &Ctx, live: &UsableSession) -> bool {
    live.head.iteration > 1 && ctx.now().since(live.credentials.created_at) < NEW_SECONDS
}

/// Whether an answer is a web page, most likely from a proxy in between.
fn is_page(answer: &RelayAnswer) -> bool {
    answer.is_of_type("text/html")
}
