//! The issuer: an origin.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use url::{Host, Url};

use crate::error::{ConfigError, Fault};
use crate::settings::table;

/// The address clients know the server by, which is also its issuer identifier (RFC 8414 section 2).
///
/// Issuers are compared byte by byte, so this is an origin in its one normal form: `scheme://host[:port]`
/// without path, query, fragment, user name, trailing slash or default port; https unless the host is
/// loopback. `Display` gives exactly that text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExternalUrl {
    origin: String,
    https: bool,
    loopback: bool,
}

impl ExternalUrl {
    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.origin
    }

    /// Whether the scheme is https: then cookies are `Secure` and we are a confidential client upstream.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether the host is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The origin of a server bound to a loopback address.
    pub(crate) fn of_loopback(bound: SocketAddr) -> Result<Self, Fault> {
        // Through `Url`, so that port 80 is left out as the normal form asks.
        let text = format!("http://{bound}");
        let origin = Url::parse(&text).map(|url| url.origin().ascii_serialization()).unwrap_or(text);
        Self::parse(&origin)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let example = "use an origin such as https://auth.example.com";
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return Err(Fault::new(format!("{text:?} is not a URL ({error})"), example)),
        };
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Fault::new(
                format!("{:?} is neither https nor http", format!("{}:", url.scheme())),
                example,
            ));
        }
        let loopback = url.host().is_some_and(host_is_loopback);
        let https = url.scheme() == "https";
        if !https && !loopback {
            let host = url.host().map(|host| Host::to_string(&host)).unwrap_or_default();
            return Err(Fault::new(
                format!("{} is http but not loopback", quoted(text, &url)),
                format!("use https://{host}"),
            ));
        }
        let origin = url.origin().ascii_serialization();
        if text != origin {
            let problem = format!("{} {}", quoted(text, &url), excess(text, &url));
            return Err(Fault::new(problem, format!("use {origin}")));
        }
        Ok(Self { origin, https, loopback })
    }
}

/// The value for an error line, without the password someone may have put into it.
fn quoted(text: &str, url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        format!("{text:?}")
    } else {
        "the URL".to_owned()
    }
}

/// The part of a URL that goes beyond its origin.
fn excess(text: &str, url: &Url) -> &'static str {
    if !url.username().is_empty() || url.password().is_some() {
        "has a user name or password"
    } else if url.query().is_some() {
        "has a query"
    } else if url.fragment().is_some() {
        "has a fragment"
    } else if url.path() != "/" {
        "has a path, but the issuer must be an origin"
    } else if text.ends_with('/') {
        "has a trailing slash, but issuers are compared exactly"
    } else {
        "is not in normal form, but issuers are compared exactly"
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl FromStr for ExternalUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text).map_err(|fault| table::EXTERNAL_URL.refuse(fault))
    }
}

/// Whether a host of a URL can only be this machine.
fn host_is_loopback<S: AsRef<str>>(host: Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}
