//! A client's web server, which publishes its keys.

use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Result;
use serde_json::{Value, json};

#[derive(Debug)]
struct Published {
    status: u16,
    body: String,
    cache_control: Option<String>,
    hits: usize,
}

/// Serves a key set on loopback. It stops when it is dropped.
#[derive(Debug)]
pub struct KeyServer {
    /// The URL of the key set.
    pub jwks_uri: String,
    state: Data<Mutex<Published>>,
    handle: ServerHandle,
}

impl KeyServer {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(keys: &[Value]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let jwks_uri = format!("http://{}/jwks.json", listener.local_addr()?);
        let body = json!({ "keys": keys }).to_string();
        let state = Data::new(Mutex::new(Published { status: 200, body, cache_control: None, hits: 0 }));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(shared.clone()).route("/jwks.json", web::get().to(jwks))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { jwks_uri, state, handle })
    }

    /// Publishes other keys from now on.
    pub fn publish(&self, keys: &[Value]) {
        self.answer(200, json!({ "keys": keys }).to_string());
    }

    /// Responds with this status and body from now on.
    pub fn answer(&self, status: u16, body: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.status, state.body) = (status, body);
    }

    /// Sets the `Cache-Control` header.
    pub fn cache_control(&self, value: &str) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cache_control = Some(value.to_owned());
    }

    /// Number of requests.
    pub fn hits(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).hits
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        // The stop command is sent by this call; the end is not awaited.
        drop(self.handle.stop(false));
    }
}

async fn jwks(state: Data<Mutex<Published>>) -> HttpResponse {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.hits += 1;
    let status = StatusCode::from_u16(state.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.content_type("application/json");
    if let Some(value) = &state.cache_control {
        response.insert_header((CACHE_CONTROL, value.clone()));
    }
    response.body(state.body.clone())
}
