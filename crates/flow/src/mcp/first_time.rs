//! The first time: a client authorizes for MCP endpoints whose servers the user has not connected yet. The authorization goes
//! on to each of them after the user's consent, and then back to the client.

use causeway_domain::authorization::AuthRequest;
use causeway_store::StoreError;
use causeway_store::encryption::handed_out::HandedOut;
use causeway_types::{Did, ErrorCode, McpEndpoint, Resources, SessionState, UpstreamSessionId};
use url::Url;

use super::endpoint;
use crate::client::lookup;
use crate::connection::begin::BeginError;
use crate::connection::error::UseError;
use crate::connection::mcp::{self, McpAccess, McpUser};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::connect::failure::ConnectFailure;

/// The path to which the browser comes back from an upstream.
pub const CONTINUE_PATH: &str = "/oauth/continue";

/// An MCP server that an authorization request names, as the user is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedServer {
    /// Its provider.
    pub provider: String,
    /// Its name for users to read.
    pub title: String,
    /// The step that is left.
    pub step: Step,
}

/// The step that is left until a client can use a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// The user is connected, and the client gets access.
    Share(UpstreamSessionId),
    /// The user connects.
    Connect,
}

/// Whether a request names an MCP server, about which the user is asked.
pub(crate) fn names_any(ctx: &Ctx, resources: &Resources) -> bool {
    resources.mcp_endpoints(ctx.issuer()).any(|endpoint| matches!(endpoint, McpEndpoint::Provider(_)))
}

/// The user of a request, for the client that made it; `None`: the client was deleted.
pub(crate) async fn user_of(
    ctx: &Ctx,
    request: &AuthRequest,
    did: &Did,
) -> Result<Option<McpUser>, Internal> {
    let client = lookup::find(ctx, &request.client_id).await?;
    Ok(client.map(|client| McpUser { tenant_id: request.tenant_id.clone(), did: did.clone(), client }))
}

/// The MCP servers that a request names, in its order.
pub(crate) async fn asked(
    ctx: &Ctx,
    user: &McpUser,
    resources: &Resources,
) -> Result<Vec<AskedServer>, Internal> {
    let mut servers = Vec::new();
    for endpoint in resources.mcp_endpoints(ctx.issuer()) {
        let McpEndpoint::Provider(provider) = endpoint else { continue };
        let Some(title) = endpoint::title(ctx, &provider) else { continue };
        let step = match mcp::find_for(ctx, user, &provider).await {
            Ok(McpAccess::Ready(open)) if open.head().state == SessionState::Active => Step::Nothing,
            Ok(McpAccess::NotGranted(id)) => Step::Share(id),
            Ok(McpAccess::Ready(_) | McpAccess::None) => Step::Connect,
            Err(UseError::Internal(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, provider, "the MCP server cannot be used");
                continue;
            }
        };
        servers.push(AskedServer { provider, title, step });
    }
    Ok(servers)
}

/// Gives a client access to a connection, as the user has agreed.
pub(crate) async fn share(ctx: &Ctx, user: &McpUser, id: &UpstreamSessionId) -> Result<(), Internal> {
    match mcp::grant_access(ctx, user, id).await {
        // One that has ended meanwhile: the client is told when it calls.
        Ok(_) => Ok(()),
        Err(UseError::Internal(error)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, connection = %id, "the client has no access to the connection");
            Ok(())
        }
    }
}

/// The user's consent while the browser is at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consented {
    /// Whether the user does not want to be asked again.
    pub(crate) remember: bool,
    /// The number of upstreams that the browser was sent to.
    pub(crate) sent: usize,
}

impl Consented {
    /// Writes it for the browser to bring back, for this request and this sign-in.
    fn hand_out(
        self,
        ctx: &Ctx,
        request: &AuthRequest,
        session_id: &UpstreamSessionId,
    ) -> Result<String, Internal> {
        let text = format!("{} {}", u8::from(self.remember), self.sent);
        let handed_out = ctx.ring().hand_out(HandedOut::McpConsent, &context(request, session_id), &text);
        Ok(handed_out.map_err(|error| StoreError::Encrypt { table: "mcp consent", error })?)
    }

    /// Reads what a browser brings back; `None`: the user has given no such consent.
    pub(crate) fn take_back(
        ctx: &Ctx,
        request: &AuthRequest,
        session_id: &UpstreamSessionId,
        presented: &str,
    ) -> Option<Self> {
        let context = context(request, session_id);
        let text = ctx.ring().take_back(HandedOut::McpConsent, &context, presented)?;
        let (remember, sent) = text.expose().split_once(' ')?;
        Some(Self { remember: remember == "1", sent: sent.parse().ok()? })
    }
}

fn context(request: &AuthRequest, session_id: &UpstreamSessionId) -> String {
    [request.id.as_str(), session_id.as_str()].join("\n")
}

/// Where the browser goes next, or why it cannot.
pub(crate) enum Onward {
    /// To the upstream.
    Upstream(Url),
    /// Back to the client with an error.
    Refused {
        /// The code.
        code: ErrorCode,
        /// The text.
        text: String,
    },
}

/// Sends the browser to the upstream of a server.
pub(crate) async fn send(
    ctx: &Ctx,
    user: &McpUser,
    request: &AuthRequest,
    session_id: &UpstreamSessionId,
    server: &AskedServer,
    consented: Consented,
) -> Result<Onward, Internal> {
    if consented.sent > Resources::MAX {
        return Ok(refused(server, None));
    }
    let consented = Consented { sent: consented.sent + 1, ..consented };
    let mut return_to =
        Url::parse(ctx.issuer()).map_err(|_| Internal::Inconsistent("the issuer is no URL"))?;
    return_to.set_path(CONTINUE_PATH);
    return_to
        .query_pairs_mut()
        .append_pair("request", request.id.as_str())
        .append_pair("consent", &consented.hand_out(ctx, request, session_id)?);
    match mcp::begin_for_authorization(ctx, user, &server.provider, &request.browser_id, &return_to).await {
        Ok(url) => Ok(Onward::Upstream(url)),
        Err(BeginError::Internal(error)) => Err(error),
        Err(BeginError::Provider(ConnectFailure::Unavailable)) => {
            Ok(refused(server, Some(ErrorCode::UpstreamUnavailable.as_str())))
        }
        Err(error) => {
            tracing::warn!(%error, provider = server.provider, "the user cannot connect the MCP server");
            let text = format!("{} cannot be connected: {error}", server.title);
            Ok(Onward::Refused { code: ErrorCode::ServerError, text })
        }
    }
}

/// The error for the client after the upstream part has ended without a connection; `error` is what it ended with.
pub(crate) fn refused(server: &AskedServer, error: Option<&str>) -> Onward {
    let title = &server.title;
    let is = |code: ErrorCode| error == Some(code.as_str());
    if is(ErrorCode::UpstreamUnavailable) || is(ErrorCode::TemporarilyUnavailable) {
        let text = format!("{title} cannot be reached at the moment: try again later");
        return Onward::Refused { code: ErrorCode::TemporarilyUnavailable, text };
    }
    let is_word = |word: &&str| word.len() <= 64 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let text = match error.filter(|word| is_word(word)).filter(|_| !is(ErrorCode::AccessDenied)) {
        Some(word) => format!("{title} was not connected ({word})"),
        None => format!("the user did not connect {title}"),
    };
    Onward::Refused { code: ErrorCode::AccessDenied, text }
}
