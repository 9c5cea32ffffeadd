//! The media type of an answer (RFC 9110 section 8.3).

use reqwest::header::{CONTENT_TYPE, HeaderMap};

/// The media type that the headers announce, without parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the headers announce `application/json` or a type built on it (`+json`).
pub fn is_json(headers: &HeaderMap) -> bool {
    let essence = media_type(headers);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}
