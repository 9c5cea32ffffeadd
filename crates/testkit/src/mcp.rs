//! A scripted MCP server with an OAuth authorization server of its own: discovery in all its forms, registration, and tokens
//! with any lifetime. `cargo xtask mcp` runs it by hand.

mod authorization;
mod metadata;
mod script;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use anyhow::Result;

pub use self::script::{McpScript, MetadataPlace};

/// A request that the server received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpSeen {
    /// The endpoint: `mcp`, `resource`, `server`, `authorize`, `register`, `token` or `revoke`.
    pub endpoint: &'static str,
    /// Its method and path.
    pub target: String,
    /// Its parameters, or for `mcp` the method of the JSON-RPC request as `method`.
    pub parameters: BTreeMap<String, String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug)]
struct State {
    script: McpScript,
    origin: String,
    /// Clients by their identifiers, with their secrets.
    clients: BTreeMap<String, Option<String>>,
    /// The authorization requests behind codes.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    /// Access tokens with their scopes.
    access: BTreeMap<String, Vec<String>>,
    /// Refresh tokens with their scopes.
    refresh: BTreeMap<String, Vec<String>>,
    /// Refresh tokens that were used, where each works once.
    spent: BTreeSet<String>,
    seen: Vec<McpSeen>,
    /// Every secret that has passed.
    secrets: Vec<String>,
}

type Shared = Data<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running scripted MCP server. It stops when it is dropped.
#[derive(Debug)]
pub struct ScriptedMcp {
    /// Its origin.
    pub origin: String,
    state: Shared,
    handle: ServerHandle,
}

impl ScriptedMcp {
    /// The client that an operator may enter.
    pub const CLIENT_ID: &'static str = "entered-client";
    /// The secret of that client.
    pub const CLIENT_SECRET: &'static str = "entered secret+1";

    /// Starts it on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0")?)
    }

    /// The same on a bound listener.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start_on(listener: TcpListener) -> Result<Self> {
        let origin = format!("http://{}", listener.local_addr()?);
        let entered = (Self::CLIENT_ID.to_owned(), Some(Self::CLIENT_SECRET.to_owned()));
        let state = Data::new(Mutex::new(State {
            script: McpScript::default(),
            origin: origin.clone(),
            clients: [entered].into(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            spent: BTreeSet::new(),
            seen: Vec::new(),
            secrets: Vec::new(),
        }));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/mcp", web::route().to(server::mcp))
                .route("/.well-known/oauth-protected-resource{tail:.*}", web::get().to(metadata::resource))
                .route("/.well-known/oauth-authorization-server{tail:.*}", web::get().to(metadata::server))
                .route("/.well-known/openid-configuration{tail:.*}", web::get().to(metadata::server))
                .route("/{issuer:.*}/.well-known/openid-configuration", web::get().to(metadata::behind))
                .route("/{issuer:.*}authorize", web::get().to(authorization::authorize))
                .route("/{issuer:.*}token", web::post().to(authorization::token))
                .route("/{issuer:.*}register", web::post().to(authorization::register))
                .route("/{issuer:.*}revoke", web::post().to(authorization::revoke))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { origin, state, handle })
    }

    /// The address of the MCP server.
    pub fn url(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    /// A definition of it. `lines` begin with keys outside of tables.
    pub fn definition(&self, lines: &str) -> String {
        format!("kind = \"mcp\"\ntitle = \"Scripted\"\nmcp_url = \"{}\"\n{lines}\n", self.url())
    }

    /// Changes its script from now on.
    pub fn script(&self, change: impl FnOnce(&mut McpScript)) {
        change(&mut lock(&self.state).script);
    }

    /// The requests that it received at an endpoint.
    pub fn seen(&self, endpoint: &str) -> Vec<McpSeen> {
        lock(&self.state).seen.iter().filter(|seen| seen.endpoint == endpoint).cloned().collect()
    }

    /// Every request that it received.
    pub fn all_seen(&self) -> Vec<McpSeen> {
        lock(&self.state).seen.clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        lock(&self.state).seen.clear();
    }

    /// Forgets every client that registered itself.
    pub fn forget_clients(&self) {
        lock(&self.state).clients.retain(|id, _| id == Self::CLIENT_ID);
    }

    /// Number of clients that registered themselves.
    pub fn registered(&self) -> usize {
        lock(&self.state).clients.len() - 1
    }

    /// Ends all access tokens before their time; refresh tokens stay.
    pub fn expire_access_tokens(&self) {
        lock(&self.state).access.clear();
    }

    /// Every secret that has passed: states, verifiers, codes, client secrets and tokens.
    pub fn secrets(&self) -> Vec<String> {
        lock(&self.state).secrets.clone()
    }
}

impl Drop for ScriptedMcp {
    fn drop(&mut self) {
        // Nobody waits for it.
        drop(self.handle.stop(false));
    }
}

impl State {
    fn issuer(&self) -> String {
        format!("{}{}", self.origin, self.script.issuer)
    }

    fn see(
        &mut self,
        endpoint: &'static str,
        req: &actix_web::HttpRequest,
        parameters: BTreeMap<String, String>,
    ) {
        let authorization = req.headers().get("authorization").and_then(|value| value.to_str().ok());
        self.seen.push(McpSeen {
            endpoint,
            target: format!("{} {}", req.method(), req.path()),
            parameters,
            authorization: authorization.map(str::to_owned),
        });
    }
}
