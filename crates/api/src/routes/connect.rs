//! `GET|POST /connect/{token}`: the page at which a user begins to connect an account; and the callbacks to which
//! providers send the user back.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::account::proof;
use causeway_flow::connection::Returned;
use causeway_flow::connection::begin::{self, BeginError, ConnectView};
use causeway_flow::connection::complete::{self, CallbackAddress, Completed};
use causeway_flow::connection::form::{self, Submission, SubmitError, Submitted};
use causeway_flow::operations::limits::{self, RateLimitedAction};
use causeway_flow::upstream::connect::ConnectFailure;
use causeway_flow::upstream::traits::{Offer, SignInField, SignInForm};
use causeway_types::secret::{Connect, PlainToken};
use causeway_types::{BrowserSessionId, Did, RegistrationId, SessionKind};

use super::sign_in as sign_in_page;
use crate::error::PageError;
use crate::http::cookie::{self, BrowserCookie};
use crate::http::form::Params;
use crate::http::headers::{Forms, page, see_other};
use crate::http::{own_form, request};
use crate::pages::{
    ConnectDonePage, ConnectField, ConnectForm, ConnectOffer, ConnectPage, ConnectTrouble, client_host,
    client_name, host_of, identity_host,
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
    let html = shown(view, form_token, |_| None).render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Leave, browser.set))
}

/// The page of a connect session. `stands` says of a provider where its form stands, if that has begun.
fn shown(view: ConnectView, form_token: String, stands: impl Fn(&str) -> Option<ConnectForm>) -> ConnectPage {
    let client = &view.client;
    let offered = |(name, offer): (String, Offer)| ConnectOffer {
        form: stands(&name).or_else(|| Some(form_of(offer.form?, None, None))),
        name,
        title: offer.title,
        host: offer.host,
        scopes: offer.scopes,
    };
    let kinds = &view.session.session_kinds;
    ConnectPage {
        client_name: client_name(client),
        client_host: client_host(client),
        identity: identity_host(client),
        is_verified: view.is_verified,
        return_host: view.session.return_uri.as_deref().map(host_of),
        is_device: kinds.contains(&SessionKind::Device),
        is_background: kinds.contains(&SessionKind::Background),
        is_reconnection: view.session.connection_id.is_some(),
        offers: view.offers.into_iter().map(offered).collect(),
        form_token,
    }
}

fn form_of(form: SignInForm, step: Option<String>, trouble: Option<ConnectTrouble>) -> ConnectForm {
    let field = |SignInField { name, label, kind }| ConnectField { name, label, kind };
    ConnectForm { origin: form.origin, fields: form.fields.into_iter().map(field).collect(), step, trouble }
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
    let typed = params.take_beginning(TYPED);
    if !typed.is_empty() {
        let step = params.take("step").map(PlainToken::presented);
        let submission = Submission {
            token: &token,
            provider: chosen.as_deref(),
            step,
            typed: typed.into_iter().collect(),
            browser: &browser,
            address: request::address(),
        };
        return submitted(&req, &state, submission).await;
    }
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

/// The beginning of the names of what users type for a site.
const TYPED: &str = "typed.";

/// Signs a user in at a site, and shows the next page: the client's, or this one with what there is to do.
async fn submitted(
    req: &HttpRequest,
    state: &AppState,
    submission: Submission<'_>,
) -> Result<HttpResponse, PageError> {
    let (token, provider) = (submission.token.clone(), submission.provider.map(str::to_owned));
    let (status, only, stands) = match form::submit(&state.ctx, submission).await {
        Ok(Submitted::Returned { returned, title }) => return back(returned, title),
        Ok(Submitted::Asks(asked)) => {
            let trouble = asked.is_refused.then_some(ConnectTrouble::Refused);
            let status = if asked.is_refused { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            let stands = form_of(asked.form, Some(asked.step.expose().to_owned()), trouble);
            (status, Some(asked.provider), Some(stands))
        }
        Err(SubmitError::Site(failure)) => {
            let (status, trouble) = match failure {
                ConnectFailure::Refused => (StatusCode::BAD_REQUEST, ConnectTrouble::Refused),
                ConnectFailure::Unavailable => (StatusCode::BAD_GATEWAY, ConnectTrouble::Unavailable),
                ConnectFailure::Malformed => (StatusCode::BAD_GATEWAY, ConnectTrouble::Unusable),
                failure => return Err(PageError::not_connected(&failure)),
            };
            let view = begin::view(&state.ctx, &token).await?;
            let form = view
                .offers
                .iter()
                .find(|(name, _)| provider.as_ref().is_none_or(|chosen| chosen == name))
                .and_then(|(_, offer)| offer.form.clone());
            (status, provider, form.map(|form| form_of(form, None, Some(trouble))))
        }
        Err(error) => return Err(error.into()),
    };
    let view = begin::view(&state.ctx, &token).await?;
    let (browser, form_token) = cookie::with_form_token(req, state);
    let stands = |name: &str| stands.clone().filter(|_| only.as_deref().is_none_or(|only| only == name));
    let html = shown(view, form_token, stands).render(request::lang())?;
    Ok(page(status, html, Forms::Leave, browser.set))
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
