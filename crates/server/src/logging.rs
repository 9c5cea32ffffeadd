//! Log lines on standard error: their form by `--log-format`, their level by `RUST_LOG`. Traces see the same spans.

use std::io::{IsTerminal as _, stderr};

use causeway_config::{Config, LogFormat};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::telemetry::{Traces, goes_out};

/// Starts logging, and tracing if it is wanted. Called once.
pub(crate) fn init(config: &Config, traces: Option<&Traces>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = stderr().is_terminal();
    let format = config.log_format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    // A log that cannot be written is no reason for anything else to fail: without this, a line that fails is
    // reported to the same place, and that panics.
    let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(terminal).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    match traces {
        None => registry().with(lines).with(filter).init(),
        Some(traces) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(traces.tracer())
                .with_context_activation(false)
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(goes_out));
            registry().with(lines.with_filter(filter)).with(traces).init();
        }
    }
}
