//! Pushed authorization requests (RFC 9126).

use causeway_domain::authorization::{PAR_SECONDS, ParRequest};
use causeway_store::StoreError;
use causeway_store::authorization::par;
use causeway_store::authorization::replay;
use causeway_types::{CorrelationId, ErrorCode, RequestUri};

use crate::authorization::parameters::AuthorizeParams;
use crate::authorization::request::validation;
use crate::authorization::request::{AuthorizeError, Refusal, UnsafeRequest};
use crate::authorization::request_object::RequestObjectError;
use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::client::document;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::limits::RateLimitedAction;
use crate::operations::trace;
use causeway_domain::TooMany;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum ParError {
    /// The request itself names a pushed request (RFC 9126 section 2.1).
    #[error("request_uri must not be sent to this endpoint")]
    RequestUri,
    /// `dpop_jkt` and the request's DPoP proof name different keys (RFC 9449 section 10.1).
    #[error("dpop_jkt is not the thumbprint of the key in the DPoP proof")]
    DpopJkt,
    /// A single-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// The client was deleted in the meantime.
    #[error("this client was deleted")]
    Client,
    /// The redirect URI is unsafe.
    #[error(transparent)]
    Unsafe(#[from] UnsafeRequest),
    /// Something else in the request is wrong.
    #[error(transparent)]
    Refused(Refusal),
    /// Too many were pushed: nothing of this one is stored.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<AuthorizeError> for ParError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Unsafe(error) => error.into(),
            AuthorizeError::Refused { refusal, .. } => Self::Refused(refusal),
            AuthorizeError::TooMany(error) => error.into(),
            AuthorizeError::Internal(error) => error.into(),
        }
    }
}

impl ParError {
    /// The code of RFC 9126 section 2.3.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::RequestUri | Self::DpopJkt => ErrorCode::InvalidRequest,
            Self::Replayed(replayed) => replayed.code(),
            Self::Client => ErrorCode::InvalidClient,
            Self::Unsafe(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::TooMany(_) => ErrorCode::TemporarilyUnavailable,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// A pushed request that was accepted.
#[derive(Debug)]
pub struct Pushed {
    /// Its single-use reference.
    pub request_uri: RequestUri,
    /// Seconds for which the reference is valid.
    pub expires_in: i64,
}

impl From<StoreError> for ParError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Checks and stores an authorization request of an authenticated client. The code will be bound to a key
/// that was proven (RFC 9449 section 10.1).
///
/// # Errors
/// [`ParError`].
#[tracing::instrument(name = "flow.par", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn push(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    mut params: AuthorizeParams,
) -> Result<Pushed, ParError> {
    let correlation_id = Some(CorrelationId::random(ctx.rng()));
    trace::correlate(correlation_id.as_ref());
    let client = &authenticated.client;
    if params.request_uri.is_some() {
        return Err(ParError::RequestUri);
    }
    if authenticated.contradicts(params.dpop_jkt.as_deref()) {
        return Err(ParError::DpopJkt);
    }
    if let Some(proven) = &authenticated.dpop_jkt {
        params.dpop_jkt = Some(proven.to_string());
    }
    params.client_id = Some(client.client_id.to_string());
    let checked = validation::prepare(ctx, client, &mut params).await?;
    authenticated.rate_limit(ctx, RateLimitedAction::Authorization, trace::origin().1)?;
    document::store_loopback(ctx, client).await.map_err(AuthorizeError::from)?;
    let now = ctx.now();
    let authorization_request =
        serde_json::to_string(&params).map_err(|_| Internal::Inconsistent("parameters do not serialize"))?;
    let row = ParRequest {
        request_uri: RequestUri::issued(ctx.rng(), ctx.unix_millis()),
        client_id: client.client_id.clone(),
        authorization_request,
        auth_request_id: None,
        correlation_id,
        created_at: now,
        expires_at: now.plus(PAR_SECONDS),
    };
    let request_uri = row.request_uri.clone();
    let authenticated = authenticated.clone();
    let pushed = ctx
        .store()
        .add(move |c| {
            authenticated.consume::<ParError>(c)?;
            if let Some(object) = &checked.object
                && !replay::consume_once(c, object)?
            {
                let text = RequestObjectError::Replayed.to_string();
                return Err(ParError::Refused(Refusal::InvalidRequestObject(text)));
            }
            Ok::<_, ParError>(par::insert_par_request(c, &row)?)
        })
        .await;
    match pushed {
        Err(ParError::Internal(error)) if error.is_dangling() => return Err(ParError::Client),
        done => done?,
    }
    Ok(Pushed { request_uri, expires_in: PAR_SECONDS })
}
