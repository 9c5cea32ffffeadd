//! Filters spans before export, and logs the spans that the collector did not accept.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// The name of the span around a request that we serve.
const REQUEST: &str = "http.request";
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";
const ERROR: &str = "error.type";

/// Exported span fields and their exported names; all others stay in the log. Account identifiers and client
/// addresses are among those: the log line with the same `correlation_id` has them.
const FIELDS: [(&str, &str); 19] = [
    ("method", METHOD),
    (METHOD, METHOD),
    (ROUTE, ROUTE),
    (STATUS, STATUS),
    (ERROR, ERROR),
    ("server.address", "server.address"),
    ("server.port", "server.port"),
    ("url.path", "url.path"),
    ("request_id", "causeway.request_id"),
    ("correlation_id", "causeway.correlation_id"),
    ("client_id", "causeway.client_id"),
    ("auth_request", "causeway.auth_request"),
    ("issuer", "causeway.issuer"),
    ("nsid", "causeway.nsid"),
    ("session", "causeway.session"),
    ("session.kind", "causeway.session.kind"),
    ("session.iteration", "causeway.session.iteration"),
    ("refresh.reason", "causeway.refresh.reason"),
    ("refresh.outcome", "causeway.refresh.outcome"),
];

/// Methods that are named (OpenTelemetry semantic conventions for HTTP spans); others are `_OTHER`.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
const OTHER_METHOD: &str = "_OTHER";

/// How often the log reports spans that the collector does not accept.
const COMPLAINT_PERIOD: Duration = Duration::from_mins(1);

/// Wraps an exporter and passes it spans reduced by [`outward`].
#[derive(Debug)]
pub(super) struct Outward<E> {
    inner: E,
    trouble: Mutex<Trouble>,
}

impl<E: SpanExporter> Outward<E> {
    pub(super) fn new(inner: E) -> Self {
        Self { inner, trouble: Mutex::default() }
    }
}

impl<E: SpanExporter> SpanExporter for Outward<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let outcome = self.inner.export(batch.into_iter().map(outward).collect()).await;
        if let Err(error) = &outcome {
            let lost =
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner).note(count, Instant::now());
            if let Some(lost) = lost {
                tracing::warn!(%error, lost, "the collector does not accept our traces: these spans are lost");
            }
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Spans lost since the last log line, and when that was written.
#[derive(Debug, Default)]
struct Trouble {
    lost: usize,
    said: Option<Instant>,
}

impl Trouble {
    /// Records a loss; returns the spans lost since the last log line when the next one is due.
    fn note(&mut self, count: usize, now: Instant) -> Option<usize> {
        self.lost += count;
        if self.said.is_some_and(|said| now.duration_since(said) < COMPLAINT_PERIOD) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.lost))
    }
}

/// Reduces a span to its exported form: named by its route, with known attributes only.
fn outward(mut span: SpanData) -> SpanData {
    if span.name == REQUEST {
        span.span_kind = SpanKind::Server;
    }
    span.attributes = std::mem::take(&mut span.attributes).into_iter().filter_map(attribute).collect();
    let text = |name: &str| {
        span.attributes.iter().find(|known| known.key.as_str() == name).map(|known| &known.value)
    };
    if let (SpanKind::Server | SpanKind::Client, Some(method)) = (&span.span_kind, text(METHOD)) {
        span.name = match text(ROUTE) {
            Some(route) => format!("{method} {route}").into(),
            None => method.to_string().into(),
        };
    }
    let failed = match (&span.span_kind, text(STATUS)) {
        (SpanKind::Server, Some(Value::I64(500..))) | (SpanKind::Client, Some(Value::I64(400..))) => true,
        _ => text(ERROR).is_some(),
    };
    if failed {
        span.status = Status::error("");
    }
    span
}

fn attribute(KeyValue { key, value, .. }: KeyValue) -> Option<KeyValue> {
    let (_, name) = FIELDS.iter().find(|(field, _)| *field == key.as_str())?;
    let value = match value {
        Value::String(method) if *name == METHOD && !METHODS.contains(&method.as_str()) => {
            OTHER_METHOD.into()
        }
        value => value,
    };
    Some(KeyValue::new(Key::from_static_str(name), value))
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn span(name: &'static str, kind: SpanKind, attributes: Vec<KeyValue>) -> SpanData {
        let time = std::time::UNIX_EPOCH;
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.into(),
            start_time: time,
            end_time: time,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: opentelemetry::InstrumentationScope::default(),
        }
    }

    #[test]
    fn a_request_is_named_by_its_route() {
        let attributes = vec![
            KeyValue::new("method", "POST"),
            KeyValue::new("path", "/oauth/token"),
            KeyValue::new("client", "203.0.113.9"),
            KeyValue::new("correlation_id", "c_1"),
            KeyValue::new("http.route", "/oauth/token"),
            KeyValue::new("http.response.status_code", 400),
        ];
        let seen = outward(span("http.request", SpanKind::Internal, attributes));
        assert_eq!(
            (&*seen.name, &seen.span_kind, &seen.status),
            ("POST /oauth/token", &SpanKind::Server, &Status::Unset)
        );
        let keys: Vec<&str> = seen.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(
            keys,
            ["http.request.method", "causeway.correlation_id", "http.route", "http.response.status_code"]
        );
    }

    #[test]
    fn what_somebody_made_up_is_no_name() {
        let seen = outward(span("http.request", SpanKind::Internal, vec![KeyValue::new("method", "BREW")]));
        assert_eq!(seen.name, "_OTHER");
    }

    #[test]
    fn who_is_to_blame() {
        let status = |code: i64| vec![KeyValue::new(STATUS, code)];
        for (kind, attributes, failed) in [
            (SpanKind::Server, status(499), false),
            (SpanKind::Server, status(500), true),
            (SpanKind::Client, status(399), false),
            (SpanKind::Client, status(400), true),
            (SpanKind::Client, vec![KeyValue::new(ERROR, "timeout")], true),
            (SpanKind::Internal, vec![], false),
        ] {
            let seen = outward(span("x", kind.clone(), attributes));
            assert_eq!(seen.status == Status::error(""), failed, "{kind:?} {:?}", seen.attributes);
        }
    }

    #[test]
    fn only_known_fields_go_out() {
        let fields = ["did", "token", "client", "path", "message", "anything.new"];
        let attributes = fields.map(|field| KeyValue::new(field, "secret")).to_vec();
        assert_eq!(outward(span("flow.redeem", SpanKind::Internal, attributes)).attributes, []);
    }

    #[test]
    fn a_complaint_a_minute() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let seconds = Duration::from_secs;
        assert_eq!(trouble.note(3, start), Some(3));
        assert_eq!(trouble.note(4, start + seconds(1)), None);
        assert_eq!(trouble.note(5, start + seconds(59)), None);
        assert_eq!(trouble.note(1, start + seconds(60)), Some(10));
        assert_eq!(trouble.note(1, start + seconds(61)), None);
    }
}
