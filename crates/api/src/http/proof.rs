//! DPoP over HTTP (RFC 9449): the header of a request, and the nonce of an answer.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use causeway_flow::dpop::ProofRequest;

use crate::error::ApiError;
use crate::state::AppState;

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What the proof of a request is about, and every proof that came with it.
pub(crate) struct Proofs {
    method: String,
    url: String,
    headers: Vec<String>,
}

impl Proofs {
    /// The URL is put together from our issuer: what a proxy made of the request's own is not looked at.
    pub(crate) fn of(req: &HttpRequest, state: &AppState) -> Self {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Self {
            method: req.method().as_str().to_owned(),
            url: format!("{}{}", state.ctx.issuer(), req.uri().path()),
            headers: req.headers().get_all(DPOP).map(text).collect(),
        }
    }

    /// The same for the verbs.
    pub(crate) fn request(&self) -> ProofRequest<'_> {
        ProofRequest { method: &self.method, url: &self.url, proofs: &self.headers }
    }
}

/// Gives an answer the nonce for the next proof, whatever the answer is.
pub(crate) fn with_nonce(outcome: Result<HttpResponse, ApiError>, nonce: Option<String>) -> HttpResponse {
    let mut response = outcome.unwrap_or_else(|error| error.error_response());
    if let Some(nonce) = nonce {
        set_nonce(&mut response, &nonce);
    }
    response
}

/// The `DPoP-Nonce` header (RFC 9449 section 8.1).
pub(crate) fn set_nonce(response: &mut HttpResponse, nonce: &str) {
    if let Ok(nonce) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
}
