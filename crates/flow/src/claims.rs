//! The `claims` parameter of an authorization request (OpenID Connect Core section 5.5).
//!
//! What an `id_token` and the userinfo endpoint say by themselves needs no asking. That leaves two things:
//! the email address, which is asked for as the scope `email` is, and a `sub` that has to be a certain one.

use causeway_domain::Did;
use serde_json::{Map, Value};

/// The longest parameter that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 4096;

/// What a request asks for beyond what it gets anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestedClaims {
    /// The email address, from the userinfo endpoint.
    pub(crate) email: bool,
    /// Who has to sign in: anybody else is refused (section 5.5.1).
    pub(crate) sub: Option<Did>,
}

/// Why the parameter was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimsError {
    /// Not JSON of the form that the specification gives it.
    #[error("claims must be a JSON object with the members userinfo and id_token, objects of claims")]
    Form,
    /// A `sub` that nobody has, or two of them.
    #[error("claims asks for a sub that is not one DID")]
    Sub,
}

impl RequestedClaims {
    /// Reads the parameter. What is not understood is left out, as the specification asks for.
    pub(crate) fn read(text: &str) -> Result<Self, ClaimsError> {
        let Ok(Value::Object(request)) = serde_json::from_str(text) else { return Err(ClaimsError::Form) };
        let (userinfo, id_token) = (section(&request, "userinfo")?, section(&request, "id_token")?);
        let email = ["email", "email_verified"].iter().any(|name| userinfo.contains_key(*name));
        let mut sub: Option<Did> = None;
        for wanted in [&userinfo, &id_token].into_iter().filter_map(|section| section.get("sub")) {
            for value in wanted.get("value").into_iter().filter(|value| !value.is_null()) {
                let did = value.as_str().and_then(|did| Did::parse(did).ok()).ok_or(ClaimsError::Sub)?;
                if sub.as_ref().is_some_and(|other| *other != did) {
                    return Err(ClaimsError::Sub);
                }
                sub = Some(did);
            }
        }
        Ok(Self { email, sub })
    }
}

/// One of the two members, with each claim's request checked to be `null` or an object.
fn section(request: &Map<String, Value>, name: &str) -> Result<Map<String, Value>, ClaimsError> {
    match request.get(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(claims)) if claims.values().all(|claim| claim.is_null() || claim.is_object()) => {
            Ok(claims.clone())
        }
        Some(_) => Err(ClaimsError::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn what_is_understood() {
        let read = RequestedClaims::read;
        let email = RequestedClaims { email: true, sub: None };
        for text in [
            r#"{"userinfo":{"email":null}}"#,
            r#"{"userinfo":{"email":{"essential":true},"picture":null},"id_token":null}"#,
            r#"{"userinfo":{"email_verified":{"essential":true}},"other":1}"#,
        ] {
            assert_eq!(read(text), Ok(email.clone()), "{text}");
        }
        for nothing in [
            "{}",
            r#"{"userinfo":{"name":null}}"#,
            r#"{"id_token":{"auth_time":{"essential":true},"sub":null}}"#,
        ] {
            assert_eq!(read(nothing), Ok(RequestedClaims::default()), "{nothing}");
        }
        let text = format!(r#"{{"id_token":{{"sub":{{"value":"{DID}"}}}}}}"#);
        assert_eq!(read(&text).unwrap().sub, Some(Did::parse(DID).unwrap()));
    }

    #[test]
    fn what_is_not() {
        for text in ["", "x", "[]", "null", r#"{"userinfo":[]}"#, r#"{"id_token":{"email":true}}"#] {
            assert_eq!(RequestedClaims::read(text), Err(ClaimsError::Form), "{text}");
        }
        let two = format!(
            r#"{{"id_token":{{"sub":{{"value":"{DID}"}}}},"userinfo":{{"sub":{{"value":"did:web:a.example"}}}}}}"#
        );
        for text in
            [&*two, r#"{"id_token":{"sub":{"value":"alice"}}}"#, r#"{"id_token":{"sub":{"value":1}}}"#]
        {
            assert_eq!(RequestedClaims::read(text), Err(ClaimsError::Sub), "{text}");
        }
    }
}
