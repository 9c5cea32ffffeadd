//! `POST, GET, DELETE /mcp/{provider}` and `/mcp/c/{connection_id}`: a user's MCP servers, for MCP clients (Model Context
//! Protocol, "Streamable HTTP"); their metadata (RFC 9728); and `GET /api/mcp`.

use std::pin::pin;

use actix_web::http::header::{HeaderName, HeaderValue, ORIGIN};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use causeway_flow::mcp::call::{self, McpAnswer, McpRequest};
use causeway_flow::mcp::caller::{self, McpCaller};
use causeway_flow::mcp::endpoint;
use causeway_flow::mcp::list::{self, McpServerState};
use causeway_flow::resource::access::AccessRequest;
use causeway_flow::upstream::relay::{self, RelayBody};
use causeway_types::{ErrorCode, McpEndpoint, UpstreamSessionId};
use serde_json::Value;

use super::metadata::cached_json;
use super::relay::one_header;
use crate::bodies::mcp::{ListedMcpServer, ListedMcpServers, McpState};
use crate::documents;
use crate::error::ApiError;
use crate::http::access::require_access;
use crate::http::answer::with_nonce;
use crate::http::credentials::{Presented, access_token};
use crate::http::headers::json_no_store;
use crate::http::proof::Proofs;
use crate::http::upload::{self, Keeping};
use crate::http::{relay_headers, relayed, request};
use crate::state::AppState;

const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The beginning of headers that repeat parameters of a call.
const MCP_PARAM: &str = "mcp-param-";

/// A request to an endpoint, whichever method it has.
pub(crate) async fn serve(
    req: HttpRequest,
    state: Data<AppState>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let endpoint = McpEndpoint::of_path(req.path()).ok_or_else(ApiError::not_found)?;
    let is_known = endpoint::describe(&state.ctx, &endpoint).is_some();
    if !is_known {
        return Err(ApiError::not_found());
    }
    request::protect(&endpoint.to_string());
    let caller = verify(&req, &state, endpoint).await?;
    let nonce = caller.dpop_nonce.clone();
    Ok(with_nonce(pass_on(&req, &state, payload, &caller).await, nonce))
}

/// Checks the token, and the website that the request comes from: only once it is known whose token it is does that tell
/// anything.
async fn verify(req: &HttpRequest, state: &AppState, endpoint: McpEndpoint) -> Result<McpCaller, ApiError> {
    let (scheme, token) = match access_token(req, None) {
        Presented::Nothing => return Err(ApiError::no_token()),
        Presented::Malformed(problem) => return Err(ApiError::malformed_token(problem)),
        Presented::Token(scheme, token) => (scheme, token),
    };
    let proofs = Proofs::of(req, state.ctx.issuer());
    let presented = AccessRequest { token, scheme, proof: proofs.request() };
    let verified = caller::verify(&state.ctx, endpoint, &presented).await;
    let caller = verified.map_err(|error| ApiError::access(&error, scheme))?;
    let mut origins = req.headers().get_all(ORIGIN);
    match (origins.next().map(HeaderValue::to_str), origins.next()) {
        (None, _) => Ok(caller),
        (Some(Ok(origin)), None) if caller.may_come_from(&state.ctx, origin) => Ok(caller),
        _ => {
            let text = "scripts of this Origin may not call: it is none of the client's redirect URIs, nor one that the operator of this server allows";
            Err(ApiError::new(StatusCode::FORBIDDEN, ErrorCode::AccessDenied, text)
                .with_nonce(caller.dpop_nonce))
        }
    }
}

async fn pass_on(
    req: &HttpRequest,
    state: &AppState,
    payload: Payload,
    caller: &McpCaller,
) -> Result<HttpResponse, ApiError> {
    let text = |name: &HeaderName| one_header(req, name).map(|value| value.map(str::to_owned));
    let (session_id, protocol_version) = (text(&MCP_SESSION_ID)?, text(&MCP_PROTOCOL_VERSION)?);
    let has_body = req.method() == Method::POST;
    let params = req.headers().keys().map(HeaderName::as_str).filter(|name| name.starts_with(MCP_PARAM));
    let params: Vec<String> = params.map(str::to_owned).collect();
    let headers = relay_headers::of_request(&relay_headers::MCP, &params, req.headers(), has_body);
    let headers = headers.map_err(|error| ApiError::bad_request(ErrorCode::InvalidRequest, &error))?;
    let (body, mut pump) = if has_body {
        upload::read(req, payload, Keeping { bytes: McpRequest::KEPT_BYTES, or_stream: true }).await?
    } else {
        (RelayBody::Empty, None)
    };
    let method = match *req.method() {
        Method::GET => relay::Method::GET,
        Method::DELETE => relay::Method::DELETE,
        _ => relay::Method::POST,
    };
    let asked = McpRequest { method, headers, session_id, protocol_version, body };
    let answer = relayed::while_pumping(&mut pump, pin!(call::call(&state.ctx, caller, asked))).await?;
    Ok(match answer {
        McpAnswer::Passed { answer, session_id } => {
            let mut headers = relay_headers::of_answer(&relay_headers::MCP, &[], answer.headers());
            if let Some(Ok(id)) = session_id.map(HeaderValue::try_from) {
                headers.insert(MCP_SESSION_ID, id);
            }
            if answer.is_of_type("text/event-stream") {
                relayed::render_events(*answer, headers, pump, &state.ctx)
            } else {
                relayed::render(*answer, headers, pump)
            }
        }
        McpAnswer::Instead(body) => message(StatusCode::OK, &body),
        McpAnswer::Refused(body) => message(StatusCode::FORBIDDEN, &body),
        McpAnswer::NoSession(body) => message(StatusCode::NOT_FOUND, &body),
    })
}

fn message(status: StatusCode, body: &Value) -> HttpResponse {
    json_no_store(status, body)
}

/// The metadata of an endpoint as a protected resource. A connection's endpoint has the same whether or not there is such a
/// connection.
pub(crate) async fn metadata(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let path = req.path().strip_prefix("/.well-known/oauth-protected-resource");
    let endpoint = path.and_then(McpEndpoint::of_path).ok_or_else(ApiError::not_found)?;
    let info = endpoint::describe(&state.ctx, &endpoint).ok_or_else(ApiError::not_found)?;
    Ok(cached_json(documents::mcp_metadata(&state.ctx, &info).to_string().into()))
}

/// The servers of the user.
pub(crate) async fn list(req: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let bearer = require_access(&req, &state, None).await?;
    let listed = list::list(&state.ctx, &bearer).await.map(|servers| {
        let servers = servers.iter().map(|server| ListedMcpServer {
            provider: &server.provider,
            title: &server.title,
            url: &server.url,
            state: match server.state {
                McpServerState::Connected => McpState::Connected,
                McpServerState::ReauthRequired => McpState::ReauthRequired,
                McpServerState::NotConnected => McpState::NotConnected,
            },
            connection_id: server.connection_id.as_ref().map(UpstreamSessionId::as_str),
            connect_url: server.connect_url.as_deref(),
        });
        json_no_store(StatusCode::OK, &ListedMcpServers { servers: servers.collect() })
    });
    Ok(with_nonce(listed.map_err(ApiError::from), bearer.dpop_nonce))
}
