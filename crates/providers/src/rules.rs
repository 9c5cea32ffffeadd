//! Evaluation of rules: whether an answer is one that a definition describes.

use serde_json::Value;

use crate::definition::rule::{CredentialKind, Expectation, Rule, Test};
use crate::json::{Document, is_null};
use crate::values::scalar::Scalar;

/// An answer that rules are evaluated against.
#[derive(Clone, Copy)]
pub(crate) struct Described<'a> {
    /// The status.
    pub(crate) status: u16,
    /// The content; `None`: it cannot be read, so that no test of it passes.
    pub(crate) document: Option<&'a Document>,
    /// The owner of the call's credential.
    pub(crate) credential: CredentialKind,
}

impl Described<'_> {
    /// Whether a rule describes this answer.
    pub(crate) fn is(&self, rule: &Rule) -> bool {
        has_status(rule, self.status)
            && rule.credential.is_none_or(|credential| credential == self.credential)
            && rule.tests.iter().all(|test| self.document.is_some_and(|document| passes(test, document)))
    }

    /// Whether one of the rules does.
    pub(crate) fn is_one_of(&self, rules: &[Rule]) -> bool {
        rules.iter().any(|rule| self.is(rule))
    }
}

/// Whether a rule may describe an answer with this status.
pub(crate) fn has_status(rule: &Rule, status: u16) -> bool {
    rule.status.is_empty() || rule.status.iter().any(|own| own.as_u16() == status)
}

fn passes(test: &Test, document: &Document) -> bool {
    let value = document.get(&test.json);
    match &test.expected {
        Expectation::Equals(expected) => {
            value.is_some_and(|value| expected.iter().any(|expected| equals(value, expected)))
        }
        Expectation::Contains(texts) => value
            .and_then(Value::as_str)
            .is_some_and(|value| texts.iter().any(|text| value.contains(text.as_str()))),
        Expectation::Present(present) => is_null(value) != *present,
    }
}

/// Whether a value is the expected one. Numbers and booleans may be written as strings, as they are in forms.
fn equals(value: &Value, expected: &Scalar) -> bool {
    match (value, expected) {
        (Value::String(text), Scalar::Text(expected)) => text == expected,
        (Value::String(text), Scalar::Integer(expected)) => text.parse() == Ok(*expected),
        (Value::String(text), Scalar::Boolean(expected)) => text.parse() == Ok(*expected),
        (Value::Number(number), Scalar::Integer(expected)) => number.as_i64() == Some(*expected),
        (Value::Number(number), Scalar::Text(expected)) => number.to_string() == *expected,
        (Value::Bool(value), Scalar::Boolean(expected)) => value == expected,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::relay;
    use crate::values::pointer::JsonPointer;
    use crate::values::text::Text as _;

    fn test(json: &str, expected: Expectation) -> Test {
        Test { json: JsonPointer::parse(json).unwrap(), expected }
    }

    #[test]
    fn values_are_compared_as_they_are_meant() {
        let document = Document::json(
            br#"{"a":190,"b":"190","c":true,"d":"true","e":null,"f":"x AADSTS7 y","g":{"h":1}}"#,
        );
        let document = document.unwrap();
        let text = |text: &str| Expectation::Equals(vec![Scalar::Text(text.to_owned())]);
        let integer = |number| Expectation::Equals(vec![Scalar::Integer(102), Scalar::Integer(number)]);
        let boolean = |value| Expectation::Equals(vec![Scalar::Boolean(value)]);
        let contains = |part: &str| Expectation::Contains(vec!["z".to_owned(), part.to_owned()]);
        for (json, expected, passed) in [
            ("/a", integer(190), true),
            ("/a", integer(191), false),
            ("/b", integer(190), true),
            ("/a", text("190"), true),
            ("/c", boolean(true), true),
            ("/d", boolean(true), true),
            ("/c", boolean(false), false),
            ("/c", text("true"), false),
            ("/x", integer(190), false),
            ("/f", contains("AADSTS7"), true),
            ("/f", contains("AADSTS8"), false),
            ("/a", contains("190"), false),
            ("/e", Expectation::Present(true), false),
            ("/e", Expectation::Present(false), true),
            ("/x", Expectation::Present(false), true),
            ("/g/h", Expectation::Present(true), true),
        ] {
            assert_eq!(passes(&test(json, expected.clone()), &document), passed, "{json} {expected:?}");
        }
    }

    #[test]
    fn status_credential_and_every_test_have_to_fit() {
        let document = Document::json(br#"{"a":1,"b":2}"#).unwrap();
        let relay = relay(
            "refused = [{ status = [400, 401], json = \"/a\", equals = [1], credential = \"page\", \
             and = [{ json = \"/b\", equals = [2] }] }, { status = [429] }]",
        );
        let [rule, by_status] = &relay.refused[..] else { panic!("two rules") };
        let described =
            Described { status: 401, document: Some(&document), credential: CredentialKind::Page };
        assert!(described.is(rule) && described.is_one_of(&relay.refused));
        assert!(!Described { status: 403, ..described }.is(rule));
        assert!(!Described { credential: CredentialKind::User, ..described }.is(rule));
        assert!(!Described { document: None, ..described }.is(rule));
        let other = Document::json(br#"{"a":1,"b":3}"#).unwrap();
        assert!(!Described { document: Some(&other), ..described }.is(rule));
        assert!(Described { status: 429, document: None, ..described }.is(by_status));
        assert!(!described.is(by_status));
    }
}
