//! The account page, `GET /account`, and what its forms do.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::Ctx;
use causeway_flow::account::proof;
use causeway_flow::account::{self, AccountEntry, AccountError, AccountGroup, Reach};
use causeway_flow::operations::limits::{self, RateLimitedAction};
use causeway_types::{Did, Scope, SessionKind, SessionState, Timestamp, UpstreamSessionId};

use super::sign_in as sign_in_page;
use crate::error::PageError;
use crate::http::cookie::{self, BrowserCookie};
use crate::http::form::Params;
use crate::http::headers::{Forms, page, see_other};
use crate::http::own_form;
use crate::http::request;
use crate::pages::{AccountCard, AccountNotice, AccountPage, AppLine, AskedScopes, client_host};
use crate::state::AppState;

/// The page's address, with the notice that it shows on top.
pub(crate) fn location(state: &AppState, notice: Option<AccountNotice>) -> String {
    let query = notice.map(|notice| format!("?notice={}", notice.as_str())).unwrap_or_default();
    format!("{}/account{query}", state.config.page_origin)
}

fn back(state: &AppState, notice: AccountNotice) -> HttpResponse {
    see_other(&location(state, Some(notice)), None)
}

pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let mut params = Params::of_query(&req)?;
    let notice = match params.take("notice") {
        Some(notice) => AccountNotice::parse(&notice),
        // The answer to a sign-in that proves an account arrives like that to any client.
        None => params.take("error").map(|_| AccountNotice::NotSignedIn),
    };
    let (browser, form_token) = cookie::with_form_token(&req, &state);
    let (groups, now) = (account::view(&state.ctx, &browser.id).await?, state.ctx.now());
    let accounts = groups.into_iter().map(|group| card(&state.ctx, group, now)).collect();
    let html = AccountPage { form_token, accounts, notice, now }.render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::LeaveAlone, browser.set))
}

fn card(ctx: &Ctx, group: AccountGroup, now: Timestamp) -> AccountCard {
    AccountCard {
        did: group.did.to_string(),
        handle: group.handle.map(|handle| handle.to_string()),
        proven_seconds: group.proven_until.map(|until| until.since(now)),
        apps: group.sessions.into_iter().map(|line| app(ctx, line, now)).collect(),
    }
}

fn app(ctx: &Ctx, line: AccountEntry, now: Timestamp) -> AppLine {
    let head = line.session.head;
    let client = line.client.as_ref();
    AppLine {
        host: client.map(client_host).unwrap_or_default(),
        name: client.map(|client| client.client_name.clone()).unwrap_or_default(),
        background: head.kind == SessionKind::Background,
        needs_sign_in: head.state_at(now) == SessionState::ReauthRequired,
        began_here: line.began_here,
        since: head.created_at,
        last_used: head.last_used_at,
        scopes: AskedScopes::new(
            request::lang(),
            &line.session.granted,
            &Scope::default(),
            ctx.scopes().resource_scopes(),
        ),
        session: head.session_id.into_string(),
    }
}

/// Starts the sign-in that proves an account, so that all its sessions are shown.
pub(crate) async fn sign_in(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (mut params, browser) = own_form::read(&req, &state, payload).await?;
    let typed = params.take("identifier").unwrap_or_default();
    let locale = request::lang().tag().to_owned();
    let request = proof::begin(&state.ctx, &browser, &location(&state, None), Some(locale)).await?;
    limits::acquire(&state.ctx, RateLimitedAction::SignIn, Some(&request.client_id), request::address())?;
    sign_in_page::start(&state, &request, &typed, BrowserCookie { id: browser, set: None }).await
}

/// Ends one session.
pub(crate) async fn revoke(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (mut params, browser) = own_form::read(&req, &state, payload).await?;
    let session = UpstreamSessionId::new(params.take("session").unwrap_or_default());
    answer(&state, account::end(&state.ctx, &browser, &session).await, AccountNotice::Ended)
}

/// Ends every session of an account.
pub(crate) async fn revoke_all(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (mut params, browser) = own_form::read(&req, &state, payload).await?;
    let Ok(did) = Did::parse(&params.take("did").unwrap_or_default()) else {
        return Ok(back(&state, AccountNotice::Gone));
    };
    let reach = match params.take("reach").as_deref() {
        Some("everywhere") => Reach::Everywhere,
        _ => Reach::Here,
    };
    let ended = account::end_all(&state.ctx, &browser, &did, reach).await;
    answer(&state, ended.map(|_| ()), AccountNotice::EndedAll)
}

/// Deletes this browser's account proofs: only sessions that began in it are shown again.
pub(crate) async fn leave(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (_, browser) = own_form::read(&req, &state, payload).await?;
    proof::forget(&state.ctx, &browser).await?;
    Ok(back(&state, AccountNotice::Left))
}

fn answer(
    state: &AppState,
    done: Result<(), AccountError>,
    notice: AccountNotice,
) -> Result<HttpResponse, PageError> {
    match done {
        Ok(()) => Ok(back(state, notice)),
        Err(AccountError::NotYours) => Ok(back(state, AccountNotice::Gone)),
        Err(AccountError::NotProven) => Ok(back(state, AccountNotice::NotProven)),
        Err(AccountError::Internal(error)) => Err(error.into()),
    }
}
