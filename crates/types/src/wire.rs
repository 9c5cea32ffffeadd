//! Conversions between types and their texts on the wire, written once.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};

/// A text does not have the form of the type that it was read as.
///
/// ```
/// use causeway_types::SigningAlg;
/// let error = "none".parse::<SigningAlg>().unwrap_err();
/// assert_eq!(error.to_string(), "expected one of RS256, ES256");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct ParseError {
    expected: &'static str,
}

impl ParseError {
    /// The error where `expected` is the only thing that would do.
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self { expected }
    }
}

/// Reads a value by its `FromStr`.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr,
    T::Err: fmt::Display,
    D: Deserializer<'de>,
{
    struct TextVisitor<T>(PhantomData<T>);

    impl<T: FromStr> Visitor<'_> for TextVisitor<T>
    where
        T::Err: fmt::Display,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(TextVisitor(PhantomData))
}

/// Reading a text by `parse`: `FromStr`, `TryFrom` and `Deserialize`. Where `parse` returns an `Option`, the text behind
/// the colon says what is expected.
macro_rules! from_text {
    ($name:ty, $error:ty) => {
        from_text!(@impl $name, $error, text, Self::parse(text));
    };
    ($name:ty: $expected:expr) => {
        from_text!(@impl $name, crate::ParseError, text, {
            Self::parse(text).ok_or(crate::ParseError::new($expected))
        });
    };
    (@impl $name:ty, $error:ty, $text:ident, $parse:expr) => {
        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str($text: &str) -> Result<Self, Self::Err> {
                $parse
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::wire::deserialize(deserializer)
            }
        }
    };
}

/// Writing the text that `as_str` gives: `AsRef`, `Display` and `Serialize`.
macro_rules! as_text {
    ($name:ty) => {
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

/// The JSON Schema of a text, for programs that describe what they send.
macro_rules! text_schema {
    ($name:ty $(, $member:literal: $value:expr)*) => {
        #[cfg(feature = "schemars")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" $(, $member: $value)* })
            }
        }
    };
}

/// The conversions of a type around its text: those above, and taking the text out.
macro_rules! text_type {
    ($name:ident $($how:tt)+) => {
        from_text!($name $($how)+);
        as_text!($name);
        text_schema!($name);

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

/// An enum of the names that the wire has for something.
macro_rules! wire_names {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $wire:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_attribute])* $variant),+
        }

        impl $name {
            /// Every value, in the order of its declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The wire form of every value, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($wire),+];

            /// The wire form.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire),+
                }
            }

            /// Reads the wire form; `None`: there is no such name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($wire => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        from_text!($name: wire_names!(@expected $($wire),+));
        as_text!($name);
        text_schema!($name, "enum": <$name>::NAMES);
    };
    (@expected $first:literal $(, $other:literal)*) => {
        concat!("one of ", $first $(, ", ", $other)*)
    };
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::ParseError;

    /// Checks that all conversions of a type agree on texts that it has, and on others that it refuses.
    pub(crate) fn assert_text<T>(texts: &[&str], others: &[&str])
    where
        T: FromStr + for<'a> TryFrom<&'a str> + TryFrom<String>,
        T: Display + Debug + Eq + Serialize + DeserializeOwned,
        <T as FromStr>::Err: Debug,
        for<'a> <T as TryFrom<&'a str>>::Error: Debug,
        <T as TryFrom<String>>::Error: Debug,
    {
        for text in texts {
            let value: T = text.parse().unwrap();
            assert_eq!(value.to_string(), *text);
            assert_eq!(T::try_from(*text).unwrap(), value, "{text}");
            assert_eq!(T::try_from((*text).to_owned()).unwrap(), value, "{text}");
            assert_eq!(serde_json::to_value(&value).unwrap(), json!(text));
            assert_eq!(serde_json::from_value::<T>(json!(text)).unwrap(), value, "{text}");
        }
        for (index, text) in texts.iter().enumerate() {
            for other in &texts[index + 1..] {
                assert_ne!(text.parse::<T>().unwrap(), other.parse().unwrap(), "{text} {other}");
            }
        }
        for other in others {
            assert!(other.parse::<T>().is_err(), "{other}");
            assert!(T::try_from(*other).is_err(), "{other}");
            assert!(T::try_from((*other).to_owned()).is_err(), "{other}");
            assert!(serde_json::from_value::<T>(json!(other)).is_err(), "{other}");
        }
        for none in [Value::Null, json!(1), json!([texts[0]]), json!({ (texts[0]): null })] {
            assert!(serde_json::from_value::<T>(none.clone()).is_err(), "{none}");
        }
    }

    /// The same of a type that holds its text.
    pub(crate) fn assert_text_type<T>(texts: &[&str], others: &[&str])
    where
        T: FromStr + for<'a> TryFrom<&'a str> + TryFrom<String>,
        T: Display + Debug + Eq + Serialize + DeserializeOwned + AsRef<str> + Into<String>,
        <T as FromStr>::Err: Debug,
        for<'a> <T as TryFrom<&'a str>>::Error: Debug,
        <T as TryFrom<String>>::Error: Debug,
    {
        assert_text::<T>(texts, others);
        for text in texts {
            let value: T = text.parse().unwrap();
            assert_eq!(value.as_ref(), *text);
            assert_eq!(Into::<String>::into(value), *text);
        }
    }

    /// Checks the names of an enum.
    macro_rules! assert_names {
        ($name:ty: $($text:literal),+ $(,)?) => {
            crate::wire::tests::assert_text::<$name>(&[$($text),+], &["", "NONE such", concat!(" ", $($text),+)]);
            assert_eq!(<$name>::NAMES, [$($text),+]);
            assert_eq!(<$name>::ALL.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), [$($text),+]);
            assert_eq!(<$name>::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>(), [$($text),+]);
        };
    }
    pub(crate) use assert_names;

    #[test]
    fn errors_say_what_was_expected() {
        assert_eq!(ParseError::new("an apple").to_string(), "expected an apple");
        let error = serde_json::from_str::<crate::SessionKind>("\"pears\"").unwrap_err().to_string();
        assert!(error.starts_with("expected one of device, background"), "{error}");
        let error = serde_json::from_str::<crate::SessionKind>("1").unwrap_err().to_string();
        assert!(error.starts_with("invalid type: integer `1`, expected a string"), "{error}");
    }
}
