//! AT Protocol identities: a DID, and the handle that a user types.

use url::Url;

/// Why an identifier was refused.
///
/// Exhaustive: see [the crate](crate#enums).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a `did:plc` or `did:web` of the form that atproto allows.
    #[error("not a DID that atproto supports (did:plc:… or did:web:…)")]
    Did,
    /// Not a domain name of the form that atproto allows for handles.
    #[error("not a handle: a handle is a domain name such as alice.example.com")]
    Handle,
    /// Nothing was typed.
    #[error("enter a handle such as alice.example.com")]
    Empty,
    /// A web address that is not the root of an http(s) server.
    #[error("not a server address: enter it as https://pds.example.com")]
    Server,
}

/// A decentralized identifier, `did:plc` or `did:web` (atproto specification "DID").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did(String);

impl Did {
    /// Parses a DID.
    ///
    /// ```
    /// use causeway_types::Did;
    /// assert!(Did::parse("did:plc:z72i7hdynmk6r22z27h6tvur").is_ok());
    /// assert!(Did::parse("did:web:example.com").is_ok());
    /// assert!(Did::parse("did:web:example.com:path").is_err());
    /// assert!(Did::parse("did:key:zQ3sh").is_err());
    /// ```
    ///
    /// # Errors
    /// [`IdentityError::Did`] when the method is neither `plc` nor `web`, or its identifier malformed.
    pub fn parse(value: &str) -> Result<Self, IdentityError> {
        let valid = if let Some(id) = value.strip_prefix("did:plc:") {
            id.len() == 24 && id.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
        } else if let Some(id) = value.strip_prefix("did:web:") {
            is_did_web_host(id)
        } else {
            false
        };
        if valid { Ok(Self(value.to_owned())) } else { Err(IdentityError::Did) }
    }

    /// The DID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it fits into a `sub`, which has 255 ASCII characters at most (OpenID Connect Core section 2).
    pub fn fits_sub(&self) -> bool {
        self.0.len() <= 255
    }

    /// The host, with an optional port, of a `did:web`; `None` for a `did:plc`.
    pub fn web_host(&self) -> Option<String> {
        self.0.strip_prefix("did:web:").map(|id| id.replace("%3A", ":").replace("%3a", ":"))
    }
}

/// A hostname, and a percent-encoded port: no path (atproto allows only the host level).
fn is_did_web_host(id: &str) -> bool {
    let lower = id.to_ascii_lowercase();
    let (host, port) = match lower.split_once("%3a") {
        Some((host, port)) => (host, Some(port)),
        None => (lower.as_str(), None),
    };
    (host == "localhost" || is_domain(host))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

text_type!(Did, IdentityError);

/// A handle: a domain name, lower case (atproto specification "Handle").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

impl Handle {
    /// Parses a handle and lowers its case.
    ///
    /// ```
    /// use causeway_types::Handle;
    /// assert_eq!(Handle::parse("Alice.Example.com")?.as_str(), "alice.example.com");
    /// assert!(Handle::parse("alice").is_err());
    /// assert!(Handle::parse("alice.123").is_err());
    /// # Ok::<(), causeway_types::identity::IdentityError>(())
    /// ```
    ///
    /// # Errors
    /// [`IdentityError::Handle`] when it is not a domain name of at least two labels.
    pub fn parse(value: &str) -> Result<Self, IdentityError> {
        let lower = value.to_ascii_lowercase();
        let reserved = [".invalid", ".local", ".localhost", ".arpa", ".onion", ".internal", ".alt"];
        if is_domain(&lower) && !reserved.iter().any(|tld| lower.ends_with(tld)) {
            Ok(Self(lower))
        } else {
            Err(IdentityError::Handle)
        }
    }

    /// The handle as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(Handle, IdentityError);

/// At least two labels of letters, digits and inner hyphens; the last one begins with a letter.
fn is_domain(value: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    value.len() <= 253
        && value.split('.').count() >= 2
        && value.split('.').all(label)
        && value.rsplit('.').next().is_some_and(|tld| tld.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// The account or server that a user typed to sign in.
///
/// Exhaustive: see [the crate](crate#enums).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInInput {
    /// A handle: must resolve, and its DID must point back.
    Handle(Handle),
    /// A DID.
    Did(Did),
    /// The origin of a PDS or of an entryway; the account that signs in there is checked afterwards.
    Server(Url),
}

impl SignInInput {
    /// Reads what was typed or pasted: with or without `@` or `at://`, with stray spaces and
    /// invisible direction marks, which apps add when a handle is copied.
    ///
    /// ```
    /// use causeway_types::SignInInput;
    /// let typed = SignInInput::parse(" \u{2068}@Alice.Example.com\u{2069} ")?;
    /// assert_eq!(typed, SignInInput::parse("alice.example.com")?);
    /// # Ok::<(), causeway_types::identity::IdentityError>(())
    /// ```
    ///
    /// # Errors
    /// The [`IdentityError`] of the form that the input comes nearest to.
    pub fn parse(input: &str) -> Result<Self, IdentityError> {
        let cleaned: String = input.chars().filter(|c| !is_invisible(*c)).collect();
        let text = cleaned.trim();
        let text = in_at_uri(text).unwrap_or(text).trim_end_matches('/');
        let text = text.strip_prefix('@').unwrap_or(text);
        if text.is_empty() {
            Err(IdentityError::Empty)
        } else if text.starts_with("did:") {
            Did::parse(text).map(Self::Did)
        } else if text.contains("://") {
            parse_server(text).map(Self::Server)
        } else {
            Handle::parse(text).map(Self::Handle)
        }
    }

    /// The input in its canonical form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Handle(handle) => handle.as_str(),
            Self::Did(did) => did.as_str(),
            Self::Server(url) => url.as_str(),
        }
    }
}

from_text!(SignInInput, IdentityError);
as_text!(SignInInput);

/// The part after `at://` (RFC 3986 section 3.1: schemes in any case); `None` when the text is not such a URI.
pub fn in_at_uri(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    scheme.eq_ignore_ascii_case("at").then_some(rest)
}

/// Controls, zero-width characters and direction marks.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn parse_server(text: &str) -> Result<Url, IdentityError> {
    let url = Url::parse(text).map_err(|_| IdentityError::Server)?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "https" | "http") && url.has_host() && plain && anonymous {
        Ok(url)
    } else {
        Err(IdentityError::Server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::{assert_text, assert_text_type};

    #[test]
    fn conversions() {
        let dids = ["did:plc:z72i7hdynmk6r22z27h6tvur", "did:web:example.com", "did:web:localhost%3A2583"];
        assert_text_type::<Did>(&dids, &["", "did:plc:short", "did:key:z6Mk", "did:web:a.example:b"]);
        assert_text_type::<Handle>(&["alice.example.com", "a.b"], &["", "alice", "alice.local", "@a.b"]);
        assert_text::<SignInInput>(&["alice.test", dids[0], "https://pds.example.com/"], &["", "alice"]);
        assert_eq!("AT://Alice.Test".parse::<SignInInput>().unwrap().as_ref(), "alice.test");
    }

    #[test]
    fn forms_of_dids() {
        for bad in [
            "did:plc:z72i7hdynmk6r22z27h6tvu1",
            "did:plc:z72i7hdynmk6r22z27h6tvurr",
            "did:plc:Z72i7hdynmk6r22z27h6tvur",
            "did:web:example",
            "did:web:example.com%3A0",
            "did:web:example.com%3A65536",
            "did:web:example.com%3A",
            "did:web:-a.example",
            "did:web:a-.example",
            "did:web:a..example",
            "did:web:a.1example",
        ] {
            assert_eq!(Did::parse(bad), Err(IdentityError::Did), "{bad}");
        }
        let did = |text: &str| Did::parse(text).unwrap();
        assert_eq!(did("did:web:localhost%3A2583").web_host().as_deref(), Some("localhost:2583"));
        assert_eq!(did("did:web:a.example%3a80").web_host().as_deref(), Some("a.example:80"));
        assert_eq!(did("did:plc:z72i7hdynmk6r22z27h6tvur").web_host(), None);
        let host = |length: usize| format!("{}.example", vec!["a".repeat(59); length].join("."));
        let (long, longer) = (did(&format!("did:web:{}", host(4))), format!("did:web:{}%3A80", host(4)));
        assert_eq!((long.as_str().len(), long.fits_sub()), (255, true));
        assert!(!did(&longer).fits_sub());
        assert_eq!(Did::parse(&format!("did:web:{}", host(5))), Err(IdentityError::Did));
        assert_eq!(Handle::parse(&format!("{}.example", "a".repeat(64))), Err(IdentityError::Handle));
    }

    #[test]
    fn input_forms() {
        let handle = |s: &str| SignInInput::Handle(Handle(s.to_owned()));
        for (typed, meant) in [
            ("alice.test", handle("alice.test")),
            ("@alice.test", handle("alice.test")),
            ("  ALICE.test\t", handle("alice.test")),
            ("\u{202a}alice.test\u{202c}", handle("alice.test")),
            ("at://alice.test/", handle("alice.test")),
            ("At://ALICE.test", handle("alice.test")),
        ] {
            assert_eq!(SignInInput::parse(typed), Ok(meant), "{typed:?}");
        }
        assert!(matches!(SignInInput::parse("did:web:localhost%3A2583"), Ok(SignInInput::Did(_))));
        assert!(matches!(SignInInput::parse("https://pds.example.com/"), Ok(SignInInput::Server(_))));
        for (typed, error) in [
            ("", IdentityError::Empty),
            (" @ ", IdentityError::Empty),
            ("alice", IdentityError::Handle),
            ("alice@example.com", IdentityError::Handle),
            ("did:plc:short", IdentityError::Did),
            ("did:key:z6Mk", IdentityError::Did),
            ("https://user@pds.example.com", IdentityError::Server),
            ("https://pds.example.com/path", IdentityError::Server),
            ("file:///etc/passwd", IdentityError::Server),
        ] {
            assert_eq!(SignInInput::parse(typed), Err(error), "{typed:?}");
        }
    }
}
