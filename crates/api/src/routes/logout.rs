//! `GET|POST /oauth/logout` (OpenID Connect RP-Initiated Logout 1.0), and the form of its question.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::logout::rp_initiated::{self, LoggedOut, Logout, LogoutParams, LogoutQuestion};

use super::account;
use crate::error::PageError;
use crate::http::cookie;
use crate::http::form::{Params, take_fields};
use crate::http::headers::{Forms, page, see_other};
use crate::http::own_form;
use crate::http::request;
use crate::pages::{LogoutAccount, LogoutPage, Onward, SignedOutPage, client_host, host_of};
use crate::state::AppState;

/// Takes the parameters. The client's `ui_locales` apply from here on.
fn logout_params(params: &mut Params) -> LogoutParams {
    let params = take_fields!(params => LogoutParams {
        id_token_hint, logout_hint, client_id, post_logout_redirect_uri, state, ui_locales,
    });
    request::prefer(params.ui_locales.as_deref());
    params
}

pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let params = logout_params(&mut Params::of_query(&req)?);
    let (browser, form_token) = cookie::with_form_token(&req, &state);
    let known = browser.set.is_none().then_some(&browser.id);
    match rp_initiated::begin(&state.ctx, &params, known).await? {
        Logout::Done(done) => finish(done),
        Logout::Ask(question) => ask(question, params, form_token),
        Logout::WhichClient => Ok(see_other(&account::location(&state, None), None)),
    }
}

/// Handles the user's answer to the question.
pub(crate) async fn confirm(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (mut params, browser) = own_form::read(&req, &state, payload).await?;
    let decision = params.take("decision");
    let params = logout_params(&mut params);
    match decision.as_deref() {
        Some("sign-out") => finish(rp_initiated::confirm(&state.ctx, &params, &browser).await?),
        _ => Ok(see_other(&account::location(&state, None), None)),
    }
}

fn ask(
    question: LogoutQuestion,
    params: LogoutParams,
    form_token: String,
) -> Result<HttpResponse, PageError> {
    let client = question.client;
    let account = |(did, handle): (_, Option<_>)| LogoutAccount {
        did: ToString::to_string(&did),
        handle: handle.map(|handle| ToString::to_string(&handle)),
    };
    let client_host = match &params.post_logout_redirect_uri {
        Some(uri) => host_of(uri),
        None => client_host(&client),
    };
    let html = LogoutPage {
        client_name: client.client_name.clone(),
        client_host,
        accounts: question.accounts.into_iter().map(account).collect(),
        form_token,
        fields: [
            ("client_id", Some(client.client_id.to_string())),
            ("id_token_hint", params.id_token_hint),
            ("logout_hint", params.logout_hint),
            ("post_logout_redirect_uri", params.post_logout_redirect_uri),
            ("state", params.state),
            ("ui_locales", params.ui_locales),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect(),
    }
    .render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Leave, None))
}

fn finish(done: LoggedOut) -> Result<HttpResponse, PageError> {
    let onward = match done.onward {
        rp_initiated::Onward::Redirect(location) => return Ok(see_other(&location, None)),
        rp_initiated::Onward::Link(address) => Some(Onward::to(address)),
        rp_initiated::Onward::Nowhere => None,
    };
    let html = SignedOutPage {
        client_host: done.client.as_deref().map(client_host),
        client_name: done.client.map(|client| client.client_name.clone()).unwrap_or_default(),
        onward,
    }
    .render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Stay, None))
}
