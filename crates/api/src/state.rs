//! State that every handler shares.

use std::time::Duration;

use causeway_flow::Ctx;
use causeway_types::{ClientId, Secret};
use ipnet::IpNet;

use crate::documents::Documents;
use crate::graphql::{self, RepositorySchema};
use crate::http::measure::HttpStats;

/// How the server presents itself over HTTP.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Origin of the pages as browsers see it: the issuer, but `127.0.0.1` where that says `localhost`, since
    /// an authorization server sends users back to loopback addresses only.
    pub page_origin: String,
    /// Proxies whose forwarded address, request id and traceparent are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The client of the page at `/`; `None`: the page is off.
    pub demo: Option<ClientId>,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// Worker threads.
    pub workers: usize,
    /// The operator's token for `/admin`; `None`: there is no such address.
    pub admin_token: Option<Secret>,
    /// Request statistics, when metrics are served.
    pub stats: Option<HttpStats>,
}

/// State that every handler shares.
pub(crate) struct AppState {
    pub(crate) ctx: Ctx,
    pub(crate) config: ApiConfig,
    /// Whether browsers see https: cookies are then `Secure` and carry the `__Host-` prefix.
    pub(crate) secure: bool,
    pub(crate) documents: Documents,
    pub(crate) schema: RepositorySchema,
}

impl AppState {
    pub(crate) fn new(ctx: Ctx, config: ApiConfig) -> Self {
        let documents = Documents::new(&ctx);
        let secure = config.page_origin.starts_with("https://");
        Self { ctx, config, secure, documents, schema: graphql::schema() }
    }
}
