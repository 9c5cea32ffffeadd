//! Tracing of a request: the trace it continues, and how it ended. Without a collector nothing is exported.

use actix_web::dev::ServiceResponse;
use actix_web::http::header::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::http::measure::{NO_ROUTE, Template};

/// The field of a request's span, empty at first, that takes the trace id.
pub(super) const TRACE_ID: &str = "trace_id";

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// The parent span that the request claims (W3C Trace Context sections 3.2 and 3.3), if it is well-formed.
/// The caller decides whether to trust it.
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    headers.get("traceparent")?;
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

/// Continues the parent's trace, or begins one, and records the trace id for the log.
pub(super) fn begin(span: &Span, parent: Option<SpanContext>) {
    let sent = parent.as_ref().map(SpanContext::trace_id);
    if let Some(parent) = parent {
        // Fails where traces are not collected.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    let seen = span.context().span().span_context().clone();
    if let Some(id) = Some(seen).filter(SpanContext::is_valid).map(|seen| seen.trace_id()).or(sent) {
        span.record(TRACE_ID, tracing::field::display(id));
    }
}

/// The pattern of the route that served a request.
pub(super) fn route<B>(response: &ServiceResponse<B>) -> &'static str {
    response.request().app_data::<Template>().map_or(NO_ROUTE, |template| template.0)
}

/// Records the route and the status of the answer.
pub(super) fn end(span: &Span, route: &'static str, status: u16) {
    if route != NO_ROUTE {
        span.set_attribute("http.route", route);
    }
    span.set_attribute("http.response.status_code", i64::from(status));
}
