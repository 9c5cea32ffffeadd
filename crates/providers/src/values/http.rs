//! Parts of HTTP messages.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::{Text, text};
use crate::error::Fault;

/// The name of a header that a definition may set or let pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderName(String);

/// Headers of the connection and of Causeway itself, in lower case.
const OURS: [&str; 14] = [
    "connection",
    "content-length",
    "cookie",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

impl HeaderName {
    /// The name as the definition writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

impl Text for HeaderName {
    const NOUN: &'static str = "the name of a header";

    fn parse(text: &str) -> Result<Self, Fault> {
        // RFC 9110 section 5.6.2.
        let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if text.is_empty() || !text.chars().all(legal) {
            let problem = format!("{text:?} is not the name of a header");
            return Err(Fault::new(problem, "write a name such as X-Api-Version"));
        }
        if OURS.contains(&text.to_ascii_lowercase().as_str()) {
            let problem = format!("{text} belongs to the connection, or is set by Causeway alone");
            return Err(Fault::new(problem, "remove it"));
        }
        Ok(Self(text.to_owned()))
    }
}

text!(HeaderName, { "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" });

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The method of a request that Causeway makes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Method {
    /// GET.
    #[serde(rename = "GET")]
    Get,
    /// POST.
    #[serde(rename = "POST")]
    Post,
    /// DELETE.
    #[serde(rename = "DELETE")]
    Delete,
}

/// The status of a complete answer, from 200 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status(u16);

impl Status {
    /// 200.
    pub const OK: Self = Self(200);

    /// The number.
    pub fn as_u16(self) -> u16 {
        self.0
    }
}

struct StatusVisitor;

impl Visitor<'_> for StatusVisitor {
    type Value = Status;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status from 200 to 599")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Status, E> {
        let status = u16::try_from(number).ok().filter(|status| (200..=599).contains(status));
        status.map(Status).ok_or_else(|| {
            E::custom(Fault::new(
                format!("{number} is not the status of an answer"),
                "write a number from 200 to 599",
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(StatusVisitor)
    }
}

impl JsonSchema for Status {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 200, "maximum": 599 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_are_not_set() {
        assert!(HeaderName::parse("Notion-Version").is_ok() && HeaderName::parse("Authorization").is_ok());
        for bad in ["Host", "host", "Cookie", "Transfer-Encoding", "Set-Cookie", "", "a b", "a:b", "a\r\nb"] {
            assert!(HeaderName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
