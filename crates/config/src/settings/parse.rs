//! Checks of single values.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use url::{Host, Url};

use crate::error::Fault;
use crate::values::choices::{LogFormat, RateLimitValue, Registration, UpstreamClientMode};
use crate::values::external_url::ExternalUrl;

pub(crate) fn switch(text: &str) -> Result<bool, Fault> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Fault::new(format!("{text:?} is neither true nor false"), "use true or false")),
    }
}

pub(crate) fn listen(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new(format!("{text:?} is not an IP address with a port"), "use for example 127.0.0.1:8080")
    })
}

pub(crate) fn network(text: &str) -> Result<IpNet, Fault> {
    let parsed = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>(),
    };
    parsed.map(|network| network.trunc()).map_err(|_| {
        Fault::new(format!("{text:?} is not a network"), "use CIDR such as 10.0.0.0/8 or fd00::/8")
    })
}

/// Scopes with single spaces between them. RFC 6749 section 3.3 says which characters a scope may have; the
/// AT Protocol profile asks for `atproto` in every request.
pub(crate) fn scopes(text: &str) -> Result<String, Fault> {
    let scopes: Vec<&str> = text.split_ascii_whitespace().collect();
    let legal = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if let Some(bad) = scopes.iter().find(|scope| !scope.bytes().all(legal)) {
        return Err(Fault::new(format!("{bad:?} is not a scope"), "separate scopes by spaces"));
    }
    if !scopes.contains(&"atproto") {
        return Err(Fault::new(format!("{text:?} lacks the scope atproto"), "put atproto first"));
    }
    Ok(scopes.join(" "))
}

/// RFC 8707 section 2.
pub(crate) fn resource(text: &str) -> Result<String, Fault> {
    if Url::parse(text).is_err() || text.contains('#') || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let problem = format!("{text:?} is not an absolute URI without a fragment");
        return Err(Fault::new(problem, "use a URI such as https://api.example.com/mcp"));
    }
    Ok(text.to_owned())
}

/// The issuer of an account's authorization server: an origin (atproto OAuth specification, "Authorization Servers"),
/// compared byte by byte.
pub(crate) fn upstream_issuer(text: &str) -> Result<String, Fault> {
    ExternalUrl::parse(text).map(|issuer| issuer.to_string())
}

/// The origin of a website, as browsers send it (Fetch standard, "`Origin` header").
pub(crate) fn origin(text: &str) -> Result<String, Fault> {
    let is_origin = |url: &Url| url.origin().is_tuple() && url.origin().ascii_serialization() == text;
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && is_origin(&url) => Ok(text.to_owned()),
        _ => Err(Fault::new(
            format!("{text:?} is not an origin as browsers send it"),
            "use for example https://inspector.example.com",
        )),
    }
}

/// `URI NAME TEXT`. The caller that knows the scopes checks whether the name can be that of a scope.
pub(crate) fn resource_scope(text: &str) -> Result<String, Fault> {
    let mut parts = text.splitn(3, ' ');
    let uri = parts.next().unwrap_or_default();
    resource(uri)?;
    if parts.next().is_none_or(str::is_empty) || parts.next().is_none_or(|text| text.trim().is_empty()) {
        let problem = format!("{text:?} lacks the name of a scope or its description");
        return Err(Fault::new(
            problem,
            "use for example \"https://api.example.com/mcp notes:read Read your notes\"",
        ));
    }
    Ok(text.to_owned())
}

pub(crate) fn database_url(text: &str) -> Result<String, Fault> {
    let known = ["sqlite://", "postgres://", "postgresql://"];
    if known.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
        return Ok(text.to_owned());
    }
    // Only the part before the colon is repeated: what follows may hold a password.
    let problem = match text.split_once(':') {
        Some((scheme, _)) => format!("\"{}:...\" is not a supported database", scheme.escape_debug()),
        None => "the value is not a URL".to_owned(),
    };
    Err(Fault::new(problem, "use sqlite://causeway.db or postgres://user@host/name"))
}

/// The base URL of an upstream service: https, or http in dev mode.
pub(crate) fn upstream(text: &str, dev_mode: bool) -> Result<Url, Fault> {
    let example = "use a URL such as https://plc.directory";
    let url =
        Url::parse(text).map_err(|error| Fault::new(format!("{text:?} is not a URL ({error})"), example))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("the URL has a user name or password", example));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new(format!("{text:?} has a query or a fragment"), example));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if dev_mode => Ok(url),
        "http" => Err(Fault::new(format!("{text:?} is http"), "use https, or --dev-mode on a local network")),
        _ => Err(Fault::new(format!("{text:?} is neither https nor http"), example)),
    }
}

/// `NAME=ADDR`, the name in lower case and without the dot of the root.
pub(crate) fn resolve(text: &str) -> Result<(String, IpAddr), Fault> {
    let fault =
        || Fault::new(format!("{text:?} is not NAME=ADDR"), "use for example pds.example.com=127.0.0.1");
    let (name, address) = text.split_once('=').ok_or_else(fault)?;
    let address = address.trim().parse().map_err(|_| fault())?;
    match Host::parse(name.trim()) {
        Ok(Host::Domain(name)) => Ok((name.trim_end_matches('.').to_owned(), address)),
        _ => Err(fault()),
    }
}

pub(crate) fn registration(text: &str) -> Result<Registration, Fault> {
    Registration::parse(text)
        .ok_or_else(|| Fault::new(format!("{text:?} is not a registration policy"), "use open, token or off"))
}

pub(crate) fn limit(text: &str) -> Result<Option<RateLimitValue>, Fault> {
    RateLimitValue::parse(text).ok_or_else(|| {
        Fault::new(
            format!("{text:?} is not a rate"),
            "use for example 100/minute (second, minute, hour), or off",
        )
    })
}

pub(crate) fn days(text: &str) -> Result<u32, Fault> {
    text.parse().ok().filter(|days| *days <= 36_500).ok_or_else(|| {
        Fault::new(
            format!("{text:?} is not a number of days"),
            "use a whole number such as 90, or 0 for no limit",
        )
    })
}

pub(crate) fn keep_alive(text: &str) -> Result<u32, Fault> {
    seconds(text, 1..=3600, "use a whole number from 1 to 3600, such as 75")
}

pub(crate) fn drain(text: &str) -> Result<u32, Fault> {
    seconds(text, 0..=3600, "use a whole number from 1 to 3600, or 0 to stop at once")
}

fn seconds(text: &str, range: RangeInclusive<u32>, fix: &'static str) -> Result<u32, Fault> {
    let seconds = text.parse().ok().filter(|seconds| range.contains(seconds));
    seconds.ok_or_else(|| Fault::new(format!("{text:?} is not a valid number of seconds"), fix))
}

/// The levels of log lines, from the fewest to the most.
pub(crate) const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

pub(crate) fn log_level(text: &str) -> Result<String, Fault> {
    let level = text.to_ascii_lowercase();
    if LOG_LEVELS.contains(&&*level) {
        return Ok(level);
    }
    Err(Fault::new(format!("{text:?} is not a log level"), "use error, warn, info, debug or trace"))
}

/// Enough for what one request may hold, and within what a counter counts.
pub(crate) fn mebibytes(text: &str) -> Result<u32, Fault> {
    text.parse().ok().filter(|mebibytes| (64..=1024 * 1024).contains(mebibytes)).ok_or_else(|| {
        Fault::new(
            format!("{text:?} is not a number of MiB"),
            "use a whole number of at least 64, such as 128",
        )
    })
}

/// A number of days until deletion.
pub(crate) fn age(text: &str) -> Result<u32, Fault> {
    text.parse().ok().filter(|days| *days <= 36_500).ok_or_else(|| {
        Fault::new(format!("{text:?} is not a number of days"), "use a whole number such as 30")
    })
}

/// The number of items to retain: at least one.
pub(crate) fn count(text: &str) -> Result<u32, Fault> {
    text.parse().ok().filter(|count| (1..=1_000_000).contains(count)).ok_or_else(|| {
        Fault::new(format!("{text:?} is not a number from 1 to 1000000"), "use a whole number such as 100")
    })
}

pub(crate) fn log_format(text: &str) -> Result<LogFormat, Fault> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(Fault::new(format!("{text:?} is not a log format"), "use pretty or json")),
    }
}

pub(crate) fn upstream_client(text: &str) -> Result<UpstreamClientMode, Fault> {
    match text {
        "shared" => Ok(UpstreamClientMode::Shared),
        "per_client" | "per-client" => Ok(UpstreamClientMode::PerClient),
        _ => {
            Err(Fault::new(format!("{text:?} is neither shared nor per_client"), "use shared or per_client"))
        }
    }
}

/// A file that can be read now: a wrong path is better reported at startup than at the first use.
pub(crate) fn readable(text: &str) -> Result<PathBuf, Fault> {
    read(Path::new(text)).map(|_| PathBuf::from(text))
}

/// A directory that can be listed now.
pub(crate) fn directory(text: &str) -> Result<PathBuf, Fault> {
    std::fs::read_dir(text).map(|_| PathBuf::from(text)).map_err(|error| {
        Fault::new(format!("cannot list {text}: {error}"), "use the path of a readable directory")
    })
}

/// A readable file with at least one PEM certificate.
pub(crate) fn certificates(text: &str) -> Result<PathBuf, Fault> {
    let content = read(Path::new(text))?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    if content.windows(begin.len()).any(|window| window == begin) {
        return Ok(PathBuf::from(text));
    }
    Err(Fault::new(format!("{text} holds no PEM certificate"), "use a file with BEGIN CERTIFICATE lines"))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|error| {
        Fault::new(format!("cannot read {}: {error}", path.display()), "check the path and its permissions")
    })
}
