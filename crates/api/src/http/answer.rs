//! Answers that several endpoints give: to a client's authorization request, and to whoever sends DPoP proofs.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError as _};
use causeway_flow::ClientAnswer;

use crate::error::{ApiError, PageError};
use crate::http::headers::{Forms, page, see_other};
use crate::http::proof::set_nonce;
use crate::http::request;
use crate::pages::FormPostPage;

/// A redirect, or a page whose form leads to the client.
pub(crate) fn client_answer(
    answer: ClientAnswer,
    set_cookie: Option<String>,
) -> Result<HttpResponse, PageError> {
    match answer {
        ClientAnswer::Redirect(location) => Ok(see_other(&location, set_cookie)),
        ClientAnswer::FormPost { action, fields, ui_locales } => {
            request::prefer(ui_locales.as_deref());
            let html = FormPostPage { action, fields }
                .render(request::lang())
                .map_err(|error| PageError::render(&error))?;
            Ok(page(StatusCode::OK, html, Forms::Leave, set_cookie))
        }
    }
}

/// Adds the nonce for the next proof to an answer, successful or not.
pub(crate) fn with_nonce(outcome: Result<HttpResponse, ApiError>, nonce: Option<String>) -> HttpResponse {
    let mut response = outcome.unwrap_or_else(|error| error.error_response());
    if let Some(nonce) = nonce {
        set_nonce(&mut response, &nonce);
    }
    response
}
