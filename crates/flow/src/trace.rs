//! What the log lines of one request have in common, and where it comes from: known to the work that the
//! request starts, however deep.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use causeway_domain::CorrelationId;
use tracing::Span;

/// The field of [`Request::span`] that takes the name of the sign-in.
pub const CORRELATION_ID: &str = "correlation_id";

/// A request that is served.
#[derive(Debug)]
pub struct Request {
    /// Its span: all log lines are within it. It has the empty field [`CORRELATION_ID`].
    pub span: Span,
    /// Its name.
    pub request_id: String,
    /// Where it comes from, as far as that may be believed.
    pub address: Option<IpAddr>,
}

struct Current {
    request: Request,
    correlation: OnceLock<CorrelationId>,
}

tokio::task_local! {
    static CURRENT: Option<Arc<Current>>;
}

/// Serves a request: whatever is awaited within knows it.
pub fn serve<F: Future>(request: Request, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(Some(Arc::new(Current { request, correlation: OnceLock::new() })), work)
}

/// Work that goes on by itself and still belongs to the request that started it.
pub(crate) fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current(), work)
}

fn current() -> Option<Arc<Current>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// From here on every log line of this request names the sign-in that it is part of. The first one counts.
pub(crate) fn correlate(id: Option<&CorrelationId>) {
    let (Some(id), Some(current)) = (id, current()) else { return };
    if current.correlation.set(id.clone()).is_ok() {
        current.request.span.record(CORRELATION_ID, id.as_str());
    }
}

/// The sign-in that the request is part of, as far as that is known by now.
pub(crate) fn correlation() -> Option<CorrelationId> {
    current()?.correlation.get().cloned()
}

/// The request's name, and where it comes from.
pub(crate) fn origin() -> (Option<String>, Option<IpAddr>) {
    current()
        .map_or((None, None), |current| (Some(current.request.request_id.clone()), current.request.address))
}
