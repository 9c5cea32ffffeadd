//! Which headers pass between a client and a person's own server. Whatever is not named here does not:
//! connections, cookies, credentials and where a request comes from are each side's own.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};

/// To the server.
const REQUEST: [&str; 11] = [
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
];
/// Those whose meaning would depend on the reader if they came twice.
const ONCE: [&str; 3] = ["atproto-proxy", "content-encoding", "content-type"];
/// Those that say something about a body.
const OF_BODY: [&str; 2] = ["content-encoding", "content-type"];

/// To the client.
const ANSWER: [&str; 10] = [
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
];
/// Further ones to the client begin with this.
const ANSWER_PREFIX: &str = "ratelimit-";

/// A header came twice that may come once: its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {0} was sent more than once")]
pub(crate) struct Repeated(&'static str);

/// The headers of a request that go along. Lines of a list are joined to one.
pub(crate) fn of_request(
    headers: &HeaderMap,
    has_body: bool,
) -> Result<Vec<(&'static str, Vec<u8>)>, Repeated> {
    let mut passing = Vec::new();
    for name in REQUEST {
        if !has_body && OF_BODY.contains(&name) {
            continue;
        }
        let mut lines = headers.get_all(name).map(HeaderValue::as_bytes);
        let Some(first) = lines.next() else { continue };
        let mut value = first.to_vec();
        for line in lines {
            if ONCE.contains(&name) {
                return Err(Repeated(name));
            }
            value.extend_from_slice(b", ");
            value.extend_from_slice(line);
        }
        passing.push((name, value));
    }
    Ok(passing)
}

/// The headers of an answer that go along, with ours: nothing in it may run as a page of this site, and
/// nobody may keep it.
pub(crate) fn of_answer<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> HeaderMap {
    let mut passing = HeaderMap::new();
    for (name, value) in headers {
        if !ANSWER.contains(&name) && !name.starts_with(ANSWER_PREFIX) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            passing.append(name, value);
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
