//! `GET /oauth/continue`: the user comes back from the upstream of an MCP server, in the middle of a client's authorization.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::authorization::consent;
use causeway_types::AuthRequestId;

use super::consent::outcome;
use crate::error::PageError;
use crate::http::cookie;
use crate::http::form::Params;
use crate::state::AppState;

pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let mut params = Params::of_answer(&req, &["request", "consent", "error"]);
    let browser = cookie::known(&req, &state).ok_or_else(PageError::unknown_browser)?;
    let id = AuthRequestId::new(params.take("request").unwrap_or_default());
    let presented = params.take("consent").unwrap_or_default();
    let error = params.take("error");
    outcome(consent::resume(&state.ctx, &id, &browser, &presented, error.as_deref()).await?)
}
