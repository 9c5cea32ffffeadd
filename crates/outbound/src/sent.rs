//! One request in flight, as the log and traces show it.

use std::time::{Duration, Instant};

use reqwest::Method;
use tracing::{Span, field};
use url::Url;

use crate::error::HttpError;
use crate::stats::outcome_name;

/// How much of a request's address the log and traces may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Host and path in both; a path that names an account is shown in the log only.
    Address,
    /// The host only. The path may be a secret between a client and us, as that of a webhook often is.
    Host,
    /// The host is a user's name: shown in the log only.
    Nobody,
}

/// The empty fields of the span that say how it ended.
const STATUS: &str = "http.response.status_code";
const ERROR: &str = "error.type";

/// A request in flight: metadata only, no query.
pub(crate) struct Sent<'a> {
    method: Method,
    url: &'a Url,
    shows: Shows,
    pub(crate) started: Instant,
    /// For traces, where it is always recorded; log lines are within it from level TRACE on.
    pub(crate) span: Span,
}

impl<'a> Sent<'a> {
    pub(crate) fn begin(method: Method, url: &'a Url, shows: Shows) -> Self {
        let span = tracing::trace_span!(
            "http.client",
            otel.kind = "client",
            http.request.method = method.as_str(),
            server.address = url.host_str().filter(|_| shows != Shows::Nobody),
            server.port = url.port_or_known_default().map(i64::from),
            url.path = traced_path(url, shows),
            { STATUS } = field::Empty,
            { ERROR } = field::Empty,
        );
        Self { method, url, shows, started: Instant::now(), span }
    }

    /// Records the outcome: the status of the response, or why there was none.
    pub(crate) fn end(&self, outcome: Result<u16, &HttpError>, elapsed: Duration) {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let (method, host) = (&self.method, self.url.host_str());
        let path = (self.shows != Shows::Host).then(|| self.url.path());
        self.span.in_scope(|| match outcome {
            Ok(status) => {
                self.span.record(STATUS, i64::from(status));
                tracing::debug!(%method, host, path, status, elapsed_ms, "upstream response");
            }
            Err(error) => {
                self.span.record(ERROR, outcome_name(Err(error)));
                tracing::debug!(%method, host, path, %error, elapsed_ms, "no upstream response");
            }
        });
    }
}

/// The path as traces may see it.
fn traced_path(url: &Url, shows: Shows) -> Option<&str> {
    let names_account = url.path().split('/').any(|segment| segment.starts_with("did:"));
    (shows == Shows::Address && !names_account).then(|| url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_names_an_account_is_not_shown() {
        for (address, shows, traced) in [
            (
                "https://pds.example/xrpc/com.atproto.server.getSession?a=b",
                Shows::Address,
                Some("/xrpc/com.atproto.server.getSession"),
            ),
            ("https://plc.directory/did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", Shows::Address, None),
            ("https://app.example/hooks/secret", Shows::Host, None),
            ("https://alice.example/.well-known/did.json", Shows::Nobody, None),
        ] {
            assert_eq!(traced_path(&address.parse().unwrap(), shows), traced, "{address}");
        }
    }
}
