//! A client's web server, which publishes its metadata document.

use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Result;
use serde_json::{Value, json};

/// Response of the server.
#[derive(Debug, Clone)]
pub struct Published {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Cache-Control`.
    pub cache_control: Option<&'static str>,
    /// `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

#[derive(Debug)]
struct State {
    published: Published,
    hits: usize,
    posts: Vec<String>,
}

/// Serves one document at every path on loopback, and records POST requests. It stops when it is dropped.
#[derive(Debug)]
pub struct DocumentServer {
    /// Its origin.
    pub origin: String,
    state: Data<Mutex<State>>,
    handle: ServerHandle,
}

impl DocumentServer {
    /// Starts it with the document of a public client.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let origin = format!("http://{}", listener.local_addr()?);
        let published = Published {
            status: 200,
            content_type: "application/json",
            cache_control: None,
            location: None,
            body: String::new(),
        };
        let state = Data::new(Mutex::new(State { published, hits: 0, posts: Vec::new() }));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/{path:.*}", web::get().to(document))
                .route("/{path:.*}", web::post().to(post))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        let this = Self { origin, state, handle };
        this.publish(&this.document());
        Ok(this)
    }

    /// The `client_id`: the URL of the document.
    pub fn client_id(&self) -> String {
        format!("{}/client.json", self.origin)
    }

    /// A valid document.
    pub fn document(&self) -> Value {
        json!({
            "client_id": self.client_id(),
            "client_name": "Documented app",
            "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        })
    }

    /// Publishes another document from now on.
    pub fn publish(&self, document: &Value) {
        self.change(|published| published.body = document.to_string());
    }

    /// Changes the response from now on.
    pub fn change(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.state().published);
    }

    /// Number of requests.
    pub fn hits(&self) -> usize {
        self.state().hits
    }

    /// Path and body of each POST so far.
    pub fn posts(&self) -> Vec<String> {
        self.state().posts.clone()
    }

    /// Stops it: connections are refused afterwards.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for DocumentServer {
    fn drop(&mut self) {
        // Sent when it is made; the end is not awaited.
        drop(self.handle.stop(false));
    }
}

fn lock(state: &Data<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(published: &Published) -> HttpResponse {
    let status = StatusCode::from_u16(published.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, published.content_type));
    if let Some(value) = published.cache_control {
        response.insert_header((CACHE_CONTROL, value));
    }
    if let Some(location) = &published.location {
        response.insert_header((LOCATION, location.clone()));
    }
    response.body(published.body.clone())
}

async fn document(state: Data<Mutex<State>>) -> HttpResponse {
    let mut state = lock(&state);
    state.hits += 1;
    answer(&state.published)
}

async fn post(req: HttpRequest, state: Data<Mutex<State>>, body: String) -> HttpResponse {
    let mut state = lock(&state);
    state.posts.push(format!("{} {body}", req.path()));
    answer(&state.published)
}
