//! URLs that name a server, and those below them.

use url::Url;

/// Reads an https URL (http too in development) that has an origin and nothing else.
pub(crate) fn parse_origin(text: &str, dev_mode: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let scheme = url.scheme() == "https" || (dev_mode && url.scheme() == "http");
    (scheme && url.has_host() && plain && anonymous).then_some(url)
}

/// `base` with `path` after its own path; query and fragment are dropped.
pub(crate) fn at_path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_and_nothing_else() {
        for text in ["https://pds.example", "https://pds.example/", "https://pds.example:8443"] {
            assert!(parse_origin(text, false).is_some(), "{text}");
        }
        assert!(parse_origin("http://localhost:2583", true).is_some());
        assert!(parse_origin("http://localhost:2583", false).is_none());
    }

    #[test]
    fn paths_are_put_after_the_base() {
        let url = |s: &str| Url::parse(s).unwrap();
        assert_eq!(at_path(&url("https://a.example"), "/x").as_str(), "https://a.example/x");
        assert_eq!(at_path(&url("https://a.example/b/?q"), "/x").as_str(), "https://a.example/b/x");
    }
}
