//! Traces for an OpenTelemetry collector; off unless the environment names one.

mod exporter;
mod settings;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Runtime;
use tracing::Metadata;

use self::exporter::Outward;
pub(crate) use self::settings::Telemetry;
use self::wire::Wire;

/// How long the last spans may take to be exported when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Default service name, which the environment can override.
const SERVICE: &str = "causeway";
/// Spans of periodic rounds, which mostly find nothing to do; they are not exported, but the spans inside
/// them are.
const ROUNDS: [&str; 5] =
    ["flow.sweep", "flow.revoke_due", "flow.backchannel", "flow.keep_alive", "flow.events.deliver"];

/// Exporter of traces.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares the exporter; nothing is sent yet, and the collector need not be running.
    ///
    /// # Errors
    /// When the TLS library or the exporter refuses.
    pub(crate) fn start(telemetry: &Telemetry, runtime: &Runtime) -> anyhow::Result<Self> {
        let wire = Wire::new(telemetry.timeout, runtime.handle().clone())?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(telemetry.endpoint.as_str())
            .with_timeout(telemetry.timeout)
            .with_shared_http_client(Arc::new(wire))
            .build()
            .context("the exporter of traces")?;
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if !telemetry.has_name {
            resource = resource.with_service_name(SERVICE);
        }
        let provider = SdkTracerProvider::builder()
            .with_sampler(telemetry.sampler.clone())
            .with_resource(resource.build())
            .with_batch_exporter(Outward::new(exporter))
            .build();
        Ok(Self(provider))
    }

    /// Tracer that turns spans of the log into spans of traces.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.0.tracer(SERVICE)
    }

    /// Exports the remaining spans, for 5 seconds at most.
    pub(crate) fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_WORDS) {
            tracing::warn!(%error, "the last traces could not be exported");
        }
    }
}

/// Whether a span or event is exported: spans of Causeway only, no log lines, and nothing of the libraries
/// below.
pub(crate) fn goes_out(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("causeway_") && !ROUNDS.contains(&metadata.name())
}
