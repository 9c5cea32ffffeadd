//! ID tokens (OpenID Connect Core section 3.1.3.7).

use std::fmt;

use causeway_jose::{Audience, ClaimError, ClaimRules, Claims, Expiry, JwkSet, Jws, VerifyError};
use causeway_types::{Secret, Timestamp};
use serde_json::Value;
use thiserror::Error;

use super::account::Account;
use super::metadata::ServerMetadata;
use crate::definition::account::Identity;
use crate::definition::oauth::{Discovery, OauthClient};
use crate::json::Document;

/// The longest ID token that is read, in bytes.
const MOST_BYTES: usize = 64 * 1024;
/// Seconds that the provider's clock may be away from ours.
const SKEW_SECONDS: i64 = 300;
/// The longest life in seconds of an ID token: a year.
const LONGEST: i64 = 366 * 86_400;

/// Why an ID token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdTokenError {
    /// Its signature, or its form.
    #[error("the ID token {0}")]
    Signature(#[from] VerifyError),
    /// One of the registered claims.
    #[error("the ID token is not for us: {0}")]
    Claim(#[from] ClaimError),
    /// It names another issuer.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// It is for several parties, or was issued to another one.
    #[error("the ID token was issued to another client")]
    AuthorizedParty,
    /// It answers another request.
    #[error("the ID token has another nonce")]
    Nonce,
    /// It names no account.
    #[error("the ID token has no sub")]
    NoSubject,
}

/// Values that an ID token is verified against.
#[derive(Clone, Copy)]
pub struct IdTokenRules<'a> {
    /// The metadata of its provider.
    pub metadata: &'a ServerMetadata,
    /// The definition's leniency about the issuer.
    pub discovery: &'a Discovery,
    /// The provider's keys.
    pub keys: &'a JwkSet,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// The nonce of the request; `None`: the token is that of a renewal.
    pub nonce: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

impl fmt::Debug for IdTokenRules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenRules")
            .field("client_id", &self.client_id)
            .field("has_nonce", &self.nonce.is_some())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// A verified ID token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedIdToken {
    /// The issuer that it names, to which the connection is bound.
    pub issuer: String,
    /// The account.
    pub account: Account,
}

/// Verifies an ID token and reads the account that it names.
///
/// # Errors
/// [`IdTokenError`].
pub fn verify_id_token(
    client: &OauthClient,
    token: &Secret,
    rules: &IdTokenRules<'_>,
) -> Result<VerifiedIdToken, IdTokenError> {
    let verified = Jws::parse(token.expose(), MOST_BYTES)?.verify_with(rules.keys)?;
    let claims: Claims = verified.claims()?;
    claims.check(&ClaimRules {
        now: rules.now,
        iss: None,
        sub: None,
        aud: &[rules.client_id],
        exp: Expiry::Within(LONGEST),
        grace_seconds: SKEW_SECONDS,
        skew_seconds: SKEW_SECONDS,
        needs_jti: false,
    })?;
    let issuer = claims.iss.filter(|issuer| rules.metadata.takes_issuer(rules.discovery, issuer));
    let issuer = issuer.ok_or(IdTokenError::Issuer)?;
    let document = Document::json(verified.payload()).ok_or(VerifyError::Claims)?;
    let claim = |name: &str| document.root().get(name).and_then(Value::as_str);
    let is_alone = !matches!(&claims.aud, Audience::Several(several) if several.len() > 1);
    match claim("azp") {
        Some(party) if party != rules.client_id => return Err(IdTokenError::AuthorizedParty),
        None if !is_alone => return Err(IdTokenError::AuthorizedParty),
        _ => {}
    }
    if rules.nonce.is_some_and(|nonce| claim("nonce") != Some(nonce)) {
        return Err(IdTokenError::Nonce);
    }
    let subject = claims.sub.filter(|subject| !subject.is_empty()).ok_or(IdTokenError::NoSubject)?;
    let name = match &client.identity {
        Identity::IdToken { name } => name.as_ref().and_then(|name| document.text(name)),
        Identity::Url { .. } | Identity::TokenAnswer { .. } | Identity::None => None,
    };
    Ok(VerifiedIdToken { issuer, account: Account { subject, name } })
}

#[cfg(test)]
mod tests {
    use causeway_jose::{EcKey, sign_jwt};
    use serde_json::{Map, json};

    use super::*;
    use crate::testing::built_in;
    use crate::values::text::Text as _;
    use crate::values::url_template::UrlTemplate;

    const ISSUER: &str = "https://accounts.google.com";
    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn verify(key: &EcKey, changes: &[(&str, Value)]) -> Result<VerifiedIdToken, IdTokenError> {
        let mut claims = json!({
            "iss": ISSUER, "aud": "our-id", "sub": "1081", "exp": NOW.as_secs() + 60, "iat": NOW.as_secs(),
            "nonce": "n-1", "name": "Ada",
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let token = Secret::new(sign_jwt(key, Map::new(), &claims).unwrap());
        let document = json!({"issuer": ISSUER, "authorization_endpoint": "https://a.example/a",
                              "token_endpoint": "https://a.example/t"});
        let discovery = Discovery { issuer: UrlTemplate::parse(ISSUER).unwrap(), issuer_pattern: None };
        let document = Document::json(document.to_string().as_bytes()).unwrap();
        let issuer = url::Url::parse(ISSUER).unwrap();
        let metadata =
            ServerMetadata::read(&document, discovery.issuer_pattern.as_ref(), &issuer, false).unwrap();
        let own = EcKey::from_private_jwk(&KEY.into()).unwrap();
        let keys = JwkSet::parse(&json!({"keys": [own.public_jwk()]})).unwrap();
        let rules = IdTokenRules {
            metadata: &metadata,
            discovery: &discovery,
            keys: &keys,
            client_id: "our-id",
            nonce: Some("n-1"),
            now: NOW,
        };
        let shown = format!("{rules:?}");
        assert!(shown.contains("our-id") && !shown.contains("n-1"), "{shown}");
        verify_id_token(&built_in("google"), &token, &rules)
    }

    /// The key of RFC 7515 appendix A.3.
    const KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

    #[test]
    fn a_token_names_its_account() {
        let key = EcKey::from_private_jwk(&KEY.into()).unwrap();
        let account = Account { subject: "1081".to_owned(), name: Some("Ada".to_owned()) };
        let expected = VerifiedIdToken { issuer: ISSUER.to_owned(), account };
        assert_eq!(verify(&key, &[]), Ok(expected.clone()));
        let several = [("aud", json!(["our-id", "api"])), ("azp", json!("our-id"))];
        assert_eq!(verify(&key, &several), Ok(expected));
    }

    #[test]
    fn every_claim_counts() {
        let key = EcKey::from_private_jwk(&KEY.into()).unwrap();
        let past = NOW.as_secs() - SKEW_SECONDS;
        for (changes, error) in [
            (&[("iss", json!("https://evil.example"))][..], IdTokenError::Issuer),
            (&[("iss", json!(null))], IdTokenError::Issuer),
            (&[("aud", json!("other"))], IdTokenError::Claim(ClaimError::Audience)),
            (&[("aud", json!(["our-id", "other"]))], IdTokenError::AuthorizedParty),
            (&[("azp", json!("other"))], IdTokenError::AuthorizedParty),
            (&[("exp", json!(past))], IdTokenError::Claim(ClaimError::Expired)),
            (&[("exp", json!(null))], IdTokenError::Claim(ClaimError::NoExpiry)),
            (&[("iat", json!(NOW.as_secs() + SKEW_SECONDS + 1))], IdTokenError::Claim(ClaimError::Future)),
            (&[("nonce", json!("n-2"))], IdTokenError::Nonce),
            (&[("nonce", json!(null))], IdTokenError::Nonce),
            (&[("sub", json!(null))], IdTokenError::NoSubject),
            (&[("sub", json!(""))], IdTokenError::NoSubject),
        ] {
            assert_eq!(verify(&key, changes), Err(error), "{changes:?}");
        }
    }

    #[test]
    fn another_key_does_not_sign_for_the_provider() {
        let other = EcKey::generate().unwrap();
        assert_eq!(verify(&other, &[]), Err(IdTokenError::Signature(VerifyError::Signature)));
    }
}
