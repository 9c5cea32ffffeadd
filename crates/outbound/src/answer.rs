//! The meaning of the head of an answer for a request.

use reqwest::Response;
use reqwest::header::LOCATION;
use url::Url;

use crate::error::HttpError;
use crate::times;

/// Accepts a response that ends a request and is meant for its caller. All others are meant for the
/// connection: to switch protocols (1xx), to go elsewhere (3xx except 304), to authenticate at a proxy (407),
/// to send the request on another connection or again (408, 421, 425), or undefined in HTTP (600 and above).
/// Their connection is dropped with them.
pub(crate) fn final_answer(response: Response) -> Result<Response, HttpError> {
    match response.status().as_u16() {
        200..300 | 304 => Ok(response),
        300..400 => Err(HttpError::Redirected),
        407 | 408 | 421 | 425 => Err(status_error(&response)),
        400..600 => Ok(response),
        _ => Err(status_error(&response)),
    }
}

/// Whether a response sends the caller elsewhere (RFC 9110 section 15.4).
pub(crate) fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The target of a redirect; `None` when the response is not a redirect.
pub(crate) fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, HttpError> {
    if !is_redirect(response) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    location.and_then(|location| from.join(location).ok()).map(Some).ok_or(HttpError::Redirected)
}

/// The error for a response with an unexpected status.
pub fn status_error(response: &Response) -> HttpError {
    let retry_after = times::retry_after(response.headers());
    HttpError::Status { status: response.status().as_u16(), retry_after }
}

pub(crate) fn expect_ok(response: &Response) -> Result<(), HttpError> {
    if response.status().as_u16() == 200 { Ok(()) } else { Err(status_error(response)) }
}
