//! Answers that several endpoints give.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use causeway_flow::ClientAnswer;

use crate::error::{ApiError, PageError};
use crate::http::form::Params;
use crate::http::headers::{Forms, page, see_other};
use crate::http::proof::set_nonce;
use crate::http::request;
use crate::pages::FormPostPage;
use crate::state::AppState;

/// The answer to a client's authorization request: a redirect, or a page whose form leads to the client.
pub(crate) fn client_answer(
    answer: ClientAnswer,
    set_cookie: Option<String>,
) -> Result<HttpResponse, PageError> {
    match answer {
        ClientAnswer::Redirect(location) => Ok(see_other(&location, set_cookie)),
        ClientAnswer::FormPost { action, fields, ui_locales } => {
            request::prefer(ui_locales.as_deref());
            let html = FormPostPage { action, fields }.render(request::lang())?;
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

/// Repeats a form as a GET: a POST may come from another site, without our `SameSite=Lax` cookie.
pub(crate) async fn repeat_as_get(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let params = Params::of_body(&req, payload).await?;
    let location = format!("{}{}?{}", state.config.page_origin, req.path(), params.to_query());
    Ok(see_other(&location, None))
}
