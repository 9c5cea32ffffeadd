//! Addresses that this server sends requests to.

use causeway_types::redirect_uri::is_loopback;
use url::Url;

/// Whether a text is an https URL, or an http URL of this machine.
pub(super) fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        _ => false,
    })
}
