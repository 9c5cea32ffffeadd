//! Maps the errors of `causeway-flow` to the wire: one table for JSON, and in `page` one for pages.

mod challenge;
mod export;
mod operation;
mod page;
mod relay;
#[cfg(test)]
mod wire;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use causeway_domain::{ErrorCode, WireText};
use causeway_flow::authorization::device::DeviceError;
use causeway_flow::authorization::par::ParError;
use causeway_flow::client::authenticated::{CallerError, Replayed};
use causeway_flow::client::authentication::ClientAuthError;
use causeway_flow::client::registration::RegistrationError;
use causeway_flow::client::registration::create::RegisterError;
use causeway_flow::resource::access::AccessError;
use causeway_flow::resource::dpop::ProofError;
use causeway_flow::token::introspect::IntrospectError;
use causeway_flow::token::revoke::RevokeError;
use causeway_flow::upstream::session::SessionError;
use causeway_flow::{Internal, TokenError, TokenType};
use serde::Serialize;

use crate::http::credentials::CredentialsError;
use crate::http::form::InputError;
use crate::http::headers::json_no_store;
use crate::http::proof::set_nonce;
use crate::http::request;

use self::challenge::Challenge;
pub(crate) use self::page::{PageError, sign_in_status};

/// `Retry-After` in seconds when a resource is at capacity.
const BUSY_SECONDS: u64 = 60;

/// `Retry-After` in seconds when memory is exhausted that is released soon.
const NO_ROOM_SECONDS: u64 = 2;

/// An error as an API client sees it (RFC 6749 section 5.2).
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    description: WireText,
    challenges: Vec<Challenge>,
    dpop_nonce: Option<String>,
    retry_after: Option<u64>,
    sign_in_url: Option<String>,
    in_xrpc: bool,
}

#[derive(Serialize)]
struct ApiErrorBody<'a> {
    error: ErrorCode,
    error_description: &'a WireText,
    /// The same text under the name that XRPC uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a WireText>,
    /// With `reauth_required`, once in five minutes: where the user signs in again.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in_url: Option<&'a str>,
    request_id: String,
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

    /// An internal error: the detail goes to the log, the client gets the request id.
    fn internal(error: &Internal) -> Self {
        if error.is_retryable() {
            tracing::warn!(%error, "temporarily unavailable");
            let text = "the server is busy at the moment: send the same request again";
            let mut this =
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, text);
            this.retry_after = Some(1);
            this
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
        this.challenges = vec![Challenge::of(TokenType::Bearer), Challenge::of(TokenType::Dpop)];
        this
    }

    /// A token is invalid. The challenge of the scheme that was used says why; for Bearer, DPoP is also
    /// offered (RFC 9449 section 7.1).
    fn token(code: ErrorCode, status: StatusCode, description: &str, scheme: TokenType) -> Self {
        let mut this = Self::new(status, code, description);
        this.challenges.push(Challenge::of(scheme).because(code, &this.description));
        if scheme == TokenType::Bearer {
            this.challenges.push(Challenge::of(TokenType::Dpop));
        }
        this
    }

    /// The token was sent in a malformed or ambiguous way.
    pub(crate) fn malformed_token(problem: &str) -> Self {
        let code = ErrorCode::InvalidRequest;
        Self::token(code, StatusCode::BAD_REQUEST, problem, TokenType::Bearer)
    }

    /// The access token, presented with `scheme`, or its DPoP proof is invalid.
    pub(crate) fn access(error: &AccessError, scheme: TokenType) -> Self {
        match error {
            AccessError::Internal(error) | AccessError::Proof(ProofError::Internal(error)) => {
                Self::internal(error)
            }
            error => {
                let status = match error {
                    AccessError::NoUser => StatusCode::FORBIDDEN,
                    _ => StatusCode::UNAUTHORIZED,
                };
                let mut this = Self::token(error.code(), status, &error.to_string(), scheme);
                if let AccessError::Proof(ProofError::Nonce { fresh }) = error {
                    this.dpop_nonce = Some(fresh.clone());
                }
                this
            }
        }
    }

    /// Client authentication failed (RFC 6749 section 5.2). A 401 names a scheme, however the credentials
    /// were sent (RFC 9110 section 15.5.2).
    fn invalid_client(error: &impl fmt::Display) -> Self {
        let mut this = Self::new(StatusCode::UNAUTHORIZED, ErrorCode::InvalidClient, &error.to_string());
        let challenge = Challenge::new("Basic", "causeway").because(this.code, &this.description);
        this.challenges.push(challenge);
        this
    }

    /// Errors of endpoints that authenticate clients.
    pub(crate) fn caller(error: CallerError) -> Self {
        match error {
            CallerError::Client(ClientAuthError::Internal(error)) => Self::internal(&error),
            CallerError::Client(ClientAuthError::TooMany(error)) => error.into(),
            CallerError::Client(error) if error.code() == ErrorCode::TemporarilyUnavailable => {
                let mut this = Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), &error.to_string());
                this.retry_after = Some(BUSY_SECONDS);
                this
            }
            CallerError::Client(error) => Self::invalid_client(&error),
            CallerError::Proof(error) => error.into(),
        }
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
        let body = ApiErrorBody {
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

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        let status = match error {
            InputError::TooLarge(_) | InputError::Dense => StatusCode::PAYLOAD_TOO_LARGE,
            InputError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            InputError::Slow => StatusCode::REQUEST_TIMEOUT,
            InputError::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        };
        let code = match error {
            InputError::Json(_) => ErrorCode::InvalidClientMetadata,
            InputError::NoRoom => ErrorCode::TemporarilyUnavailable,
            _ => ErrorCode::InvalidRequest,
        };
        let this = Self::new(status, code, &error.to_string());
        Self { retry_after: (error == InputError::NoRoom).then_some(NO_ROOM_SECONDS), ..this }
    }
}

impl From<CredentialsError> for ApiError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Basic | CredentialsError::Missing => Self::invalid_client(&error),
            _ => Self::bad_request(ErrorCode::InvalidRequest, &error),
        }
    }
}

impl From<Internal> for ApiError {
    fn from(error: Internal) -> Self {
        Self::internal(&error)
    }
}

impl From<ProofError> for ApiError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Internal(error) => Self::internal(&error),
            error => {
                let mut this = Self::bad_request(error.code(), &error);
                if let ProofError::Nonce { fresh } = error {
                    this.dpop_nonce = Some(fresh);
                }
                this
            }
        }
    }
}

impl From<Replayed> for ApiError {
    fn from(replayed: Replayed) -> Self {
        match replayed {
            Replayed::Assertion => Self::invalid_client(&replayed),
            Replayed::Proof => Self::bad_request(replayed.code(), &replayed),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Internal(error) => Self::internal(&error),
            TokenError::Replayed(replayed) => replayed.into(),
            TokenError::Proof(error) => error.into(),
            error @ (TokenError::Refused(_) | TokenError::Target(_)) => {
                Self::bad_request(error.code(), &error)
            }
        }
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Internal(error) => Self::internal(&error),
            RevokeError::Replayed(replayed) => replayed.into(),
        }
    }
}

impl From<ParError> for ApiError {
    fn from(error: ParError) -> Self {
        match error {
            ParError::Internal(error) => Self::internal(&error),
            ParError::Replayed(replayed) => replayed.into(),
            ParError::TooMany(error) => error.into(),
            error @ ParError::Client => Self::invalid_client(&error),
            error => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Internal(error) => Self::internal(&error),
            DeviceError::Replayed(replayed) => replayed.into(),
            error @ DeviceError::Client => Self::invalid_client(&error),
            error => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Internal(error) => Self::internal(&error),
            error @ RegisterError::Metadata(_) => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<RegistrationError> for ApiError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Internal(error) => Self::internal(&error),
            RegistrationError::Register(error) => error.into(),
            RegistrationError::TooMany(error) => error.into(),
            error @ RegistrationError::Off => {
                Self::new(StatusCode::FORBIDDEN, error.code(), &error.to_string())
            }
            // These tokens are bearer tokens, whatever becomes of the others.
            error @ (RegistrationError::InitialToken | RegistrationError::Token) => {
                let mut this = Self::new(StatusCode::UNAUTHORIZED, error.code(), &error.to_string());
                let challenge = Challenge::of(TokenType::Bearer).because(error.code(), &this.description);
                this.challenges.push(challenge);
                this
            }
            error @ (RegistrationError::Differs | RegistrationError::Document) => {
                Self::bad_request(error.code(), &error)
            }
        }
    }
}

impl From<IntrospectError> for ApiError {
    fn from(error: IntrospectError) -> Self {
        match error {
            IntrospectError::Internal(error) => Self::internal(&error),
            IntrospectError::Replayed(replayed) => replayed.into(),
            error @ IntrospectError::PublicClient => Self::invalid_client(&error),
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match &error {
            SessionError::Internal(error) => Self::internal(error),
            SessionError::ReauthRequired { sign_in_url } => {
                let (code, text) = (error.code(), &error.to_string());
                let this = Self::token(code, StatusCode::UNAUTHORIZED, text, TokenType::Bearer);
                Self { sign_in_url: sign_in_url.clone(), ..this }
            }
            SessionError::Ended => {
                Self::token(error.code(), StatusCode::UNAUTHORIZED, &error.to_string(), TokenType::Bearer)
            }
            SessionError::Unavailable { retry_after } | SessionError::Busy { retry_after } => {
                let mut this = Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), &error.to_string());
                this.retry_after = Some(*retry_after);
                this
            }
        }
    }
}
