//! `causeway demo-upstream`: a provider on this machine with one user, to try a connection without an account anywhere.
//!
//! It is an OAuth 2.0 authorization server with metadata (RFC 8414), dynamic registration (RFC 7591), PKCE and refresh
//! tokens that work once, and an API with posts. Everything is in memory, and little of it: nothing survives its end.

mod api;
mod authorize;
mod grants;
mod metadata;
mod token;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::{Context as _, ensure};
use serde_json::json;

use self::grants::Grants;

/// The default address: that of the definition `demo`.
pub(crate) const ADDRESS: &str = "127.0.0.1:8099";

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// The provider's state.
struct Demo {
    origin: String,
    grants: Mutex<Grants>,
}

impl Demo {
    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the provider until the process ends.
pub(crate) async fn run(address: SocketAddr) -> anyhow::Result<()> {
    ensure!(
        address.ip().is_loopback(),
        "the demo provider is for this machine only: listen on a loopback address"
    );
    let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
    let origin = format!("http://{}", listener.local_addr()?);
    let demo = Data::new(Demo { origin: origin.clone(), grants: Mutex::default() });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(demo.clone())
            .app_data(web::FormConfig::default().limit(MAX_BODY))
            .app_data(web::JsonConfig::default().limit(MAX_BODY))
            .route("/.well-known/oauth-authorization-server", web::get().to(metadata::document))
            .route("/register", web::post().to(metadata::register))
            .route("/authorize", web::get().to(authorize::ask))
            .route("/authorize", web::post().to(authorize::decide))
            .route("/token", web::post().to(token::token))
            .route("/revoke", web::post().to(token::revoke))
            .route("/me", web::get().to(api::me))
            .route("/posts", web::get().to(api::posts))
            .route("/posts", web::post().to(api::post))
    });
    let server = server.workers(1).listen(listener)?.run();
    say!("The demo provider is at {origin}. Stop it with Ctrl+C.");
    Ok(server.await?)
}

/// An error of OAuth (RFC 6749 section 5.2).
fn oauth_error(code: &str, text: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({"error": code, "error_description": text}))
}
