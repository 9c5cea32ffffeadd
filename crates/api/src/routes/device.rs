//! The device authorization grant (RFC 8628): `POST /oauth/device_authorization` for devices, and `/device`,
//! where a user confirms the code that a device shows.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_domain::authorization::AuthRequestStage;
use causeway_flow::Guess;
use causeway_flow::authorization::device::{self, DeviceParams, UserCodeError};
use causeway_flow::client::authenticated::AuthenticatedClient;
use causeway_flow::operations::limits::RateLimitedAction;
use causeway_types::BrowserSessionId;

use super::{consent, sign_in as sign_in_page};
use crate::bodies::oauth::DeviceAnswer;
use crate::error::{ApiError, PageError};
use crate::http::client_auth;
use crate::http::cookie::{self, BrowserCookie};
use crate::http::form::{Params, take_fields};
use crate::http::headers::{Forms, json_no_store, page, see_other};
use crate::http::own_form;
use crate::http::request;
use crate::pages::{DeviceConfirmPage, DeviceDonePage, DevicePage, DeviceTrouble, client_name, device_host};
use crate::state::AppState;

pub(crate) async fn authorize(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    client_auth::answer_form(&req, &state, payload, begin).await
}

async fn begin(
    state: &AppState,
    authenticated: &AuthenticatedClient,
    mut params: Params,
) -> Result<HttpResponse, ApiError> {
    let params = take_fields!(&mut params => DeviceParams { scope, resource, dpop_jkt });
    authenticated.rate_limit(&state.ctx, RateLimitedAction::Device, request::address())?;
    let begun = device::begin(&state.ctx, authenticated, params).await?;
    let (user_code, verification_uri) = (begun.user_code.to_string(), location(state));
    let answer = DeviceAnswer {
        device_code: begun.device_code.expose(),
        user_code: &user_code,
        verification_uri_complete: &format!("{verification_uri}?user_code={user_code}"),
        verification_uri: &verification_uri,
        expires_in: begun.expires_in,
        interval: begun.interval,
    };
    Ok(json_no_store(StatusCode::OK, &answer))
}

/// The address where a user enters the code.
fn location(state: &AppState) -> String {
    format!("{}/device", state.config.page_origin)
}

/// The page that asks for the code. One that comes with the address is only filled in: nothing is looked up
/// and nothing happens before the user presses the button.
pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let typed = Params::of_query(&req)?.take("user_code").unwrap_or_default();
    let (browser, form_token) = cookie::with_form_token(&req, &state);
    enter(&typed, None, form_token, browser.set)
}

fn enter(
    typed: &str,
    trouble: Option<DeviceTrouble>,
    form_token: String,
    set_cookie: Option<String>,
) -> Result<HttpResponse, PageError> {
    let status = match trouble {
        None => StatusCode::OK,
        Some(DeviceTrouble::Unknown) => StatusCode::BAD_REQUEST,
        Some(DeviceTrouble::TooMany) => StatusCode::TOO_MANY_REQUESTS,
    };
    let html = DevicePage { user_code: typed.chars().take(32).collect(), trouble, form_token }
        .render(request::lang())?;
    Ok(page(status, html, Forms::Stay, set_cookie))
}

/// The fields of a form of these pages.
struct Typed {
    user_code: String,
    decision: Option<String>,
    browser: BrowserSessionId,
    form_token: String,
}

impl Typed {
    async fn read(req: &HttpRequest, state: &AppState, payload: Payload) -> Result<Self, PageError> {
        let (mut params, browser) = own_form::read(req, state, payload).await?;
        let (_, form_token) = cookie::with_form_token(req, state);
        let user_code = params.take("user_code").unwrap_or_default();
        Ok(Self { user_code, decision: params.take("decision"), browser, form_token })
    }

    fn guess(&self) -> Guess<'_> {
        Guess { browser: &self.browser, address: request::address() }
    }

    /// Refuses the code: shows the page again, with the problem.
    fn refuse(self, error: UserCodeError) -> Result<HttpResponse, PageError> {
        let (trouble, retry_after) = match error {
            UserCodeError::Internal(error) => return Err(error.into()),
            UserCodeError::Unknown => (DeviceTrouble::Unknown, None),
            UserCodeError::TooMany { retry_after } => (DeviceTrouble::TooMany, Some(retry_after)),
        };
        let mut response = enter(&self.user_code, Some(trouble), self.form_token, None)?;
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Ok(response)
    }
}

/// Shows the client and the code to compare.
pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let typed = Typed::read(&req, &state, payload).await?;
    let question = match device::find_question(&state.ctx, &typed.user_code, typed.guess()).await {
        Ok(question) => question,
        Err(error) => return typed.refuse(error),
    };
    let html = DeviceConfirmPage {
        client_host: device_host(&question.client),
        client_name: client_name(&question.client),
        user_code: question.user_code.to_string(),
        form_token: typed.form_token,
    }
    .render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Stay, None))
}

/// Confirms or denies the code, once the user has seen which client asks.
pub(crate) async fn confirm(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let typed = Typed::read(&req, &state, payload).await?;
    match typed.decision.as_deref() {
        Some("continue") => {}
        Some("deny") => {
            return match device::deny(&state.ctx, &typed.user_code, typed.guess()).await {
                Ok(()) => Ok(see_other(&format!("{}/done?error=access_denied", location(&state)), None)),
                Err(error) => typed.refuse(error),
            };
        }
        _ => return Err(PageError::undecided()),
    }
    let return_to = format!("{}/done", location(&state));
    let locale = Some(request::lang().tag().to_owned());
    let begun = device::confirm(&state.ctx, &typed.user_code, typed.guess(), &return_to, locale).await;
    let request = match begun {
        Ok(request) => request,
        Err(error) => return typed.refuse(error),
    };
    if let AuthRequestStage::Consent { .. } = request.stage {
        return Ok(see_other(&consent::location(&state, &request.id), None));
    }
    let browser = BrowserCookie { id: typed.browser, set: None };
    sign_in_page::render(&state, &request, "", None, browser).await
}

/// The last page: the user goes back to the device.
pub(crate) async fn done(req: HttpRequest) -> Result<HttpResponse, PageError> {
    let connected = Params::of_query(&req)?.take("error").is_none();
    let html = DeviceDonePage { connected }.render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Stay, None))
}
