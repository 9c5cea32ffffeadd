//! Signed request objects (RFC 9101), by value: in the front channel or pushed.
//!
//! What is in the object is the whole request: parameters beside it are not looked at (section 6.3), save
//! `client_id`, which says whose keys verify it.

use causeway_domain::client::Client;
use causeway_jose::{ClaimError, ClaimRules, Claims, Expiry, Jws, VerifyError};
use serde::Deserialize;
use serde_json::Value;

use crate::assertion::AssertionError;
use crate::authorize::AuthorizeParams;
use crate::ctx::Ctx;

/// The longest object that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// Seconds that the client's clock may be ahead of ours, and that an object is accepted after its `exp`.
const SKEW_SECONDS: i64 = 60;
/// What the header `typ` may say (section 10.8); many libraries leave it out.
const TYPES: [&str; 2] = ["oauth-authz-req+jwt", "JWT"];

/// Why an object was not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestObjectError {
    /// Not a JWS, or not signed by one of the client's keys.
    #[error("the request object {0}")]
    Jws(#[from] VerifyError),
    /// A JWT that was made for something else.
    #[error("the request object has the header typ of another kind of JWT: say oauth-authz-req+jwt")]
    Typ,
    /// Signed with another algorithm than the client registered.
    #[error("the request object is not signed with the registered request_object_signing_alg")]
    RegisteredAlg,
    /// The client's keys.
    #[error("the request object cannot be verified: register jwks or jwks_uri with the key that signs it")]
    Keys,
    /// A claim does not hold.
    #[error("the request object is not accepted: {0}")]
    Claim(#[from] ClaimError),
    /// It is about another client.
    #[error("client_id in the request object is not that of the request")]
    OtherClient,
    /// An object within an object.
    #[error("a request object must not hold request or request_uri")]
    Nested,
}

impl From<AssertionError> for RequestObjectError {
    fn from(error: AssertionError) -> Self {
        tracing::info!(%error, "no keys for a request object");
        Self::Keys
    }
}

/// The claims of an object: parameters as JSON, where a number may stand for itself.
#[derive(Deserialize)]
struct Object {
    #[serde(flatten)]
    registered: Claims,
    #[serde(flatten)]
    params: serde_json::Map<String, Value>,
}

impl Object {
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

/// One text, or a list of them: what may be sent more than once (RFC 9101 section 4).
fn texts(value: Option<Value>) -> Vec<String> {
    let values = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(value) => vec![value],
    };
    // What is no text is no resource either, and is refused as one.
    values.into_iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

/// The request that an object stands for, once it is proven to be the client's.
///
/// # Errors
/// [`RequestObjectError`].
pub(crate) async fn unfold(
    ctx: &Ctx,
    client: &Client,
    object: &str,
) -> Result<AuthorizeParams, RequestObjectError> {
    let jws = Jws::parse(object, MAX_BYTES)?;
    if jws.typ().is_some_and(|typ| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ))) {
        return Err(RequestObjectError::Typ);
    }
    let registered = client.metadata.get("request_object_signing_alg").and_then(Value::as_str);
    if registered.is_some_and(|alg| alg != jws.algorithm().as_str()) {
        return Err(RequestObjectError::RegisteredAlg);
    }
    let keys = ctx.client_keys().find(ctx, client).await?;
    let verified = match jws.verify_with(&keys) {
        // The client may have changed its keys since we looked.
        Err(error) => match ctx.client_keys().find_newer(ctx, client, &keys).await? {
            Some(newer) => jws.verify_with(&newer)?,
            None => return Err(error.into()),
        },
        Ok(verified) => verified,
    };
    let mut object: Object = verified.claims()?;
    object.registered.check(&ClaimRules {
        now: ctx.now(),
        iss: Some(client.client_id.as_str()),
        sub: None,
        aud: &[ctx.issuer()],
        exp: Expiry::Optional,
        grace_seconds: SKEW_SECONDS,
        skew_seconds: SKEW_SECONDS,
        needs_jti: false,
    })?;
    if object.take("client_id").as_deref() != Some(client.client_id.as_str()) {
        return Err(RequestObjectError::OtherClient);
    }
    if object.params.contains_key("request") || object.params.contains_key("request_uri") {
        return Err(RequestObjectError::Nested);
    }
    Ok(AuthorizeParams {
        client_id: Some(client.client_id.to_string()),
        redirect_uri: object.take("redirect_uri"),
        response_type: object.take("response_type"),
        response_mode: object.take("response_mode"),
        scope: object.take("scope"),
        resource: texts(object.params.remove("resource")),
        state: object.take("state"),
        code_challenge: object.take("code_challenge"),
        code_challenge_method: object.take("code_challenge_method"),
        nonce: object.take("nonce"),
        login_hint: object.take("login_hint"),
        prompt: object.take("prompt"),
        max_age: object.take("max_age"),
        id_token_hint: object.take("id_token_hint"),
        dpop_jkt: object.take("dpop_jkt"),
        claims: object.take("claims"),
        ..AuthorizeParams::default()
    })
}
