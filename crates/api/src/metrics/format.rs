//! The formats in which Prometheus reads metrics, and the choice between them.

use std::fmt;

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header as _, Quality};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
}

impl Format {
    /// The format that a request prefers (RFC 9110 section 12.5.1). OpenMetrics is for those who name it:
    /// everybody else, a browser for example, gets the older format.
    pub(super) fn preferred(req: &HttpRequest) -> Self {
        let accept = Accept::parse(req).map(|accept| accept.0).unwrap_or_default();
        let weight = |name: &str, version: &str| {
            let named = accept.iter().filter(|range| {
                range.item.essence_str() == name
                    && range.item.get_param("version").is_none_or(|asked| asked == version)
            });
            named.map(|range| range.quality).max().unwrap_or(Quality::ZERO)
        };
        let open_metrics = weight("application/openmetrics-text", "1.0.0");
        if open_metrics > Quality::ZERO && open_metrics >= weight("text/plain", "0.0.4") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The media type.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }

    /// Encodes the metrics of a registry.
    pub(super) fn encode(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut body = String::new();
        match self {
            Self::OpenMetrics => text::encode(&mut body, registry)?,
            Self::Prometheus => prometheus_text::encode(&mut body, registry)?,
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;

    use super::Format::{self, OpenMetrics, Prometheus};

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        for (accept, format) in [
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Prometheus),
            ("application/openmetrics-text; version=1.0.0; q=0", Prometheus),
            ("application/openmetrics-text; version=1.0.0; q=0.4, text/plain; q=0.5", Prometheus),
            ("text/html, application/xhtml+xml, */*; q=0.8", Prometheus),
            ("text/plain; version=0.0.4", Prometheus),
            ("*/*", Prometheus),
            (";;q=", Prometheus),
        ] {
            let req = TestRequest::get().insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(Format::preferred(&req), format, "{accept}");
        }
        assert_eq!(Format::preferred(&TestRequest::get().to_http_request()), Prometheus);
    }
}
