//! Lines that repeat: the first ones of each kind are written, the others counted. A server in trouble says so and does
//! not fill the disk with it.

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

/// How often what was left out is said.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// Lines of a kind in that time.
const BURST: u64 = 10;
/// Kinds that are told apart by their fields; more are told apart by the line of code alone.
const KINDS: usize = 128;
/// Lines under these targets are never left out.
const WHOLE: [&str; 2] = ["audit", SUMMARY];
const SUMMARY: &str = "causeway_server::sampling";
/// Fields that tell lines of one line of code apart: trouble of one must not hide that of another.
const TELLING: [&str; 3] = ["status", "client_id", "host"];

/// Warnings and errors of one line of code, about one thing.
type Kind = (Identifier, u64);

#[derive(Default)]
struct Lines {
    written: u64,
    left_out: u64,
    message: String,
}

/// Leaves out warnings and errors that repeat.
#[derive(Clone, Default)]
pub(crate) struct Sampler(Arc<Mutex<HashMap<Kind, Lines>>>);

impl Sampler {
    /// Says what was left out since it was said last, and begins anew.
    pub(crate) fn report(&self) {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for Lines { left_out, message, .. } in lines.into_values().filter(|lines| lines.left_out > 0) {
            tracing::warn!(target: SUMMARY, left_out, of = message, "lines that repeat were left out");
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

/// A layer that writes lines, without those that repeat. It is no filter: what a filter of the registry leaves out by its
/// fields, the registry takes for unfinished.
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

/// What a line says, and what it is about.
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

    /// A flood is a few lines and a count; what else happens meanwhile is a line each.
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
                tracing::info!("code redeemed");
                tracing::warn!(target: "audit", "session export refused");
            }
            assert_eq!((count("status=503"), count("status=500"), count("the disk is full")), (10, 1, 1));
            assert_eq!((count("code redeemed"), count("session export refused")), (30, 30));
            sampler.report();
            assert_eq!(count("left_out=39990 of=\"request failed\""), 1);
            assert_eq!(count("were left out"), 1);
            failed(503);
            assert_eq!(count("status=503"), 11, "it begins anew");
        });
    }

    /// Whatever strangers make lines differ in.
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
