//! The baseline for every endpoint: the same HTTP stack with as many workers around a handler that does
//! nothing.

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Result;

use crate::helper;
use crate::process::Running;

/// Path of the handler.
pub(crate) const PATH: &str = "/";

/// Starts it as a separate process.
///
/// # Errors
/// When it does not start.
pub(crate) fn start() -> Result<Running> {
    helper::start("empty-handler")
}

/// Serves until standard input ends, that is, until the parent process has exited.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve() -> Result<()> {
    let server =
        HttpServer::new(|| App::new().route(PATH, web::get().to(async || HttpResponse::Ok().finish())))
            .workers(workers())
            .disable_signals()
            .bind("127.0.0.1:0")?;
    helper::announce(&server.addrs());
    // The server's own runtime is multi-threaded, too.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(server.run())?)
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
