//! Removal of credentials from answers, byte by byte: everything else stays as the provider wrote it.

use std::borrow::Cow;

use thiserror::Error;

use crate::definition::relay::{Relay, UrlPlace};
use crate::json::text::{Child, Children};
use crate::relay::parameters::{self, without_in_address};

/// Why an answer cannot be stripped. It must not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotStripped {
    /// It is not JSON, so nobody knows what it contains.
    #[error("the answer is not JSON")]
    NotJson,
    /// A name or an address in it cannot be read, so nobody knows whether it is one that is removed.
    #[error("the answer has a name or an address that cannot be read")]
    Unreadable,
    /// It is nested more deeply than is read.
    #[error("the answer is nested too deeply")]
    TooDeep,
}

/// Values that are nested more deeply are not read.
const MOST_DEPTH: usize = 128;

/// Removes from an answer in JSON what the definition names as credentials: members, and parameters of addresses.
/// `None`: there is nothing to remove, or nothing at all.
///
/// # Errors
/// [`NotStripped`].
pub fn strip(relay: &Relay, body: &[u8]) -> Result<Option<Vec<u8>>, NotStripped> {
    if relay.strip.is_empty() && relay.strip_members.is_empty() && relay.strip_urls.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(body).map_err(|_| NotStripped::NotJson)?;
    let value = text.strip_prefix('\u{feff}').unwrap_or(text).trim_matches([' ', '\t', '\n', '\r']);
    if value.is_empty() {
        return Ok(None);
    }
    serde_json::from_str::<serde::de::IgnoredAny>(value).map_err(|_| NotStripped::NotJson)?;
    let mut places = Places::of(relay);
    let mut output = String::with_capacity(text.len());
    let is_changed = places.copy(value, &mut output, 0)?;
    Ok(is_changed.then(|| output.into_bytes()))
}

/// Removes the parameters that are credentials from the addresses in a header of an answer: `Location`, which is one, and
/// `Link` (RFC 8288), which has them in angle brackets. `None`: there is nothing to remove.
pub fn strip_header(relay: &Relay, value: &str) -> Option<String> {
    let names = parameters::credentials(relay);
    if !value.contains('<') {
        return without_in_address(value.trim(), &names);
    }
    let mut is_changed = false;
    let mut stripped = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once('<') {
        let (address, after) = behind.split_once('>').unwrap_or((behind, ""));
        let without = without_in_address(address, &names);
        is_changed |= without.is_some();
        stripped.extend([before, "<", without.as_deref().unwrap_or(address), ">"]);
        rest = after;
    }
    stripped.push_str(rest);
    is_changed.then_some(stripped)
}

/// Parts to remove, seen from the value that is being copied.
struct Places<'a> {
    relay: &'a Relay,
    /// Names and indexes from the root to the value.
    path: Vec<String>,
}

impl<'a> Places<'a> {
    fn of(relay: &'a Relay) -> Self {
        Self { relay, path: Vec::new() }
    }

    /// Copies a value without what is removed. Answers whether anything is.
    fn copy(&mut self, value: &str, output: &mut String, depth: usize) -> Result<bool, NotStripped> {
        let Some(children) = Children::of(value) else {
            let without = self.address(value)?;
            output.push_str(&without);
            return Ok(matches!(without, Cow::Owned(_)));
        };
        if depth == MOST_DEPTH {
            return Err(NotStripped::TooDeep);
        }
        let (open, close) = if children.is_object() { ('{', '}') } else { ('[', ']') };
        let (mut is_changed, mut is_first) = (false, true);
        let mut is_empty = true;
        output.push(open);
        for (index, child) in children.enumerate() {
            is_empty = false;
            self.path.push(match child.name {
                Some(_) => child.plain_name().ok_or(NotStripped::Unreadable)?,
                None => index.to_string(),
            });
            if self.is_removed(&child) {
                is_changed = true;
            } else {
                if !is_first {
                    output.push(',');
                }
                is_first = false;
                output.push_str(child.before);
                is_changed |= self.copy(child.value, output, depth + 1)?;
                output.push_str(child.after);
            }
            self.path.pop();
        }
        if is_empty {
            // White space may be all there is.
            output.push_str(&value[1..value.len() - 1]);
        }
        output.push(close);
        Ok(is_changed)
    }

    /// Whether the child at the current path is removed.
    fn is_removed(&self, child: &Child<'_>) -> bool {
        let is_named = |name: &String| child.name.is_some() && self.path.last() == Some(name);
        self.relay.strip_members.iter().any(is_named)
            || self.relay.strip.iter().any(|pattern| {
                let mut path = self.path.iter();
                let is_each = pattern
                    .tokens()
                    .all(|token| path.next().is_some_and(|own| token.is_none_or(|token| token == own)));
                is_each && path.next().is_none()
            })
    }

    /// A text without the parameters that are credentials at the current path. It is borrowed if there are none.
    fn address<'v>(&self, value: &'v str) -> Result<Cow<'v, str>, NotStripped> {
        let is_here = |place: &UrlPlace| match place {
            UrlPlace::Json(pointer) => pointer.tokens().eq(self.path.iter().map(String::as_str)),
            UrlPlace::Member(name) => self.path.last() == Some(name),
        };
        let here = self.relay.strip_urls.iter().filter(|url| is_here(&url.place));
        let parameters: Vec<&str> = here.flat_map(|url| &url.parameters).map(String::as_str).collect();
        if parameters.is_empty() || !value.starts_with('"') {
            return Ok(Cow::Borrowed(value));
        }
        let plain = serde_json::from_str::<String>(value).map_err(|_| NotStripped::Unreadable)?;
        Ok(match without_in_address(&plain, &parameters) {
            Some(without) => Cow::Owned(serde_json::Value::from(without).to_string()),
            None => Cow::Borrowed(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{built_in, relay};

    fn stripped(relay: &Relay, body: &str) -> String {
        match strip(relay, body.as_bytes()).unwrap() {
            Some(without) => String::from_utf8(without).unwrap(),
            None => body.to_owned(),
        }
    }

    #[test]
    fn members_at_places_are_removed_and_the_rest_stays_byte_for_byte() {
        let relay = relay("strip = [\"/data/*/token\", \"/token\", \"/list/0\"]");
        for (body, expected) in [
            (r#"{"token":"t"}"#, "{}"),
            (r#"{ "a" : 1e2 , "token" : "t" , "b":[ ] }"#, r#"{ "a" : 1e2 , "b":[ ] }"#),
            (r#"{"token":"t","a":"\u00e9/\/"}"#, r#"{"a":"\u00e9/\/"}"#),
            (r#"{"a":1,"token":{"b":["}"]}}"#, r#"{"a":1}"#),
            (r#"{"token":1,"token":2,"\u0074oken":3}"#, "{}"),
            (
                r#"{"data":[{"id":1,"token":"t"},{"token":"t"},{"id":3}]}"#,
                r#"{"data":[{"id":1},{},{"id":3}]}"#,
            ),
            (r#"{"data":{"x":{"token":"t"}}}"#, r#"{"data":{"x":{}}}"#),
            (r#"{"list":["t",2,3]}"#, r#"{"list":[2,3]}"#),
            (r#"{"data":[{"other":{"token":"t"}}]}"#, r#"{"data":[{"other":{"token":"t"}}]}"#),
            (r#"{"other":"token"}"#, r#"{"other":"token"}"#),
            (r#"["token"]"#, r#"["token"]"#),
            ("{ }", "{ }"),
            ("\"token\"", "\"token\""),
        ] {
            assert_eq!(stripped(&relay, body), expected, "{body}");
        }
    }

    #[test]
    fn members_of_a_name_are_removed_at_any_depth() {
        let relay = relay("strip_members = [\"access_token\"]");
        for (body, expected) in [
            (r#"{"a":[{"b":{"access_token":"t","c":1}}],"access_token":2}"#, r#"{"a":[{"b":{"c":1}}]}"#),
            (r#"{"\u0061ccess_token":"t"}"#, "{}"),
            (r#"["access_token"]"#, r#"["access_token"]"#),
            (r#"{"Access_token":"kept"}"#, r#"{"Access_token":"kept"}"#),
        ] {
            assert_eq!(stripped(&relay, body), expected, "{body}");
        }
    }

    #[test]
    fn addresses_lose_the_parameters_that_are_credentials() {
        let lines = "strip_urls = [{ json = \"/paging/next\", parameters = [\"token\"] }, \
                     { member = \"previous\", parameters = [\"token\", \"proof\"] }]";
        let relay = relay(lines);
        for (body, expected) in [
            (
                r#"{"paging":{"next":"https://a.example/x?token=t&limit=2"}}"#,
                r#"{"paging":{"next":"https://a.example/x?limit=2"}}"#,
            ),
            (
                r#"{"paging":{"next":"https:\/\/a.example\/x?limit=2&token=t#f"}}"#,
                r#"{"paging":{"next":"https://a.example/x?limit=2#f"}}"#,
            ),
            (r#"{"paging":{"next":"x?tok%65n=t"}}"#, r#"{"paging":{"next":"x"}}"#),
            (r#"{"paging":{"next":"x#token=t&a=1"}}"#, r#"{"paging":{"next":"x#a=1"}}"#),
            (r#"{"paging":{"next":"x?proof=kept"}}"#, r#"{"paging":{"next":"x?proof=kept"}}"#),
            (r#"{"a":[{"previous":"x?proof=1&token=2&b=%26"}]}"#, r#"{"a":[{"previous":"x?b=%26"}]}"#),
            (r#"{"other":"x?token=kept"}"#, r#"{"other":"x?token=kept"}"#),
            (r#"{"paging":{"next":"https:\/\/a.example"}}"#, r#"{"paging":{"next":"https:\/\/a.example"}}"#),
            (r#"{"paging":{"next":null}}"#, r#"{"paging":{"next":null}}"#),
        ] {
            assert_eq!(stripped(&relay, body), expected, "{body}");
        }
    }

    #[test]
    fn a_parameter_is_found_however_it_is_written() {
        let relay = relay("strip_urls = [{ member = \"next\", parameters = [\"token\"] }]");
        for (address, expected) in [
            ("x?a=1&amp;token=t&amp;b=2", "x?a=1&amp;b=2"),
            ("x?token=t&amp;b=2", "x?b=2"),
            ("x?a=1;token=t;b=2", "x?a=1;b=2"),
            ("x?Token=t&b=2", "x?b=2"),
            ("x?token[]=t&b=2", "x?b=2"),
            ("x?token%5B0%5D=t&b=a;c&amp;d", "x?b=a;c&amp;d"),
            ("x?+token=t", "x"),
            ("x#token=t;a=1", "x#a=1"),
        ] {
            let body = |address| format!("{{\"next\":\"{address}\"}}");
            assert_eq!(stripped(&relay, &body(address)), body(expected), "{address}");
        }
    }

    #[test]
    fn addresses_in_headers_lose_their_credentials_too() {
        let facebook = built_in("facebook").relay.unwrap();
        for (value, expected) in [
            ("https://a.example/x?access_token=t&after=1", Some("https://a.example/x?after=1")),
            ("/x?appsecret_proof=t", Some("/x")),
            (
                "<https://a.example/x?page=2&access_token=t>; rel=\"next\", </x?oauth_token=t>; rel=\"last\"",
                Some("<https://a.example/x?page=2>; rel=\"next\", </x>; rel=\"last\""),
            ),
            ("<https://a.example/x?page=2>; rel=\"next\"", None),
            ("https://a.example/x?page=2", None),
            ("</x?access_token=t", Some("</x>")),
        ] {
            assert_eq!(strip_header(&facebook, value).as_deref(), expected, "{value}");
        }
    }

    /// Names and addresses with half a surrogate pair are JSON, and no text.
    #[test]
    fn what_may_be_a_credential_and_cannot_be_read_is_not_passed_on() {
        let relay = relay("strip_urls = [{ member = \"next\", parameters = [\"token\"] }]");
        for bad in [r#"{"next":"x?token=t&a=\ud83d"}"#, r#"{"a":[{"\ud83dnext":"x?token=t"}]}"#] {
            assert!(strip(&relay, bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(strip(&relay, br#"{"other":"\ud83d"}"#), Ok(None));
        for empty in ["", " \n", "\u{feff}"] {
            assert_eq!(strip(&relay, empty.as_bytes()), Ok(None), "{empty:?}");
        }
    }

    #[test]
    fn an_answer_of_the_graph_api_has_no_token_left() {
        let body = r#"{"data":[{"id":"1","access_token":"EAA1","tasks":["MANAGE"]}],
            "paging":{"next":"https://graph.facebook.com/v24.0/1/accounts?access_token=EAA2&appsecret_proof=ab&after=x"}}"#;
        let expected = r#"{"data":[{"id":"1","tasks":["MANAGE"]}],
            "paging":{"next":"https://graph.facebook.com/v24.0/1/accounts?after=x"}}"#;
        assert_eq!(stripped(&built_in("facebook").relay.unwrap(), body), expected);
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_on() {
        let strict = relay("strip_members = [\"token\"]");
        for bad in [
            &b"{\"token\":\"t\"}x"[..],
            b"{\"a\":\"\xff\"}",
            b"{\"token\":\"t\"",
            b"{'token':'t'}",
            b"<html>",
        ] {
            assert_eq!(strip(&strict, bad), Err(NotStripped::NotJson), "{:?}", String::from_utf8_lossy(bad));
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(strip(&strict, deep.as_bytes()).is_err());
        assert_eq!(strip(&relay(""), b"anything"), Ok(None), "nothing to strip");
    }
}
