//! Moments as they stand in tokens, tables and identifiers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// A moment in whole seconds since 1970-01-01T00:00:00Z (the `NumericDate` of RFC 7519 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema), schemars(inline))]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Seconds since the Unix epoch.
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// This moment moved by `seconds`, saturating at the ends of the range.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ParseError::new("whole seconds since 1970-01-01T00:00:00Z"))
    }
}

/// A moment in whole milliseconds since 1970-01-01T00:00:00Z, for identifiers that sort by creation time.
/// Nothing is compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The moment so many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// The beginning of the second.
impl From<Timestamp> for UnixMillis {
    fn from(second: Timestamp) -> Self {
        Self(u64::try_from(second.0).unwrap_or_default().saturating_mul(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds() {
        let at = Timestamp(1_700_000_000);
        assert_eq!(
            (at.as_secs(), at.plus(60).as_secs(), at.plus(60).since(at)),
            (1_700_000_000, 1_700_000_060, 60)
        );
        assert_eq!(at.since(at.plus(60)), -60);
        assert_eq!((at.plus(i64::MAX).0, Timestamp(i64::MIN).since(at)), (i64::MAX, i64::MIN));
        assert_eq!(UnixMillis::from(at), UnixMillis::from_millis(1_700_000_000_000));
        assert_eq!(UnixMillis::from(Timestamp(-1)).as_millis(), 0);
    }

    #[test]
    fn conversions() {
        let at = Timestamp(-7);
        assert_eq!((at.to_string(), "-7".parse()), ("-7".to_owned(), Ok(at)));
        assert_eq!(serde_json::to_string(&at).unwrap(), "-7");
        assert_eq!(serde_json::from_str::<Timestamp>("-7").unwrap(), at);
        for bad in ["", "1.5", "0x1", " 1"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
