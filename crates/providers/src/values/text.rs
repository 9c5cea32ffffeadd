//! Values that are written as text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};

use crate::error::Fault;

/// A value that is written as text and checked when it is read.
pub(crate) trait Text: Sized {
    /// The value with its article, for errors.
    const NOUN: &'static str;

    fn parse(text: &str) -> Result<Self, Fault>;
}

/// Reads a [`Text`] inside the deserializer, so that an error is that of this value and not of what it is in.
pub(crate) struct TextVisitor<T>(pub(crate) PhantomData<T>);

impl<T: Text> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NOUN)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(E::custom)
    }
}

/// Lets serde read a [`Text`], shows it as it is written, and puts it into the JSON Schema.
macro_rules! text {
    ($type:ty, { $($schema:tt)* }) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::values::text::TextVisitor(std::marker::PhantomData))
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", $($schema)* })
            }
        }
    };
}

pub(crate) use text;
