//! JSON that stays text: slices of an answer, without a copy.
//!
//! A JSON tree takes many times the memory of its text, and most of an answer is only passed on. So a text is
//! validated once, and values are located in it. Each slice keeps the whole answer alive, and its share of
//! the budget.

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The text of one valid JSON value. Its `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

impl std::fmt::Debug for RawJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

impl RawJson {
    /// Accepts a text that is one JSON value (RFC 8259) in UTF-8.
    pub fn parse(text: &Bytes) -> Option<Self> {
        std::str::from_utf8(text).ok()?;
        serde_json::from_slice::<IgnoredAny>(text).ok()?;
        let start = text.len() - text.trim_ascii_start().len();
        Some(Self(text.slice(start..start + text.trim_ascii().len())))
    }

    /// The text.
    pub const fn text(&self) -> &Bytes {
        &self.0
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        &*self.0 == b"null"
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// The value itself, if it is a string.
    pub fn string(self) -> Option<Self> {
        (self.0.first() == Some(&b'"')).then_some(self)
    }

    /// Deserializes the value. For small values: this takes memory of its own.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.0).ok()
    }

    /// The values of these members of an object, in their order. `None` when it is not an object, or has one of
    /// them twice: parsers differ in which one counts.
    pub fn members<const N: usize>(&self, names: [&str; N]) -> Option<[Option<Self>; N]> {
        let mut found = [const { None }; N];
        let mut at = self.opened_by(b'{')?;
        while let Some(name) = self.next(&mut at) {
            let value = self.next(&mut at)?;
            let Some(place) = names.iter().position(|known| is_name(&name.0, known)) else { continue };
            if found[place].replace(value).is_some() {
                return None;
            }
        }
        Some(found)
    }

    /// The items of a list. `None` when it is not a list, or has more than `most` items.
    pub fn items(&self, most: usize) -> Option<Vec<Self>> {
        let mut items = Vec::new();
        let mut at = self.opened_by(b'[')?;
        while let Some(item) = self.next(&mut at) {
            if items.len() == most {
                return None;
            }
            items.push(item);
        }
        Some(items)
    }

    /// The offset after this opening bracket; `None` when the value does not begin with it.
    fn opened_by(&self, bracket: u8) -> Option<usize> {
        (self.0.first() == Some(&bracket)).then_some(1)
    }

    /// The next value or name from `at` on; `None` at the closing bracket. The text is valid, so whatever
    /// separates values can be skipped.
    fn next(&self, at: &mut usize) -> Option<Self> {
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b':');
        *at += self.0.get(*at..)?.iter().take_while(|byte| is_between(byte)).count();
        let length = length_of_value(self.0.get(*at..)?);
        let value = self.0.slice(*at..*at + length);
        *at += length;
        (length > 0).then_some(Self(value))
    }
}

/// Length of the value that a text begins with; 0 if it begins with none.
fn length_of_value(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at += length_of_string(&text[at..]),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            // A number, true, false or null.
            b',' | b':' => return at,
            byte if byte.is_ascii_whitespace() => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Length of the string that a text begins with, including both quotes.
fn length_of_string(text: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match text.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

/// Whether the text of a member's name, which may have escapes, equals `name`.
fn is_name(text: &[u8], name: &str) -> bool {
    match text {
        [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => plain == name.as_bytes(),
        escaped => serde_json::from_slice::<String>(escaped).is_ok_and(|escaped| escaped == name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn only_json_holds_up() {
        for bad in ["", " ", "{", "{}{}", "[1,]", "{\"a\":}", "nul", "01", "\"\u{1}\"", "[1] x"] {
            assert_eq!(RawJson::parse(&Bytes::copy_from_slice(bad.as_bytes())), None, "{bad}");
        }
        assert_eq!(RawJson::parse(&Bytes::from_static(b"\"\xff\"")), None);
        assert_eq!(&**raw(" \n[1] ").text(), b"[1]");
    }

    #[test]
    fn members_and_items() {
        let text = raw(r#" {"a":[1 , "x,]\"", {"b":[]}],"\u0062" : -1.5e3,"c":null,"d":{"a":{}}} "#);
        let [a, b, c, d, none] = text.members(["a", "b", "c", "d", "e"]).unwrap();
        let items = a.unwrap().items(3).unwrap();
        let texts: Vec<_> = items.iter().map(|item| item.text().to_vec()).collect();
        assert_eq!(texts, [&b"1"[..], br#""x,]\"""#, br#"{"b":[]}"#]);
        assert_eq!(b.unwrap().read::<f64>(), Some(-1500.0));
        assert!(c.unwrap().is_null() && none.is_none());
        assert_eq!(d.unwrap().read::<Value>(), Some(json!({"a": {}})));
        assert!(raw("[1,2]").items(1).is_none(), "too many");
        assert!(raw("[1,2]").members(["a"]).is_none() && raw("{}").items(1).is_none());
        assert!(raw(r#"{"a":1,"\u0061":2}"#).members(["a"]).is_none(), "twice");
        assert_eq!((raw("[]").items(0), raw("{}").members(["a"])), (Some(Vec::new()), Some([None])));
        assert!(raw(r#""a""#).string().is_some() && raw("1").string().is_none());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            "\\PC*|[\\[\\]{},:\"\\\\ \n]{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[a-d\"\\\\,]{0,3}", inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        /// It finds the same values as a full parser, however the text is laid out.
        #[test]
        fn finds_what_a_parser_finds(value in any_json(), wide: bool) {
            let text = if wide { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let found = raw(&text.unwrap());
            prop_assert_eq!(found.read::<Value>(), Some(value.clone()));
            match &value {
                Value::Array(items) => {
                    let pieces = found.items(items.len()).unwrap();
                    let read: Vec<Value> = pieces.iter().filter_map(RawJson::read).collect();
                    prop_assert_eq!(&read, items);
                }
                Value::Object(members) => {
                    for (name, value) in members {
                        let [piece] = found.members([name]).unwrap();
                        let read = piece.and_then(|piece| piece.read::<Value>());
                        prop_assert_eq!(read.as_ref(), Some(value));
                    }
                }
                _ => prop_assert!(found.items(9).is_none() && found.members(["a"]).is_none()),
            }
        }
    }
}
