//! `GET /oauth/atp/callback`: the user comes back from the authorization server.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::upstream::connect::callback::{self, CallbackOutcome};
use causeway_flow::upstream::traits::CallbackParams;
use causeway_types::Secret;

use super::consent;
use crate::error::PageError;
use crate::http::answer::client_answer;
use crate::http::cookie;
use crate::http::form::Params;
use crate::http::headers::see_other;
use crate::state::AppState;

pub(crate) async fn callback(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let mut params = Params::of_answer(&req, &["state", "code", "iss", "error"]);
    let browser = cookie::known(&req, &state).ok_or_else(PageError::unknown_browser)?;
    let params = CallbackParams {
        state: params.take("state"),
        code: params.take("code").map(Secret::new),
        iss: params.take("iss"),
        error: params.take("error"),
        ..CallbackParams::default()
    };
    match callback::complete(&state.ctx, params, &browser).await? {
        CallbackOutcome::Consent(id) => Ok(see_other(&consent::location(&state, &id), None)),
        CallbackOutcome::Account(address) => Ok(see_other(&address, None)),
        CallbackOutcome::Upstream(url) => Ok(see_other(url.as_str(), None)),
        CallbackOutcome::Client(answer) => client_answer(answer, None),
    }
}
