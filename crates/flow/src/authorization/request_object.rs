//! Signed request objects (RFC 9101), by value: in the front channel or pushed.
//!
//! The object is the whole request: parameters beside it are ignored (section 6.3), except `client_id`, which
//! says whose keys verify it.

use causeway_domain::client::members::REQUEST_OBJECT_SIGNING_ALG;
use causeway_domain::client::{Client, ReplayKey};
use causeway_jose::{ClaimError, ClaimRules, Claims, Expiry, Jws, VerifyError};
use causeway_store::authorization::replay;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::{BrowserSessionId, ClientId};
use serde::Deserialize;
use serde_json::Value;

use crate::authorization::parameters::AuthorizeParams;
use crate::client::keys::SignatureError;
use crate::ctx::Ctx;

/// Maximum bytes of an object.
const MAX_BYTES: usize = 16 * 1024;
/// Seconds that the client's clock may be ahead of ours, and that an object is accepted after its `exp`.
const SKEW_SECONDS: i64 = 60;
/// Maximum seconds until `exp`.
const LIFETIME_SECONDS: i64 = 3600;
/// Allowed values of the header `typ` (section 10.8); many libraries leave it out.
const TYPES: [&str; 2] = ["oauth-authz-req+jwt", "JWT"];

/// Why an object was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestObjectError {
    /// Not a JWS, or not signed by one of the client's keys.
    #[error("the request object {0}")]
    Jws(#[from] VerifyError),
    /// A JWT that was made for something else.
    #[error("the request object has the header typ of another kind of JWT: set it to oauth-authz-req+jwt")]
    Typ,
    /// Signed with another algorithm than the client registered.
    #[error("the request object is not signed with the registered request_object_signing_alg")]
    RegisteredAlg,
    /// The client's keys are missing or unavailable.
    #[error("the request object cannot be verified: register jwks or jwks_uri with the key that signs it")]
    Keys,
    /// A claim is missing or wrong.
    #[error("the request object is not accepted: {0}")]
    Claim(#[from] ClaimError),
    /// It was used before, by another browser or pushed.
    #[error("the request object was used before: create a new one, with a new jti, for each request")]
    Replayed,
    /// It names another client.
    #[error("client_id in the request object is not that of the request")]
    OtherClient,
    /// An object that would pass as a client assertion (RFC 7523 section 3).
    #[error("a request object must not name the client as its sub: it would pass as a client assertion")]
    Subject,
    /// An object within an object.
    #[error("a request object must not hold request or request_uri")]
    Nested,
    /// A character that no parameter holds: databases refuse NUL, and logs are lines.
    #[error("a request object must not hold control characters")]
    Control,
}

impl From<SignatureError> for RequestObjectError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Jws(error) => Self::Jws(error),
            SignatureError::Keys(_) | SignatureError::Unreachable => {
                tracing::info!(%error, "the keys for a request object are not available");
                Self::Keys
            }
        }
    }
}

/// The claims of an object: parameters as JSON, in which a number need not be a string.
#[derive(Deserialize)]
struct Object {
    #[serde(flatten)]
    registered: Claims,
    #[serde(flatten)]
    params: serde_json::Map<String, Value>,
}

impl Object {
    /// Converts the claims to the parameters that a form would have had.
    fn read(mut self, client_id: &ClientId) -> Result<AuthorizeParams, RequestObjectError> {
        if self.take("client_id").as_deref() != Some(client_id.as_str()) {
            return Err(RequestObjectError::OtherClient);
        }
        // Browsers carry it, so it must not pass as a client assertion (section 10.8).
        if self.registered.sub.as_deref() == Some(client_id.as_str()) {
            return Err(RequestObjectError::Subject);
        }
        if self.params.contains_key("request") || self.params.contains_key("request_uri") {
            return Err(RequestObjectError::Nested);
        }
        if self.params.values().any(has_controls) {
            return Err(RequestObjectError::Control);
        }
        Ok(AuthorizeParams {
            client_id: Some(client_id.to_string()),
            redirect_uri: self.take("redirect_uri"),
            response_type: self.take("response_type"),
            response_mode: self.take("response_mode"),
            scope: self.take("scope"),
            resource: texts(self.params.remove("resource")),
            state: self.take("state"),
            code_challenge: self.take("code_challenge"),
            code_challenge_method: self.take("code_challenge_method"),
            nonce: self.take("nonce"),
            login_hint: self.take("login_hint"),
            prompt: self.take("prompt"),
            max_age: self.take("max_age"),
            id_token_hint: self.take("id_token_hint"),
            dpop_jkt: self.take("dpop_jkt"),
            ui_locales: self.take("ui_locales"),
            claims: self.take("claims"),
            ..AuthorizeParams::default()
        })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        match self.params.remove(name)? {
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            // `claims` is JSON itself.
            object @ Value::Object(_) => Some(object.to_string()),
            _ => None,
        }
    }
}

/// Whether a text, or one in a list, has control characters, which no form could have brought. JSON within
/// JSON escapes them.
fn has_controls(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().any(char::is_control),
        Value::Array(values) => values.iter().any(has_controls),
        _ => false,
    }
}

/// The values of a parameter that may be repeated: one text, or a list of them (RFC 9101 section 4).
fn texts(value: Option<Value>) -> Vec<String> {
    let values = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(value) => vec![value],
    };
    // A value that is not a string is not a resource either, and is refused as such.
    values.into_iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

/// Verifies that an object is the client's; returns the request in it, and the key of its single use.
///
/// # Errors
/// [`RequestObjectError`].
pub(crate) async fn unfold(
    ctx: &Ctx,
    client: &Client,
    object: &str,
) -> Result<(AuthorizeParams, ReplayKey), RequestObjectError> {
    let jws = Jws::parse(object, MAX_BYTES)?;
    if jws.typ().is_some_and(|typ| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ))) {
        return Err(RequestObjectError::Typ);
    }
    let registered = REQUEST_OBJECT_SIGNING_ALG.text(&client.metadata);
    if registered.is_some_and(|alg| alg != jws.algorithm().as_str()) {
        return Err(RequestObjectError::RegisteredAlg);
    }
    let object: Object = ctx.client_keys().verify(ctx, client, &jws).await?.claims()?;
    object.registered.check(&ClaimRules {
        now: ctx.now(),
        iss: Some(client.client_id.as_str()),
        sub: None,
        aud: &[ctx.issuer()],
        exp: Expiry::Within(LIFETIME_SECONDS),
        grace_seconds: SKEW_SECONDS,
        skew_seconds: SKEW_SECONDS,
        needs_jti: true,
    })?;
    let exp = object.registered.exp.ok_or(ClaimError::NoExpiry)?;
    let jti = object.registered.jti.as_deref().ok_or(ClaimError::Jti)?;
    let once = ReplayKey::request_object(&client.client_id, jti, exp.plus(SKEW_SECONDS + 1));
    Ok((object.read(&client.client_id)?, once))
}

/// Consumes a request object for every browser but this one, where a reload sends it again; `false`: it was
/// used elsewhere.
pub(crate) fn consume(
    c: &mut AnyConnection,
    object: &ReplayKey,
    browser: &BrowserSessionId,
) -> Result<bool, StoreError> {
    let here = object.within(browser);
    if replay::consume_once(c, object)? { replay::consume_once(c, &here) } else { replay::was_used(c, &here) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Members that have a meaning, and one that has none.
    const NAMES: [&str; 12] = [
        "iss",
        "aud",
        "exp",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "resource",
        "max_age",
        "claims",
        "request_uri",
        "x",
    ];

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    fn read(claims: Value) -> Option<AuthorizeParams> {
        let object: Object = serde_json::from_value(claims).ok()?;
        object.read(&ClientId::new("app")).ok()
    }

    proptest! {
        #[test]
        fn any_object_is_read_or_refused(
            claims in prop::collection::btree_map(prop::sample::select(&NAMES[..]), any_json(), 0..8),
        ) {
            let mut claims = json!(claims);
            let _ = read(claims.clone());
            claims["client_id"] = json!("app");
            if let Some(params) = read(claims) {
                prop_assert_eq!(params.request_uri, None);
                let texts = [params.redirect_uri, params.scope, params.state, params.max_age, params.claims];
                for text in texts.into_iter().flatten().chain(params.resource) {
                    prop_assert!(!text.chars().any(char::is_control), "{text:?}");
                }
            }
        }

        #[test]
        fn what_a_client_writes_is_what_we_read(state in "\\PC{1,40}", scope in "\\PC{1,40}", age in 0_u32..) {
            let claims = json!({ "client_id": "app", "state": state, "scope": scope, "max_age": age, "resource": [state] });
            let params = read(claims).expect("an object");
            prop_assert_eq!((params.state.as_ref(), params.scope), (Some(&state), Some(scope)));
            prop_assert_eq!((params.max_age, params.resource), (Some(age.to_string()), vec![state]));
        }

        #[test]
        fn any_text_is_a_jws_or_refused(text in ".{0,60}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,30}", 0..5)) {
            let _ = Jws::parse(&text, MAX_BYTES);
            let _ = Jws::parse(&parts.join("."), MAX_BYTES);
        }
    }
}
