//! The sign-in page and `POST /oauth/sign-in`.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::AuthRequestId;
use causeway_domain::grant::{AuthRequest, AuthRequestStage};
use causeway_flow::limits::{self, Act};
use causeway_flow::sign_in::{self, SignInError};

use super::consent;
use crate::error::{PageError, sign_in_status};
use crate::http::answer::client_answer;
use crate::http::cookie::{self, BrowserCookie};
use crate::http::form::Params;
use crate::http::headers::{Forms, page, see_other};
use crate::http::request;
use crate::pages::{SIGN_IN_ACTION, SignInPage, host_of};
use crate::state::AppState;

pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let mut params = Params::of_body(&req, payload).await?;
    let browser = cookie::known(&req, &state).ok_or_else(PageError::unknown_browser)?;
    let id = AuthRequestId::new(params.take("request").unwrap_or_default());
    if params.take("decision").as_deref() == Some("deny") {
        return client_answer(sign_in::cancel(&state.ctx, &id, &browser).await?, None);
    }
    let request = sign_in::view(&state.ctx, &id, &browser).await?.request;
    if let AuthRequestStage::Consent { .. } = request.stage {
        return Ok(see_other(&consent::location(&state, &id), None));
    }
    let typed = params.take("identifier").unwrap_or_default();
    limits::permit(&state.ctx, Act::SignIn, Some(&request.client_id), request::address())?;
    match sign_in::start(&state.ctx, &request, &typed).await {
        Ok(url) => Ok(see_other(url.as_str(), None)),
        Err(error) => {
            let browser = BrowserCookie { id: browser, set: None };
            render(&state, &request, &typed, Some(error), browser).await
        }
    }
}

/// The page, empty or with what was wrong with the last try.
pub(crate) async fn render(
    state: &AppState,
    request: &AuthRequest,
    typed: &str,
    error: Option<SignInError>,
    browser: BrowserCookie,
) -> Result<HttpResponse, PageError> {
    request::prefer(request.ui_locales.as_deref());
    let status = error.as_ref().map_or(StatusCode::OK, sign_in_status);
    let error = match error {
        Some(error) => {
            tracing::info!(%error, code = %error.code(), "sign-in did not start");
            let Some(trouble) = error.trouble() else { return Err(error.into()) };
            Some(trouble)
        }
        None => None,
    };
    let view = sign_in::view(&state.ctx, &request.id, &browser.id).await?;
    let html = SignInPage {
        client_name: view.client_name,
        client_host: host_of(&request.redirect_uri),
        identifier: typed.chars().take(512).collect(),
        error,
        request: request.id.to_string(),
        action: SIGN_IN_ACTION,
    }
    .render(request::lang())
    .map_err(|error| PageError::render(&error))?;
    Ok(page(status, html, Forms::Leave, browser.set))
}
