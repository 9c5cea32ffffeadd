//! DPoP over HTTP (RFC 9449): the header of a request, and the nonce of an answer.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::resource::dpop::ProofRequest;

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Method and URL that the proof of a request has to name, and every proof that it carries.
pub(crate) struct Proofs {
    method: String,
    url: String,
    headers: Vec<String>,
}

impl Proofs {
    /// Builds the URL from our issuer and the path: a proxy may have changed the request's scheme and host.
    pub(crate) fn of(req: &HttpRequest, issuer: &str) -> Self {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Self {
            method: req.method().as_str().to_owned(),
            url: format!("{issuer}{}", req.uri().path()),
            headers: req.headers().get_all(DPOP).map(text).collect(),
        }
    }

    /// The same in the form that `causeway-flow` takes.
    pub(crate) fn request(&self) -> ProofRequest<'_> {
        ProofRequest { method: &self.method, url: &self.url, proofs: &self.headers }
    }
}

/// The `DPoP-Nonce` header (RFC 9449 section 8.1).
pub(crate) fn set_nonce(response: &mut HttpResponse, nonce: &str) {
    if let Ok(nonce) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
}
