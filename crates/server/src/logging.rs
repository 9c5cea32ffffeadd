//! Log lines on standard error: their form by `--log-format`, their level by `RUST_LOG`.

use std::io::{IsTerminal as _, stderr};

use causeway_config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging. Called once.
pub(crate) fn init(config: &Config) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = stderr().is_terminal();
    let format = config.log_format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Pretty => builder.with_ansi(terminal).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
