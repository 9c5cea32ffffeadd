//! The context of one request for its log lines and audit events, available to all work that it starts.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use causeway_types::CorrelationId;
use tracing::Span;

/// The field of [`Request::span`] for the correlation ID of the sign-in.
pub const CORRELATION_ID: &str = "correlation_id";

/// A request that is being served.
#[derive(Debug)]
pub struct Request {
    /// Its span: all log lines are within it. It has the empty field [`CORRELATION_ID`].
    pub span: Span,
    /// Its request ID.
    pub request_id: String,
    /// Its source address, if trustworthy.
    pub address: Option<IpAddr>,
}

struct Current {
    request: Request,
    correlation: OnceLock<CorrelationId>,
}

tokio::task_local! {
    static CURRENT: Option<Arc<Current>>;
}

/// Serves a request: everything awaited within `work` has it as its context.
pub fn serve<F: Future>(request: Request, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(Some(Arc::new(Current { request, correlation: OnceLock::new() })), work)
}

/// Carries the current request into detached work that belongs to it.
pub(crate) fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current(), work)
}

fn current() -> Option<Arc<Current>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Adds the correlation ID of the sign-in to all further log lines of this request. The first one counts.
pub(crate) fn correlate(id: Option<&CorrelationId>) {
    let (Some(id), Some(current)) = (id, current()) else { return };
    if current.correlation.set(id.clone()).is_ok() {
        current.request.span.record(CORRELATION_ID, id.as_str());
    }
}

/// The correlation ID of the sign-in that the request is part of, if known by now.
pub(crate) fn correlation() -> Option<CorrelationId> {
    current()?.correlation.get().cloned()
}

/// The request's ID and source address.
pub(crate) fn origin() -> (Option<String>, Option<IpAddr>) {
    current()
        .map_or((None, None), |current| (Some(current.request.request_id.clone()), current.request.address))
}
