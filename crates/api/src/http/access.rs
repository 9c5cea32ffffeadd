//! The access token of a request (RFC 6750 section 2, RFC 9449 section 7).

use actix_web::HttpRequest;
use causeway_flow::Ctx;
use causeway_flow::resource::access::{self, AccessError, AccessRequest, Bearer};

use crate::error::ApiError;
use crate::http::credentials::{Presented, access_token};
use crate::http::proof::Proofs;
use crate::state::AppState;

/// Checks the access token of a request, and the proof that it may need.
pub(crate) async fn require_access(
    req: &HttpRequest,
    state: &AppState,
    body: Option<String>,
) -> Result<Bearer, ApiError> {
    check_access(req, state, body, access::verify).await
}

/// The same for a request that is relayed to the PDS.
pub(crate) async fn require_access_to_call(req: &HttpRequest, state: &AppState) -> Result<Bearer, ApiError> {
    check_access(req, state, None, access::verify_to_call).await
}

async fn check_access(
    req: &HttpRequest,
    state: &AppState,
    body: Option<String>,
    verify: impl AsyncFnOnce(&Ctx, &AccessRequest<'_>) -> Result<Bearer, AccessError>,
) -> Result<Bearer, ApiError> {
    let (scheme, token) = match access_token(req, body) {
        Presented::Nothing => return Err(ApiError::no_token()),
        Presented::Malformed(problem) => return Err(ApiError::malformed_token(problem)),
        Presented::Token(scheme, token) => (scheme, token),
    };
    let proofs = Proofs::of(req, state.ctx.issuer());
    let request = AccessRequest { token, scheme, proof: proofs.request() };
    verify(&state.ctx, &request).await.map_err(|error| ApiError::access(&error, scheme))
}
