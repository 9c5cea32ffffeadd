//! `GET|POST /oauth/authorize` (RFC 6749 section 3.1).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::authorization::AuthRequestStage;
use causeway_flow::authorization::parameters::AuthorizeParams;
use causeway_flow::authorization::prompt_none::{self, PromptNoneAnswer};
use causeway_flow::authorization::request::{self as authorization_request, AuthorizeError};
use causeway_flow::operations::limits::{self, RateLimitedAction};
use causeway_flow::upstream::connect::sign_in;
use causeway_types::Prompt;

use super::{consent, sign_in as sign_in_page};
use crate::error::PageError;
use crate::http::answer::client_answer;
use crate::http::cookie;
use crate::http::form::{Params, take_fields};
use crate::http::headers::see_other;
use crate::http::request;
use crate::state::AppState;

/// Takes the parameters of an authorization request.
pub(crate) fn authorize_params(params: &mut Params) -> AuthorizeParams {
    take_fields!(params => AuthorizeParams {
        client_id, redirect_uri, response_type, response_mode, scope, resource, state, code_challenge, code_challenge_method, nonce, login_hint, dpop_jkt, prompt, max_age, id_token_hint, ui_locales, claims, request_uri, request
    })
}

pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let params = authorize_params(&mut Params::of_query(&req)?);
    request::prefer(params.ui_locales.as_deref());
    let browser = cookie::known_or_new(&req, &state);
    let request = match authorization_request::begin(&state.ctx, params, &browser.id).await {
        Ok(request) => request,
        Err(AuthorizeError::Refused { refusal, answer, ask: true }) => {
            return Err(PageError::refused(&refusal, answer));
        }
        Err(AuthorizeError::Refused { answer, .. }) => return client_answer(answer, browser.set),
        Err(AuthorizeError::Unsafe(error)) => return Err(error.into()),
        Err(AuthorizeError::TooMany(error)) => return Err(error.into()),
        Err(AuthorizeError::Internal(error)) => return Err(error.into()),
    };
    request::prefer(request.ui_locales.as_deref());
    if request.prompt.contains(Prompt::None) {
        return match prompt_none::answer(&state.ctx, &request).await? {
            PromptNoneAnswer::Client(answer) => client_answer(answer, browser.set),
            PromptNoneAnswer::Stranger { code, text, answer } => Err(PageError::silent(code, &text, answer)),
        };
    }
    if let AuthRequestStage::Consent { .. } = request.stage {
        return Ok(see_other(&consent::location(&state, &request.id), browser.set));
    }
    let Some(hint) = request.login_hint.clone() else {
        return sign_in_page::begin(&state, &request, browser).await;
    };
    limits::acquire(&state.ctx, RateLimitedAction::SignIn, Some(&request.client_id), request::address())?;
    match sign_in::host_to_show(&state.ctx, &request, &hint).await {
        Ok(Some(host)) => sign_in_page::announce(&state, &request, &hint, host, browser).await,
        Ok(None) => sign_in_page::start(&state, &request, &hint, browser).await,
        Err(error) => sign_in_page::render(&state, &request, &hint, Some(error), browser).await,
    }
}
