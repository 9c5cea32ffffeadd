//! Reload at SIGHUP: the log level, the key ring, and providers with our registrations there. Everything else requires a restart.

use std::sync::Arc;

use anyhow::Context as _;
use causeway_config::{Config, ConfigError};
use causeway_flow::Ctx;
use causeway_store::DatabaseUrl;

use crate::logging::Logging;
use crate::{compose, secret_key};

/// Loads the configuration as at startup: the same flags and environment, and the file as it is now.
pub(crate) type Load<'a> = &'a dyn Fn() -> Result<Config, ConfigError>;

/// Reloads the log level, the key ring and providers; when one of them is invalid, nothing changes.
pub(crate) async fn reread(load: Load<'_>, logging: &Logging, ctx: &Ctx, url: &DatabaseUrl) {
    match try_reread(load, logging, ctx, url).await {
        Ok(kid) => tracing::info!(kid, "configuration reloaded: the log level, the key ring and providers"),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "the configuration was not reloaded: the previous one stays in effect");
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
    let ring = secret_key::find(&config, url, ctx.store()).await?.context("the key ring is missing")?;
    let kid = ring.active_kid().to_owned();
    let catalog = compose::providers(&config)?;
    let registrations = compose::provider_registrations(&config, &catalog)?;
    logging.set_level(&config)?;
    ctx.replace_ring(Arc::new(ring));
    ctx.replace_providers(catalog, registrations);
    Ok(kid)
}
