//! Headers that are forwarded between a client and a provider. All others are dropped: connections, cookies,
//! credentials and the origin of a request are each side's own. So are headers that one side names in
//! `Connection`: they are meant for this hop (RFC 9110 section 7.6.1).

use actix_web::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use causeway_outbound::header::HeaderName as OutboundName;

/// The headers that are forwarded to and from a kind of provider.
pub(crate) struct Forwarded {
    request: &'static [&'static str],
    answer: &'static [&'static str],
    /// Prefixes of further headers of answers.
    answer_prefixes: &'static [&'static str],
}

/// The headers of a PDS.
pub(crate) const XRPC: Forwarded = Forwarded {
    request: &[
        "accept",
        "accept-encoding",
        "accept-language",
        "atproto-accept-labelers",
        "atproto-content-labelers",
        "atproto-proxy",
        "atproto-repo-rev",
        "content-encoding",
        "content-type",
        "if-modified-since",
        "if-none-match",
    ],
    answer: &[
        "atproto-content-labelers",
        "atproto-repo-rev",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "etag",
        "last-modified",
        "ratelimit",
        "retry-after",
    ],
    answer_prefixes: &["ratelimit-"],
};

/// The headers of any other provider, beside those of its definition.
pub(crate) const PROVIDER: Forwarded = Forwarded {
    request: &[
        "accept",
        "accept-encoding",
        "accept-language",
        "content-encoding",
        "content-range",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ],
    answer: &[
        "accept-ranges",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-location",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "link",
        "location",
        "ratelimit",
        "retry-after",
    ],
    answer_prefixes: &["ratelimit-", "x-ratelimit-"],
};

/// The headers of an MCP server. Its session identifiers are replaced by ours.
pub(crate) const MCP: Forwarded = Forwarded {
    request: &[
        "accept",
        "accept-language",
        "baggage",
        "content-type",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "traceparent",
        "tracestate",
    ],
    answer: &["allow", "content-encoding", "content-type", "mcp-protocol-version", "retry-after"],
    answer_prefixes: &[],
};

/// Request headers that may come only once: their meaning would otherwise depend on the reader.
const ONCE: [&str; 3] = ["atproto-proxy", "content-encoding", "content-type"];
/// Request headers that describe a body.
const OF_BODY: [&str; 3] = ["content-encoding", "content-range", "content-type"];

/// Headers of answers that are never forwarded, whatever a definition says: they are about the provider's site.
const NEVER: [&str; 8] = [
    "alt-svc",
    "clear-site-data",
    "content-length",
    "refresh",
    "service-worker-allowed",
    "set-cookie",
    "strict-transport-security",
    "www-authenticate",
];
/// Prefix of more of them.
const NEVER_PREFIX: &str = "access-control-";

/// The name of a header that may come only once and was sent more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {0} was sent more than once")]
pub(crate) struct Repeated(&'static str);

/// Selects the request headers to forward, with `more` of the definition. Repeated lines of a list are joined into one.
pub(crate) fn of_request(
    forwarded: &Forwarded,
    more: &[String],
    headers: &HeaderMap,
    has_body: bool,
) -> Result<Vec<(OutboundName, Vec<u8>)>, Repeated> {
    let mut passing: Vec<(OutboundName, _)> = Vec::new();
    let connection: Vec<_> = headers.get_all(CONNECTION).map(HeaderValue::as_bytes).collect();
    let more = more.iter().map(String::as_str).filter(|name| !forwarded.request.contains(name));
    for name in forwarded.request.iter().copied().chain(more) {
        if (!has_body && OF_BODY.contains(&name)) || is_named(&connection, name) {
            continue;
        }
        let mut lines = headers.get_all(name).map(HeaderValue::as_bytes);
        let Some(first) = lines.next() else { continue };
        let mut value = first.to_vec();
        for line in lines {
            if let Some(once) = ONCE.into_iter().find(|once| *once == name) {
                return Err(Repeated(once));
            }
            value.extend_from_slice(b", ");
            value.extend_from_slice(line);
        }
        if let Ok(name) = OutboundName::from_bytes(name.as_bytes()) {
            passing.push((name, value));
        }
    }
    Ok(passing)
}

/// Whether the lines of `Connection` name this header.
fn is_named(connection: &[&[u8]], name: &str) -> bool {
    let mut options = connection.iter().flat_map(|line| line.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// Selects the response headers to forward, with `more` of the definition, and adds ours: nothing in an answer may run as
/// a page of this site, and it must not be stored.
pub(crate) fn of_answer<'a>(
    forwarded: &Forwarded,
    more: &[String],
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> HeaderMap {
    let mut passing = HeaderMap::new();
    let headers: Vec<_> = headers.collect();
    let connection = headers.iter().filter(|(name, _)| *name == CONNECTION.as_str());
    let connection: Vec<_> = connection.map(|(_, value)| *value).collect();
    for (name, value) in headers {
        let is_usual = forwarded.answer.contains(&name)
            || forwarded.answer_prefixes.iter().any(|prefix| name.starts_with(prefix));
        let may_pass = is_usual || more.iter().any(|own| own == name);
        let never = NEVER.contains(&name) || name.starts_with(NEVER_PREFIX);
        if !may_pass || never || is_named(&connection, name) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            let is_said = ONCE.contains(&name.as_str()) && passing.contains_key(&name);
            if !is_said {
                passing.append(name, value);
            }
        }
    }
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (CACHE_CONTROL, "private, no-store"),
    ] {
        passing.insert(name, HeaderValue::from_static(value));
    }
    passing
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A definition cannot let pass what belongs to the provider's site.
    #[test]
    fn what_never_comes_back() {
        let answer = [
            ("set-cookie", "a=b"),
            ("www-authenticate", "Bearer"),
            ("alt-svc", "h3"),
            ("access-control-allow-origin", "*"),
            ("x-own", "1"),
            ("x-ratelimit-remaining", "2"),
        ];
        let more: Vec<String> = answer[..5].iter().map(|(name, _)| (*name).to_owned()).collect();
        let passing =
            of_answer(&PROVIDER, &more, answer.iter().map(|(name, value)| (*name, value.as_bytes())));
        assert!(passing.contains_key("x-own") && passing.contains_key("x-ratelimit-remaining"));
        assert_eq!(passing.keys().count(), 5, "{passing:?}");
    }

    #[test]
    fn what_connection_names_stays_at_its_hop() {
        let lines = [
            ("connection", "close, ATPROTO-Proxy"),
            ("connection", "x, Accept-Language ,"),
            ("atproto-proxy", "did:web:a.example#b"),
            ("accept-language", "de"),
            ("accept", "application/json"),
            ("upgrade", "websocket"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let passing = of_request(&XRPC, &[], &headers, true).unwrap();
        assert_eq!(passing, [(OutboundName::from_static("accept"), b"application/json".to_vec())]);

        let answer = [
            ("connection", "ETag, upgrade"),
            ("connection", "ratelimit-limit"),
            ("upgrade", "websocket"),
            ("etag", "\"1\""),
            ("ratelimit-limit", "1"),
            ("ratelimit-reset", "2"),
            ("content-type", "text/plain"),
            ("content-type", "text/html"),
        ];
        let passing = of_answer(&XRPC, &[], answer.iter().map(|(name, value)| (*name, value.as_bytes())));
        assert_eq!(
            passing.get_all("content-type").map(HeaderValue::as_bytes).collect::<Vec<_>>(),
            [b"text/plain"]
        );
        let mut names: Vec<_> = passing.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let ours = ["cache-control", "content-security-policy"];
        let expected = [&ours[..], &["content-type", "ratelimit-reset", "x-content-type-options"]].concat();
        assert_eq!(names, expected);
    }
}
