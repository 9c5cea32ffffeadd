//! The consent page: `GET|POST /oauth/consent`.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::authorization::consent::{self, ConsentOutcome, Decision};
use causeway_flow::mcp::first_time::Step;
use causeway_types::AuthRequestId;

use crate::error::PageError;
use crate::http::answer::client_answer;
use crate::http::cookie;
use crate::http::form::Params;
use crate::http::headers::{Forms, page, see_other};
use crate::http::own_form;
use crate::http::request;
use crate::pages::{
    AskedScopes, ConsentPage, ConsentServer, asking_host, client_name, host_of, identity_host,
};
use crate::state::AppState;

/// The address of a request's consent page.
pub(crate) fn location(state: &AppState, id: &AuthRequestId) -> String {
    format!("{}/oauth/consent?request={id}", state.config.page_origin)
}

pub(crate) async fn get(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, PageError> {
    let mut params = Params::of_query(&req)?;
    let browser = cookie::known(&req, &state).ok_or_else(PageError::unknown_browser)?;
    let id = AuthRequestId::new(params.take("request").unwrap_or_default());
    let view = consent::view(&state.ctx, &id, &browser).await?;
    request::prefer(view.request.ui_locales.as_deref());
    let html = ConsentPage {
        identity: identity_host(&view.client),
        client_host: asking_host(&view.request, &view.client),
        verified: view.reaches_client_alone,
        device: view.request.device_code.is_some(),
        client_name: match view.request.device_code {
            Some(_) => client_name(&view.client),
            None => view.client.client_name,
        },
        handle: view.account.handle.map(|handle| handle.to_string()),
        did: view.account.did.to_string(),
        pds_host: host_of(&view.account.upstream.pds),
        scopes: AskedScopes::new(
            request::lang(),
            &view.scope,
            &view.upstream_scope,
            state.ctx.scopes().resource_scopes(),
        ),
        servers: view
            .servers
            .into_iter()
            .map(|server| ConsentServer { title: server.title, is_connected: server.step != Step::Connect })
            .collect(),
        may_remember: view.may_remember,
        request: id.into_string(),
    }
    .render(request::lang())?;
    Ok(page(StatusCode::OK, html, Forms::Leave, None))
}

pub(crate) async fn post(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, PageError> {
    let (mut params, browser, id) = own_form::read_for_request(&req, &state, payload).await?;
    let decision = match params.take("decision").as_deref() {
        Some("allow") => Decision::Allow { remember: params.take("remember").as_deref() == Some("yes") },
        Some("deny") => Decision::Deny,
        _ => return Err(PageError::undecided()),
    };
    outcome(consent::decide(&state.ctx, &id, &browser, decision).await?)
}

/// Sends the browser on: back to the client, or to the upstream of an MCP server first.
pub(super) fn outcome(outcome: ConsentOutcome) -> Result<HttpResponse, PageError> {
    match outcome {
        ConsentOutcome::Client(answer) => client_answer(answer, None),
        ConsentOutcome::Upstream(url) => Ok(see_other(url.as_str(), None)),
    }
}
