//! A small MCP server with its own authorization server, for tests of what passes through ours.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, Data, Form, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use url::Url;

/// A request that the server got.
#[derive(Clone, Debug)]
pub struct ProxiedMcpSeen {
    /// Its method.
    pub method: String,
    /// Its headers, by names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

/// The habits of the server.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit by itself")]
pub struct ProxiedMcpScript {
    /// Answers calls with events.
    pub events: bool,
    /// Refuses this many access tokens, although they are good.
    pub refuses: usize,
    /// Refuses every refresh.
    pub no_refresh: bool,
    /// Demands this scope for calls of tools.
    pub demands: Option<&'static str>,
    /// The user declines.
    pub declines: bool,
    /// Gives and requires sessions.
    pub sessions: bool,
    /// Has no metadata any more.
    pub is_gone: bool,
}

#[derive(Debug, Default)]
struct Inner {
    origin: String,
    script: ProxiedMcpScript,
    seen: Vec<ProxiedMcpSeen>,
    issued: usize,
    valid: Vec<String>,
    refresh_tokens: Vec<String>,
    sessions: Vec<String>,
    open_streams: usize,
    authorizations: usize,
    registrations: usize,
}

type State = Data<Mutex<Inner>>;

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct ProxiedMcp {
    /// The address of the server.
    pub url: String,
    state: State,
    handle: ServerHandle,
}

impl Drop for ProxiedMcp {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

fn lock(state: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProxiedMcp {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let origin = format!("http://{}", listener.local_addr()?);
        let state = Data::new(Mutex::new(Inner { origin: origin.clone(), ..Inner::default() }));
        let data = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/mcp", web::to(mcp))
                .route("/.well-known/oauth-protected-resource/mcp", web::get().to(resource))
                .route("/.well-known/oauth-authorization-server", web::get().to(metadata))
                .route("/register", web::post().to(register))
                .route("/authorize", web::get().to(authorize))
                .route("/token", web::post().to(token))
        })
        .workers(2)
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { url: format!("{origin}/mcp"), state, handle })
    }

    /// Changes its habits.
    pub fn script(&self, change: impl FnOnce(&mut ProxiedMcpScript)) {
        change(&mut lock(&self.state).script);
    }

    /// Messages since the last look.
    pub fn take_seen(&self) -> Vec<ProxiedMcpSeen> {
        std::mem::take(&mut lock(&self.state).seen)
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> usize {
        lock(&self.state).open_streams
    }

    /// Authorizations that were begun there.
    pub fn authorizations(&self) -> usize {
        lock(&self.state).authorizations
    }

    /// Forgets every access token.
    pub fn forget_tokens(&self) {
        lock(&self.state).valid.clear();
    }
}

async fn resource(state: State) -> HttpResponse {
    let state = lock(&state);
    if state.script.is_gone {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let origin = &state.origin;
    HttpResponse::Ok().json(json!({
        "resource": format!("{origin}/mcp"), "authorization_servers": [origin], "scopes_supported": ["read"],
    }))
}

async fn metadata(state: State) -> HttpResponse {
    let origin = &lock(&state).origin;
    HttpResponse::Ok().json(json!({
        "issuer": origin, "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"), "registration_endpoint": format!("{origin}/register"),
        "response_types_supported": ["code"], "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn register(state: State, body: web::Json<Value>) -> HttpResponse {
    let mut state = lock(&state);
    state.registrations += 1;
    let mut registered = body.into_inner();
    registered["client_id"] = format!("client-{}", state.registrations).into();
    registered["token_endpoint_auth_method"] = "none".into();
    HttpResponse::Created().json(registered)
}

async fn authorize(state: State, query: Query<BTreeMap<String, String>>) -> HttpResponse {
    let mut state = lock(&state);
    state.authorizations += 1;
    let Ok(mut back) = Url::parse(&query["redirect_uri"]) else { return HttpResponse::BadRequest().finish() };
    back.query_pairs_mut().append_pair("state", &query["state"]).append_pair("iss", &state.origin);
    let outcome = if state.script.declines { ("error", "access_denied") } else { ("code", "code") };
    back.query_pairs_mut().append_pair(outcome.0, outcome.1);
    HttpResponse::Found().insert_header(("location", back.as_str())).finish()
}

async fn token(state: State, form: Form<BTreeMap<String, String>>) -> HttpResponse {
    let mut state = lock(&state);
    if form["grant_type"] == "refresh_token" {
        let presented = &form["refresh_token"];
        let known = state.refresh_tokens.iter().position(|token| token == presented);
        match known.filter(|_| !state.script.no_refresh) {
            Some(at) => drop(state.refresh_tokens.remove(at)),
            None => return HttpResponse::BadRequest().json(json!({"error": "invalid_grant"})),
        }
    }
    state.issued += 1;
    let (access, refresh) = (format!("mcp-access-{}", state.issued), format!("mcp-refresh-{}", state.issued));
    state.valid.push(access.clone());
    state.refresh_tokens.push(refresh.clone());
    HttpResponse::Ok().json(json!({
        "access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600, "scope": "read",
    }))
}

/// Counts an open stream for as long as it is.
struct Open(State);

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0).open_streams -= 1;
    }
}

fn unauthorized(origin: &str) -> HttpResponse {
    let url = format!("{origin}/.well-known/oauth-protected-resource/mcp");
    HttpResponse::Unauthorized()
        .insert_header(("www-authenticate", format!("Bearer resource_metadata=\"{url}\", scope=\"read\"")))
        .finish()
}

async fn mcp(req: HttpRequest, state: State, body: Bytes) -> HttpResponse {
    let shared = state.clone();
    let mut state = lock(&state);
    let headers: BTreeMap<String, String> = req
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let text = String::from_utf8_lossy(&body).into_owned();
    let token =
        headers.get("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    if token.is_some() {
        let (method, body) = (req.method().to_string(), text.clone());
        state.seen.push(ProxiedMcpSeen { method, headers: headers.clone(), body });
    }
    if !token.is_some_and(|token| state.valid.contains(&token)) {
        return unauthorized(&state.origin);
    }
    if state.script.refuses > 0 {
        state.script.refuses -= 1;
        return unauthorized(&state.origin);
    }
    if *req.method() == "GET" {
        state.open_streams += 1;
        let open = Open(shared);
        let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(
            b"id: 7\ndata: {\"method\":\"begun\"}\n\n",
        ))]);
        // Whether its reader is there shows when something is written.
        let endless = begun.chain(stream::unfold(open, |open| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok(Bytes::from_static(b":\n\n")), open))
        }));
        return HttpResponse::Ok().content_type("text/event-stream").streaming(endless);
    }
    let session = headers.get("mcp-session-id").cloned();
    if *req.method() == "DELETE" {
        state.sessions.retain(|known| Some(known) != session.as_ref());
        return HttpResponse::NoContent().finish();
    }
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = message["method"].as_str().unwrap_or_default();
    if message.get("id").is_none() {
        return HttpResponse::Accepted().finish();
    }
    if let Some(scope) = state.script.demands.filter(|_| method == "tools/call") {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        return HttpResponse::Forbidden().insert_header(("www-authenticate", challenge)).finish();
    }
    let mut response = HttpResponse::Ok();
    if state.script.sessions {
        if method == "initialize" {
            let id = format!("upstream-session-{}", state.sessions.len() + 1);
            state.sessions.push(id.clone());
            response.insert_header(("mcp-session-id", id));
        } else if !session.is_some_and(|session| state.sessions.contains(&session)) {
            return HttpResponse::NotFound().finish();
        }
    }
    response.insert_header(("set-cookie", "a=b")).insert_header(("www-authenticate", "Bearer x=\"y\""));
    let result = match method {
        "initialize" => {
            json!({"protocolVersion": message["params"]["protocolVersion"], "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}})
        }
        "tools/list" => {
            json!({"tools": [{"name": "read", "inputSchema": {}}, {"name": "write", "inputSchema": {}}]})
        }
        _ => json!({"content": [{"type": "text", "text": "done"}]}),
    };
    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
    if state.script.events {
        return response
            .content_type("text/event-stream")
            .body(format!("event: message\ndata: {answer}\n\n"));
    }
    response.json(answer)
}
