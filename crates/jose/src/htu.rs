//! When two URLs are the same for DPoP (RFC 9449 section 4.3): after syntax-based and scheme-based
//! normalization (RFC 3986 sections 6.2.2 and 6.2.3), query and fragment ignored.

use std::fmt::Write as _;

use url::Url;

/// Whether `htu` of a proof is the URL that the request was sent to.
pub(crate) fn is_same(htu: &str, url: &str) -> bool {
    bare(htu) == bare(url) || normalized(htu).is_some_and(|htu| Some(htu) == normalized(url))
}

/// Without query and fragment.
fn bare(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The normalized URL; `None` unless it is an http or https URL without credentials.
fn normalized(url: &str) -> Option<String> {
    let written = bare(url);
    // A browser's URL parser repairs these; in a signed claim they are mistakes.
    if written.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return None;
    }
    let (scheme, _) = written.split_once("://")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let url = Url::parse(written).ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    Some(format!("{}{}", url.origin().ascii_serialization(), unescape_unreserved(url.path())))
}

/// `%7e` and `~` are the same, `%2f` and `%2F` are, and nothing else changes (RFC 3986 section 6.2.2.2).
fn unescape_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(octet) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            out.push('%');
            rest = after;
            continue;
        };
        let plain = char::from(octet);
        if plain.is_ascii_alphanumeric() || "-._~".contains(plain) {
            out.push(plain);
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{octet:02X}");
        }
        rest = after.get(2..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_url() {
        let url = "https://server.example.com/oauth/token~x";
        for same in [
            url,
            "https://server.example.com/oauth/token~x?a=b#c",
            "HTTPS://Server.Example.com:443/oauth/token~x",
            "https://server.example.com/oauth/%74oken%7ex",
            "https://server.example.com/./oauth/../oauth/token~x",
        ] {
            assert!(is_same(same, url), "{same}");
        }
        for other in [
            "",
            "/oauth/token~x",
            "https://server.example.com/oauth/token~x/",
            "https://server.example.com/oauth/Token~x",
            "https://server.example.com/oauth%2Ftoken~x",
            "http://server.example.com/oauth/token~x",
            "https://server.example.com:8443/oauth/token~x",
            "https://evil.example/oauth/token~x",
            "https://server.example.com@evil.example/oauth/token~x",
            "https://user@server.example.com/oauth/token~x",
            "https://server.example.com/oauth/\ttoken~x",
            "https:\\\\server.example.com/oauth/token~x",
            "https:server.example.com/oauth/token~x",
            "https://server.example.com\\oauth/token~x",
            "https://server.example.com/oauth/token~x\u{1}",
        ] {
            assert!(!is_same(other, url), "{other}");
        }
        assert!(is_same("https://a.example", "https://a.example/"));
        assert!(is_same("https://a.example/a%2fb%", "https://a.example:443/a%2Fb%"));
        assert!(!is_same("https://a.example/a%2fb", "https://a.example/a/b"));
        assert!(!is_same("https://a.example/%+5", "https://a.example/%05"));
        assert!(!is_same("", "https://a.example/"));
    }
}
