//! Answers of providers, read into a document.

use std::fmt;

use serde_json::{Map, Value};
use url::form_urlencoded;
use zeroize::Zeroize as _;

use super::tolerant::{self, Read};
use crate::definition::answer::AnswerFormat;
use crate::values::pointer::{JsonPointer, JsonPointerPattern};

/// An answer of a provider: JSON, or a form that is read as an object of strings. Its texts are wiped when it is dropped.
#[derive(Clone, PartialEq)]
pub struct Document {
    root: Value,
    is_truncated: bool,
}

impl Document {
    /// Reads an answer in JSON. What is malformed inside it is null; `None` for anything but an object or a list.
    pub fn json(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        text.starts_with(['{', '[']).then(|| {
            let Read { value, is_truncated } = tolerant::read(text);
            Self { root: value, is_truncated }
        })
    }

    /// Reads a document that is of no use unless all of it is JSON, and an object.
    pub(crate) fn strict_json(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Map<String, Value>>(body).ok().map(Self::object)
    }

    /// Reads an answer of a token endpoint. Where a provider answers in the other encoding than its definition says,
    /// that one is read.
    pub(crate) fn read(format: AnswerFormat, body: &[u8]) -> Option<Self> {
        if let Some(document) = Self::json(body) {
            return Some(document);
        }
        let is_form = body.contains(&b'=') && !body.contains(&b'<');
        (format == AnswerFormat::Form || is_form).then(|| {
            let pairs = form_urlencoded::parse(body);
            let members = pairs.map(|(name, value)| (name.into_owned(), Value::from(value)));
            Self::object(members.collect())
        })
    }

    fn object(members: Map<String, Value>) -> Self {
        Self { root: Value::Object(members), is_truncated: false }
    }

    /// Whether the text ended within the document: what is missing may have been there.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The value at a place (RFC 6901 section 4).
    pub fn get(&self, pointer: &JsonPointer) -> Option<&Value> {
        find(&self.root, pointer)
    }

    /// The text at a place: a string that is not empty, or a number.
    pub fn text(&self, pointer: &JsonPointer) -> Option<String> {
        self.get(pointer).and_then(text_of)
    }

    /// The values at the places of a pattern.
    pub fn places(&self, pattern: &JsonPointerPattern) -> Vec<&Value> {
        let mut found = vec![&self.root];
        for token in pattern.tokens() {
            found = found.into_iter().flat_map(|value| step(value, token)).collect();
        }
        found
    }

    /// All of it.
    pub fn root(&self) -> &Value {
        &self.root
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document(redacted)")
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        wipe(&mut self.root);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The value at a place of another one.
pub(crate) fn find<'a>(value: &'a Value, pointer: &JsonPointer) -> Option<&'a Value> {
    pointer.tokens().try_fold(value, |value, token| step(value, Some(token)).next())
}

/// The members and items that a token means; `None` means all.
fn step<'a>(value: &'a Value, token: Option<&str>) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match (value, token) {
        (Value::Object(members), Some(token)) => Box::new(members.get(token).into_iter()),
        (Value::Array(items), Some(token)) => Box::new(index(token).and_then(|at| items.get(at)).into_iter()),
        (Value::Object(members), None) => Box::new(members.values()),
        (Value::Array(items), None) => Box::new(items.iter()),
        _ => Box::new(std::iter::empty()),
    }
}

/// An index of a list: digits without leading zeros.
pub(crate) fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| is_plain)
}

/// A string that is not empty, or a number, as text.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a value is missing or null.
pub(crate) fn is_null(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::values::text::Text as _;

    fn pointer(text: &str) -> JsonPointer {
        JsonPointer::parse(text).unwrap()
    }

    #[test]
    fn answers_are_read_in_either_encoding() {
        let json = b"\xef\xbb\xbf {\"access_token\":\"t\",\"expires_in\":7}";
        for (format, body, token) in [
            (AnswerFormat::Json, &json[..], Some("t")),
            (AnswerFormat::Form, json, Some("t")),
            (AnswerFormat::Form, b"access_token=t%26u&scope=a+b", Some("t&u")),
            (AnswerFormat::Json, b"access_token=t", Some("t")),
            (AnswerFormat::Json, b"{\"access_token\":\"t\",\"name\":\"\xff\"}", Some("t")),
            (AnswerFormat::Json, b"<a href=\"x=y\">", None),
            (AnswerFormat::Json, b"", None),
            (AnswerFormat::Json, b"OK", None),
        ] {
            let read = Document::read(format, body).and_then(|it| it.text(&pointer("/access_token")));
            assert_eq!(read.as_deref(), token, "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn places_are_those_of_the_pointer() {
        let value = json!({"a": [{"id": 1}, {"id": "x"}, {}], "b/c": {"0": true}, "e": ""});
        let document = Document::json(value.to_string().as_bytes()).unwrap();
        for (place, text) in [
            ("/a/0/id", Some("1")),
            ("/a/1/id", Some("x")),
            ("/a/01/id", None),
            ("/a/+1/id", None),
            ("/a/3/id", None),
            ("/e", None),
            ("/a", None),
        ] {
            assert_eq!(document.text(&pointer(place)).as_deref(), text, "{place}");
        }
        assert_eq!(document.get(&pointer("/b~1c/0")), Some(&json!(true)));
        let all = JsonPointerPattern::parse("/a/*/id").unwrap();
        assert_eq!(document.places(&all), [&json!(1), &json!("x")]);
        assert_eq!(format!("{document:?}"), "Document(redacted)");
    }
}
