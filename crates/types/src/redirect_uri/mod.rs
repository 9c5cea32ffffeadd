//! Redirect URIs: what may be registered, and when a presented one matches.

mod host;
mod scheme;

use url::Url;

pub use self::host::{is_local, is_loopback, leads_to};
use self::scheme::PrivateScheme;

/// Why a redirect URI may not be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectUriError {
    /// Not an absolute URI (RFC 6749 section 3.1.2).
    #[error("is not an absolute URI")]
    NotAbsolute,
    /// Carries a fragment (RFC 6749 section 3.1.2).
    #[error("must not have a fragment")]
    Fragment,
    /// Carries a user name or password.
    #[error("must not carry a user name or password")]
    Credentials,
    /// `http` to something that is not this machine.
    #[error("must use https; http is for loopback addresses only (127.0.0.1, [::1], localhost)")]
    PlainHttp,
    /// A scheme that runs code, or that no app can own (RFC 8252 section 7.1).
    #[error(
        "has a scheme that is not allowed; use https, or the private scheme of an app: a reversed domain name such as com.example.app:/cb, or a word as in example://cb"
    )]
    Scheme,
    /// A private scheme that any app may claim, for a client that authenticates.
    #[error(
        "has a private scheme without a dot, which is for public clients: register token_endpoint_auth_method none, or use https"
    )]
    PublicClientsOnly,
    /// An address of this server: it would receive its own responses.
    #[error("must not be an address of this server")]
    OwnOrigin,
    /// A wildcard, or a character that a URI must percent-encode (RFC 3986 section 2).
    #[error("must be ASCII without wildcards, spaces, backslashes or control characters")]
    Wildcard,
    /// Its query has a parameter that an answer adds (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207 section 2): the
    /// client could not tell which of the two is ours.
    #[error(
        "must not have a query parameter of the authorization response: code, state, iss, error, error_description or error_uri"
    )]
    Reserved,
}

/// The parameters of an authorization response.
const RESPONSE_PARAMETERS: [&str; 6] = ["code", "state", "iss", "error", "error_description", "error_uri"];

/// A redirect URI as the client registered it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Checks a URI that a client wants to register.
    ///
    /// ```
    /// use causeway_types::RedirectUri;
    /// assert!(RedirectUri::parse("https://app.example.com/cb").is_ok());
    /// assert!(RedirectUri::parse("http://127.0.0.1/cb").is_ok());
    /// assert!(RedirectUri::parse("com.example.app:/cb").is_ok());
    /// assert!(RedirectUri::parse("example://cb").is_ok());
    /// assert!(RedirectUri::parse("http://localhost.evil.example/cb").is_err());
    /// assert!(RedirectUri::parse("javascript:alert(1)").is_err());
    /// ```
    ///
    /// # Errors
    /// The [`RedirectUriError`] that says what is wrong with it.
    pub fn parse(value: &str) -> Result<Self, RedirectUriError> {
        if value.chars().any(|c| !c.is_ascii_graphic() || matches!(c, '*' | '\\')) {
            return Err(RedirectUriError::Wildcard);
        }
        let url = Url::parse(value).map_err(|_| RedirectUriError::NotAbsolute)?;
        if url.fragment().is_some() {
            return Err(RedirectUriError::Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RedirectUriError::Credentials);
        }
        match url.scheme() {
            // Browsers read `https:host` as relative to an https page, and others `https:///host` as without a host.
            "https" | "http" if !has_authority(value, url.scheme()) => Err(RedirectUriError::NotAbsolute),
            _ if url.port() == Some(0) => Err(RedirectUriError::NotAbsolute),
            // The parser has made sure of a host.
            "https" => Ok(()),
            "http" if is_loopback(&url) => Ok(()),
            "http" => Err(RedirectUriError::PlainHttp),
            scheme => match PrivateScheme::read(scheme) {
                Some(PrivateScheme::Domain) => Ok(()),
                Some(PrivateScheme::Word) if !url.cannot_be_a_base() => Ok(()),
                _ => Err(RedirectUriError::Scheme),
            },
        }?;
        if url.query_pairs().any(|(name, _)| RESPONSE_PARAMETERS.contains(&name.as_ref())) {
            return Err(RedirectUriError::Reserved);
        }
        Ok(Self(value.to_owned()))
    }

    /// Takes a URI that was checked when it was registered.
    pub fn from_stored(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The URI as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether any app on a device may claim it, without proof of ownership: a private scheme without a dot.
    pub fn is_unowned(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| PrivateScheme::read(url.scheme()) == Some(PrivateScheme::Word))
    }

    /// Whether the `redirect_uri` of a request is this one: byte for byte, but for the port of a
    /// loopback address (RFC 8252 section 7.3).
    ///
    /// ```
    /// use causeway_types::RedirectUri;
    /// let registered = RedirectUri::parse("http://127.0.0.1/cb")?;
    /// assert!(registered.matches("http://127.0.0.1:49152/cb"));
    /// assert!(!registered.matches("http://127.0.0.1:49152/other"));
    /// assert!(!registered.matches("http://localhost:49152/cb"));
    /// # Ok::<(), causeway_types::redirect_uri::RedirectUriError>(())
    /// ```
    pub fn matches(&self, presented: &str) -> bool {
        if self.0 == presented {
            return true;
        }
        match (without_loopback_port(&self.0), without_loopback_port(presented)) {
            (Some(registered), Some(presented)) => registered == presented,
            _ => false,
        }
    }
}

text_type!(RedirectUri, RedirectUriError);

/// Whether a text is `scheme://` and then something that is not a path.
fn has_authority(text: &str, scheme: &str) -> bool {
    let rest = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
    rest.is_some_and(|rest| !rest.starts_with('/'))
}

/// The text of a loopback URI without its port: nothing else of it may differ, so nothing else of it
/// is normalized.
fn without_loopback_port(value: &str) -> Option<(&str, &str)> {
    let authority = value.strip_prefix("http://")?;
    let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|host| authority.starts_with(host))?;
    let rest = &authority[host.len()..];
    let path = match rest.strip_prefix(':') {
        Some(rest) => {
            let path = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let port = &rest[..rest.len() - path.len()];
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            path
        }
        None => rest,
    };
    let plain = path.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '\\' | '#' | '*'));
    ((path.is_empty() || path.starts_with(['/', '?'])) && plain).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::tests::assert_text_type;

    #[test]
    fn conversions() {
        let uris =
            ["https://app.example/cb", "https://app.example", "http://[::1]/cb", "com.example.app:/cb"];
        assert_text_type::<RedirectUri>(&uris, &["", "/cb", "http://app.example/cb", "https://*.example/cb"]);
    }

    /// URIs, and texts that are nearly some: put together of what parsers disagree on.
    fn nearly_a_uri() -> impl Strategy<Value = String> {
        let parts = prop::sample::select(vec![
            "https",
            "http",
            "javascript",
            "data",
            "file",
            "com.example.app",
            "HTTPS",
            ":",
            "/",
            "//",
            "///",
            "\\",
            "@",
            "user",
            "user:pw@",
            "app.example",
            "evil.example",
            "localhost",
            "127.0.0.1",
            "127.1",
            "[::1]",
            "[",
            "]",
            ".",
            "*",
            "*.",
            "#",
            "?",
            "=",
            "&",
            "%",
            "%2f",
            "%00",
            "code",
            "state",
            ":0",
            ":80",
            ":49152",
            ":99999",
            "cb",
            " ",
            "\t",
            "\n",
            "\0",
            "é",
            "\u{202e}",
        ]);
        let pieces = prop::collection::vec(parts, 0..10).prop_map(|parts| parts.concat());
        prop_oneof![pieces, "(https|http|com\\.example\\.app)://[ -~]{0,30}", any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_registered_is_somewhere(text in nearly_a_uri()) {
            let Ok(registered) = RedirectUri::parse(&text) else { return Ok(()) };
            prop_assert_eq!(registered.as_str(), &text);
            prop_assert!(text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '\\' | '#')), "{}", text);
            let url = Url::parse(&text).unwrap();
            prop_assert!(url.username().is_empty() && url.password().is_none(), "{}", text);
            match url.scheme() {
                "https" => prop_assert!(url.has_host() && text.starts_with("https://"), "{}", text),
                "http" => prop_assert!(is_loopback(&url) && text.starts_with("http://"), "{}", text),
                scheme => prop_assert!(PrivateScheme::read(scheme).is_some(), "{}", text),
            }
        }

        #[test]
        fn nothing_else_matches(text in nearly_a_uri(), presented in nearly_a_uri(), more in nearly_a_uri()) {
            let Ok(registered) = RedirectUri::parse(&text) else { return Ok(()) };
            prop_assert!(registered.matches(&text));
            for other in [presented, format!("{text}{more}"), format!("{more}{text}")] {
                if other == text || !registered.matches(&other) {
                    continue;
                }
                // A URI that matches without being equal differs only in the port of a loopback address.
                let (own, url) = (Url::parse(&text).unwrap(), Url::parse(&other).unwrap());
                prop_assert!(own.scheme() == "http" && is_loopback(&own), "{} {}", text, other);
                let rest = |url: &Url| {
                    let mut url = url.clone();
                    url.set_port(None).unwrap();
                    url.to_string()
                };
                prop_assert_eq!(rest(&own), rest(&url));
                prop_assert!(RedirectUri::parse(&other).is_ok(), "it could be registered: {}", other);
            }
        }

        #[test]
        fn any_port_of_this_device(
            [host, other] in prop::sample::subsequence(vec!["127.0.0.1", "[::1]", "localhost"], 2)
                .prop_shuffle()
                .prop_map(|hosts| [hosts[0], hosts[1]]),
            port in 1_u16..,
            path in "(/[a-z%0-9]{0,8})?(\\?[a-b]=[a-z]{0,4})?",
        ) {
            let registered = RedirectUri::parse(&format!("http://{host}{path}"));
            prop_assume!(registered.is_ok());
            let registered = registered.unwrap();
            for (presented, expected) in [
                (format!("http://{host}:{port}{path}"), true),
                (format!("http://{other}:{port}{path}"), false),
                (format!("https://{host}:{port}{path}"), false),
                (format!("http://{host}.evil.example:{port}{path}"), false),
                (format!("http://{host}@evil.example:{port}{path}"), false),
                (format!("http://{host}:{port}@evil.example{path}"), false),
                (format!("http://{host}:{port}{path}#x"), false),
            ] {
                prop_assert_eq!(registered.matches(&presented), expected, "{}", presented);
            }
        }
    }

    #[test]
    fn refused_at_registration() {
        for (uri, error) in [
            ("/cb", RedirectUriError::NotAbsolute),
            ("https://app.example/cb#x", RedirectUriError::Fragment),
            ("https://app.example/cb#", RedirectUriError::Fragment),
            ("https://user:pw@app.example/cb", RedirectUriError::Credentials),
            ("http://app.example/cb", RedirectUriError::PlainHttp),
            ("http://localhost.evil.example/cb", RedirectUriError::PlainHttp),
            ("http://127.0.0.1.evil.example/cb", RedirectUriError::PlainHttp),
            ("javascript:alert(1)", RedirectUriError::Scheme),
            ("data:text/html,x", RedirectUriError::Scheme),
            ("javascript.x:/alert(1)", RedirectUriError::Scheme),
            ("JavaScript.x://app.example/", RedirectUriError::Scheme),
            ("data.x:/cb", RedirectUriError::Scheme),
            ("vbscript:x", RedirectUriError::Scheme),
            ("blob:https://app.example/x", RedirectUriError::Scheme),
            ("blob.x:/cb", RedirectUriError::Scheme),
            ("file:///etc/passwd", RedirectUriError::Scheme),
            ("about:blank", RedirectUriError::Scheme),
            ("view-source:https://app.example/cb", RedirectUriError::Scheme),
            ("view-source.x:/cb", RedirectUriError::Scheme),
            ("mailto:a@app.example", RedirectUriError::Scheme),
            ("ftp://app.example/cb", RedirectUriError::Scheme),
            ("wss://app.example/cb", RedirectUriError::Scheme),
            ("ms-msdt:/cb", RedirectUriError::Scheme),
            ("myapp:cb", RedirectUriError::Scheme),
            ("https:app.example/cb", RedirectUriError::NotAbsolute),
            ("https:///app.example/cb", RedirectUriError::NotAbsolute),
            ("https:////app.example/cb", RedirectUriError::NotAbsolute),
            ("http:///127.0.0.1/cb", RedirectUriError::NotAbsolute),
            ("https:/app.example/cb", RedirectUriError::NotAbsolute),
            ("http://127.0.0.1:0/cb", RedirectUriError::NotAbsolute),
            ("https://app.example/\u{202e}", RedirectUriError::Wildcard),
            ("https://*.example/cb", RedirectUriError::Wildcard),
            ("https://app.example/a b", RedirectUriError::Wildcard),
            ("https://app.example/cb?code=1", RedirectUriError::Reserved),
            ("https://app.example/cb?tenant=1&st%61te=2", RedirectUriError::Reserved),
            ("com.example.app:/cb?iss", RedirectUriError::Reserved),
        ] {
            assert_eq!(RedirectUri::parse(uri), Err(error), "{uri}");
        }
        assert!(RedirectUri::parse("https://app.example/cb?tenant=code&barcode=1").is_ok());
    }

    #[test]
    fn private_schemes() {
        for (uri, unowned) in [
            ("cursor://anysphere.cursor-retrieval/oauth/callback", true),
            ("vscode://vendor.extension/cb?x=1", true),
            ("myapp:/cb", true),
            ("com.example.app:/cb", false),
            ("com.example.app:cb", false),
            ("com.example.app:///cb", false),
            ("https://app.example/cb", false),
            ("http://localhost/cb", false),
        ] {
            let parsed = RedirectUri::parse(uri).unwrap_or_else(|error| panic!("{uri} {error}"));
            assert_eq!(parsed.is_unowned(), unowned, "{uri}");
        }
    }

    #[test]
    fn matching_is_exact() {
        let registered = RedirectUri::from_stored("https://app.example/cb");
        assert!(registered.matches("https://app.example/cb"));
        for other in [
            "https://app.example/cb/",
            "https://app.example:443/cb",
            "https://APP.example/cb",
            "https://app.example/cb?x=1",
        ] {
            assert!(!registered.matches(other), "{other}");
        }
        let loopback = RedirectUri::from_stored("http://localhost:3000/cb");
        assert!(loopback.matches("http://localhost:4000/cb"));
        for other in [
            "http://localhost.evil.example:3000/cb",
            "http://user@localhost:3000/cb",
            "https://localhost:3000/cb",
            "http://localhost:3000/cb#x",
            "http://127.1:3000/cb",
            "http:\\\\localhost:3000\\cb",
            "http://localhost:3000/\ncb",
            "http://localhost:x/cb",
            "http://localhost:0/cb",
            "http://localhostx/cb",
            "http://localhost",
            "http://localhost:99999/cb",
            "http://localhost:/cb",
        ] {
            assert!(!loopback.matches(other), "{other}");
        }
        for (stored, other) in [
            ("http://localhost.evil.example/cb", "http://localhost:4000.evil.example/cb"),
            ("http://localhost/cb#x", "http://localhost:4000/cb#x"),
            ("http://localhost/\\cb", "http://localhost:4000/\\cb"),
            ("http://localhost/*", "http://localhost:4000/*"),
        ] {
            let stored = RedirectUri::from_stored(stored);
            assert!(stored.matches(stored.as_str()) && !stored.matches(other), "{other}");
        }
    }
}
