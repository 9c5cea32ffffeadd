//! Settings that are one of a few names, and rates.

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable, for a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The name in flags, environment and file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
    }
}

/// Access to client registration over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Holders of the initial access token (RFC 7591 section 3).
    Token,
    /// Nobody: clients are created on the command line.
    Off,
}

impl Registration {
    /// The name in flags, environment and file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Off => "off",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Token, Self::Off].into_iter().find(|policy| policy.as_str() == text)
    }
}

/// Our client identity at upstream authorization servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamClientMode {
    /// One client for all of ours.
    Shared,
    /// One for each of ours.
    PerClient,
}

impl UpstreamClientMode {
    /// The name in flags, environment and file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::PerClient => "per_client",
        }
    }
}

/// A maximum number of events per second, minute or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitValue {
    /// The number: at least one.
    pub count: u32,
    /// The period, in seconds.
    pub seconds: u32,
}

impl RateLimitValue {
    const UNITS: [(&str, u32); 3] = [("second", 1), ("minute", 60), ("hour", 3600)];

    /// Reads `N/UNIT`, or `off`.
    pub(crate) fn parse(text: &str) -> Option<Option<Self>> {
        if text == "off" {
            return Some(None);
        }
        let (count, unit) = text.split_once('/')?;
        let (_, seconds) = Self::UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let count = count.parse().ok().filter(|count| *count > 0)?;
        Some(Some(Self { count, seconds }))
    }

    /// The form in flags, environment and file.
    pub(crate) fn in_words(limit: Option<Self>) -> String {
        let Some(Self { count, seconds }) = limit else { return "off".to_owned() };
        let unit = Self::UNITS.into_iter().find(|(_, known)| *known == seconds);
        format!("{count}/{}", unit.map_or("second", |(name, _)| name))
    }
}
