//! What a running server reads anew at SIGHUP: the level of the log and the key ring. All else takes a restart.

use std::sync::Arc;

use anyhow::Context as _;
use causeway_config::{Config, ConfigError};
use causeway_flow::Ctx;
use causeway_store::DatabaseUrl;

use crate::logging::Logging;
use crate::secret_key;

/// Reads the configuration as at the start: the same flags and environment, and the file as it is now.
pub(crate) type Load<'a> = &'a dyn Fn() -> Result<Config, ConfigError>;

/// Reads anew what can be; what does not hold leaves everything as it was.
pub(crate) async fn reread(load: Load<'_>, logging: &Logging, ctx: &Ctx, url: &DatabaseUrl) {
    match try_reread(load, logging, ctx, url).await {
        Ok(kid) => tracing::info!(kid, "read anew: the level of the log, the key ring"),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "nothing was read anew: all stays as it was");
        }
    }
}

async fn try_reread(
    load: Load<'_>,
    logging: &Logging,
    ctx: &Ctx,
    url: &DatabaseUrl,
) -> anyhow::Result<String> {
    let config = load()?;
    let ring = secret_key::find(&config, url, ctx.store()).await?.context("there is no key ring any more")?;
    let kid = ring.active_kid().to_owned();
    logging.set_level(&config)?;
    ctx.replace_ring(Arc::new(ring));
    Ok(kid)
}
