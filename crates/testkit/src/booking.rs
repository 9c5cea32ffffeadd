//! A scripted booking site that knows no OAuth: a sign-in form with a CSRF token, cookies that rotate, and a token that is
//! renewed by a request of its own and goes soft after 25 minutes. `cargo xtask booking` runs it by hand.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Form, Json};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Result;
use causeway_domain::Clock;
use causeway_types::Timestamp;
use serde_json::{Value, json};

use crate::upstream::{Fault, apply, random};

/// Seconds after which a token is soft.
const SOFT_SECONDS: i64 = 1500;

/// Habits and faults of the site; by default it is a plain one.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own that a test turns on")]
pub struct BookingScript {
    /// Fault of the sign-in.
    pub login: Fault,
    /// Fault of the renewal.
    pub refresh: Fault,
    /// Whether it asks for a one-time code after the password.
    pub asks_code: bool,
    /// Whether a renewal is answered `{"logout": 1}`.
    pub refresh_logs_out: bool,
    /// Whether a renewal has neither a new token nor a logout.
    pub refresh_says_nothing: bool,
    /// Whether every booking is answered `{"logout": 1}`.
    pub book_logs_out: bool,
    /// Whether every answer of the API sets a new session cookie.
    pub rotates: bool,
    /// Where the browser is sent after the sign-in.
    pub leads_to: Option<String>,
    /// Further cookies of every answer.
    pub cookies: Vec<String>,
}

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingCall {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub target: String,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

#[derive(Debug, Clone)]
struct SiteSession {
    user: String,
    sid: String,
    /// The cookie before, which works as well: answers may cross.
    before: Option<String>,
    token: String,
    issued_at: Timestamp,
}

#[derive(Debug)]
struct State {
    script: BookingScript,
    clock: Arc<dyn Clock>,
    sessions: Vec<SiteSession>,
    /// Sign-ins that wait for a code: their cookie and their user.
    asked: BTreeMap<String, String>,
    csrf: BTreeMap<String, String>,
    calls: Vec<BookingCall>,
    refreshes: Vec<(String, String)>,
    sign_ins: usize,
    logouts: usize,
    secrets: Vec<String>,
}

type Shared = Data<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running booking site. It stops when it is dropped.
#[derive(Debug)]
pub struct BookingSite {
    /// Its origin.
    pub origin: String,
    state: Shared,
    handle: ServerHandle,
}

impl BookingSite {
    /// The password of every user.
    pub const PASSWORD: &'static str = "correct horse battery 9!";
    /// The one-time code of every user.
    pub const CODE: &'static str = "271828";

    /// Starts it on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(clock: Arc<dyn Clock>) -> Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0")?, clock)
    }

    /// The same on a bound listener.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start_on(listener: TcpListener, clock: Arc<dyn Clock>) -> Result<Self> {
        let origin = format!("http://{}", listener.local_addr()?);
        let state = Data::new(Mutex::new(State {
            script: BookingScript::default(),
            clock,
            sessions: Vec::new(),
            asked: BTreeMap::new(),
            csrf: BTreeMap::new(),
            calls: Vec::new(),
            refreshes: Vec::new(),
            sign_ins: 0,
            logouts: 0,
            secrets: Vec::new(),
        }));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/login", web::get().to(page))
                .route("/login", web::post().to(sign_in))
                .route("/login/code", web::post().to(code))
                .route("/home", web::get().to(home))
                .route("/logout", web::post().to(logout))
                .route("/api/refresh", web::post().to(refresh))
                .route("/api/{path:.*}", web::route().to(call))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { origin, state, handle })
    }

    /// Sets its clock.
    pub fn set_clock(&self, clock: Arc<dyn Clock>) {
        lock(&self.state).clock = clock;
    }

    /// Changes its script from now on.
    pub fn script(&self, change: impl FnOnce(&mut BookingScript)) {
        change(&mut lock(&self.state).script);
    }

    /// A definition of it.
    pub fn definition(&self) -> String {
        include_str!("booking.toml").replace("https://site.example", &self.origin)
    }

    /// The calls of the API.
    pub fn calls(&self) -> Vec<BookingCall> {
        lock(&self.state).calls.clone()
    }

    /// The renewals that were asked for: token and fingerprint of each.
    pub fn refreshes(&self) -> Vec<(String, String)> {
        lock(&self.state).refreshes.clone()
    }

    /// Number of sign-ins that were tried.
    pub fn sign_ins(&self) -> usize {
        lock(&self.state).sign_ins
    }

    /// Number of sessions that were ended by a request.
    pub fn logouts(&self) -> usize {
        lock(&self.state).logouts
    }

    /// Every cookie and token that has passed, and the password and the code.
    pub fn secrets(&self) -> Vec<String> {
        let own = [Self::PASSWORD, Self::CODE].map(str::to_owned);
        lock(&self.state).secrets.iter().cloned().chain(own).collect()
    }

    /// Ends all sessions at the site.
    pub fn end_sessions(&self) {
        lock(&self.state).sessions.clear();
    }
}

impl Drop for BookingSite {
    fn drop(&mut self) {
        // Nobody waits for it.
        drop(self.handle.stop(false));
    }
}

impl State {
    fn secret(&mut self, prefix: &str) -> String {
        let secret = random(prefix);
        self.secrets.push(secret.clone());
        secret
    }

    fn begin(&mut self, user: &str) -> SiteSession {
        let (sid, token) = (self.secret("sid-"), self.secret("token-"));
        let issued_at = self.clock.now();
        let session = SiteSession { user: user.to_owned(), sid, before: None, token, issued_at };
        self.sessions.push(session.clone());
        session
    }

    fn position(&self, req: &HttpRequest) -> Option<usize> {
        let sid = cookie(req, "sid")?;
        self.sessions.iter().position(|own| own.sid == sid || own.before.as_ref() == Some(&sid))
    }

    /// The sign-in of a user: a page with the token, and the session cookie.
    fn signed_in(&mut self, user: &str) -> HttpResponse {
        let session = self.begin(user);
        let mut response = match &self.script.leads_to {
            Some(to) => {
                let mut response = HttpResponse::Found();
                response.insert_header(("location", to.as_str()));
                response
            }
            None => HttpResponse::Ok(),
        };
        response.append_header(("set-cookie", format!("sid={}; Path=/; HttpOnly", session.sid)));
        response.append_header(("set-cookie", "device=known; Path=/; Max-Age=31536000"));
        response.json(json!({"token": session.token}))
    }

    fn note(&mut self, req: &HttpRequest, body: &[u8]) {
        let text =
            |value: &actix_web::http::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        self.calls.push(BookingCall {
            method: req.method().to_string(),
            target: req.uri().to_string(),
            headers: req.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        });
    }
}

/// A cookie of a request.
fn cookie(req: &HttpRequest, name: &str) -> Option<String> {
    let header = req.headers().get("cookie")?.to_str().ok()?;
    let pairs = header.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
}

async fn page(state: Shared) -> HttpResponse {
    let mut state = lock(&state);
    let (key, value) = (random("csrf-"), state.secret("form-"));
    state.csrf.insert(key.clone(), value.clone());
    let html = format!(
        "<!doctype html><title>Sign in</title><!-- <input name=\"_token\" value=\"old\"> -->\
         <form method=post><input type=hidden name='_token' value=\"{value}\"><input name=email></form>"
    );
    HttpResponse::Ok()
        .append_header(("set-cookie", format!("csrf={key}; Path=/login")))
        .content_type("text/html")
        .body(html)
}

async fn sign_in(req: HttpRequest, state: Shared, form: Form<BTreeMap<String, String>>) -> HttpResponse {
    let fault = {
        let mut state = lock(&state);
        state.sign_ins += 1;
        state.script.login.clone()
    };
    if let Some(response) = apply(fault).await {
        return response;
    }
    let mut state = lock(&state);
    let key = cookie(&req, "csrf").unwrap_or_default();
    if state.csrf.remove(&key).as_ref() != form.get("_token") || form.get("_token").is_none() {
        return HttpResponse::build(StatusCode::IM_A_TEAPOT).json(json!({"error": "csrf"}));
    }
    let user = form.get("email").cloned().unwrap_or_default();
    if form.get("password").map(String::as_str) != Some(BookingSite::PASSWORD) {
        return HttpResponse::Ok().json(json!({"error": "wrong"}));
    }
    if state.script.asks_code {
        let asked = state.secret("asked-");
        state.asked.insert(asked.clone(), user);
        return HttpResponse::Ok()
            .append_header(("set-cookie", format!("asked={asked}; Path=/login")))
            .json(json!({"otp_required": true}));
    }
    state.signed_in(&user)
}

async fn code(req: HttpRequest, state: Shared, form: Form<BTreeMap<String, String>>) -> HttpResponse {
    let mut state = lock(&state);
    let asked = cookie(&req, "asked").unwrap_or_default();
    let Some(user) = state.asked.get(&asked).cloned() else {
        return HttpResponse::Forbidden().json(json!({"error": "nobody"}));
    };
    if form.get("code").map(String::as_str) != Some(BookingSite::CODE) {
        return HttpResponse::Ok().json(json!({"error": "wrong"}));
    }
    state.asked.remove(&asked);
    state.signed_in(&user)
}

async fn home(req: HttpRequest, state: Shared) -> HttpResponse {
    let state = lock(&state);
    match state.position(&req) {
        Some(at) => HttpResponse::Ok().json(json!({"token": state.sessions[at].token})),
        None => HttpResponse::Unauthorized().finish(),
    }
}

async fn logout(req: HttpRequest, state: Shared) -> HttpResponse {
    let mut state = lock(&state);
    if let Some(at) = state.position(&req) {
        state.sessions.remove(at);
        state.logouts += 1;
    }
    HttpResponse::NoContent().finish()
}

async fn refresh(req: HttpRequest, state: Shared, body: Json<Value>) -> HttpResponse {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let fault = {
        let mut state = lock(&state);
        state.refreshes.push((text("token"), text("fingerprint")));
        state.script.refresh.clone()
    };
    if let Some(response) = apply(fault).await {
        return response;
    }
    let mut state = lock(&state);
    if state.script.refresh_says_nothing {
        return HttpResponse::Ok().json(json!({"ok": false}));
    }
    let found = state.position(&req).filter(|at| state.sessions[*at].token == text("token"));
    let Some(at) = found.filter(|_| !state.script.refresh_logs_out) else {
        return HttpResponse::Ok().json(json!({"logout": 1}));
    };
    let (sid, token) = (state.secret("sid-"), state.secret("token-"));
    let now = state.clock.now();
    let session = &mut state.sessions[at];
    (session.before, session.sid) = (Some(session.sid.clone()), sid.clone());
    (session.token, session.issued_at) = (token.clone(), now);
    HttpResponse::Ok()
        .append_header(("set-cookie", format!("sid={sid}; Path=/; HttpOnly")))
        .json(json!({"newToken": token}))
}

/// The classes with those who attend, if the token is not soft; bookings and their end.
async fn call(req: HttpRequest, state: Shared, body: Bytes) -> HttpResponse {
    let mut state = lock(&state);
    state.note(&req, &body);
    let header = req.headers().get("x-token").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let found = state.position(&req).filter(|at| Some(&state.sessions[*at].token) == header.as_ref());
    let writes = req.method() != actix_web::http::Method::GET;
    let Some(at) = found.filter(|_| !(writes && state.script.book_logs_out)) else {
        return HttpResponse::Ok().json(json!({"logout": 1}));
    };
    let mut response = HttpResponse::Ok();
    for cookie in state.script.cookies.clone() {
        response.append_header(("set-cookie", cookie));
    }
    if state.script.rotates {
        let sid = state.secret("sid-");
        let session = &mut state.sessions[at];
        (session.before, session.sid) = (Some(session.sid.clone()), sid.clone());
        response.append_header(("set-cookie", format!("sid={sid}; Path=/; HttpOnly")));
    }
    let session = state.sessions[at].clone();
    if writes {
        return response.json(json!({"booked": true, "by": session.user}));
    }
    let mut class = json!({"id": 7, "name": "Yoga", "for": session.user});
    if state.clock.now().since(session.issued_at) < SOFT_SECONDS {
        class["attendees"] = json!(["Ann", "Bob"]);
    }
    response.json(json!({"classes": [class]}))
}
