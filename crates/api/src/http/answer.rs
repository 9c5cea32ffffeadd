//! The answer to a client's authorization request, as HTTP.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use causeway_flow::ClientAnswer;

use crate::error::PageError;
use crate::http::headers::{Forms, page, see_other};
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
