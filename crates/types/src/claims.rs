//! The facts about an access token that a resource server gets: from the token itself (RFC 9068), or from the introspection
//! endpoint (RFC 7662).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{ClientId, Handle, Jkt, Scope, Timestamp, UpstreamSessionId};

wire_names! {
    /// How an access token is used (RFC 6749 section 7.1): `token_type` of an answer, and the scheme of the
    /// `Authorization` header.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum TokenType {
        /// Without proof of possession (RFC 6750).
        Bearer = "Bearer",
        /// With a proof of possession of its key (RFC 9449).
        Dpop = "DPoP",
    }
}

impl TokenType {
    /// The type of a token that is bound to this key, or to none.
    pub const fn of(jkt: Option<&Jkt>) -> Self {
        if jkt.is_some() { Self::Dpop } else { Self::Bearer }
    }
}

/// A key that a presenter has to prove possession of (RFC 7800 section 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Confirmation {
    /// Its thumbprint (RFC 9449 section 6.1).
    pub jkt: Jkt,
}

impl From<Jkt> for Confirmation {
    fn from(jkt: Jkt) -> Self {
        Self { jkt }
    }
}

/// The `aud` of a token (RFC 7519 section 4.1.3): one text, or a list of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAudience(Vec<String>);

impl TokenAudience {
    /// Whether it names this resource, byte for byte.
    pub fn contains(&self, resource: &str) -> bool {
        self.iter().any(|own| own == resource)
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl From<&str> for TokenAudience {
    fn from(resource: &str) -> Self {
        Self(vec![resource.to_owned()])
    }
}

impl<T: Into<String>> FromIterator<T> for TokenAudience {
    fn from_iter<I: IntoIterator<Item = T>>(resources: I) -> Self {
        Self(resources.into_iter().map(Into::into).collect())
    }
}

impl Serialize for TokenAudience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => serializer.serialize_str(one),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TokenAudience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            One(String),
            Several(Vec<String>),
        }
        Ok(match Wire::deserialize(deserializer)? {
            Wire::One(one) => Self(vec![one]),
            Wire::Several(several) => Self(several),
        })
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for TokenAudience {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TokenAudience".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

/// The claims of an access token that is a JWT (RFC 9068 section 2.2).
///
/// A resource server verifies the signature with a key of the issuer's JWKS and the header `typ` first: it has to be
/// [`AccessTokenClaims::TYP`]. Then it [checks](Self::check) the claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccessTokenClaims {
    /// The issuer.
    pub iss: String,
    /// The user's DID, or the client itself.
    pub sub: String,
    /// The resources that it is for; the issuer where the request named none.
    pub aud: TokenAudience,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// When it was issued.
    pub iat: Timestamp,
    /// When it ends.
    pub exp: Timestamp,
    /// Its identifier.
    pub jti: String,
    /// Its scope.
    #[serde(default, skip_serializing_if = "Scope::is_empty", deserialize_with = "read_scope")]
    pub scope: Scope,
    /// When the user signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<Timestamp>,
    /// The key that it is bound to (RFC 9449 section 6.1): its presenter has to send a DPoP proof, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}

/// Why the claims of a token do not admit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenClaimsError {
    /// Another issuer.
    #[error("the access token is not from this issuer")]
    Issuer,
    /// Another resource.
    #[error("the access token is not for this resource")]
    Audience,
    /// Too old.
    #[error("the access token has expired")]
    Expired,
}

impl AccessTokenClaims {
    /// The header `typ` of such a token (RFC 9068 section 2.1): nothing that is read as an `id_token` can be taken
    /// for one.
    pub const TYP: &'static str = "at+jwt";

    /// The claims that every token has, for the server itself; the others are to be set.
    pub fn new(
        iss: impl Into<String>,
        sub: impl Into<String>,
        client_id: ClientId,
        jti: String,
        iat: Timestamp,
        exp: Timestamp,
    ) -> Self {
        let iss = iss.into();
        let aud = TokenAudience::from(&*iss);
        let sub = sub.into();
        Self { iss, sub, aud, client_id, iat, exp, jti, scope: Scope::default(), auth_time: None, cnf: None }
    }

    /// Checks what a resource server checks besides signature and header (RFC 9068 section 4).
    ///
    /// # Errors
    /// The first [`TokenClaimsError`] found.
    pub fn check(&self, issuer: &str, resource: &str, now: Timestamp) -> Result<(), TokenClaimsError> {
        if self.iss != issuer {
            Err(TokenClaimsError::Issuer)
        } else if !self.aud.contains(resource) {
            Err(TokenClaimsError::Audience)
        } else if self.exp <= now {
            Err(TokenClaimsError::Expired)
        } else {
            Ok(())
        }
    }
}

/// The answer of the introspection endpoint (RFC 7662 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// Not a valid token, or none that the caller may see: which of them is not said.
    Inactive,
    /// A valid token.
    Active(Box<ActiveToken>),
}

impl Serialize for Introspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            active: bool,
            #[serde(flatten)]
            token: Option<&'a ActiveToken>,
        }
        let token = match self {
            Self::Inactive => None,
            Self::Active(token) => Some(&**token),
        };
        Wire { active: token.is_some(), token }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Introspection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            active: bool,
            #[serde(flatten)]
            token: Map<String, Value>,
        }
        let Wire { active, token } = Wire::deserialize(deserializer)?;
        if !active {
            return Ok(Self::Inactive);
        }
        serde_json::from_value(Value::Object(token)).map(Self::Active).map_err(serde::de::Error::custom)
    }
}

/// A valid token, as its owner or its resource may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ActiveToken {
    /// The issuer.
    pub iss: String,
    /// The user's DID, or the client itself.
    pub sub: String,
    /// The user's handle, verified in both directions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Handle>,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// The resources that it is for; the issuer where the request named none.
    pub aud: TokenAudience,
    /// Its scope.
    #[serde(default, skip_serializing_if = "Scope::is_empty", deserialize_with = "read_scope")]
    pub scope: Scope,
    /// How it is presented; absent from a refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<TokenType>,
    /// Unix time at which it was issued.
    pub iat: Timestamp,
    /// Unix time at which it expires; a refresh token may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Timestamp>,
    /// The key that it is bound to (RFC 9449 section 6.2): its presenter has to send a DPoP proof, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// The session that it gives access to, if there is a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<UpstreamSessionId>,
}

impl ActiveToken {
    /// The claims of every token, for the server itself as its resource; the others are to be set.
    pub fn new(iss: impl Into<String>, sub: impl Into<String>, client_id: ClientId, iat: Timestamp) -> Self {
        let iss = iss.into();
        Self {
            aud: TokenAudience::from(&*iss),
            iss,
            sub: sub.into(),
            username: None,
            client_id,
            scope: Scope::default(),
            token_type: None,
            iat,
            exp: None,
            cnf: None,
            sid: None,
        }
    }
}

/// Reads a scope that an authorization server granted, with values of resources.
fn read_scope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
    Scope::from_stored(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::tests::assert_names;

    const ISSUER: &str = "https://as.example";
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    #[test]
    fn types_of_tokens() {
        assert_names!(TokenType: "Bearer", "DPoP");
        let jkt = Jkt::parse(JKT).unwrap();
        assert_eq!((TokenType::of(None), TokenType::of(Some(&jkt))), (TokenType::Bearer, TokenType::Dpop));
    }

    #[test]
    fn one_audience_or_several() {
        for (aud, names) in
            [(json!("urn:a:b"), &["urn:a:b"][..]), (json!(["urn:a:b", "urn:c:d"]), &["urn:a:b", "urn:c:d"])]
        {
            let read: TokenAudience = serde_json::from_value(aud.clone()).unwrap();
            assert_eq!(read.iter().collect::<Vec<_>>(), names);
            assert_eq!(serde_json::to_value(&read).unwrap(), aud);
            assert_eq!(names.iter().copied().collect::<TokenAudience>(), read);
            assert!(read.contains("urn:a:b") && !read.contains("urn:a:b/") && !read.contains(""));
        }
        assert!(serde_json::from_value::<TokenAudience>(json!(null)).is_err());
    }

    #[cfg(feature = "schemars")]
    #[test]
    fn schema_of_an_audience() {
        let schema = Value::from(schemars::schema_for!(ActiveToken));
        assert_eq!(
            schema["properties"]["aud"],
            json!({
                "type": ["string", "array"], "items": { "type": "string" },
                "description": "The resources that it is for; the issuer where the request named none.",
            })
        );
    }

    #[test]
    fn claims_of_a_signed_token() {
        let json = json!({
            "iss": ISSUER, "sub": "did:plc:x", "aud": ["https://api.example", "urn:a:b"], "client_id": "c",
            "iat": 1, "exp": 601, "jti": "j", "scope": "atproto notes:read", "auth_time": 1, "cnf": {"jkt": JKT},
        });
        let claims: AccessTokenClaims = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&claims).unwrap(), json);
        assert_eq!(claims.cnf, Some(Jkt::parse(JKT).unwrap().into()));
        let check = |issuer, resource, now| claims.check(issuer, resource, Timestamp(now));
        assert_eq!(check(ISSUER, "https://api.example", 600), Ok(()));
        assert_eq!(check(ISSUER, "https://api.example", 601), Err(TokenClaimsError::Expired));
        assert_eq!(check(ISSUER, "https://other.example", 1), Err(TokenClaimsError::Audience));
        assert_eq!(check(ISSUER, ISSUER, 1), Err(TokenClaimsError::Audience));
        assert_eq!(check("https://as.example/", "urn:a:b", 1), Err(TokenClaimsError::Issuer));

        let id = ClientId::new("c");
        let least = AccessTokenClaims::new(ISSUER, "c", id, "j".to_owned(), Timestamp(1), Timestamp(2));
        let json = json!({
            "iss": ISSUER, "sub": "c", "aud": ISSUER, "client_id": "c", "iat": 1, "exp": 2, "jti": "j",
        });
        assert_eq!(serde_json::to_value(&least).unwrap(), json);
        assert_eq!(serde_json::from_value::<AccessTokenClaims>(json).unwrap(), least);
    }

    #[test]
    fn answers_of_introspection() {
        let read = |json: &Value| serde_json::from_value::<Introspection>(json.clone());
        let inactive = json!({"active": false});
        assert_eq!(read(&inactive).unwrap(), Introspection::Inactive);
        assert_eq!(read(&json!({"active": false, "sub": 1})).unwrap(), Introspection::Inactive);
        assert_eq!(serde_json::to_value(Introspection::Inactive).unwrap(), inactive);
        let active = json!({
            "active": true, "iss": ISSUER, "sub": "did:plc:x", "username": "alice.example.com", "client_id": "c",
            "aud": "urn:a:b", "scope": "notes:read", "token_type": "DPoP", "iat": 1, "exp": 2, "cnf": {"jkt": JKT},
            "sid": "us_1",
        });
        let answer = read(&active).unwrap();
        assert_eq!(serde_json::to_value(&answer).unwrap(), active);
        let least =
            Introspection::Active(Box::new(ActiveToken::new(ISSUER, "c", ClientId::new("c"), Timestamp(1))));
        let json =
            json!({"active": true, "iss": ISSUER, "sub": "c", "client_id": "c", "aud": ISSUER, "iat": 1});
        assert_eq!(serde_json::to_value(&least).unwrap(), json);
        assert_eq!(read(&json).unwrap(), least);
        for (member, bad) in [("sub", json!(null)), ("active", json!("true")), ("cnf", json!({"jkt": "x"}))] {
            let mut broken = active.clone();
            broken[member] = bad;
            assert!(read(&broken).is_err(), "{member}");
        }
    }
}
