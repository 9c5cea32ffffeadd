//! `GET|POST /connect/{token}`: the page at which a user begins to connect an account; and the callbacks to which
//! providers send the user back.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::account::proof;
use causeway_flow::connection::Returned;
use causeway_flow::connection::begin::{self, BeginError};
use causeway_flow::connection::complete::{self, CallbackAddress, Completed};
use causeway_flow::operations::limits::{self, RateLimitedAction};
use causeway_flow::upstream::traits::Offer;
use causeway_types::secret::{Connect, PlainToken};
use causeway_types::{BrowserSessionId, Did, RegistrationId};

use super::sign_in as sign_in_page;
use crate::error::PageError;
use crate::http::cookie::{self, BrowserCookie};
use crate::http::form::Params;
use crate::http::headers::{Forms, page, see_other};
use crate::http::{own_form, request};
use crate::pages::{
    ConnectDonePage, ConnectOffer, ConnectPage, client_host, client_name, host_of, identity_host,
};
use crate::state::AppState;

/// Shows who asks for what. Nothing is used up: links are opened by scanners, too.
pub(crate) async fn get(
    req: HttpRequest,
    token: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, PageError> {
    let view = begin::view(&state.ctx, &presented(token)).await?;
    let (browser, form_token) = cookie::with_form_token(&req, &state);
    let client = &view.client;
    let html = ConnectPage {
        client_name: client_name(client),
        client_host: client_host(client),
        identity: identity_host(client),
        is_verified: view.is_verified,
        return_host: view.session.return_uri.as_deref().map(host_of),
        offers: view
            .offers
            .into_iter()
            .map(|(name, Offer { title, host, scopes, .. })| ConnectOffer { name, title, host, scopes })
            .collect(),
        is_background: view.session.session_kinds.contains(&causeway_types::SessionKind::Background),
        is_reconnection: view.session.connection_id.is_some(),
        form_token,
    }
    .render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Leave, browser.set))
}

pub(crate) async fn post(
    req: HttpRequest,
    token: Path<String>,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (mut params, browser) = own_form::read(&req, &state, payload).await?;
    let token = presented(token);
    if params.take("decision").as_deref() == Some("deny") {
        return back(begin::cancel(&state.ctx, &token).await?, String::new());
    }
    limits::acquire(&state.ctx, RateLimitedAction::SignIn, None, request::address())?;
    let chosen = params.take("provider");
    match begin::start(&state.ctx, &token, chosen.as_deref(), &browser).await {
        Ok(url) => Ok(see_other(url.as_str(), None)),
        Err(BeginError::NotSignedIn(did)) => sign_in_first(&state, &token, &did, browser).await,
        Err(error) => Err(error.into()),
    }
}

/// Signs the user in whose account is connected, and comes back to the page.
async fn sign_in_first(
    state: &AppState,
    token: &PlainToken<Connect>,
    did: &Did,
    browser: BrowserSessionId,
) -> Result<HttpResponse, PageError> {
    let here = format!("{}/connect/{}", state.ctx.issuer(), token.expose());
    let locale = request::lang().tag().to_owned();
    let request = proof::begin(&state.ctx, &browser, &here, Some(locale)).await?;
    sign_in_page::start(state, &request, did.as_str(), BrowserCookie { id: browser, set: None }).await
}

/// The callback of registrations that the operator enters.
pub(crate) async fn provider_callback(
    req: HttpRequest,
    provider: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, PageError> {
    callback(&req, &state, CallbackAddress::Provider(provider.into_inner())).await
}

/// The callback of one registration.
pub(crate) async fn registration_callback(
    req: HttpRequest,
    id: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, PageError> {
    callback(&req, &state, CallbackAddress::Registration(RegistrationId::new(id.into_inner()))).await
}

async fn callback(
    req: &HttpRequest,
    state: &AppState,
    address: CallbackAddress,
) -> Result<HttpResponse, PageError> {
    let params = Params::of_callback(req);
    let browser = cookie::known(req, state).ok_or_else(PageError::unknown_browser)?;
    match complete::complete(&state.ctx, address, params, &browser).await? {
        Completed::Provider(url) => Ok(see_other(url.as_str(), None)),
        Completed::Returned { returned, title } => back(returned, title),
    }
}

/// Sends the browser back to the client, or says how it ended.
fn back(returned: Returned, title: String) -> Result<HttpResponse, PageError> {
    match returned {
        Returned { url: Some(url), .. } => Ok(see_other(&url, None)),
        Returned { failure: Some(failure), .. } => Err(PageError::not_connected(&failure)),
        Returned { failure: None, .. } => {
            let html = ConnectDonePage { provider: title }.render(request::lang())?;
            Ok(page(StatusCode::OK, html, Forms::Stay, None))
        }
    }
}

fn presented(token: Path<String>) -> PlainToken<Connect> {
    PlainToken::presented(token.into_inner())
}
