//! Addresses that this server sends requests to.

use causeway_types::redirect_uri::is_loopback;
use url::Url;

/// Whether a text is an https URL, or an http URL of this machine.
pub(super) fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match url.scheme() {
        // The parser has made sure of a host.
        "https" => true,
        "http" => is_loopback(&url),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::is_web_address;

    #[test]
    fn https_or_this_machine() {
        for good in
            ["https://a.example", "https://a.example:8443/x?y#z", "http://127.0.0.1/x", "http://[::1]:80/"]
        {
            assert!(is_web_address(good), "{good}");
        }
        for bad in [
            "",
            "/x",
            "http://a.example/",
            "http://127.0.0.1.a.example/",
            "ftp://a.example/",
            "https://",
            "a:b",
        ] {
            assert!(!is_web_address(bad), "{bad}");
        }
    }
}
