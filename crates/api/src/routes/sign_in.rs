//! The sign-in page and `POST /oauth/sign-in`.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_domain::client::Client;
use causeway_flow::operations::limits::{self, RateLimitedAction};
use causeway_flow::upstream::connect::{SignInError, SignInTrouble, sign_in};
use causeway_types::{Did, Handle};

use super::consent;
use crate::error::{PageError, sign_in_status};
use crate::http::answer::client_answer;
use crate::http::cookie::BrowserCookie;
use crate::http::headers::{Forms, page, see_other};
use crate::http::own_form;
use crate::http::request;
use crate::pages::{ChoosePage, LogoutAccount, SIGN_IN_ACTION, SignInPage, asking_host, client_name};
use crate::state::AppState;

pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (mut params, browser, id) = own_form::read_for_request(&req, &state, payload).await?;
    let decision = params.take("decision");
    if decision.as_deref() == Some("deny") {
        return client_answer(sign_in::cancel(&state.ctx, &id, &browser).await?, None);
    }
    let request = sign_in::view(&state.ctx, &id, &browser).await?.request;
    if let AuthRequestStage::Consent { .. } = request.stage {
        return Ok(see_other(&consent::location(&state, &id), None));
    }
    if decision.as_deref() == Some("other") {
        return render(&state, &request, "", None, BrowserCookie { id: browser, set: None }).await;
    }
    let typed = params.take("identifier").unwrap_or_default();
    limits::acquire(&state.ctx, RateLimitedAction::SignIn, Some(&request.client_id), request::address())?;
    start(&state, &request, &typed, BrowserCookie { id: browser, set: None }).await
}

/// Starts the sign-in with the account that was typed, or shows the page again with the problem.
pub(crate) async fn start(
    state: &AppState,
    request: &AuthRequest,
    typed: &str,
    browser: BrowserCookie,
) -> Result<HttpResponse, PageError> {
    match sign_in::start(&state.ctx, request, typed).await {
        Ok(url) => Ok(see_other(url.as_str(), browser.set)),
        Err(error) => render(state, request, typed, Some(error), browser).await,
    }
}

/// Shows the first page: the accounts that the browser knows, if there is something to choose, or the
/// empty sign-in page.
pub(crate) async fn begin(
    state: &AppState,
    request: &AuthRequest,
    browser: BrowserCookie,
) -> Result<HttpResponse, PageError> {
    let choices = sign_in::choices(&state.ctx, request).await?;
    if choices.is_empty() {
        return render(state, request, "", None, browser).await;
    }
    let view = sign_in::view(&state.ctx, &request.id, &browser.id).await?;
    let account = |(did, handle): (Did, Option<Handle>)| LogoutAccount {
        did: did.to_string(),
        handle: handle.map(|handle| handle.to_string()),
    };
    let client = view.client;
    let html = ChoosePage {
        client_host: asking_host(request, &client),
        client_name: client_name(&client),
        accounts: choices.into_iter().map(account).collect(),
        request: request.id.to_string(),
    }
    .render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Leave, browser.set))
}

/// The page, filled in with the account that the app named; its button leads to `host`.
pub(crate) async fn announce(
    state: &AppState,
    request: &AuthRequest,
    hint: &str,
    host: String,
    browser: BrowserCookie,
) -> Result<HttpResponse, PageError> {
    let view = sign_in::view(&state.ctx, &request.id, &browser.id).await?;
    let html = page_for(request, &view.client, hint, Some(host), None)?;
    Ok(page(StatusCode::OK, html, Forms::Leave, browser.set))
}

/// The page, empty or with the problem of the last attempt.
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
    let html = page_for(request, &view.client, typed, None, error)?;
    Ok(page(status, html, Forms::Leave, browser.set))
}

fn page_for(
    request: &AuthRequest,
    client: &Client,
    identifier: &str,
    server_host: Option<String>,
    error: Option<SignInTrouble>,
) -> Result<String, PageError> {
    let page = SignInPage {
        client_host: asking_host(request, client),
        client_name: client_name(client),
        identifier: identifier.chars().take(512).collect(),
        server_host,
        error,
        request: request.id.to_string(),
        action: SIGN_IN_ACTION,
    };
    Ok(page.render(request::lang())?)
}
