//! An error as an API client sees it: status, body and headers.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use causeway_flow::Internal;
use causeway_types::{ErrorCode, TokenType, WireText};

use super::challenge::Challenge;
use crate::bodies::oauth::ErrorBody;
use crate::http::headers::json_no_store;
use crate::http::proof::set_nonce;
use crate::http::request;

/// `Retry-After` in seconds when a resource is at capacity.
pub(super) const BUSY_SECONDS: u64 = 60;

/// `Retry-After` in seconds when memory is exhausted that is released soon.
pub(super) const NO_ROOM_SECONDS: u64 = 2;

/// An error as an API client sees it (RFC 6749 section 5.2).
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: ErrorCode,
    pub(super) description: WireText,
    pub(super) challenges: Vec<Challenge>,
    pub(super) dpop_nonce: Option<String>,
    pub(super) retry_after: Option<u64>,
    pub(super) sign_in_url: Option<String>,
    pub(super) in_xrpc: bool,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, description: &str) -> Self {
        Self {
            status,
            code,
            description: WireText::new(description),
            challenges: Vec::new(),
            dpop_nonce: None,
            retry_after: None,
            sign_in_url: None,
            in_xrpc: false,
        }
    }

    pub(crate) fn bad_request(code: ErrorCode, error: &impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, &error.to_string())
    }

    /// The same request may succeed after `retry_after` seconds.
    pub(super) fn unavailable(code: ErrorCode, error: &impl fmt::Display, retry_after: u64) -> Self {
        let this = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, &error.to_string());
        Self { retry_after: Some(retry_after), ..this }
    }

    /// An internal error: the detail goes to the log, the client gets the request id.
    pub(super) fn internal(error: &Internal) -> Self {
        if error.is_retryable() {
            tracing::warn!(%error, "temporarily unavailable");
            let text = "the server is busy at the moment: send the same request again";
            Self::unavailable(ErrorCode::TemporarilyUnavailable, &text, 1)
        } else {
            tracing::error!(%error, "internal error");
            let text = "something went wrong on our side: quote the request_id when you report it";
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::ServerError, text)
        }
    }

    /// The code on the wire.
    pub(crate) const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The text for the developer.
    pub(crate) fn description(&self) -> &str {
        self.description.as_str()
    }

    /// Seconds after which a retry makes sense.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Where the user signs in again.
    pub(crate) fn sign_in_url(&self) -> Option<&str> {
        self.sign_in_url.as_deref()
    }

    /// Adds the form of XRPC errors, for callers that expect it (atproto specification "HTTP API (XRPC)").
    pub(crate) fn in_xrpc(self) -> Self {
        Self { in_xrpc: true, ..self }
    }

    /// No access token was sent (RFC 6750 section 3.1: no error code then).
    pub(crate) fn no_token() -> Self {
        let mut this = Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::InvalidToken,
            "an access token is required: Authorization: Bearer ACCESS_TOKEN",
        );
        this.challenges = vec![Challenge::of(TokenType::Bearer)];
        this.offer_dpop();
        this
    }

    /// Offers DPoP as well, except to MCP clients: the header of two challenges is more than some of them read.
    fn offer_dpop(&mut self) {
        if !request::is_protected() {
            self.challenges.push(Challenge::of(TokenType::Dpop));
        }
    }

    /// A client did not authenticate (RFC 9110 section 15.5.2).
    pub(crate) fn no_client() -> Self {
        let mut this = Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::InvalidClient,
            "this endpoint requires the client's own authentication: HTTP Basic, or an access token of the grant client_credentials",
        );
        this.challenges = vec![
            Challenge::new("Basic", "causeway"),
            Challenge::of(TokenType::Bearer),
            Challenge::of(TokenType::Dpop),
        ];
        this
    }

    /// Adds the nonce for the next proof.
    pub(crate) fn with_nonce(self, dpop_nonce: Option<String>) -> Self {
        Self { dpop_nonce: dpop_nonce.or(self.dpop_nonce), ..self }
    }

    /// A token is invalid. The challenge of the scheme that was used says why; for Bearer, DPoP is also
    /// offered (RFC 9449 section 7.1).
    pub(super) fn token(code: ErrorCode, status: StatusCode, description: &str, scheme: TokenType) -> Self {
        let mut this = Self::new(status, code, description);
        this.challenges.push(Challenge::of(scheme).because(code, &this.description));
        if scheme == TokenType::Bearer {
            this.offer_dpop();
        }
        this
    }

    /// The token was sent in a malformed or ambiguous way.
    pub(crate) fn malformed_token(problem: &str) -> Self {
        let code = ErrorCode::InvalidRequest;
        Self::token(code, StatusCode::BAD_REQUEST, problem, TokenType::Bearer)
    }

    /// Client authentication failed (RFC 6749 section 5.2). A 401 names a scheme, however the credentials
    /// were sent (RFC 9110 section 15.5.2).
    pub(super) fn invalid_client(error: &impl fmt::Display) -> Self {
        let mut this = Self::new(StatusCode::UNAUTHORIZED, ErrorCode::InvalidClient, &error.to_string());
        let challenge = Challenge::new("Basic", "causeway").because(this.code, &this.description);
        this.challenges.push(challenge);
        this
    }
}

impl From<Internal> for ApiError {
    fn from(error: Internal) -> Self {
        Self::internal(&error)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.description)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = ErrorBody {
            error: self.code,
            error_description: &self.description,
            message: self.in_xrpc.then_some(&self.description),
            sign_in_url: self.sign_in_url.as_deref(),
            request_id: request::id(),
        };
        let mut response = json_no_store(self.status, &body);
        let mut add = |name, value: &str| {
            if let Ok(value) = value.parse() {
                response.headers_mut().append(name, value);
            }
        };
        for challenge in &self.challenges {
            add(WWW_AUTHENTICATE, challenge.as_str());
        }
        if let Some(seconds) = self.retry_after {
            add(RETRY_AFTER, &seconds.to_string());
        }
        if let Some(nonce) = &self.dpop_nonce {
            set_nonce(&mut response, nonce);
        }
        response
    }
}
