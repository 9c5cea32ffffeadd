//! Maps the errors of `causeway-flow` to the pages that a user sees.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use causeway_domain::TooMany;
use causeway_flow::authorization::consent::ConsentError;
use causeway_flow::authorization::request::{Refusal, UnsafeRequest};
use causeway_flow::logout::rp_initiated::LogoutError;
use causeway_flow::upstream::connect::SignInError;
use causeway_flow::upstream::connect::callback::CallbackError;
use causeway_flow::{ClientAnswer, Internal};
use causeway_types::ErrorCode;

use super::api::ApiError;
use crate::http::form::InputError;
use crate::http::headers::{Forms, page};
use crate::http::request;
use crate::pages::{ErrorPage, Onward, Problem};

/// An error as a user sees it.
#[derive(Debug)]
pub(crate) struct PageError {
    pub(super) status: StatusCode,
    pub(super) code: ErrorCode,
    pub(super) problem: Problem,
    pub(super) detail: Option<String>,
    pub(super) retry_after: Option<u64>,
    /// Where the user may go on to, if they want to.
    pub(super) onward: Option<ClientAnswer>,
}

impl PageError {
    pub(crate) const fn new(status: StatusCode, code: ErrorCode, problem: Problem) -> Self {
        Self { status, code, problem, detail: None, retry_after: None, onward: None }
    }

    /// A mistake of the app; `detail` is for its developers.
    pub(crate) fn app(code: ErrorCode, detail: &impl fmt::Display) -> Self {
        let detail = Some(sentence(&detail.to_string()));
        Self { detail, ..Self::new(StatusCode::BAD_REQUEST, code, Problem::App) }
    }

    /// The same, when the app can receive the answer; the user decides whether to go there (RFC 9700 section
    /// 4.11.2).
    pub(crate) fn refused(refusal: &Refusal, answer: ClientAnswer) -> Self {
        Self { onward: Some(answer), ..Self::app(refusal.code(), refusal) }
    }

    /// `prompt=none` failed for an app that this browser does not know; the user decides whether to go there.
    pub(crate) fn silent(code: ErrorCode, detail: &str, answer: ClientAnswer) -> Self {
        Self { onward: Some(answer), problem: Problem::NotSignedInHere, ..Self::app(code, &detail) }
    }

    const fn over(code: ErrorCode, problem: Problem) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, problem)
    }

    /// The answer arrived in an unknown browser.
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

    /// A form that none of our pages made for this browser.
    pub(crate) const fn foreign_form() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::AccessDenied, Problem::ForeignForm)
    }

    /// There is nothing at this address.
    pub(crate) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, Problem::NotFound)
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
            onward: self.onward.clone().map(Onward::of),
        };
        let forms = if self.onward.is_some() { Forms::Leave } else { Forms::Stay };
        match view.render(request::lang()) {
            Ok(html) => {
                let mut response = page(self.status, html, forms, None);
                if let Some(seconds) = self.retry_after {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
            Err(error) => {
                tracing::error!(%error, "the error page could not be rendered");
                HttpResponse::build(self.status).body(self.code.as_str())
            }
        }
    }
}

/// An error's text as a sentence: a capital first, unless a parameter's name stands there; a full stop last.
fn sentence(text: &str) -> String {
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    if text.split(' ').next().is_some_and(|word| word.contains('_')) {
        return format!("{text}{stop}");
    }
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}{stop}", chars.as_str())
}

#[test]
fn sentences() {
    for (text, said) in [
        ("no such client", "No such client."),
        ("code_challenge_method must be S256", "code_challenge_method must be S256."),
        ("Is it there?", "Is it there?"),
    ] {
        assert_eq!(sentence(text), said);
    }
}

impl From<InputError> for PageError {
    fn from(error: InputError) -> Self {
        if error == InputError::NoRoom {
            let busy =
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, Problem::Busy);
            return Self { retry_after: ApiError::from(error).retry_after, ..busy };
        }
        let mut this = Self::app(ErrorCode::InvalidRequest, &error);
        this.status = ApiError::from(error).status;
        this
    }
}

/// A template failed: nothing of the request can be at fault.
impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "a page could not be rendered");
        Self::internal(&Internal::Inconsistent("a page could not be rendered"))
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

impl From<TooMany> for PageError {
    fn from(error: TooMany) -> Self {
        let code = ErrorCode::TemporarilyUnavailable;
        let this = Self::new(StatusCode::TOO_MANY_REQUESTS, code, Problem::TooMany);
        Self { retry_after: Some(error.retry_after), ..this }
    }
}

/// The status of the sign-in page when it shows an error.
pub(crate) fn sign_in_status(error: &SignInError) -> StatusCode {
    match error.code() {
        ErrorCode::UpstreamUnavailable => StatusCode::BAD_GATEWAY,
        ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}
