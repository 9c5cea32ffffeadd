//! A webhook receiver of a client.

use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Result;

/// A received request.
#[derive(Debug, Clone)]
pub struct Told {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: String,
}

/// Listens on loopback. It stops when it is dropped.
#[derive(Debug)]
pub struct Hook {
    /// Its URL.
    pub url: String,
    state: Data<Mutex<(u16, Vec<Told>)>>,
    handle: ServerHandle,
}

impl Hook {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let state = Data::new(Mutex::new((204, Vec::new())));
        let shared = state.clone();
        let server =
            HttpServer::new(move || App::new().app_data(shared.clone()).route("/hook", web::post().to(take)));
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { url, state, handle })
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = status;
    }

    /// The requests received so far.
    pub fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // The stop command is sent by this call; the end is not awaited.
        drop(self.handle.stop(false));
    }
}

async fn take(req: HttpRequest, body: Bytes, state: Data<Mutex<(u16, Vec<Told>)>>) -> HttpResponse {
    let header = |name: &str| {
        let value = req.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.1.push(Told {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    HttpResponse::new(StatusCode::from_u16(state.0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}
