//! Records that are read from JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A value that is read from a JSON object only. `serde` also accepts an array as a record, with its members
/// in the order of their declaration. Other readers do not, and a text that two readers read differently must
/// not be judged by one of them.
///
/// ```
/// use causeway_domain::JsonObject;
/// #[derive(serde::Deserialize)]
/// struct Post {
///     collection: String,
/// }
/// let read = |text| serde_json::from_str::<JsonObject<Post>>(text);
/// assert_eq!(read(r#"{"collection":"a.b.c"}"#)?.0.collection, "a.b.c");
/// assert!(read(r#"["a.b.c"]"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonObject<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::JsonObject;

    #[test]
    fn arrays_are_refused_with_what_is_expected() {
        let read = |text| {
            serde_json::from_str::<JsonObject<BTreeMap<String, u8>>>(text).map(|JsonObject(read)| read)
        };
        assert_eq!(read(r#"{"a":1}"#).unwrap(), BTreeMap::from([("a".to_owned(), 1)]));
        let error = read("[1]").unwrap_err().to_string();
        assert!(error.starts_with("invalid type: sequence, expected a JSON object"), "{error}");
    }
}
