//! JSON bodies without duplicate members, as forms have no duplicate parameters.

use std::collections::HashSet;
use std::fmt;

use causeway_outbound::budget::{Exhausted, Held, Share};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Why a body is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// Memory charged for a value, in bytes: lists are copied as they grow, and one tree is made into another.
const VALUE: usize = 256;
/// Memory charged for an object's member, in bytes, besides its value and the text of its name.
const MEMBER: usize = 512;
/// Bytes that are charged to the budget at once.
const BATCH: usize = 64 * 1024;

/// Reads a body. Of two members with one name, one reader takes the first and another the last (RFC 8259
/// section 4): such a body is refused, however deep they are. The memory of the parsed value is charged
/// before it is built: two bytes of text can become a hundred in memory.
///
/// # Errors
/// When the body is malformed (the error says where), or when the memory budget is exhausted.
pub(crate) fn read<T: DeserializeOwned>(body: &mut Held) -> Result<T, JsonError> {
    let (text, share) = body.parts();
    let mut counter = Counter { share, pending: 0, exhausted: None };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let checked = EachOnce(&mut counter).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    counter.settle();
    if let Some(exhausted) = counter.exhausted {
        return Err(exhausted.into());
    }
    checked?;
    Ok(serde_json::from_slice(text)?)
}

/// Charges the memory that a parsed text will take.
struct Counter<'a> {
    share: &'a mut Share,
    pending: usize,
    exhausted: Option<Exhausted>,
}

impl Counter<'_> {
    fn count<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.pending += bytes;
        if self.pending >= BATCH {
            self.settle();
        }
        if self.exhausted.is_some() { Err(E::custom("there is no room for it")) } else { Ok(()) }
    }

    fn settle(&mut self) {
        self.exhausted = self.exhausted.or(self.share.grow(std::mem::take(&mut self.pending)).err());
    }
}

/// Any JSON without duplicate members.
struct EachOnce<'a, 'b>(&'a mut Counter<'b>);

impl<'de> DeserializeSeed<'de> for EachOnce<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.count(VALUE)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EachOnce<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(EachOnce(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            self.0.count(MEMBER)?;
            if let Some(name) = names.replace(name) {
                let name: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format_args!("the member {name:?} is there more than once")));
            }
            members.next_value_seed(EachOnce(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use causeway_outbound::budget::Budget;
    use serde_json::Value;

    use super::*;

    fn held(text: &[u8], budget: &Budget) -> Held {
        let mut held = Held::new(budget, 1).unwrap();
        held.extend(text).unwrap();
        held
    }

    fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
        super::read(&mut held(text, &Budget::new(1024 * 1024)))
    }

    /// The parsed tree is charged, and is not built when it exceeds the budget.
    #[test]
    fn what_it_becomes_is_counted() {
        let budget = Budget::new(1024 * 1024);
        let mut small = held(b"{\"a\":[1,2,3]}", &budget);
        let before = budget.used();
        super::read::<Value>(&mut small).unwrap();
        assert_eq!(budget.used() - before, 5 * VALUE + MEMBER);
        for dense in ["[0,0,0,0]", "[{\"\":0},[],[],{}]"] {
            let text = format!("[{}0]", format!("{dense},").repeat(2000));
            let mut body = held(text.as_bytes(), &budget);
            let refused = super::read::<Value>(&mut body).unwrap_err();
            assert!(matches!(refused, JsonError::Exhausted(Exhausted::Whole)), "{refused}");
        }
        let long = format!("{:?}", "x".repeat(500_000));
        assert!(super::read::<Value>(&mut held(long.as_bytes(), &budget)).is_ok());
    }

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
