//! Sampling of repeated log lines: the first few of each kind are written, the others counted. Errors still
//! show, but do not fill the disk.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// How often the counts of omitted lines are logged.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// Lines of one kind written per [`PERIOD`].
const BURST: u64 = 10;
/// Maximum number of kinds told apart by their fields; beyond it the line of code alone counts.
const KINDS: usize = 128;
/// Targets whose lines are never omitted.
const WHOLE: [&str; 2] = ["audit", SUMMARY];
const SUMMARY: &str = "causeway_server::sampling";
/// Fields that distinguish lines from the same line of code: errors about one client must not hide those
/// about another.
const TELLING: [&str; 3] = ["status", "client_id", "host"];

/// Warnings and errors from one line of code with the same values in [`TELLING`].
type Kind = (Identifier, u64);

#[derive(Default)]
struct Lines {
    written: u64,
    left_out: u64,
    message: String,
}

/// Omits warnings and errors that repeat.
#[derive(Clone, Default)]
pub(crate) struct Sampler(Arc<Mutex<HashMap<Kind, Lines>>>);

impl Sampler {
    /// Logs how many lines were omitted since the last report, and resets the counts.
    pub(crate) fn report(&self) {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for Lines { left_out, message, .. } in lines.into_values().filter(|lines| lines.left_out > 0) {
            tracing::warn!(target: SUMMARY, left_out, of = message, "repeated lines were omitted");
        }
    }

    fn admits(&self, event: &Event<'_>) -> bool {
        let mut about = About::default();
        event.record(&mut about);
        let site = event.metadata().callsite();
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = (site.clone(), about.telling.finish());
        if kinds.len() >= KINDS && !kinds.contains_key(&kind) {
            kind = (site, 0);
        }
        let lines = kinds.entry(kind).or_default();
        if lines.written < BURST {
            lines.written += 1;
            return true;
        }
        lines.left_out += 1;
        if lines.message.is_empty() {
            lines.message = about.message;
        }
        false
    }
}

/// Layer that writes lines except repeated ones. It is not a filter: when a filter rejects a line by its
/// fields, the registry takes that line for unfinished.
pub(crate) struct Sampled<L> {
    pub(crate) lines: L,
    pub(crate) sampler: Sampler,
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for Sampled<L> {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.lines.on_register_dispatch(subscriber);
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.lines.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.lines.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.lines.enabled(metadata, context)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.lines.on_new_span(attributes, id, context);
    }

    fn on_record(&self, span: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.lines.on_record(span, values, context);
    }

    fn on_follows_from(&self, span: &Id, follows: &Id, context: Context<'_, S>) {
        self.lines.on_follows_from(span, follows, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || WHOLE.contains(&metadata.target()) || self.sampler.admits(event)
        {
            self.lines.on_event(event, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.lines.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.lines.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.lines.on_close(id, context);
    }

    fn on_id_change(&self, old: &Id, new: &Id, context: Context<'_, S>) {
        self.lines.on_id_change(old, new, context);
    }
}

/// Message of a line, and a hash of its [`TELLING`] fields.
#[derive(Default)]
struct About {
    message: String,
    telling: DefaultHasher,
}

impl Visit for About {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else if TELLING.contains(&field.name()) {
            (field.name(), format!("{value:?}")).hash(&mut self.telling);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{fmt, registry};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn failed(status: u16) {
        tracing::warn!(status, "request failed");
    }

    /// A flood becomes a few lines and a count; other lines in the meantime are all written.
    #[test]
    fn a_flood_hides_nothing_else() {
        let (kept, sampler) = (Kept::default(), Sampler::default());
        let writer = kept.clone();
        let lines = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let count = |text: &str| {
            let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            written.lines().filter(|line| line.contains(text)).count()
        };
        let sampled = Sampled { lines, sampler: sampler.clone() }.with_filter(LevelFilter::INFO);
        tracing::subscriber::with_default(registry().with(sampled), || {
            for n in 0..40_000 {
                failed(503);
                if n == 20_000 {
                    failed(500);
                    tracing::error!("the disk is full");
                }
            }
            for _ in 0..30 {
                tracing::info!("code exchanged for tokens");
                tracing::warn!(target: "audit", "session export refused");
            }
            assert_eq!((count("status=503"), count("status=500"), count("the disk is full")), (10, 1, 1));
            assert_eq!((count("code exchanged for tokens"), count("session export refused")), (30, 30));
            sampler.report();
            assert_eq!(count("left_out=39990 of=\"request failed\""), 1);
            assert_eq!(count("were omitted"), 1);
            failed(503);
            assert_eq!(count("status=503"), 11, "it starts again");
        });
    }

    /// The number of kinds stays bounded, whatever values clients send.
    #[test]
    fn kinds_are_bounded() {
        let sampler = Sampler::default();
        let lines = fmt::layer().with_writer(Kept::default);
        let sampled = Sampled { lines, sampler: sampler.clone() }.with_filter(LevelFilter::INFO);
        tracing::subscriber::with_default(registry().with(sampled), || {
            for n in 0..10_000 {
                tracing::warn!(host = n, "cannot be reached");
            }
        });
        let kinds = sampler.0.lock().unwrap();
        assert!(kinds.len() <= KINDS + 1, "{}", kinds.len());
        assert_eq!(kinds.values().map(|lines| lines.written + lines.left_out).sum::<u64>(), 10_000);
    }
}
