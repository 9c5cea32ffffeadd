//! Reading of JSON that is not quite JSON.

use serde_json::{Map, Value};

use super::text::Children;

/// Deeper values are null.
const MOST_DEPTH: usize = 64;

/// A value that was read.
pub(super) struct Read {
    pub(super) value: Value,
    /// Whether the text ends within the value, or nobody knows where the value ends: more may have been there.
    pub(super) is_truncated: bool,
}

/// Reads a value. A part that cannot be read is null, and the others are kept: a token may be among them that was
/// issued once. What a strict parser takes is read as it is.
pub(super) fn read(text: &str) -> Read {
    if let Ok(value) = serde_json::from_str(text) {
        return Read { value, is_truncated: false };
    }
    let mut is_truncated = false;
    Read { value: part(text, 0, &mut is_truncated), is_truncated }
}

fn part(text: &str, depth: usize, is_truncated: &mut bool) -> Value {
    let Some(mut children) = Children::of(text) else {
        return serde_json::from_str(text).unwrap_or_default();
    };
    if depth == MOST_DEPTH {
        return Value::Null;
    }
    let is_object = children.is_object();
    let (mut members, mut items) = (Map::new(), Vec::new());
    while let Some(child) = children.next() {
        // A number at the end of the text may have had more digits.
        let is_whole = children.has_rest() || child.value.starts_with(['"', '{', '[']);
        let value = if is_whole { part(child.value, depth + 1, is_truncated) } else { Value::Null };
        match child.plain_name() {
            Some(name) => drop(members.insert(name, value)),
            None if is_object => {}
            None => items.push(value),
        }
    }
    *is_truncated |= !children.is_closed();
    if is_object { Value::Object(members) } else { Value::Array(items) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_null_and_the_rest_is_kept() {
        for (text, expected) in [
            ("{\"a\":\"t\",\"n\":\"\\ud83d\"}", json!({"a": "t", "n": null})),
            ("{\"a\":\"t\",\"n\":\"line\nbreak\"}", json!({"a": "t", "n": null})),
            ("{\"n\":1e999,\"a\":\"t\"}", json!({"a": "t", "n": null})),
            ("{\"n\":NaN,\"a\":\"t\"}", json!({"a": "t", "n": null})),
            ("{\"a\":\"t\",}", json!({"a": "t"})),
            ("{\"n\":,\"a\":\"t\"}", json!({"a": "t", "n": null})),
            ("{\"a\":\"t\"}<!-- 3 ms -->", json!({"a": "t"})),
            (
                "{\"a\":\"t\",\"n\":{\"b\":[1,x,{\"c\":2}]}}",
                json!({"a": "t", "n": {"b": [1, null, {"c": 2}]}}),
            ),
            ("{\"a\":\"t\",\"a\":\"u\"}", json!({"a": "u"})),
            ("nonsense", json!(null)),
        ] {
            let read = read(text);
            assert_eq!((read.value, read.is_truncated), (expected, false), "{text}");
        }
    }

    #[test]
    fn an_early_end_is_told_from_a_value_that_cannot_be_read() {
        for (text, expected) in [
            ("{\"a\":\"t\",\"n\":\"x", json!({"a": "t", "n": null})),
            ("{\"a\":\"t\",\"n\":36", json!({"a": "t", "n": null})),
            ("{\"a\":\"t\"", json!({"a": "t"})),
            ("{\"a\":\"t\",", json!({"a": "t"})),
            ("{\"a\":\"t\",\"n\":", json!({"a": "t"})),
            ("{\"a\":\"t\",\"n\":[{\"b\":1},{\"b\"", json!({"a": "t", "n": [{"b": 1}, {}]})),
            ("{\"a\":\"t\",\"n\":[1}", json!({"a": "t", "n": [1]})),
            ("[1,", json!([1])),
            ("{", json!({})),
        ] {
            let read = read(text);
            assert_eq!((read.value, read.is_truncated), (expected, true), "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let deep = format!("{{\"a\":\"t\",\"n\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep).value["a"], "t");
    }
}
