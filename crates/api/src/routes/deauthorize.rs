//! `POST /connect/{provider}/{registration_id}/deauthorize` and `…/data-deletion`: requests that the provider signs, and the
//! page about their outcome.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::connection::deauthorize;
use causeway_types::{ErrorCode, RegistrationId};

use crate::bodies::connection_use::DataDeletion;
use crate::error::{ApiError, PageError};
use crate::http::form::Params;
use crate::http::headers::{Forms, json_no_store, page};
use crate::http::request;
use crate::pages::DataDeletionPage;
use crate::state::AppState;

/// The provider and the registration.
type Names = (String, String);

pub(crate) async fn deauthorize(
    req: HttpRequest,
    names: Path<Names>,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    end(&req, &names, &state, payload).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(crate) async fn delete_data(
    req: HttpRequest,
    names: Path<Names>,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let confirmation_code = end(&req, &names, &state, payload).await?;
    let (provider, registration) = &*names;
    let url = format!(
        "{}/connect/{provider}/{registration}/data-deletion/{confirmation_code}",
        state.config.page_origin
    );
    Ok(json_no_store(StatusCode::OK, &DataDeletion { url, confirmation_code }))
}

async fn end(
    req: &HttpRequest,
    (provider, registration): &Names,
    state: &AppState,
    payload: Payload,
) -> Result<String, ApiError> {
    let mut params = Params::of_body(req, payload).await?;
    let missing =
        || ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, "signed_request is missing");
    let signed = params.take("signed_request").ok_or_else(missing)?;
    let id = RegistrationId::new(registration.as_str());
    Ok(deauthorize::deauthorize(&state.ctx, provider, &id, &signed).await?)
}

/// The page about the outcome of a request for deletion.
pub(crate) async fn status(
    path: Path<(String, String, String)>,
    state: Data<AppState>,
) -> Result<HttpResponse, PageError> {
    let (provider, registration, code) = path.into_inner();
    let id = RegistrationId::new(registration);
    let is_done = match deauthorize::is_done(&state.ctx, &provider, &id, &code).await {
        Ok(is_done) => is_done,
        Err(deauthorize::DeauthorizeError::Internal(error)) => return Err(error.into()),
        Err(_) => return Err(PageError::not_found()),
    };
    let html = DataDeletionPage { is_done }.render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Stay, None))
}
