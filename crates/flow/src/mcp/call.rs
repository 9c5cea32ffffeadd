//! Calls of an MCP server for a client.

use std::time::Duration;

use causeway_outbound::Method;
use causeway_outbound::header::HeaderName;
use causeway_types::{ConnectSessionId, ErrorCode, McpEndpoint, UpstreamSessionId};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::caller::McpCaller;
use super::instead::{self, NOT_CONNECTABLE, Request, TOOL_NOT_ALLOWED};
use super::message::{Messages, OWN_STATE, Resumed, without_own_state};
use super::tools::ToolFilter;
use super::{endpoint, session_id};
use crate::connection::coalesce::AskedBy;
use crate::connection::error::UseError;
use crate::connection::mcp::{self, McpAccess, Need, PromptError};
use crate::connection::relay::OpenConnection;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::relay::{RelayAnswer, RelayBody, RelayError, RelayRequest, RelayTarget, Repeats, Waits};
use crate::upstream::session::SessionError;

/// How long a client that has sent its user to a page is kept waiting for what becomes of it.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(50);
/// How often the outcome is looked up meanwhile.
const OUTCOME_PERIOD: Duration = Duration::from_millis(500);

/// A request of an MCP client (Streamable HTTP).
#[derive(Debug)]
pub struct McpRequest {
    /// The HTTP method.
    pub method: Method,
    /// The headers to forward.
    pub headers: Vec<(HeaderName, Vec<u8>)>,
    /// `Mcp-Session-Id`: one of ours.
    pub session_id: Option<String>,
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<String>,
    /// The body.
    pub body: RelayBody,
}

/// The answer to a request.
#[derive(Debug)]
pub enum McpAnswer {
    /// The server's.
    Passed {
        /// The answer, without the server's own session identifier.
        answer: Box<RelayAnswer>,
        /// `Mcp-Session-Id`: ours.
        session_id: Option<String>,
    },
    /// Ours in its place, to the requests in the body.
    Instead(Value),
    /// Ours, where the body has no request that it could be the answer to.
    Refused(Value),
    /// The session is not this client's, or not of this server any more: the client begins another one.
    NoSession(Value),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// There is no such endpoint, or the user has no connection of this name: one text for all on purpose.
    #[error("there is no MCP server at this address")]
    Unknown,
    /// The client's tools are limited, and a body that cannot be read as a whole may call any.
    #[error(
        "this client may call certain tools only: send messages as JSON, of at most {} bytes",
        McpRequest::KEPT_BYTES
    )]
    Unreadable,
    /// The call failed.
    #[error(transparent)]
    Call(#[from] UseError),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl McpError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::NotFound,
            Self::Unreadable => ErrorCode::InvalidRequest,
            Self::Call(error) => error.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<RelayError> for McpError {
    fn from(error: RelayError) -> Self {
        Self::Call(error.into())
    }
}

impl McpRequest {
    /// Maximum bytes of a body that is kept, so that it can be sent again and answered here.
    pub const KEPT_BYTES: usize = 2 * 1024 * 1024;

    fn messages(&self) -> Option<Messages> {
        match &self.body {
            RelayBody::Whole(body) => Messages::read(body),
            RelayBody::Empty | RelayBody::Stream { .. } | RelayBody::Spent => None,
        }
    }

    /// Takes our own state out of a body that comes back with it.
    fn take_resumed(&mut self) -> Option<Resumed> {
        let RelayBody::Whole(body) = &self.body else { return None };
        if !body.windows(OWN_STATE.len()).any(|part| part == OWN_STATE.as_bytes()) {
            return None;
        }
        let resumed = Messages::read(body)?.iter().find_map(super::message::Message::resumed)?;
        self.body = RelayBody::Whole(without_own_state(body)?.into());
        Some(resumed)
    }
}

/// Passes a request on to the MCP server of its user.
///
/// # Errors
/// [`McpError`].
#[tracing::instrument(
    name = "flow.mcp.call",
    skip_all,
    fields(endpoint = %caller.endpoint, client_id = %caller.client().client_id)
)]
pub async fn call(ctx: &Ctx, caller: &McpCaller, mut request: McpRequest) -> Result<McpAnswer, McpError> {
    if endpoint::describe(ctx, &caller.endpoint).is_none() {
        return Err(McpError::Unknown);
    }
    let resumed = request.take_resumed();
    if let Some(Resumed { state, is_accepted: true }) = &resumed {
        wait_for_outcome(ctx, caller, &ConnectSessionId::new(&**state)).await?;
    }
    let is_declined = resumed.is_some();
    let open = match find(ctx, caller).await? {
        Found::Open(open) => open,
        Found::Nothing(provider) => {
            let asked = Asked { ctx, caller, provider, is_declined };
            return asked.connect(&request, Need::Connection).await;
        }
    };
    let (connection_id, provider) = (open.head().session_id.clone(), open.head().provider().to_owned());
    let asked = Asked { ctx, caller, provider: &provider, is_declined };
    let tools = ToolFilter::of(caller.client(), &provider);
    if let Some(tools) = &tools
        && let Some(refused) = refuse_tools(tools, &request)?
    {
        return Ok(refused);
    }
    let mut headers = std::mem::take(&mut request.headers);
    if let Some(presented) = &request.session_id {
        let Some(upstream) = session_id::take_back(ctx, caller, &connection_id, presented) else {
            let text = "there is no such session: begin another one";
            return Ok(McpAnswer::NoSession(instead::refuse_without_id(-32001, text, None)));
        };
        headers.push((MCP_SESSION_ID, upstream.expose().as_bytes().to_vec()));
    }
    let kept = request.messages_later();
    let relayed = RelayRequest {
        method: request.method.clone(),
        target: RelayTarget::Mcp,
        query: String::new(),
        headers,
        body: std::mem::replace(&mut request.body, kept),
        // A server that refuses the credentials has not acted.
        repeats: Repeats::Any,
        waits: Waits::ForEvents,
    };
    match open.call(ctx, relayed).await {
        Ok(answer) => match mcp::demanded_scopes(&answer).filter(|_| answer.status() == 403) {
            Some(demanded) => {
                let need = Need::Scopes { connection_id: &connection_id, demanded: &demanded };
                asked.connect(&request, need).await
            }
            None => pass(ctx, caller, &connection_id, tools, answer).await,
        },
        Err(UseError::Relay(RelayError::Session(SessionError::ReauthRequired { .. }))) => {
            asked.connect(&request, Need::Reauth(&connection_id)).await
        }
        // It has ended meanwhile.
        Err(UseError::NotFound) => match &caller.endpoint {
            McpEndpoint::Provider(_) => asked.connect(&request, Need::Connection).await,
            McpEndpoint::Connection(_) => Err(McpError::Unknown),
        },
        Err(error) => Err(error.into()),
    }
}

/// The header with a session's identifier.
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

impl McpRequest {
    /// The same body for reading, should the call need an answer of ours. A stream is gone by then.
    fn messages_later(&self) -> RelayBody {
        match &self.body {
            RelayBody::Whole(body) => RelayBody::Whole(body.clone()),
            RelayBody::Empty => RelayBody::Empty,
            RelayBody::Stream { .. } | RelayBody::Spent => RelayBody::Spent,
        }
    }
}

/// The connection behind an endpoint.
enum Found<'a> {
    Open(Box<OpenConnection>),
    /// The user has none at this provider that the client may use.
    Nothing(&'a str),
}

/// Finds the user's connection behind the endpoint.
async fn find<'a>(ctx: &Ctx, caller: &'a McpCaller) -> Result<Found<'a>, McpError> {
    let found = match &caller.endpoint {
        McpEndpoint::Provider(name) => mcp::find_for(ctx, &caller.user, name).await,
        McpEndpoint::Connection(id) => mcp::find_by_id(ctx, &caller.user, id).await,
    };
    match (found, &caller.endpoint) {
        (Ok(McpAccess::Ready(open)), _) => Ok(Found::Open(open)),
        (Ok(McpAccess::NotGranted(_) | McpAccess::None), McpEndpoint::Provider(name)) => {
            Ok(Found::Nothing(name))
        }
        (Ok(_) | Err(UseError::NotFound), _) => Err(McpError::Unknown),
        (Err(error), _) => Err(error.into()),
    }
}

/// Refuses a body that calls a tool that this client may not call.
fn refuse_tools(tools: &ToolFilter, request: &McpRequest) -> Result<Option<McpAnswer>, McpError> {
    if matches!(request.body, RelayBody::Empty) {
        return Ok(None);
    }
    let messages = request.messages().ok_or(McpError::Unreadable)?;
    let Some(refused) = messages.iter().filter_map(|message| message.tool()).find(|tool| !tools.allows(tool))
    else {
        return Ok(None);
    };
    let name: String = refused.chars().take(128).collect();
    let text = format!("this client may not call the tool {name}: ask the operator of this server");
    Ok(Some(match instead::refuse(&messages, TOOL_NOT_ALLOWED, &text) {
        Some(body) => McpAnswer::Instead(body),
        None => McpAnswer::Refused(instead::refuse_without_id(TOOL_NOT_ALLOWED, &text, None)),
    }))
}

/// The server's answer, with our session identifier, and with the tools that the client may call.
async fn pass(
    ctx: &Ctx,
    caller: &McpCaller,
    connection_id: &UpstreamSessionId,
    tools: Option<ToolFilter>,
    answer: RelayAnswer,
) -> Result<McpAnswer, McpError> {
    let session_id = match answer.header(MCP_SESSION_ID.as_str()) {
        Some(upstream) => Some(session_id::hand_out(ctx, caller, connection_id, upstream)?),
        None => None,
    };
    let answer = match tools {
        Some(tools) => tools.filter(ctx, answer).await?,
        None => answer,
    };
    Ok(McpAnswer::Passed { answer: Box::new(answer), session_id })
}

/// Waits until the user has finished on the page that the client has sent them to, or has taken too long.
async fn wait_for_outcome(ctx: &Ctx, caller: &McpCaller, id: &ConnectSessionId) -> Result<(), Internal> {
    let end = Instant::now() + OUTCOME_TIMEOUT;
    while mcp::outcome(ctx, &caller.user, id).await?.is_none() && Instant::now() < end {
        sleep(OUTCOME_PERIOD).await;
    }
    Ok(())
}

/// A client whose user has to do something.
struct Asked<'a> {
    ctx: &'a Ctx,
    caller: &'a McpCaller,
    provider: &'a str,
    /// Whether the user was asked, and the client asks again.
    is_declined: bool,
}

impl Asked<'_> {
    /// Answers a request with the page that its user has to open.
    async fn connect(&self, request: &McpRequest, need: Need<'_>) -> Result<McpAnswer, McpError> {
        let Self { ctx, caller, provider, is_declined } = *self;
        let title = ctx.providers().find(provider).map(|found| found.definition.title.clone());
        let title = title.unwrap_or_else(|| provider.to_owned());
        let text = match &need {
            Need::Connection => format!("{title} has to be connected first"),
            Need::Reauth(_) => format!("{title} has to be connected again"),
            Need::Scopes { .. } => format!("{title} requires more permissions for this"),
        };
        let messages = request.messages();
        let prompt = match mcp::prompt(ctx, &caller.user, provider, need, AskedBy::Itself).await {
            Ok(prompt) => prompt,
            Err(PromptError::Internal(error)) => return Err(error.into()),
            Err(error) => {
                let text = format!("{text}, which is not possible at the moment: {error}");
                return Ok(either(
                    messages.and_then(|messages| instead::refuse(&messages, NOT_CONNECTABLE, &text)),
                    || instead::refuse_without_id(NOT_CONNECTABLE, &text, None),
                ));
            }
        };
        let version = request.protocol_version.as_deref();
        let asked = Request { prompt: &prompt, text: &text, is_declined: is_declined || prompt.declined };
        Ok(either(messages.and_then(|messages| instead::connect(&messages, version, asked)), || {
            let url = &prompt.connect_url;
            instead::refuse_without_id(instead::CONNECT_REQUIRED, &format!("{text}: {url}"), Some(url))
        }))
    }
}

fn either(instead: Option<Value>, refused: impl FnOnce() -> Value) -> McpAnswer {
    instead.map_or_else(|| McpAnswer::Refused(refused()), McpAnswer::Instead)
}
