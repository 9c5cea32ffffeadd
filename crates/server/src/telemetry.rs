//! Traces for whoever collects them: off unless the environment names a collector.

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

/// How long what was seen last may take to get out when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// What we are called, unless the environment says otherwise.
const SERVICE: &str = "causeway";
/// Rounds that come again and again and mostly find nothing to do. What they do is shown.
const ROUNDS: [&str; 5] =
    ["flow.sweep", "flow.revoke_due", "flow.backchannel", "flow.keep_alive", "flow.events.deliver"];

/// Traces on their way out.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Gets ready to send to the collector; nothing is sent yet, and the collector need not be there.
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

    /// What makes spans of the log's.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.0.tracer(SERVICE)
    }

    /// Sends what is still here, for 5 seconds at most.
    pub(crate) fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_WORDS) {
            tracing::warn!(%error, "the last traces did not get out");
        }
    }
}

/// Whether something goes out: spans of ours, no log lines, and nothing of the libraries below.
pub(crate) fn goes_out(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("causeway_") && !ROUNDS.contains(&metadata.name())
}
