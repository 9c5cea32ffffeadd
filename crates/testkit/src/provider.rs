//! A scripted OAuth 2.0 provider with every odd habit: an authorization server, a Graph-like API with managed accounts,
//! and metadata with signed ID tokens. `cargo xtask provider` runs it by hand.

mod api;
mod apps;
mod script;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use anyhow::Result;
use causeway_jose::EcKey;

pub use self::script::{Authentication, Bot, ExpiryShape, ManagedPage, ProviderScript, Rotation, TokenShape};
use crate::upstream::Fault;

#[derive(Debug)]
struct State {
    script: ProviderScript,
    origin: String,
    key: EcKey,
    /// The secrets that clients may authenticate with.
    client_secrets: Vec<String>,
    /// The apps that registered themselves, with their secrets.
    apps: BTreeMap<String, String>,
    /// How often somebody registered.
    registrations: usize,
    /// How often an app asked whether it is known.
    verifications: usize,
    /// The authorization requests behind codes.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    /// The grants, by number; `None`: it has ended.
    grants: Vec<Option<Grant>>,
    /// Tokens by what they are.
    tokens: BTreeMap<String, Token>,
    /// Every request to the token endpoint: its parameters, wherever they were.
    requests: Vec<BTreeMap<String, String>>,
    /// The calls of the API that were answered.
    calls: Vec<ProviderCall>,
    /// The tokens that clients revoked.
    revoked: Vec<String>,
    /// Every secret that has passed.
    secrets: Vec<String>,
}

/// A user's grant.
#[derive(Debug, Clone)]
struct Grant {
    user: String,
    scope: String,
    nonce: Option<String>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    grant: usize,
    kind: Kind,
    /// A refresh token that works once, and has.
    is_spent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// An access token of the user that lives for an hour.
    Short,
    /// An access token of the user.
    Access,
    /// A refresh token.
    Refresh,
    /// An access token of a page or a bot.
    Page(String),
    /// A token of an app itself.
    App(String),
}

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderCall {
    /// Its path, with its query.
    pub target: String,
    /// The owner of its token: `user`, or the id of a page.
    pub by: String,
    /// Its method.
    pub method: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

type Shared = Data<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running scripted provider. It stops when it is dropped.
#[derive(Debug)]
pub struct ScriptedProvider {
    /// Its origin, which is its issuer, too.
    pub origin: String,
    state: Shared,
    handle: ServerHandle,
}

impl ScriptedProvider {
    /// The `client_id` that it knows.
    pub const CLIENT_ID: &'static str = "scripted-client";
    /// The secret of that client.
    pub const CLIENT_SECRET: &'static str = "scripted secret+1";

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
        let state = Data::new(Mutex::new(State {
            script: ProviderScript::default(),
            origin: origin.clone(),
            key: EcKey::generate()?,
            client_secrets: vec![Self::CLIENT_SECRET.to_owned()],
            apps: BTreeMap::new(),
            registrations: 0,
            verifications: 0,
            codes: BTreeMap::new(),
            grants: Vec::new(),
            tokens: BTreeMap::new(),
            requests: Vec::new(),
            calls: Vec::new(),
            revoked: Vec::new(),
            secrets: Vec::new(),
        }));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/authorize", web::get().to(token::authorize))
                .route("/token", web::route().to(token::token))
                .route("/renew", web::route().to(token::token))
                .route("/exchange", web::route().to(token::exchange))
                .route("/revoke", web::route().to(token::revoke))
                .route("/apps", web::post().to(apps::register))
                .route("/apps/verify", web::get().to(apps::verify))
                .route("/me", web::get().to(api::me))
                .route("/me/accounts", web::get().to(api::accounts))
                .route("/api/{path:.*}", web::route().to(api::call))
                .route("/.well-known/{document:.*}", web::get().to(api::metadata))
                .route("/keys", web::get().to(api::keys))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { origin, state, handle })
    }

    /// Changes its script from now on.
    pub fn script(&self, change: impl FnOnce(&mut ProviderScript)) {
        change(&mut lock(&self.state).script);
    }

    /// Replaces the secrets that clients may authenticate with.
    pub fn set_client_secrets(&self, secrets: &[&str]) {
        lock(&self.state).client_secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    }

    /// A definition of it. `lines` begin with keys outside of tables.
    pub fn definition(&self, lines: &str) -> String {
        let origin = &self.origin;
        format!(
            "kind = \"oauth2\"\ntitle = \"Scripted\"\nauthorization_url = \"{origin}/authorize\"\n\
             token_url = \"{origin}/token\"\n{lines}\n"
        )
    }

    /// Deletes the apps that registered themselves.
    pub fn delete_apps(&self) {
        lock(&self.state).apps.clear();
    }

    /// Number of registrations so far.
    pub fn registrations(&self) -> usize {
        lock(&self.state).registrations
    }

    /// Number of times that an app asked whether it is known.
    pub fn verifications(&self) -> usize {
        lock(&self.state).verifications
    }

    /// The requests to the token endpoint, with their parameters.
    pub fn requests(&self) -> Vec<BTreeMap<String, String>> {
        lock(&self.state).requests.clone()
    }

    /// The calls of the API that were answered.
    pub fn calls(&self) -> Vec<ProviderCall> {
        lock(&self.state).calls.clone()
    }

    /// The tokens that clients revoked, in their order.
    pub fn revoked(&self) -> Vec<String> {
        lock(&self.state).revoked.clone()
    }

    /// Every secret that has passed: states, verifiers, codes and tokens.
    pub fn secrets(&self) -> Vec<String> {
        lock(&self.state).secrets.clone()
    }

    /// Number of grants that have not ended.
    pub fn live_grants(&self) -> usize {
        lock(&self.state).grants.iter().flatten().count()
    }

    /// Grants access to a user without asking anybody: an access token and a refresh token.
    pub fn grant(&self, user: &str) -> (String, String) {
        let mut state = lock(&self.state);
        state.grants.push(Some(Grant { user: user.to_owned(), scope: String::new(), nonce: None }));
        let grant = state.grants.len() - 1;
        (state.issue("access-", grant, Kind::Access), state.issue("refresh-", grant, Kind::Refresh))
    }

    /// Issues a token of a page that the user of an access token manages.
    ///
    /// # Panics
    /// When the access token is not valid.
    pub fn grant_page(&self, access_token: &str, page: &str) -> String {
        let mut state = lock(&self.state);
        let grant = state.find(access_token).map(|(token, _)| token.grant);
        let grant = grant.unwrap_or_else(|| panic!("the access token is not valid"));
        state.issue("page-token-", grant, Kind::Page(page.to_owned()))
    }

    /// Ends one token before its time.
    pub fn end_token(&self, token: &str) {
        lock(&self.state).tokens.remove(token);
    }

    /// Whether it takes this token for what it is.
    pub fn takes(&self, token: &str) -> bool {
        lock(&self.state).find(token).is_some()
    }

    /// Ends all access tokens before their time; refresh tokens stay.
    pub fn expire_access_tokens(&self) {
        lock(&self.state).tokens.retain(|_, token| token.kind == Kind::Refresh);
    }
}

impl Drop for ScriptedProvider {
    fn drop(&mut self) {
        // Nobody waits for it.
        drop(self.handle.stop(false));
    }
}

impl State {
    /// A token that is valid: neither spent nor of a grant that has ended.
    fn find(&self, token: &str) -> Option<(&Token, &Grant)> {
        let token = self.tokens.get(token).filter(|token| !token.is_spent)?;
        Some((token, self.grants.get(token.grant)?.as_ref()?))
    }

    /// Issues a token.
    fn issue(&mut self, prefix: &str, grant: usize, kind: Kind) -> String {
        let token = crate::upstream::random(prefix);
        self.secrets.push(token.clone());
        self.tokens.insert(token.clone(), Token { grant, kind, is_spent: false });
        token
    }

    fn issuer(&self) -> String {
        self.script.issuer.clone().unwrap_or_else(|| self.origin.clone())
    }

    fn fault(&self, of: fn(&ProviderScript) -> &Fault) -> Fault {
        of(&self.script).clone()
    }
}
