//! From the verbs' errors to the wire: one table for JSON, one for pages.

mod export;
mod operation;
mod relay;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use causeway_domain::ErrorCode;
use causeway_flow::access::AccessError;
use causeway_flow::authorize::UnsafeRequest;
use causeway_flow::callback::CallbackError;
use causeway_flow::caller::{CallerError, Replayed};
use causeway_flow::clients::ClientAuthError;
use causeway_flow::consent::ConsentError;
use causeway_flow::device::DeviceError;
use causeway_flow::dpop::{self, ProofError};
use causeway_flow::introspect::IntrospectError;
use causeway_flow::logout::LogoutError;
use causeway_flow::par::ParError;
use causeway_flow::register::RegisterError;
use causeway_flow::registration::RegistrationError;
use causeway_flow::revoke::RevokeError;
use causeway_flow::session::SessionError;
use causeway_flow::sign_in::SignInError;
use causeway_flow::{Class, Internal, TokenError, TokenType};
use serde::Serialize;

use crate::http::credentials::CredentialsError;
use crate::http::form::InputError;
use crate::http::headers::{Forms, json_no_store, page};
use crate::http::proof::set_nonce;
use crate::http::request;
use crate::pages::{ErrorPage, Problem};

/// Seconds after which it makes sense to come back to what too many want at the moment.
const BUSY_SECONDS: u64 = 60;

/// An error as an API client sees it (RFC 6749 section 5.2).
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    description: String,
    challenges: Vec<String>,
    dpop_nonce: Option<String>,
    retry_after: Option<u64>,
    sign_in_url: Option<String>,
    in_xrpc: bool,
}

#[derive(Serialize)]
struct ApiErrorBody<'a> {
    error: ErrorCode,
    error_description: &'a str,
    /// The same text by the name that XRPC has for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// With `reauth_required`, once in five minutes: where the person signs in again.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in_url: Option<&'a str>,
    request_id: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, description: impl Into<String>) -> Self {
        Self {
            status,
            code,
            description: description.into(),
            challenges: Vec::new(),
            dpop_nonce: None,
            retry_after: None,
            sign_in_url: None,
            in_xrpc: false,
        }
    }

    pub(crate) fn bad_request(code: ErrorCode, error: &impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, error.to_string())
    }

    /// Ours: the detail goes to the log, the wire gets the request id.
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
        &self.description
    }

    /// Seconds after which a retry makes sense.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Where the person signs in again.
    pub(crate) fn sign_in_url(&self) -> Option<&str> {
        self.sign_in_url.as_deref()
    }

    /// For a caller who expects the form of XRPC's errors, too (atproto specification "HTTP API (XRPC)").
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
        this.challenges = vec![challenge(TokenType::Bearer, None), challenge(TokenType::Dpop, None)];
        this
    }

    /// A token did not hold. The scheme that was used says why; the other one is on offer (RFC 9449
    /// section 7.1).
    fn token(code: ErrorCode, status: StatusCode, description: String, scheme: TokenType) -> Self {
        let why = Some((code, description.as_str()));
        let challenges = match scheme {
            TokenType::Bearer => vec![challenge(TokenType::Bearer, why), challenge(TokenType::Dpop, None)],
            TokenType::Dpop => vec![challenge(TokenType::Dpop, why)],
        };
        Self { challenges, ..Self::new(status, code, description) }
    }

    /// The token was sent in a way that cannot be read.
    pub(crate) fn malformed_token(problem: &str) -> Self {
        let code = ErrorCode::InvalidRequest;
        Self::token(code, StatusCode::BAD_REQUEST, problem.to_owned(), TokenType::Bearer)
    }

    /// A token that was presented in this way, or the proof beside it, does not hold.
    pub(crate) fn access(error: &AccessError, scheme: TokenType) -> Self {
        match error {
            AccessError::Internal(error) | AccessError::Proof(ProofError::Internal(error)) => {
                Self::internal(error)
            }
            error => {
                let status = match error {
                    AccessError::NoPerson => StatusCode::FORBIDDEN,
                    _ => StatusCode::UNAUTHORIZED,
                };
                let mut this = Self::token(error.code(), status, error.to_string(), scheme);
                if let AccessError::Proof(ProofError::Nonce { fresh }) = error {
                    this.dpop_nonce = Some(fresh.clone());
                }
                this
            }
        }
    }

    /// A client's credentials did not hold (RFC 6749 section 5.2).
    pub(crate) fn invalid_client(description: String, used_header: bool) -> Self {
        let mut this = Self::new(StatusCode::UNAUTHORIZED, ErrorCode::InvalidClient, description);
        this.challenges.extend(used_header.then(|| "Basic realm=\"causeway\"".to_owned()));
        this
    }

    /// From the endpoints of clients; `used_header`: the client tried HTTP Basic.
    pub(crate) fn caller(error: CallerError, used_header: bool) -> Self {
        match error {
            CallerError::Client(ClientAuthError::Internal(error)) => Self::internal(&error),
            CallerError::Client(ClientAuthError::TooMany(error)) => error.into(),
            CallerError::Client(error) if error.code() == ErrorCode::TemporarilyUnavailable => {
                let mut this = Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string());
                this.retry_after = Some(BUSY_SECONDS);
                this
            }
            CallerError::Client(error) => Self::invalid_client(error.to_string(), used_header),
            CallerError::Proof(error) => error.into(),
        }
    }
}

/// A challenge of a resource (RFC 6750 section 3, RFC 9449 section 7.1).
fn challenge(scheme: TokenType, error: Option<(ErrorCode, &str)>) -> String {
    let document = request::resource_metadata_url();
    let mut text = format!("{} realm=\"causeway\", resource_metadata=\"{document}\"", scheme.as_str());
    if scheme == TokenType::Dpop {
        text.extend([", algs=\"", &dpop::ALGORITHMS.join(" "), "\""]);
    }
    if let Some((code, description)) = error {
        text.extend([", error=\"", code.as_str(), "\", error_description=\"", description, "\""]);
    }
    text
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
            add(WWW_AUTHENTICATE, challenge);
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
            InputError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            InputError::Slow => StatusCode::REQUEST_TIMEOUT,
            InputError::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        };
        let code = match error {
            InputError::Json(_) => ErrorCode::InvalidClientMetadata,
            _ => ErrorCode::InvalidRequest,
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<CredentialsError> for ApiError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Basic => Self::invalid_client(error.to_string(), true),
            CredentialsError::Missing => Self::invalid_client(error.to_string(), false),
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
            Replayed::Assertion => Self::invalid_client(replayed.to_string(), false),
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
            error @ TokenError::Refused(_) => Self::bad_request(error.code(), &error),
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
            error @ ParError::Client => Self::invalid_client(error.to_string(), false),
            error => Self::bad_request(error.code(), &error),
        }
    }
}

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Internal(error) => Self::internal(&error),
            DeviceError::Replayed(replayed) => replayed.into(),
            error @ DeviceError::Client => Self::invalid_client(error.to_string(), false),
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
                Self::new(StatusCode::FORBIDDEN, error.code(), error.to_string())
            }
            // These tokens are bearer tokens, whatever becomes of the others.
            error @ (RegistrationError::InitialToken | RegistrationError::Token) => {
                let mut this = Self::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string());
                this.challenges = vec![challenge(TokenType::Bearer, Some((error.code(), &this.description)))];
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
            error @ IntrospectError::PublicClient => Self::invalid_client(error.to_string(), false),
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match &error {
            SessionError::Internal(error) => Self::internal(error),
            SessionError::ReauthRequired { sign_in_url } => {
                let (code, text) = (error.code(), error.to_string());
                let this = Self::token(code, StatusCode::UNAUTHORIZED, text, TokenType::Bearer);
                Self { sign_in_url: sign_in_url.clone(), ..this }
            }
            SessionError::Ended => {
                Self::token(error.code(), StatusCode::UNAUTHORIZED, error.to_string(), TokenType::Bearer)
            }
            SessionError::Unavailable { retry_after } | SessionError::Busy { retry_after } => {
                let mut this = Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string());
                this.retry_after = Some(*retry_after);
                this
            }
        }
    }
}

/// An error as a person sees it.
#[derive(Debug)]
pub(crate) struct PageError {
    status: StatusCode,
    code: ErrorCode,
    problem: Problem,
    detail: Option<String>,
    retry_after: Option<u64>,
}

impl PageError {
    pub(crate) const fn new(status: StatusCode, code: ErrorCode, problem: Problem) -> Self {
        Self { status, code, problem, detail: None, retry_after: None }
    }

    /// The app's mistake; `detail` is for its makers.
    pub(crate) fn app(code: ErrorCode, detail: &impl fmt::Display) -> Self {
        let detail = Some(sentence(&detail.to_string()));
        Self { detail, ..Self::new(StatusCode::BAD_REQUEST, code, Problem::App) }
    }

    const fn over(code: ErrorCode, problem: Problem) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, problem)
    }

    /// The answer came to a browser that we have not met.
    pub(crate) const fn unknown_browser() -> Self {
        Self::over(ErrorCode::NonceInvalidOrReused, Problem::OtherBrowser)
    }

    fn internal(error: &Internal) -> Self {
        if error.is_retryable() {
            tracing::warn!(%error, "temporarily unavailable");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Self::new(status, ErrorCode::TemporarilyUnavailable, Problem::Busy)
        } else {
            tracing::error!(%error, "internal error");
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::ServerError, Problem::Internal)
        }
    }

    /// A form came back without a decision.
    pub(crate) const fn undecided() -> Self {
        Self::over(ErrorCode::InvalidRequest, Problem::Undecided)
    }

    /// A form that no page of ours made for this browser.
    pub(crate) const fn foreign_form() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::AccessDenied, Problem::ForeignForm)
    }

    /// There is nothing at this address.
    pub(crate) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, Problem::NotFound)
    }

    /// A template failed: nothing of the request can be at fault.
    pub(crate) fn render(error: &askama::Error) -> Self {
        tracing::error!(%error, "a page did not render");
        Self::internal(&Internal::Inconsistent("a page did not render"))
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.code, self.problem)
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let view = ErrorPage {
            status: self.status.as_u16(),
            problem: self.problem,
            detail: self.detail.clone(),
            code: self.code.to_string(),
            request_id: request::id(),
        };
        match view.render(request::lang()) {
            Ok(html) => {
                let mut response = page(self.status, html, Forms::Stay, None);
                if let Some(seconds) = self.retry_after {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
            Err(error) => {
                tracing::error!(%error, "the error page did not render");
                HttpResponse::build(self.status).body(self.code.as_str())
            }
        }
    }
}

/// An error's text as a sentence: a capital first, a full stop last.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

impl From<InputError> for PageError {
    fn from(error: InputError) -> Self {
        let mut this = Self::app(ErrorCode::InvalidRequest, &error);
        this.status = ApiError::from(error).status;
        this
    }
}

impl From<UnsafeRequest> for PageError {
    fn from(error: UnsafeRequest) -> Self {
        if error.code() == ErrorCode::TemporarilyUnavailable {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), Problem::Busy);
        }
        Self::app(error.code(), &error)
    }
}

impl From<Internal> for PageError {
    fn from(error: Internal) -> Self {
        Self::internal(&error)
    }
}

impl From<CallbackError> for PageError {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::Internal(error) => Self::internal(&error),
            error @ CallbackError::State => Self::over(error.code(), Problem::SignInOver),
        }
    }
}

impl From<ConsentError> for PageError {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::Internal(error) => Self::internal(&error),
            ConsentError::Gone => Self::over(error.code(), Problem::ConsentOver),
            ConsentError::NotSignedIn => Self::over(error.code(), Problem::NotSignedIn),
        }
    }
}

impl From<LogoutError> for PageError {
    fn from(error: LogoutError) -> Self {
        match error {
            LogoutError::Internal(error) => Self::internal(&error),
            error => Self::app(error.code(), &error),
        }
    }
}

impl From<SignInError> for PageError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Internal(error) => Self::internal(&error),
            error => Self::over(error.code(), Problem::SignInOver),
        }
    }
}

/// The status of the sign-in page when it shows an error.
pub(crate) fn sign_in_status(error: &SignInError) -> StatusCode {
    match error.class() {
        Class::Upstream => StatusCode::BAD_GATEWAY,
        Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Class::Client | Class::Denied => StatusCode::BAD_REQUEST,
    }
}
