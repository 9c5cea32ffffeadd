//! Pushed authorization requests (RFC 9126).

use causeway_domain::client::Client;
use causeway_domain::grant::{PAR_SECONDS, ParRequest};
use causeway_domain::{ErrorCode, RequestUri};
use causeway_store::par;

use crate::authorize::{self, AuthorizeError, AuthorizeParams, Refusal, UnsafeRequest};
use crate::ctx::Ctx;
use crate::error::Internal;

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ParError {
    /// The request itself names a pushed request (RFC 9126 section 2.1).
    #[error("request_uri must not be sent to this endpoint")]
    RequestUri,
    /// The client was deleted a moment ago.
    #[error("this client was deleted")]
    Client,
    /// The redirect URI.
    #[error(transparent)]
    Unsafe(#[from] UnsafeRequest),
    /// Anything else in it.
    #[error(transparent)]
    Refused(Refusal),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ParError {
    /// The code of RFC 9126 section 2.3.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::RequestUri => ErrorCode::InvalidRequest,
            Self::Client => ErrorCode::InvalidClient,
            Self::Unsafe(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// A request that was taken.
#[derive(Debug)]
pub struct Pushed {
    /// Its reference: works once.
    pub request_uri: RequestUri,
    /// Seconds that the reference works.
    pub expires_in: i64,
}

/// Checks and keeps an authorization request of an authenticated client.
///
/// # Errors
/// [`ParError`].
#[tracing::instrument(name = "flow.par", skip_all, fields(client_id = %client.client_id))]
pub async fn push(ctx: &Ctx, client: &Client, mut params: AuthorizeParams) -> Result<Pushed, ParError> {
    if params.request_uri.is_some() {
        return Err(ParError::RequestUri);
    }
    params.client_id = Some(client.client_id.to_string());
    authorize::prepare(ctx, client, &mut params).await.map_err(|error| match error {
        AuthorizeError::Unsafe(error) => ParError::Unsafe(error),
        AuthorizeError::Refused { refusal, .. } => ParError::Refused(refusal),
        AuthorizeError::Internal(error) => ParError::Internal(error),
    })?;
    let now = ctx.now();
    let authorization_request =
        serde_json::to_string(&params).map_err(|_| Internal::Inconsistent("parameters do not serialize"))?;
    let row = ParRequest {
        request_uri: RequestUri::random(ctx.rng()),
        client_id: client.client_id.clone(),
        authorization_request,
        auth_request_id: None,
        created_at: now,
        expires_at: now.plus(PAR_SECONDS),
    };
    let request_uri = row.request_uri.clone();
    let pushed = ctx.store().write(move |c| par::insert_par_request(c, &row).map_err(Internal::from)).await;
    match pushed {
        Err(error) if error.is_dangling() => return Err(ParError::Client),
        done => done?,
    }
    Ok(Pushed { request_uri, expires_in: PAR_SECONDS })
}
