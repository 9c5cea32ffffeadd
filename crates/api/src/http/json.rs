//! JSON bodies whose objects have each member once, as parameters have each name once.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Reads a body. Of two members with one name, one reader takes the first and another the last (RFC 8259
/// section 4): such a body is refused, however deep they are.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<EachOnce>(body)?;
    serde_json::from_slice(body)
}

/// Any JSON without members of one name.
struct EachOnce;

impl<'de> Deserialize<'de> for EachOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for EachOnce {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if let Some(name) = names.replace(name) {
                let name: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format_args!("the member {name:?} is there more than once")));
            }
            members.next_value::<Self>()?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_member_once() {
        for twice in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":{"a":1,"c":[],"a":null}}"#,
            r#"{"b":[true,{"a":-1,"a":1.5}]}"#,
        ] {
            let refused = read::<Value>(twice.as_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with("the member \"a\" is there more than once"), "{twice}: {refused}");
        }
        for once in [r#"{"a":{"a":1},"b":[{"a":"x"},{"a":null}],"A":-1.5e300}"#, "[]", "1", "\"x\""] {
            assert_eq!(read::<Value>(once.as_bytes()).unwrap(), once.parse::<Value>().unwrap());
        }
        for broken in ["{", "{}{}", "{\"a\":}", ""] {
            assert!(read::<Value>(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
