//! A collector of traces over OTLP/HTTP.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message as _;

/// How long a test waits for spans.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct State {
    status: u16,
    requests: usize,
    bodies: Vec<Bytes>,
    headers: Vec<BTreeMap<String, String>>,
}

/// Accepts spans at `/v1/traces` on loopback and stores them. It stops when it is dropped.
#[derive(Debug)]
pub struct Collector {
    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub origin: String,
    state: Data<Mutex<State>>,
    handle: ServerHandle,
}

/// A received span.
#[derive(Debug, Clone)]
pub struct SeenSpan {
    /// Its name.
    pub name: String,
    /// Its trace, in hex.
    pub trace_id: String,
    /// Its id, in hex.
    pub id: String,
    /// The parent span's id, in hex; empty when there is none.
    pub parent: String,
    /// 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// 0 unset, 1 ok, 2 error.
    pub status: i32,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// Attributes of the resource that sent it.
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let origin = format!("http://{}", listener.local_addr()?);
        let state = State { status: 200, requests: 0, bodies: Vec::new(), headers: Vec::new() };
        let state = Data::new(Mutex::new(state));
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(16 * 1024 * 1024))
                .route("/v1/traces", web::post().to(take))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { origin, state, handle })
    }

    /// Sets the status of responses from now on; spans are stored with 200 only.
    pub fn answer(&self, status: u16) {
        lock(&self.state).status = status;
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        lock(&self.state).requests
    }

    /// All request bodies, unparsed.
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.state).bodies.concat()
    }

    /// The headers of each request.
    pub fn headers(&self) -> Vec<BTreeMap<String, String>> {
        lock(&self.state).headers.clone()
    }

    /// The spans so far.
    ///
    /// # Errors
    /// When a body is not OTLP.
    pub fn spans(&self) -> Result<Vec<SeenSpan>> {
        let bodies = lock(&self.state).bodies.clone();
        let mut seen = Vec::new();
        for body in bodies {
            for of_one in ExportTraceServiceRequest::decode(body)?.resource_spans {
                let resource = read(of_one.resource.unwrap_or_default().attributes);
                for span in of_one.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    seen.push(SeenSpan {
                        name: span.name,
                        trace_id: hex(&span.trace_id),
                        id: hex(&span.span_id),
                        parent: hex(&span.parent_span_id),
                        kind: span.kind,
                        status: span.status.unwrap_or_default().code,
                        attributes: read(span.attributes),
                        resource: resource.clone(),
                    });
                }
            }
        }
        Ok(seen)
    }

    /// Waits until the spans so far satisfy `enough`.
    ///
    /// # Errors
    /// When they do not, after 20 seconds.
    pub async fn until(&self, enough: impl Fn(&[SeenSpan]) -> bool) -> Result<Vec<SeenSpan>> {
        let waited = async {
            loop {
                let spans = self.spans()?;
                if enough(&spans) {
                    return anyhow::Ok(spans);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let outcome = tokio::time::timeout(TIMEOUT, waited).await;
        outcome.with_context(|| format!("not among {:#?}", self.spans()))?
    }

    /// Stops it: connections are refused afterwards.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // The stop command is sent by this call; the end is not awaited.
        drop(self.handle.stop(false));
    }
}

fn lock(state: &Data<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(req: HttpRequest, state: Data<Mutex<State>>, body: Bytes) -> HttpResponse {
    let mut state = lock(&state);
    state.requests += 1;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    state
        .headers
        .push(req.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect());
    if state.status == 200 {
        state.bodies.push(body);
    }
    HttpResponse::new(StatusCode::from_u16(state.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}
