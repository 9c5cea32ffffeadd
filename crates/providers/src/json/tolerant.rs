//! Reading of JSON that is not quite JSON.

use serde_json::{Map, Value};

use super::text::Children;

/// Deeper values are null.
const MOST_DEPTH: usize = 64;

/// Reads a value. A part that cannot be read is null, and the others are kept: a token may be among them that was
/// issued once. What a strict parser takes is read as it is.
pub(super) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| part(text, 0))
}

fn part(text: &str, depth: usize) -> Value {
    let Some(children) = Children::of(text) else { return serde_json::from_str(text).unwrap_or_default() };
    if depth == MOST_DEPTH {
        return Value::Null;
    }
    if children.is_object() {
        let members = children.filter_map(|child| Some((child.plain_name()?, part(child.value, depth + 1))));
        return Value::Object(members.collect::<Map<_, _>>());
    }
    Value::Array(children.map(|child| part(child.value, depth + 1)).collect())
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
            ("{\"a\":\"t\"}<!-- 3 ms -->", json!({"a": "t"})),
            (
                "{\"a\":\"t\",\"n\":{\"b\":[1,x,{\"c\":2}]}}",
                json!({"a": "t", "n": {"b": [1, null, {"c": 2}]}}),
            ),
            ("{\"a\":\"t\",\"a\":\"u\"}", json!({"a": "u"})),
            ("nonsense", json!(null)),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let deep = format!("{{\"a\":\"t\",\"n\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep)["a"], "t");
    }
}
