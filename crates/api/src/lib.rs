//! HTTP for Causeway, on actix-web: an endpoint parses, calls one verb of `causeway-flow`, renders.

mod bodies;
mod documents;
mod error;
mod graphql;
mod http;
mod metrics;
pub mod openapi;
pub mod pages;
mod routes;
mod state;

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use causeway_flow::Ctx;

pub use self::http::measure::HttpStats;
pub use self::metrics::serve_metrics;
pub use self::state::ApiConfig;
use self::state::AppState;

/// Serves HTTP on a bound listener until the returned server is stopped.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(listener: TcpListener, ctx: Ctx, config: ApiConfig) -> std::io::Result<Server> {
    let (workers, keep_alive) = (config.workers, config.keep_alive);
    let with_admin = config.admin_token.is_some();
    let state = Data::new(AppState::new(ctx, config));
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(state.clone())
            .wrap(from_fn(http::path::refuse_controls))
            .wrap(from_fn(http::observe::observe));
        let app = app.configure(routes::configure);
        if with_admin { app.configure(routes::admin::configure) } else { app }
    });
    // Without it, each part of a streamed response would wait 40 ms for the client to acknowledge the last.
    let server = server.workers(workers).keep_alive(keep_alive).shutdown_timeout(10).tcp_nodelay(true);
    Ok(server.disable_signals().listen(listener)?.run())
}
