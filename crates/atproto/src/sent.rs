//! One request on its way, as the log and traces see it.

use std::time::{Duration, Instant};

use reqwest::Method;
use tracing::{Span, field};
use url::Url;

use crate::http::HttpError;
use crate::stats::outcome_name;

/// The empty fields of the span that say how it ended.
const STATUS: &str = "http.response.status_code";
const ERROR: &str = "error.type";

/// A request on its way: metadata, and no query.
pub(crate) struct Sent<'a> {
    method: Method,
    url: &'a Url,
    pub(crate) started: Instant,
    /// For traces, which see it always; log lines are within it from level TRACE on.
    pub(crate) span: Span,
}

impl<'a> Sent<'a> {
    pub(crate) fn begin(method: Method, url: &'a Url, hides_path: bool) -> Self {
        let span = tracing::trace_span!(
            "http.client",
            otel.kind = "client",
            http.request.method = method.as_str(),
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(i64::from),
            url.path = shown_path(url, hides_path),
            { STATUS } = field::Empty,
            { ERROR } = field::Empty,
        );
        Self { method, url, started: Instant::now(), span }
    }

    /// Notes how it went: the status of the answer, or why there was none.
    pub(crate) fn end(&self, outcome: Result<u16, &HttpError>, elapsed: Duration) {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let (method, host, path) = (&self.method, self.url.host_str(), self.url.path());
        self.span.in_scope(|| match outcome {
            Ok(status) => {
                self.span.record(STATUS, i64::from(status));
                tracing::debug!(%method, host, path, status, elapsed_ms, "upstream answered");
            }
            Err(error) => {
                self.span.record(ERROR, outcome_name(Err(error)));
                tracing::debug!(%method, host, path, %error, elapsed_ms, "upstream did not answer");
            }
        });
    }
}

/// The path as traces may see it. That of a look-up names an account, which is for the log alone.
fn shown_path(url: &Url, hides_path: bool) -> Option<&str> {
    let names_account = url.path().split('/').any(|segment| segment.starts_with("did:"));
    (!hides_path && !names_account).then(|| url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_names_an_account_is_not_shown() {
        for (address, hides_path, shown) in [
            (
                "https://pds.example/xrpc/com.atproto.server.getSession?a=b",
                false,
                Some("/xrpc/com.atproto.server.getSession"),
            ),
            ("https://plc.directory/did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", false, None),
            ("https://app.example/hooks/secret", true, None),
        ] {
            assert_eq!(shown_path(&address.parse().unwrap(), hides_path), shown, "{address}");
        }
    }
}
