//! Calls to a provider with the credentials of a session, for a caller who holds nothing but our access token.
//!
//! Both the scope of that token and the scope that the provider granted have to allow the call. What the kind of
//! provider is about is behind [`Called`](crate::upstream::traits::Called): which calls are allowed, how credentials
//! are presented, and what an answer says about them. Bodies, statuses, repetitions and budgets are handled here, for
//! all kinds.

pub mod raw_json;
pub mod repository;

pub(crate) mod answer;
pub(crate) mod error;
pub(crate) mod request;

mod exchange;
mod strip;

use causeway_types::Scope;

pub use self::answer::RelayAnswer;
pub use self::error::{CallError, RelayError, Resend};
pub use self::request::{RelayBody, RelayRequest, RelayTarget, kept_bytes, may_be_read};
pub use causeway_outbound::{Method, UploadError};

use self::exchange::Exchange;
use crate::ctx::Ctx;
use crate::operations::trace;
use crate::resource::access::Bearer;
use crate::upstream::keeper::{self, UsableSession};
use crate::upstream::traits::Permit;

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
    mut request: RelayRequest,
) -> Result<RelayAnswer, RelayError> {
    let upstream = ctx.upstreams().of(&found.head)?;
    let Permit { strip, may_be_page } = upstream.permit(scope, &found.credentials, &mut request)?;
    let live = keeper::freshen(ctx, found).await?;
    let exchange = Exchange { http: ctx.outbound(), upstream: &*upstream, live: &live };
    let answer = match exchange.send(&mut request).await {
        Ok(answer) => answer,
        Err(error) => match upstream.second_chance(&live, &error).await {
            Some(reason) => again(ctx, exchange, &mut request, reason).await?,
            None => return Err(error.into()),
        },
    };
    if !may_be_page && is_page(&answer) {
        return Err(RelayError::Invalid(format!("status {} with a web page", answer.status())));
    }
    if strip.is_empty() {
        return Ok(answer);
    }
    strip::without(strip, answer, &ctx.budgets().answers.of(trace::origin().1)).await
}

/// Renews the session, and repeats the call if its body is still available.
async fn again(
    ctx: &Ctx,
    refused: Exchange<'_>,
    request: &mut RelayRequest,
    reason: Resend,
) -> Result<RelayAnswer, RelayError> {
    let live = keeper::renew_session(ctx, refused.live).await?;
    match (Exchange { live: &live, ..refused }).send(request).await {
        Err(CallError::BodySpent) => Err(RelayError::Resend(reason)),
        outcome => Ok(outcome?),
    }
}

/// Whether an answer is a web page, most likely from a proxy in between.
fn is_page(answer: &RelayAnswer) -> bool {
    let essence = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/html")
}
