//! Log lines on standard error: their form by `--log-format`, their level by `--log-level` or `RUST_LOG`. Lines that
//! repeat are [sampled](Sampler). Traces see the same spans.

pub(crate) mod sampling;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal as _, stderr};
use std::panic::PanicHookInfo;

use causeway_config::{Config, LogFormat};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry, reload};

pub(crate) use self::sampling::Sampler;
use crate::telemetry::{Traces, goes_out};

/// Handle to the log of this process: changes its level.
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Sampler, which counts the lines left out.
    pub(crate) sampler: Sampler,
}

impl Logging {
    /// Applies the log level of a configuration.
    ///
    /// # Errors
    /// When the subscriber no longer exists.
    pub(crate) fn set_level(&self, config: &Config) -> Result<(), reload::Error> {
        self.filter.reload(filter(config))
    }
}

/// Logged as errors by the HTTP server: requests that are none, by whoever sent them.
const MALFORMED_REQUESTS: &str = "actix_http::h1::dispatcher=off";

fn filter(config: &Config) -> EnvFilter {
    let of_config = || EnvFilter::new(format!("{MALFORMED_REQUESTS},{}", config.log_level));
    EnvFilter::try_from_default_env().unwrap_or_else(|_| of_config())
}

/// Starts logging, and tracing if it is wanted. Called once.
pub(crate) fn init(config: &Config, traces: Option<&Traces>) -> Logging {
    std::panic::set_hook(Box::new(log_panic));
    let (filter, handle) = reload::Layer::new(filter(config));
    let sampler = Sampler::default();
    let logging = Logging { filter: handle, sampler: sampler.clone() };
    let terminal = stderr().is_terminal();
    let format = config.log_format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    // A log that cannot be written must not make anything else fail: without this, a line that fails is
    // reported to the same place, and that panics.
    let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(terminal).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let lines = sampling::Sampled { lines, sampler };
    match traces {
        None => registry().with(lines.with_filter(filter)).init(),
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
    logging
}

/// Logs a panic as an ordinary line within its request. It has the location and not the message, which may
/// quote the data being processed, such as a token. `RUST_BACKTRACE=1` adds the backtrace.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let trace = Backtrace::capture();
    let trace = (trace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(&trace));
    let place = panic.location().map(tracing::field::display);
    tracing::error!(place, backtrace = trace, "panicked: this is a bug in Causeway");
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    /// Writes to memory.
    struct Kept;

    impl Write for Kept {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            WRITTEN.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// As when a store's closure cuts a text at a wrong place: the standard library quotes it.
    #[test]
    fn a_panic_is_a_line_of_its_request_and_quotes_nothing() {
        let lines = fmt::layer().json().flatten_event(true).with_writer(|| Kept);
        std::panic::set_hook(Box::new(log_panic));
        tracing::subscriber::with_default(registry().with(lines), || {
            let span = tracing::error_span!("http.request", request_id = "r-1");
            let secret = "canary-\u{e9}".to_owned();
            let _ = span.in_scope(|| std::panic::catch_unwind(|| secret[..8].len()));
        });
        let _ = std::panic::take_hook();
        let written = String::from_utf8(WRITTEN.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(written.contains("\"r-1\"") && written.contains("logging.rs:"), "{written}");
        assert!(!written.contains("canary"), "{written}");
    }
}
