//! Parameters in bodies, which callers may send there as well as in the address.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::error::TargetError;
use super::parameters;
use crate::definition::relay::Relay;

/// The beginnings of media types of files. Providers take no parameters from such a body.
const FILES: [&str; 7] =
    ["image/", "video/", "audio/", "font/", "application/octet-stream", "application/pdf", "application/zip"];
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";
/// Ways to write names and values in a multipart body by which they are not found.
const HIDES: [&str; 2] = ["name*", "content-transfer-encoding"];

/// Whether a body of this type has to be read before it is sent. Where a definition says which parameters callers may not
/// send, that is everything but files; where it has credentials taken out of answers, it is what carries parameters.
pub fn reads_body(relay: &Relay, content_type: Option<&str>) -> bool {
    let strips = !(relay.strip.is_empty() && relay.strip_members.is_empty() && relay.strip_urls.is_empty());
    let essence = essence_of(content_type);
    let is_file = FILES.iter().any(|file| essence.starts_with(file)) && !essence.ends_with("xml");
    let has_parameters = is_json(&essence) || [FORM, MULTIPART].contains(&&*essence);
    let injects = !relay.inject.body.is_empty();
    (!relay.deny_parameters.is_empty() && !is_file) || ((strips || injects) && has_parameters)
}

/// Adds members to a body: to an object in JSON, or to the fields of a form. The rest of it stays as it is. A body of
/// another kind is `None`.
pub fn with_members<'a>(
    content_type: Option<&str>,
    body: &[u8],
    members: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<Bytes> {
    let essence = essence_of(content_type);
    let with = if essence == FORM {
        let mut form = form_urlencoded::Serializer::new(String::from_utf8(body.to_vec()).ok()?);
        form.extend_pairs(members);
        form.finish().into_bytes()
    } else if is_json(&essence) {
        let is_empty = serde_json::from_slice::<Map<String, Value>>(body).ok()?.is_empty();
        let at = body.iter().position(|byte| *byte == b'{')? + 1;
        let added = members.map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)));
        let added = Zeroizing::new(added.collect::<Vec<_>>().join(","));
        let comma: &[u8] = if is_empty || added.is_empty() { b"" } else { b"," };
        [&body[..at], added.as_bytes(), comma, &body[at..]].concat()
    } else {
        return None;
    };
    Some(Bytes::from_owner(Zeroizing::new(with)))
}

/// Checks the parameters of a body in the same way as those of an address.
///
/// # Errors
/// [`TargetError`], [`TargetError::Body`] for one that cannot be read.
pub fn check_body(relay: &Relay, content_type: Option<&str>, body: &[u8]) -> Result<(), TargetError> {
    if body.is_empty() || !reads_body(relay, content_type) {
        return Ok(());
    }
    let essence = essence_of(content_type);
    match &*essence {
        FORM => {
            let text = std::str::from_utf8(body).map_err(|_| TargetError::Body("is not UTF-8"))?;
            parameters::check(relay, text)
        }
        MULTIPART => check_multipart(relay, body),
        json if is_json(json) => {
            let Members(members) =
                serde_json::from_slice(body).map_err(|_| TargetError::Body("is not JSON"))?;
            members.iter().try_for_each(|(name, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                parameters::check_one(relay, name, &text)
            })
        }
        _ => Err(TargetError::Body(
            "has to be application/json, application/x-www-form-urlencoded or multipart/form-data, or a file",
        )),
    }
}

fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence.ends_with("+json")
}

/// The media type of a `Content-Type`, in lower case.
fn essence_of(content_type: Option<&str>) -> String {
    content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

/// Looks for what is denied in the whole of a multipart body: servers differ in how they read its parts.
fn check_multipart(relay: &Relay, body: &[u8]) -> Result<(), TargetError> {
    let body = body.to_ascii_lowercase();
    let has = |text: &str| {
        let text = text.to_ascii_lowercase();
        body.windows(text.len()).any(|part| part == text.as_bytes())
    };
    if HIDES.iter().any(|hidden| has(hidden)) {
        return Err(TargetError::Body("has parts whose names or values are encoded"));
    }
    if let Some(name) = parameters::credentials(relay).into_iter().find(|name| has(name)) {
        return Err(TargetError::Credential(name.to_owned()));
    }
    let is_denied = |contains: &[String], name: &str| {
        has(name) && (contains.is_empty() || contains.iter().any(|text| has(text)))
    };
    match relay.deny_parameters.iter().find(|denied| is_denied(&denied.contains, &denied.parameter)) {
        Some(denied) => Err(TargetError::Parameter(denied.parameter.clone())),
        None => Ok(()),
    }
}

/// The members of an object, or of the objects of a list: also those whose names come twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(Members(own)) = list.next_element()? {
            members.extend(own);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{built_in, relay};

    const FORM: Option<&str> = Some(super::FORM);
    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    const MULTIPART: Option<&str> = Some("multipart/form-data; boundary=b");

    fn part(name: &str, value: &str) -> String {
        format!("--b\r\ncontent-disposition: form-data; {name}\r\n\r\n{value}\r\n--b--\r\n")
    }

    #[test]
    fn bodies_ask_for_no_credentials_either() {
        use TargetError::{Body, Credential, Parameter};
        let facebook = built_in("facebook").relay.unwrap();
        let fields = || Err(Parameter("fields".to_owned()));
        let own = |name: &str| Err(Credential(name.to_owned()));
        let multipart = [
            part("name=\"fields\"", "id,access_token"),
            part("name=fields", "id,name"),
            part("name=\"ACCESS_TOKEN\"", "t"),
            part("name*=utf-8''b%61tch", "[]"),
            part("name=\"message\"", "hello"),
        ];
        for (content_type, body, expected) in [
            (FORM, "message=hello&fields=id", Ok(())),
            (FORM, "fields=from%7Bacce%73s_token.as(t)%7D", fields()),
            (FORM, "a=1;fields=access_token", fields()),
            (FORM, "batch=%5B%5D", Err(Parameter("batch".to_owned()))),
            (FORM, "access_token=own", own("access_token")),
            (JSON, r#"{"message":"hello","fields":["id"]}"#, Ok(())),
            (JSON, r#"{"fields":"from{access_token.as(t)}"}"#, fields()),
            (JSON, r#"{"fields":["id","access_token"]}"#, fields()),
            (JSON, r#"{"fields":"access_token","fields":"id"}"#, fields()),
            (JSON, r#"{"\u0066ields":"acc\u0065ss_token"}"#, fields()),
            (JSON, r#"[{"a":1},{"fields":"access_token"}]"#, fields()),
            (JSON, r#"{"Access_Token":"own"}"#, own("Access_Token")),
            (JSON, r#"{"fields":"#, Err(Body("is not JSON"))),
            (JSON, "fields=access_token", Err(Body("is not JSON"))),
            (MULTIPART, &multipart[0], own("access_token")),
            (MULTIPART, &multipart[1], Ok(())),
            (MULTIPART, &multipart[2], own("access_token")),
            (MULTIPART, &multipart[3], Err(Body("has parts whose names or values are encoded"))),
            (MULTIPART, &multipart[4], Ok(())),
            (Some("image/png"), "access_token", Ok(())),
            (None, "", Ok(())),
        ] {
            assert_eq!(check_body(&facebook, content_type, body.as_bytes()), expected, "{body}");
        }
        for unread in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded2"), Some("image/svg+xml")]
        {
            let refused = check_body(&facebook, unread, b"fields=access_token");
            assert!(matches!(refused, Err(Body(_))), "{unread:?}: {refused:?}");
        }
        let strips = relay("strip_members = [\"access_token\"]");
        assert_eq!(check_body(&strips, FORM, b"access_token=own"), own("access_token"));
        assert_eq!(check_body(&strips, None, b"access_token=own"), Ok(()));
        let plain = relay("");
        assert!(
            !reads_body(&plain, JSON)
                && reads_body(&facebook, JSON)
                && !reads_body(&facebook, Some("video/mp4"))
        );
        assert_eq!(check_body(&plain, Some("text/plain"), b"access_token=own"), Ok(()));
    }
}
