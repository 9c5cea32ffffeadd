//! A scripted upstream: PLC directory, handle resolver, PDS and authorization server in one, which fails on
//! request as a real one does only on a bad day. `cargo xtask upstream` runs it by hand.

mod grants;
mod script;
#[cfg(test)]
mod tests;
mod xrpc;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::body::BodyStream;
use actix_web::dev::ServerHandle;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Bytes, Data, Form, Path, Query};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::{Context as _, Result};
use causeway_types::{CodeVerifier, SystemRng};
use futures_util::stream;
use serde_json::json;

pub use self::script::{Fault, Script, TokenRefusal};
pub use self::xrpc::{Nonces, XrpcReply, XrpcSeen};
use crate::app::Environment;
use crate::{Agent, User};

#[derive(Debug, Default)]
struct State {
    script: Script,
    origin: String,
    /// DID by handle.
    accounts: BTreeMap<String, String>,
    /// The parameters of each pushed request, by `request_uri`.
    pushed: BTreeMap<String, BTreeMap<String, String>>,
    /// The parameters of the last pushed request, refused or not.
    last_pushed: BTreeMap<String, String>,
    /// The parameters behind each code and each refresh token.
    grants: BTreeMap<String, BTreeMap<String, String>>,
    /// Every secret so far, none of which may appear in logs or databases.
    secrets: Vec<String>,
    /// Requests by endpoint.
    hits: BTreeMap<String, usize>,
    /// Valid access tokens, each with the refresh token issued with it.
    access: BTreeMap<String, String>,
    /// Every pair issued: refresh token by access token.
    issued: BTreeMap<String, String>,
    /// When each code and refresh token was redeemed, and its session.
    spent: BTreeMap<String, (Instant, String)>,
    /// The calls of methods that passed the checks.
    calls: Vec<XrpcSeen>,
    /// Number of nonces issued.
    nonces_given: usize,
}

/// Name under which the session is stored among the parameters of its request.
const SESSION: &str = "session";

/// Token endpoint that requires no proof.
const BEARER_TOKEN: &str = "/bearer/token";
/// An API that takes plain bearer tokens.
const BEARER_API: &str = "/bearer/api/";

/// Error that closes a connection.
#[derive(Debug, thiserror::Error)]
#[error("broken on purpose")]
struct Broken;

type Shared = Data<Mutex<State>>;

/// A running scripted upstream.
#[derive(Debug)]
pub struct ScriptedUpstream {
    /// Its origin, with the host `localhost`.
    pub origin: String,
    state: Shared,
    handle: ServerHandle,
}

impl ScriptedUpstream {
    /// Starts it with one account of this handle.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(handle: &str, did: &str) -> Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0")?, handle, did)
    }

    /// The same on a bound listener.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start_on(listener: TcpListener, handle: &str, did: &str) -> Result<Self> {
        let origin = format!("http://localhost:{}", listener.local_addr()?.port());
        let accounts = [(handle.to_owned(), did.to_owned())].into();
        let state = Data::new(Mutex::new(State { origin: origin.clone(), accounts, ..State::default() }));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/xrpc/com.atproto.identity.resolveHandle", web::get().to(resolve_handle))
                .route("/.well-known/oauth-protected-resource", web::get().to(protected_resource))
                .route("/.well-known/oauth-authorization-server", web::get().to(metadata))
                .route("/oauth/par", web::post().to(par))
                .route("/oauth/authorize", web::get().to(authorize))
                .route("/oauth/token", web::post().to(grants::token))
                .route("/bearer/authorize", web::get().to(grants::authorize_bearer))
                .route(BEARER_TOKEN, web::post().to(grants::token))
                .route(&format!("{BEARER_API}{{path}}"), web::route().to(xrpc::call))
                .route("/oauth/revoke", web::post().to(grants::revoke))
                .route("/xrpc/{nsid}", web::route().to(xrpc::call))
                .route("/{did}", web::get().to(did_document))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { origin, state, handle })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Assigns a handle to another account. Both accounts exist then, and the former one is called `renamed`.
    pub fn hand_over(&self, handle: &str, to: &str, renamed: &str) {
        let mut state = self.state();
        if let Some(before) = state.accounts.insert(handle.to_owned(), to.to_owned()) {
            state.accounts.insert(renamed.to_owned(), before);
        }
    }

    /// Adds an account.
    pub fn add_account(&self, handle: &str, did: &str) {
        self.state().accounts.insert(handle.to_owned(), did.to_owned());
    }

    /// Changes its script from now on.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        let mut state = self.state();
        change(&mut state.script);
        if state.script.takedown {
            state.grants.clear();
            state.access.clear();
        }
    }

    /// Number of requests to an endpoint: `par`, `token`, `revoke`, `metadata`, `directory`, `handles`,
    /// `xrpc`; or of token responses: `issued`.
    pub fn hits(&self, endpoint: &str) -> usize {
        self.state().hits.get(endpoint).copied().unwrap_or_default()
    }

    /// The parameters of the last pushed request, refused or not.
    pub fn last_pushed(&self) -> BTreeMap<String, String> {
        self.state().last_pushed.clone()
    }

    /// Grants access to a user; returns an access token and a refresh token.
    pub fn grant(&self, user: &str) -> (String, String) {
        let mut state = self.state();
        let (access, refresh) = (random("upstream-access-"), random("refresh-"));
        state.secrets.extend([access.clone(), refresh.clone()]);
        state.access.insert(access.clone(), refresh.clone());
        state.issued.insert(access.clone(), refresh.clone());
        let of = [("sub", user.to_owned()), ("scope", "read".to_owned()), (SESSION, random("session-"))];
        state.grants.insert(refresh.clone(), of.map(|(name, value)| (name.to_owned(), value)).into());
        (access, refresh)
    }

    /// Number of refresh tokens that are still valid.
    pub fn live_grants(&self) -> usize {
        self.state().grants.keys().filter(|key| key.starts_with("refresh-")).count()
    }

    /// Whether it issued these two together.
    pub fn is_pair(&self, access: &str, refresh: &str) -> bool {
        self.state().issued.get(access).is_some_and(|issued| issued == refresh)
    }

    /// Whether this refresh token is still valid.
    pub fn takes(&self, refresh: &str) -> bool {
        self.state().grants.contains_key(refresh)
    }

    /// When this refresh token was redeemed.
    pub fn spent_at(&self, refresh: &str) -> Option<Instant> {
        self.state().spent.get(refresh).map(|(at, _)| *at)
    }

    /// Invalidates all access tokens before their expiry.
    pub fn expire_access_tokens(&self) {
        self.state().access.clear();
    }

    /// Requires another DPoP nonce from now on.
    pub fn change_nonce(&self) {
        self.state().nonces_given += 1;
    }

    /// The calls of methods so far that passed the checks.
    pub fn calls(&self) -> Vec<XrpcSeen> {
        self.state().calls.clone()
    }

    /// Every secret that has passed: states, PKCE verifiers, assertions and tokens.
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    /// Where a server under test finds its accounts.
    pub fn environment(&self) -> Environment {
        Environment {
            plc_url: self.origin.clone(),
            handle_resolver: self.origin.clone(),
            timeout: Duration::from_secs(2),
        }
    }

    /// Stops it: connections are refused afterwards.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

impl User for ScriptedUpstream {
    async fn approve(&self, authorize_url: &str) -> Result<String> {
        Agent::default().get(authorize_url).await?.location().context("the scripted upstream redirects")
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a request and applies the fault of the endpoint; `None` when the endpoint should proceed.
async fn fault(state: &Shared, endpoint: &str, of: fn(&Script) -> &Fault) -> Option<HttpResponse> {
    let fault = {
        let mut state = lock(state);
        *state.hits.entry(endpoint.to_owned()).or_default() += 1;
        of(&state.script).clone()
    };
    apply(fault).await
}

/// The response of a fault; `None` when the endpoint should proceed.
pub(crate) async fn apply(fault: Fault) -> Option<HttpResponse> {
    Some(match fault {
        Fault::None => return None,
        Fault::Status(status) => HttpResponse::build(status.try_into().ok()?)
            .insert_header(("Retry-After", "7"))
            .json(json!({"error": "server_error"})),
        Fault::OAuth(error) => refusal((400, error)),
        Fault::Error(status, error) => refusal((status, error)),
        Fault::Html => page(200),
        Fault::Page(status) => page(status),
        Fault::Late(pause) => {
            tokio::time::sleep(pause).await;
            return None;
        }
        Fault::Silence => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            HttpResponse::Ok().finish()
        }
        Fault::Huge(bytes) => HttpResponse::Ok().json(json!({"filler": "x".repeat(bytes)})),
        Fault::Redirect(to) => HttpResponse::Found().insert_header((LOCATION, to)).finish(),
        Fault::HangUp => hang_up(),
    })
}

fn refusal((status, error): (u16, &str)) -> HttpResponse {
    HttpResponse::build(status.try_into().unwrap_or_default()).json(json!({"error": error}))
}

fn page(status: u16) -> HttpResponse {
    let mut builder = HttpResponse::build(status.try_into().unwrap_or_default());
    builder.content_type("text/html").body("<h1>Hello</h1>")
}

/// A body that fails before its first chunk: nothing of the response is sent.
pub(crate) fn hang_up() -> HttpResponse {
    HttpResponse::Ok().body(BodyStream::new(stream::iter([Err::<Bytes, _>(Broken)])))
}

/// As [`fault`], for an endpoint with an effect: `true` when it should close the connection afterwards.
async fn fault_or_end(
    state: &Shared,
    endpoint: &str,
    of: fn(&Script) -> &Fault,
) -> Result<bool, HttpResponse> {
    let hangs_up = *of(&lock(state).script) == Fault::HangUp;
    match fault(state, endpoint, of).await {
        Some(response) if !hangs_up => Err(response),
        _ => Ok(hangs_up),
    }
}

async fn resolve_handle(state: Shared, query: Query<BTreeMap<String, String>>) -> HttpResponse {
    if let Some(response) = fault(&state, "handles", |script| &script.handles).await {
        return response;
    }
    match query.get("handle").and_then(|handle| lock(&state).accounts.get(handle).cloned()) {
        Some(did) => HttpResponse::Ok().json(json!({"did": did})),
        None => HttpResponse::BadRequest()
            .json(json!({"error": "InvalidRequest", "message": "Unable to resolve handle"})),
    }
}

async fn did_document(state: Shared, did: Path<String>) -> HttpResponse {
    if let Some(response) = fault(&state, "directory", |script| &script.directory).await {
        return response;
    }
    let state = lock(&state);
    let Some(handle) = state.accounts.iter().find(|(_, own)| **own == *did).map(|(handle, _)| handle) else {
        return HttpResponse::NotFound().json(json!({"message": "DID not registered"}));
    };
    let shown = state.script.also_known_as.as_ref().unwrap_or(handle);
    let pds = state.script.pds.as_ref().unwrap_or(&state.origin);
    HttpResponse::Ok().json(json!({
        "id": *did,
        "alsoKnownAs": [format!("at://{shown}")],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds}],
    }))
}

async fn protected_resource(state: Shared) -> HttpResponse {
    let state = lock(&state);
    let servers = state.script.authorization_servers.clone().unwrap_or_else(|| vec![state.origin.clone()]);
    HttpResponse::Ok().json(json!({"resource": state.origin, "authorization_servers": servers}))
}

async fn metadata(state: Shared) -> HttpResponse {
    if let Some(response) = fault(&state, "metadata", |script| &script.metadata).await {
        return response;
    }
    let (origin, knows) = {
        let state = lock(&state);
        (state.origin.clone(), state.script.knows.clone())
    };
    let scopes = ["atproto", "transition:generic", "transition:email", "transition:chat.bsky"];
    let scopes = knows.unwrap_or_else(|| scopes.to_vec());
    let at = |path: &str| format!("{origin}{path}");
    HttpResponse::Ok().json(json!({
        "issuer": origin,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "pushed_authorization_request_endpoint": at("/oauth/par"),
        "revocation_endpoint": at("/oauth/revoke"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "scopes_supported": scopes,
        "authorization_response_iss_parameter_supported": true,
        "require_pushed_authorization_requests": true,
        "client_id_metadata_document_supported": true,
    }))
}

async fn par(state: Shared, form: Form<BTreeMap<String, String>>) -> HttpResponse {
    lock(&state).last_pushed.clone_from(&form);
    let hangs_up = match fault_or_end(&state, "par", |script| &script.par).await {
        Ok(hangs_up) => hangs_up,
        Err(response) => return response,
    };
    let words = lock(&state).script.unknown_scope;
    if let Some(knows) = lock(&state).script.knows.clone() {
        // The `client_id` of the loopback client holds its document.
        let client = form.get("client_id").and_then(|id| url::Url::parse(id).ok());
        let declared = client.and_then(|url| {
            url.query_pairs().find(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned())
        });
        let unknown = |scope: &str| scope.split(' ').any(|value| !knows.contains(&value));
        if let Some((error, text)) = words.filter(|_| form.get("scope").is_none_or(|scope| unknown(scope))) {
            let body = json!({"error": error, "error_description": text});
            return HttpResponse::BadRequest().json(body);
        }
        if declared.is_some_and(|scope| unknown(&scope)) {
            return HttpResponse::BadRequest().json(json!({"error": "invalid_client_metadata"}));
        }
        if form.get("scope").is_none_or(|scope| unknown(scope)) {
            return HttpResponse::BadRequest().json(json!({"error": "invalid_scope"}));
        }
    }
    let refusal = {
        let script = &lock(&state).script;
        prompt_error(script, form.get("prompt")).filter(|_| script.prompts_at_par)
    };
    if let Some(error) = refusal {
        return HttpResponse::BadRequest().json(json!({ "error": error }));
    }
    let request_uri = random("urn:ietf:params:oauth:request_uri:");
    lock(&state).pushed.insert(request_uri.clone(), form.into_inner());
    if hangs_up {
        return hang_up();
    }
    HttpResponse::Created().json(json!({"request_uri": request_uri, "expires_in": 300}))
}

/// Approves at once, as a user would who is signed in, unless the script denies.
async fn authorize(state: Shared, query: Query<BTreeMap<String, String>>) -> HttpResponse {
    let mut state = lock(&state);
    let Some(mut params) = query.get("request_uri").and_then(|uri| state.pushed.remove(uri)) else {
        return HttpResponse::BadRequest().body("unknown request_uri");
    };
    let code = random("code-");
    let iss = state.script.iss.clone().unwrap_or_else(|| state.origin.clone());
    let hint = params.get("login_hint").cloned().unwrap_or_default();
    let sub = state.accounts.get(&hint).cloned().unwrap_or(hint);
    let sub = if sub.is_empty() { state.accounts.values().next().cloned().unwrap_or_default() } else { sub };
    params.insert("sub".to_owned(), sub);
    params.insert(SESSION.to_owned(), random("session-"));
    let mut answer = BTreeMap::from([("iss", iss)]);
    answer.insert("state", params.get("state").cloned().unwrap_or_default());
    match refusal_of(&state.script, params.get("prompt")) {
        Some(error) => answer.insert("error", error.to_owned()),
        None => answer.insert("code", code.clone()),
    };
    answer.extend(state.script.callback.iter().map(|(name, value)| (*name, value.clone())));
    if answer.contains_key("error") {
        answer.remove("code");
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let location = format!("{}?{}", params.get("redirect_uri").map_or("", String::as_str), query);
    state.grants.insert(code, params);
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// The error of the callback; `None` when the user approves.
fn refusal_of(script: &Script, prompt: Option<&String>) -> Option<&'static str> {
    if script.deny || script.takedown {
        return Some("access_denied");
    }
    prompt_error(script, prompt).filter(|_| !script.prompts_at_par)
}

fn prompt_error(script: &Script, prompt: Option<&String>) -> Option<&'static str> {
    let prompt = prompt.map_or("", String::as_str);
    let asked = |value: &str| prompt.split(' ').any(|asked| asked == value);
    script.prompts.iter().find(|(value, _)| asked(value)).map(|(_, error)| *error)
}

pub(crate) fn random(prefix: &str) -> String {
    format!("{prefix}{}", CodeVerifier::random(&SystemRng).expose())
}
