//! The MCP server itself: `initialize`, `ping`, `tools/list` and `tools/call` of one tool.

use actix_web::http::Method;
use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{MetadataPlace, Shared, State, lock};
use crate::upstream::apply;

pub(super) async fn mcp(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let fault = {
        let mut state = lock(&state);
        state.see("mcp", &req, [("method".to_owned(), method.clone())].into());
        state.script.mcp.clone()
    };
    if let Some(response) = apply(fault).await {
        return response;
    }
    let state = lock(&state);
    if let Some(refused) = state.refusal(&req, &method) {
        return refused;
    }
    if req.method() == Method::DELETE {
        return HttpResponse::Ok().finish();
    }
    if req.method() != Method::POST {
        return HttpResponse::MethodNotAllowed().finish();
    }
    if request.get("id").is_none() {
        return HttpResponse::Accepted().finish();
    }
    let result = match method.as_str() {
        "initialize" => json!({
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "scripted", "version": "1"},
        }),
        "ping" => json!({}),
        "tools/list" => json!({"tools": [
            {"name": "echo", "description": "Returns its arguments", "inputSchema": {"type": "object"}},
        ]}),
        "tools/call" => json!({
            "content": [{"type": "text", "text": request["params"]["arguments"].to_string()}],
        }),
        _ => {
            let error = json!({"code": -32601, "message": "there is no such method"});
            return HttpResponse::Ok().json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}));
        }
    };
    let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
    let mut response = HttpResponse::Ok();
    if method == "initialize" {
        response.insert_header(("mcp-session-id", crate::upstream::random("session-")));
    }
    if state.script.streams {
        return response
            .content_type("text/event-stream")
            .body(format!("event: message\ndata: {answer}\n\n"));
    }
    response.json(answer)
}

impl State {
    /// The answer to a request whose token does not let it in.
    fn refusal(&self, req: &HttpRequest, method: &str) -> Option<HttpResponse> {
        if self.script.is_open {
            return None;
        }
        let header = req.headers().get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer "));
        let Some(scopes) = token.and_then(|token| self.access.get(token)) else {
            let mut challenge = "Bearer".to_owned();
            let mut add = |name: &str, value: &str| {
                let separator = if challenge == "Bearer" { " " } else { ", " };
                challenge = format!("{challenge}{separator}{name}=\"{value}\"");
            };
            if token.is_some() {
                add("error", "invalid_token");
            }
            if self.script.place == MetadataPlace::Path {
                add(
                    "resource_metadata",
                    &format!("{}/.well-known/oauth-protected-resource/mcp", self.origin),
                );
            }
            if let Some(scope) = &self.script.challenge_scope {
                add("scope", scope);
            }
            return Some(HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, challenge)).finish());
        };
        match &self.script.tool_scope {
            Some(needed) if method == "tools/call" && !scopes.contains(needed) => {
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
                Some(HttpResponse::Forbidden().insert_header((WWW_AUTHENTICATE, challenge)).finish())
            }
            _ => None,
        }
    }
}
