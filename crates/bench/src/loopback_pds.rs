//! A PDS that answers every call at once, whoever asks: what is left is the way there.

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Result;

use crate::helper;
use crate::process::Running;

/// A small read that needs no permission.
pub(crate) const PATH: &str = "/xrpc/com.atproto.server.getSession";
/// As large as the answer of a real one.
const ANSWER: &str = r##"{"did":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa","handle":"alice.example.com","active":true,"didDoc":{"id":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa","alsoKnownAs":["at://alice.example.com"],"service":[{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":"https://pds.example.com"}]}}"##;

/// Starts it as a process of its own.
///
/// # Errors
/// When it does not start.
pub(crate) fn start() -> Result<Running> {
    helper::start("loopback-pds")
}

/// Serves until standard input ends.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve() -> Result<()> {
    let answer = || async {
        HttpResponse::Ok()
            .insert_header(("content-type", "application/json; charset=utf-8"))
            .insert_header(("dpop-nonce", "bHq1pQvK7ENXkVhWcXhzkXbWYQ8oVJ3Yp1mYVQ0Q4nE"))
            .body(ANSWER)
    };
    let server = HttpServer::new(move || App::new().route(PATH, web::get().to(answer)))
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")?;
    helper::announce(&server.addrs());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(server.run())?)
}
