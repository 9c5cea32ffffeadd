//! The way between consent and the client's answer, where the client is to use MCP servers: past the upstreams of those that the
//! user has not connected yet.

use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_store::operations::audit::Actor;
use causeway_types::{AuthRequestId, BrowserSessionId, UpstreamSessionId};

use super::{Agreed, ConsentError, ConsentOutcome, allow, find_signed_in};
use crate::authorization::pending;
use crate::connection::mcp::McpUser;
use crate::ctx::Ctx;
use crate::mcp::first_time::{self, Consented, Onward, Step};
use crate::operations::audit;

/// Continues with a request whose user comes back from the upstream of an MCP server. `presented` is the consent that the
/// browser brings back, and `error` what the upstream part ended with.
///
/// # Errors
/// [`ConsentError`].
#[tracing::instrument(name = "flow.consent.resume", skip_all, fields(auth_request = %id))]
pub async fn resume(
    ctx: &Ctx,
    id: &AuthRequestId,
    browser: &BrowserSessionId,
    presented: &str,
    error: Option<&str>,
) -> Result<ConsentOutcome, ConsentError> {
    let request = pending::find(ctx, id, browser).await?.ok_or(ConsentError::Gone)?;
    let AuthRequestStage::Consent { session_id } = request.stage.clone() else {
        return Err(ConsentError::Gone);
    };
    let consented = Consented::take_back(ctx, &request, &session_id, presented).ok_or(ConsentError::Gone)?;
    let Some(error) = error else { return go_on(ctx, request, session_id, consented).await };
    let user = signed_in_user(ctx, &request, &session_id).await?;
    let servers = first_time::asked(ctx, &user, &request.resources).await?;
    let Some(missing) = servers.iter().find(|server| server.step == Step::Connect) else {
        // The user has connected in another tab.
        return go_on(ctx, request, session_id, consented).await;
    };
    refuse_connection(ctx, &request, first_time::refused(missing, Some(error))).await
}

/// Gives the client what the user has agreed to: access to the connections that are there, and the code once nothing else is
/// to be connected.
pub(super) async fn go_on(
    ctx: &Ctx,
    request: AuthRequest,
    session_id: UpstreamSessionId,
    consented: Consented,
) -> Result<ConsentOutcome, ConsentError> {
    if first_time::names_any(ctx, &request.resources) {
        let user = signed_in_user(ctx, &request, &session_id).await?;
        for server in first_time::asked(ctx, &user, &request.resources).await? {
            match &server.step {
                Step::Nothing => {}
                Step::Share(id) => first_time::share(ctx, &user, id).await?,
                Step::Connect => {
                    let sent =
                        first_time::send(ctx, &user, &request, &session_id, &server, consented).await?;
                    return refuse_connection(ctx, &request, sent).await;
                }
            }
        }
    }
    let agreed = Agreed::Now { remember: consented.remember };
    let answer = allow(ctx, request, session_id, agreed).await?;
    answer.map(ConsentOutcome::Client).ok_or(ConsentError::Gone)
}

/// Sends the browser to an upstream, or the client an error.
async fn refuse_connection(
    ctx: &Ctx,
    request: &AuthRequest,
    onward: Onward,
) -> Result<ConsentOutcome, ConsentError> {
    let (code, text) = match onward {
        Onward::Upstream(url) => return Ok(ConsentOutcome::Upstream(url)),
        Onward::Refused { code, text } => (code, text),
    };
    tracing::warn!(text, "an MCP server was not connected");
    let event = audit::event(ctx, Actor::User, "consent", "not_connected").with("reason", text.clone());
    let refused = pending::refuse(ctx, request, event, code, &text).await?;
    refused.map(ConsentOutcome::Client).ok_or(ConsentError::Gone)
}

/// The user who has signed in for a request, and its client.
pub(super) async fn signed_in_user(
    ctx: &Ctx,
    request: &AuthRequest,
    session_id: &UpstreamSessionId,
) -> Result<McpUser, ConsentError> {
    let (ring, asked, id) = (ctx.ring(), request.clone(), session_id.clone());
    let found = ctx.store().read(move |c| find_signed_in(c, &ring, &asked, &id));
    let (session, _) = found.await?.ok_or(ConsentError::Gone)?;
    let user = first_time::user_of(ctx, request, &session.atproto()?.did).await?;
    user.ok_or(ConsentError::Gone)
}
