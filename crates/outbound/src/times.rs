//! Response headers about time.

use std::time::{Duration, SystemTime};

use reqwest::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderName, RETRY_AFTER};

/// When the answer was made, by its `Date` (RFC 9110 section 6.6.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, DATE)?).ok()
}

/// Seconds to wait before the next request (RFC 9110 section 10.2.3), said as a number or as a date.
pub fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let value = text(headers, RETRY_AFTER)?;
    value.parse().ok().or_else(|| {
        // A part of a second is waited for as well.
        let wait = until(headers, value)?;
        Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    })
}

/// Seconds for which the answer is fresh (RFC 9111 section 4.2): what `Cache-Control` says, else `Expires`, less the
/// `Age` that it has from a cache on the way; 0 for `no-store` and `no-cache`. `None`: the server does not say.
pub(crate) fn max_age(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|line| line.to_str().ok());
    let mut seconds = None;
    for directive in lines.flat_map(|line| line.split(',')) {
        let (name, value) = directive.trim().split_once('=').unwrap_or((directive.trim(), ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(0),
            "max-age" => seconds = value.trim_matches('"').parse().ok(),
            _ => {}
        }
    }
    let expires = || {
        let date = text(headers, EXPIRES)?;
        // An invalid date means expired (RFC 9111 section 5.3).
        let is_date = httpdate::parse_http_date(date).is_ok();
        if is_date { until(headers, date).map(|left| left.as_secs()) } else { Some(0) }
    };
    let age = text(headers, AGE).and_then(|age| age.parse().ok()).unwrap_or(0);
    seconds.or_else(expires).map(|seconds: u64| seconds.saturating_sub(age))
}

/// Time left until an HTTP date by the server's own clock: zero for a past date, `None` for an invalid date
/// and for a server that does not send its clock.
fn until(headers: &HeaderMap, http_date: &str) -> Option<Duration> {
    let then = httpdate::parse_http_date(http_date).ok()?;
    Some(then.duration_since(date(headers)?).unwrap_or_default())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "Sun, 22 Nov 2026 12:00:00 GMT";
    const TEN_PAST: &str = "Sun, 22 Nov 2026 12:10:00 GMT";

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn when_to_come_back() {
        let said = |value, date| retry_after(&headers(&[("retry-after", value), ("date", date)]));
        assert_eq!(said("120", NOON), Some(120));
        assert_eq!(said(TEN_PAST, NOON), Some(600), "by the server's clock");
        assert_eq!(said(NOON, TEN_PAST), Some(0));
        assert_eq!((said("soon", NOON), said("-1", NOON)), (None, None));
        assert_eq!(retry_after(&headers(&[("retry-after", NOON)])), None, "by whose clock?");
        assert_eq!(retry_after(&headers(&[])), None);
    }

    #[test]
    fn how_long_an_answer_is_fresh() {
        for (lines, seconds) in [
            (&[][..], None),
            (&[("cache-control", "public")], None),
            (&[("cache-control", "public, Max-Age=300")], Some(300)),
            (&[("cache-control", "max-age=300"), ("age", "100")], Some(200)),
            (&[("cache-control", "max-age=300"), ("age", "301")], Some(0)),
            (&[("cache-control", "max-age=300, no-store")], Some(0)),
            (&[("expires", TEN_PAST), ("date", NOON)], Some(600)),
            (&[("expires", TEN_PAST), ("date", NOON), ("cache-control", "max-age=5")], Some(5)),
            (&[("expires", NOON), ("date", TEN_PAST)], Some(0)),
            (&[("expires", "0")], Some(0)),
            (&[("expires", NOON)], None),
            (&[("age", "5")], None),
        ] {
            assert_eq!(max_age(&headers(lines)), seconds, "{lines:?}");
        }
    }
}
