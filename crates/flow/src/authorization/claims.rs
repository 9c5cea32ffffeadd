//! The `claims` parameter of an authorization request (OpenID Connect Core section 5.5).
//!
//! Claims that the `id_token` and the userinfo endpoint contain anyway need no request. That leaves three:
//! the email address, which is handled like the scope `email`; a required `sub`; and an essential `acr`,
//! which is refused, since how the authorization server authenticates the user is not known here.

use std::slice;

use causeway_types::Did;
use serde_json::{Map, Value};

/// The longest parameter that is parsed, in bytes.
pub(crate) const MAX_BYTES: usize = 4096;

/// The claims requested beyond those that are always provided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestedClaims {
    /// The email address, from the userinfo endpoint.
    pub(crate) email: bool,
    /// The same, in the `id_token`: only entitled clients get it there.
    pub(crate) email_in_id_token: bool,
    /// The accounts of which one has to sign in; any other is refused (section 5.5.1). Empty: any account.
    pub(crate) subs: Vec<Did>,
}

/// Why the parameter was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimsError {
    /// Not JSON of the form that the specification gives it.
    #[error("claims must be a JSON object with the members userinfo and id_token, objects of claims")]
    Form,
    /// A `sub` that no account has.
    #[error("claims requests a sub that no account has: use DIDs, and the same one in userinfo and id_token")]
    Sub,
    /// An essential `acr` with a value (section 5.5.1.1).
    #[error("claims requests an essential acr")]
    Acr,
}

impl RequestedClaims {
    /// Parses the parameter. Unknown claims are ignored, as the specification requires.
    pub(crate) fn read(text: &str) -> Result<Self, ClaimsError> {
        let Ok(Value::Object(request)) = serde_json::from_str(text) else { return Err(ClaimsError::Form) };
        let (userinfo, id_token) = (section(&request, "userinfo")?, section(&request, "id_token")?);
        let email_in = |section: &Map<String, Value>| {
            ["email", "email_verified"].iter().any(|name| section.contains_key(*name))
        };
        if id_token.get("acr").is_some_and(|acr| acr["essential"] == true && wanted(acr).next().is_some()) {
            return Err(ClaimsError::Acr);
        }
        let mut subs: Option<Vec<Did>> = None;
        for values in
            [&userinfo, &id_token].into_iter().filter_map(|section| section.get("sub")).flat_map(wanted)
        {
            let mut these = values.iter().map(read_did).collect::<Result<Vec<_>, _>>()?;
            these.retain(|did| subs.as_ref().is_none_or(|others| others.contains(did)));
            subs = Some(these);
        }
        if subs.as_ref().is_some_and(Vec::is_empty) {
            return Err(ClaimsError::Sub);
        }
        let (email, email_in_id_token) = (email_in(&userinfo), email_in(&id_token));
        Ok(Self { email, email_in_id_token, subs: subs.unwrap_or_default() })
    }
}

/// The lists of values that a claim must be one of: its `value`, and its `values`.
fn wanted(claim: &Value) -> impl Iterator<Item = &[Value]> {
    let said = |name: &str| claim.get(name).filter(|value| !value.is_null());
    let value = said("value").map(slice::from_ref);
    let values =
        said("values").map(|values| values.as_array().map_or(slice::from_ref(values), Vec::as_slice));
    value.into_iter().chain(values)
}

fn read_did(value: &Value) -> Result<Did, ClaimsError> {
    value.as_str().and_then(|did| Did::parse(did).ok()).ok_or(ClaimsError::Sub)
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
    use serde_json::json;

    use super::*;

    const DID: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn what_is_understood() {
        let read = RequestedClaims::read;
        let email = RequestedClaims { email: true, ..RequestedClaims::default() };
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
    }

    #[test]
    fn who_has_to_sign_in() {
        const OTHER: &str = "did:web:a.example";
        let subs = |claims: Value| {
            let subs = RequestedClaims::read(&claims.to_string())?.subs;
            Ok(subs.iter().map(Did::to_string).collect::<Vec<_>>())
        };
        for (claims, whose) in [
            (json!({"id_token": {"sub": {"value": DID}}}), vec![DID]),
            (json!({"userinfo": {"sub": {"values": [DID, OTHER]}}}), vec![DID, OTHER]),
            (
                json!({"userinfo": {"sub": {"values": [DID, OTHER]}}, "id_token": {"sub": {"value": OTHER}}}),
                vec![OTHER],
            ),
            (json!({"id_token": {"sub": {"value": DID, "values": [OTHER, DID]}}}), vec![DID]),
            (json!({"id_token": {"sub": {"essential": true, "value": null, "values": null}}}), vec![]),
        ] {
            assert_eq!(subs(claims.clone()), Ok(whose.into_iter().map(str::to_owned).collect()), "{claims}");
        }
        for claims in [
            json!({"id_token": {"sub": {"value": DID}}, "userinfo": {"sub": {"value": OTHER}}}),
            json!({"id_token": {"sub": {"value": "alice"}}}),
            json!({"id_token": {"sub": {"value": 1}}}),
            json!({"id_token": {"sub": {"values": []}}}),
            json!({"id_token": {"sub": {"values": [DID, "alice"]}}}),
        ] {
            assert_eq!(subs(claims.clone()), Err(ClaimsError::Sub), "{claims}");
        }
    }

    #[test]
    fn an_acr_that_has_to_be() {
        let read = |acr: Value| RequestedClaims::read(&json!({"id_token": {"acr": acr}}).to_string());
        for acr in [
            json!({"essential": true, "values": ["urn:mfa"]}),
            json!({"essential": true, "value": "urn:mfa"}),
        ] {
            assert_eq!(read(acr.clone()), Err(ClaimsError::Acr), "{acr}");
        }
        for acr in [
            json!(null),
            json!({"essential": true}),
            json!({"essential": true, "value": null}),
            json!({"essential": false, "values": ["urn:mfa"]}),
            json!({"values": ["urn:mfa"]}),
        ] {
            assert_eq!(read(acr.clone()), Ok(RequestedClaims::default()), "{acr}");
        }
    }

    #[test]
    fn what_is_not() {
        for text in ["", "x", "[]", "null", r#"{"userinfo":[]}"#, r#"{"id_token":{"email":true}}"#] {
            assert_eq!(RequestedClaims::read(text), Err(ClaimsError::Form), "{text}");
        }
    }
}
