//! `GET /metrics`, on an address of its own, for Prometheus.

mod collector;
mod families;
mod format;
#[cfg(target_os = "linux")]
mod process;

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::http::header::{CACHE_CONTROL, VARY};
use actix_web::web::{Data, get, resource};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use causeway_flow::Ctx;
use prometheus_client::registry::Registry;

use self::collector::ServerCollector;
use self::format::Format;
use crate::http::measure::HttpStats;

struct Watched {
    ctx: Ctx,
    http: HttpStats,
}

/// Serves the metrics of a server on a bound listener until the returned server is stopped.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_metrics(listener: TcpListener, ctx: Ctx, http: HttpStats) -> std::io::Result<Server> {
    let watched = Data::new(Watched { ctx, http });
    let server = HttpServer::new(move || {
        App::new().app_data(watched.clone()).service(resource("/metrics").route(get().to(scrape)))
    });
    Ok(server.workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

async fn scrape(req: HttpRequest, watched: Data<Watched>) -> HttpResponse {
    let mut registry = Registry::default();
    let server = ServerCollector::read(watched.ctx.clone(), watched.http.clone()).await;
    registry.register_collector(Box::new(server));
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(process::ProcessCollector));
    let format = Format::preferred(&req);
    match format.encode(&registry) {
        Ok(metrics) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((VARY, "Accept"))
            .content_type(format.content_type())
            .body(metrics),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be encoded");
            HttpResponse::InternalServerError().finish()
        }
    }
}
