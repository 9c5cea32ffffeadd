//! Scopes that are requested and granted.

use crate::definition::oauth::Scopes;

/// The scopes of an authorization request: those that were asked for, else the definition's own, and the one by which a
/// refresh token is issued unless the server has refused it.
pub fn requested_scopes(scopes: &Scopes, asked: &[String], with_offline: bool) -> Vec<String> {
    let mut requested = if asked.is_empty() { scopes.default.clone() } else { asked.to_vec() };
    let offline = scopes.offline.iter().filter(|_| with_offline);
    for scope in offline.chain(&scopes.required) {
        if !requested.contains(scope) {
            requested.push(scope.clone());
        }
    }
    requested
}

/// The scopes that an answer grants. `separator` is that of the definition; white space separates too, because no scope
/// contains it (RFC 6749 section 3.3). Empty: the answer does not say.
pub(crate) fn granted(text: &str, separator: &str) -> Vec<String> {
    let parts = text.split(separator).flat_map(str::split_whitespace);
    parts.map(str::to_owned).collect()
}

/// The scopes that were requested and not granted. An answer that does not say grants what was requested
/// (RFC 6749 section 5.1).
pub fn missing_scopes<'a>(requested: &'a [String], granted: Option<&[String]>) -> Vec<&'a str> {
    let is_missing = |scope: &&String| granted.is_some_and(|granted| !granted.contains(scope));
    requested.iter().filter(is_missing).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn the_scope_of_refresh_tokens_and_required_ones_are_added() {
        let scopes = Scopes {
            default: owned(&["a", "b"]),
            required: owned(&["a"]),
            offline: Some("offline".to_owned()),
            separator: " ".to_owned(),
        };
        for (asked, with_offline, expected) in [
            (&[][..], true, &["a", "b", "offline"][..]),
            (&[], false, &["a", "b"]),
            (&["c"], true, &["c", "offline", "a"]),
            (&["offline", "a"], true, &["offline", "a"]),
        ] {
            assert_eq!(requested_scopes(&scopes, &owned(asked), with_offline), owned(expected), "{asked:?}");
        }
    }

    #[test]
    fn granted_scopes_are_separated_as_the_provider_does() {
        for (text, separator, expected) in [
            ("a b", " ", &["a", "b"][..]),
            ("a,b", ",", &["a", "b"]),
            ("a, b ", ",", &["a", "b"]),
            ("a b", ",", &["a", "b"]),
            ("a,b", " ", &["a,b"]),
            ("", " ", &[]),
            (" ,", ",", &[]),
        ] {
            assert_eq!(granted(text, separator), owned(expected), "{text:?}");
        }
    }

    #[test]
    fn an_answer_without_a_scope_grants_what_was_requested() {
        let requested = owned(&["a", "b"]);
        assert!(missing_scopes(&requested, None).is_empty());
        assert_eq!(missing_scopes(&requested, Some(&owned(&["b", "c"]))), ["a"]);
    }
}
