//! The authorization request (RFC 6749 section 4.1.1, OAuth 2.1 section 4.1.1).
//!
//! Errors in the client or its redirect URI are shown to the user and never redirected; all others go to the
//! client (RFC 6749 section 4.1.2.1).

mod refusal;
pub(crate) mod validation;

use std::sync::Arc;

use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_domain::client::Client;
use causeway_domain::client::members::REQUIRE_PUSHED_AUTHORIZATION_REQUESTS;
use causeway_store::authorization::auth_requests;
use causeway_store::authorization::par;
use causeway_types::{AuthRequestId, BrowserSessionId, ClientId, CorrelationId, RequestUri};

pub use self::refusal::{AuthorizeError, Refusal, UnsafeRequest};
use self::validation::{check, prepare, refuse, shorten};
use crate::authorization::open_redirect;
use crate::authorization::parameters::AuthorizeParams;
use crate::authorization::request_object::{self, RequestObjectError};
use crate::client::document::{self, FindError};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::limits::{self, RateLimitedAction};
use crate::operations::trace;

/// Begins an authorization request: checks it, stores it, binds it to the browser.
///
/// A pushed request that this browser has begun before is found again until a decision is made.
///
/// # Errors
/// [`AuthorizeError`].
#[tracing::instrument(name = "flow.authorize", skip_all, fields(client_id = params.client_id.as_deref()))]
pub async fn begin(
    ctx: &Ctx,
    mut params: AuthorizeParams,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, AuthorizeError> {
    let client = find_client(ctx, &params).await?;
    match begin_for(ctx, Arc::clone(&client), &mut params, browser).await {
        Err(AuthorizeError::Refused { refusal, answer, .. }) => {
            let silent = open_redirect::is_prompt_none(params.prompt.as_deref().unwrap_or_default());
            let ask = open_redirect::needs_asking(ctx, &client, silent, &answer, browser).await?;
            Err(AuthorizeError::Refused { refusal, answer, ask })
        }
        done => done,
    }
}

async fn begin_for(
    ctx: &Ctx,
    client: Arc<Client>,
    params: &mut AuthorizeParams,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, AuthorizeError> {
    if let Some(request_uri) = &params.request_uri {
        return match RequestUri::parse(request_uri) {
            Some(request_uri) => begin_pushed(ctx, client, request_uri, browser).await,
            None => Err(refuse(ctx, &client, params, Refusal::RequestUriNotSupported)),
        };
    }
    let correlation_id = Some(CorrelationId::random(ctx.rng()));
    trace::correlate(correlation_id.as_ref());
    if client.wants(REQUIRE_PUSHED_AUTHORIZATION_REQUESTS) {
        let refusal = Refusal::Unprotected("pushed: send request_uri");
        return Err(refuse(ctx, &client, params, refusal));
    }
    let mut checked = prepare(ctx, &client, params).await?;
    limits::acquire(ctx, RateLimitedAction::Authorization, Some(&client.client_id), trace::origin().1)?;
    document::store_loopback(ctx, &client).await?;
    let object = checked.object.take();
    let id = AuthRequestId::issued(ctx.rng(), ctx.unix_millis());
    let mut request = checked.begin(id, &client, browser, ctx.now());
    request.correlation_id = correlation_id;
    let row = request.clone();
    let stored = ctx
        .store()
        .write(move |c| {
            let is_new =
                object.as_ref().map(|once| request_object::consume(c, once, &row.browser_id)).transpose()?;
            if is_new != Some(false) {
                auth_requests::insert_auth_request(c, &row)?;
            }
            Ok::<_, Internal>(is_new)
        })
        .await;
    match stored {
        Ok(Some(false)) => {
            let refusal = Refusal::InvalidRequestObject(RequestObjectError::Replayed.to_string());
            Err(refuse(ctx, &client, params, refusal))
        }
        // The client was deleted a moment ago.
        Err(error) if error.is_dangling() => {
            Err(UnsafeRequest::UnknownClient(request.client_id.into_string()).into())
        }
        done => Ok(done.map(|_| request)?),
    }
}

/// Begins with a pushed request (RFC 9126 section 4): it is bound to the first browser that presents it, and
/// a reload there finds the same request again.
async fn begin_pushed(
    ctx: &Ctx,
    client: Arc<Client>,
    request_uri: RequestUri,
    browser: &BrowserSessionId,
) -> Result<AuthRequest, AuthorizeError> {
    let (now, id, browser) =
        (ctx.now(), AuthRequestId::issued(ctx.rng(), ctx.unix_millis()), browser.clone());
    let rules = ctx.clone();
    let bound = ctx
        .store()
        .write(move |c| {
            let Some(pushed) = par::find_par_request(c, &client.client_id, &request_uri, now)? else {
                return Ok(None);
            };
            if let Some(bound) = &pushed.auth_request_id {
                return Ok(auth_requests::find_auth_request(c, bound, &browser, now)?);
            }
            if !par::bind_par_request(c, &request_uri, &id)? {
                // Another browser was first, between the read and the update.
                return Ok(None);
            }
            let params: AuthorizeParams = serde_json::from_str(&pushed.authorization_request)
                .map_err(|_| Internal::Inconsistent("a pushed request does not parse"))?;
            let checked = check(&rules, &client, &params)?;
            let mut request = checked.begin(id.clone(), &client, &browser, now);
            request.request_uri = Some(request_uri.clone());
            request.correlation_id = pushed.correlation_id;
            auth_requests::insert_auth_request(c, &request)?;
            Ok::<_, AuthorizeError>(Some(request))
        })
        .await?;
    trace::correlate(bound.as_ref().and_then(|request| request.correlation_id.as_ref()));
    // Once decided, the `request_uri` is consumed.
    bound
        .filter(|request| !matches!(request.stage, AuthRequestStage::Decided { .. }))
        .ok_or(AuthorizeError::Unsafe(UnsafeRequest::RequestUri))
}

async fn find_client(ctx: &Ctx, params: &AuthorizeParams) -> Result<Arc<Client>, AuthorizeError> {
    let client_id =
        params.client_id.as_deref().filter(|id| !id.is_empty()).ok_or(UnsafeRequest::NoClientId)?;
    let client = match document::find(ctx, &ClientId::new(client_id)).await {
        Err(FindError::Document(trouble)) => return Err(UnsafeRequest::from(trouble).into()),
        Err(FindError::Internal(error)) => return Err(error.into()),
        Ok(client) => client,
    };
    Ok(client.ok_or_else(|| UnsafeRequest::UnknownClient(shorten(client_id)))?)
}
