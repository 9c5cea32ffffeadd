//! Durations.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::Fault;

/// A duration in whole seconds, from one second to ten years. A definition writes it as a number of seconds (`1500`),
/// or with a unit (`"25m"`, `"8h"`, `"60d"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(i64);

const UNITS: [(char, i64, &str); 4] =
    [('d', 86_400, "day"), ('h', 3_600, "hour"), ('m', 60, "minute"), ('s', 1, "second")];
const LONGEST: i64 = 3_650 * 86_400;

impl Seconds {
    /// The number of seconds.
    pub fn as_i64(self) -> i64 {
        self.0
    }

    fn new(seconds: i64, text: &str) -> Result<Self, Fault> {
        if (1..=LONGEST).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(Fault::new(
            format!("{text} is not between one second and ten years"),
            "leave it out if there is no limit",
        ))
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let unit = UNITS.iter().find(|(letter, ..)| text.ends_with(*letter));
        let number = unit.and_then(|_| text.get(..text.len() - 1)?.parse::<u32>().ok());
        match (unit, number) {
            (Some((_, seconds, _)), Some(number)) => Self::new(i64::from(number) * seconds, text),
            _ => Err(Fault::new(
                format!("{text:?} is not a duration"),
                "write seconds, or \"30s\", \"25m\", \"8h\", \"60d\"",
            )),
        }
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds, _)| self.0 % seconds == 0);
        let (_, seconds, name) = unit.unwrap_or(&UNITS[3]);
        let number = self.0 / seconds;
        write!(f, "{number} {name}{}", if number == 1 { "" } else { "s" })
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Seconds, E> {
        Seconds::new(seconds, &seconds.to_string()).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Seconds, E> {
        Seconds::parse(text).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor)
    }
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": LONGEST },
            { "type": "string", "pattern": "^[0-9]+[smhd]$" },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds, shown) in [
            ("90s", 90, "90 seconds"),
            ("25m", 1_500, "25 minutes"),
            ("1h", 3_600, "1 hour"),
            ("60d", 5_184_000, "60 days"),
        ] {
            let parsed = Seconds::parse(text).unwrap();
            assert_eq!((parsed.as_i64(), parsed.to_string().as_str()), (seconds, shown));
        }
        for bad in ["", "d", "0d", "-1h", "1.5h", "1w", "4000d", "h1", "1ä", "99999999999d"] {
            assert!(Seconds::parse(bad).is_err(), "{bad:?}");
        }
    }
}
