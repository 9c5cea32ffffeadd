//! Calls to a user's PDS, authorized by one of our access tokens.
//!
//! The caller holds nothing but our token. The call goes out with the session's own token and proof, and only
//! if both the scope of our token and the scope that the user's authorization server granted allow it.

pub mod raw_json;
pub mod repository;

mod account;
mod error;
mod permission;
mod request;

use causeway_atproto::{XrpcError, XrpcRequest};
use causeway_jose::EcKey;
use causeway_outbound::HttpError;
use url::Url;

pub use self::error::{RelayError, Resend};
pub use self::request::{RelayRequest, kept_bytes, may_be_read};
pub use causeway_atproto::{XrpcAnswer, XrpcBody, XrpcMethod};
pub use causeway_outbound::UploadError;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::resource::access::Bearer;
use crate::upstream::atproto::adapter::granted_scope;
use crate::upstream::keeper::{self, UsableSession};

/// Calls a method of the user's PDS and returns the method's answer, including its errors.
///
/// The session is refreshed first when necessary, and once more when the PDS refuses its token. The request
/// is then sent again if its body still can be.
///
/// # Errors
/// [`RelayError`].
#[tracing::instrument(
    name = "flow.relay",
    skip_all,
    fields(nsid = %request.nsid, session = %bearer.session.session_id)
)]
pub async fn relay(ctx: &Ctx, bearer: &Bearer, mut request: RelayRequest) -> Result<XrpcAnswer, RelayError> {
    let found = keeper::of_bearer(ctx, bearer).await?;
    permission::check(&bearer.token.scope, &granted_scope(&found.credentials)?, &mut request)?;
    let hides_email = account::hides_email(&bearer.token.scope, &request.nsid);
    if hides_email {
        account::ask_readably(&mut request);
    }
    let live = keeper::freshen(ctx, found).await?;
    let answer = match call(ctx, &live, &mut request).await {
        Err(Trouble::Call(error)) => match second_chance(ctx, &live, &error).await {
            Some(reason) => again(ctx, &live, &mut request, reason).await?,
            None => return Err(error.into()),
        },
        outcome => outcome?,
    };
    if is_page(&answer) && !may_be_page(&request) {
        return Err(RelayError::Invalid(format!("status {} with a web page", answer.status())));
    }
    if hides_email { account::without_email(answer, &ctx.budgets().documents).await } else { Ok(answer) }
}

enum Trouble {
    Call(XrpcError),
    Internal(Internal),
}

impl From<Internal> for Trouble {
    fn from(error: Internal) -> Self {
        Self::Internal(error)
    }
}

impl From<Trouble> for RelayError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Call(error) => error.into(),
            Trouble::Internal(error) => error.into(),
        }
    }
}

/// The reason to retry a failed call with a renewed session; `None`: it is not retried.
///
/// When the PDS refuses the session's token, the cached identity of the account is dropped, so that its DID
/// document is resolved again before the session is renewed.
async fn second_chance(ctx: &Ctx, live: &UsableSession, error: &XrpcError) -> Option<Resend> {
    match error {
        XrpcError::InvalidToken => {
            if let Ok(account) = live.head.atproto() {
                ctx.atproto().forget(&account.did);
            }
            Some(Resend::Token)
        }
        XrpcError::InvalidProof(_) | XrpcError::Http(HttpError::Unreachable(_)) => {
            has_moved(ctx, live).await.then_some(Resend::Moved)
        }
        _ => None,
    }
}

/// Whether the account has left the PDS of the session, for another one or for none. `false` when that cannot
/// be found out.
async fn has_moved(ctx: &Ctx, live: &UsableSession) -> bool {
    let Ok(account) = live.head.atproto() else { return false };
    match ctx.atproto().resolve_did_lately(&account.did).await {
        Ok(identity) => identity.pds.origin().ascii_serialization() != account.upstream.pds,
        Err(error) => error.is_gone(),
    }
}

/// Renews the session at the account's current PDS, and repeats the call if its body is still available.
async fn again(
    ctx: &Ctx,
    refused: &UsableSession,
    request: &mut RelayRequest,
    reason: Resend,
) -> Result<XrpcAnswer, RelayError> {
    let live = keeper::renew_session(ctx, refused).await?;
    match call(ctx, &live, request).await {
        Err(Trouble::Call(XrpcError::BodySpent)) => Err(RelayError::Resend(reason)),
        outcome => Ok(outcome?),
    }
}

async fn call(ctx: &Ctx, live: &UsableSession, request: &mut RelayRequest) -> Result<XrpcAnswer, Trouble> {
    let account = live.head.atproto().map_err(Internal::from)?;
    let bound = live.credentials.dpop_bound().map_err(Internal::from)?;
    let pds = Url::parse(&account.upstream.pds)
        .map_err(|_| Internal::Inconsistent("the PDS of a session is not a URL"))?;
    let dpop = EcKey::from_trusted_jwk(&bound.key).map_err(Internal::from)?;
    let call = XrpcRequest {
        pds: &pds,
        method: request.method,
        nsid: &request.nsid,
        query: &request.query,
        headers: &request.headers,
        access_token: &bound.token,
        dpop: &dpop,
    };
    ctx.atproto().xrpc(&call, &mut request.body).await.map_err(Trouble::Call)
}

/// Whether an answer is a web page, most likely from a proxy in between.
fn is_page(answer: &XrpcAnswer) -> bool {
    let essence = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/html")
}

/// Whether the request may be answered with a web page: a file may be one.
fn may_be_page(request: &RelayRequest) -> bool {
    let accept = request.header("accept").flatten().unwrap_or_default();
    accept.to_ascii_lowercase().contains("text/html") || request.nsid.is("com.atproto.sync.getBlob")
}
