//! Client authentication by a signed assertion: `private_key_jwt` (RFC 7523 section 3, OpenID Connect Core
//! section 9).

use causeway_domain::client::{Client, ReplayKey};
use causeway_jose::{ClaimError, ClaimRules, Claims, Expiry, JwkError, Jws, VerifyError};
use causeway_types::ClientId;

use crate::client::keys::SignatureError;
use crate::ctx::Ctx;

/// The accepted `client_assertion_type`.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds that `exp` may lie ahead.
const LIFETIME_SECONDS: i64 = 3600;
/// Seconds for which an assertion is accepted after its `exp`.
const GRACE_SECONDS: i64 = 30;
/// Seconds that the client's clock may be ahead of ours.
const SKEW_SECONDS: i64 = 300;
/// The longest assertion that is parsed, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// Accepted values of the header `typ`; most libraries omit it.
const TYPES: [&str; 2] = ["JWT", "client-authentication+jwt"];

/// Why an assertion was rejected.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// Not a JWS, not signed by one of the client's keys, or with an algorithm that is not accepted.
    #[error("the client assertion {0}")]
    Jws(#[from] VerifyError),
    /// A JWT that was made for something else.
    #[error("the client assertion has the header typ of another kind of JWT: omit typ or set it to JWT")]
    Typ,
    /// Signed with another algorithm than the client registered.
    #[error("the client assertion is not signed with the registered token_endpoint_auth_signing_alg")]
    RegisteredAlg,
    /// It names no client: nothing, or with control characters.
    #[error("the client assertion names no client: its sub and iss must be the client_id")]
    NoSubject,
    /// `client_id` in the body names another client.
    #[error("client_id in the body is not the sub of the client assertion")]
    OtherClient,
    /// Its audience is another server, or another one as well, which could then use it here (RFC 7523bis
    /// section 4).
    #[error("aud of the client assertion must be this server's issuer and nothing else: {0}")]
    Audience(String),
    /// A claim is invalid.
    #[error("the client assertion is not accepted: {0}")]
    Claim(#[from] ClaimError),
    /// The client's key set is invalid.
    #[error("the client's key set cannot be used: it {0}")]
    Keys(#[from] JwkError),
    /// The client's keys cannot be fetched at the moment.
    #[error(
        "the client's key set could not be fetched from its jwks_uri: check that it answers 200 with JSON"
    )]
    Unreachable,
}

impl From<SignatureError> for AssertionError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Jws(error) => Self::Jws(error),
            SignatureError::Keys(error) => Self::Keys(error),
            SignatureError::Unreachable => Self::Unreachable,
        }
    }
}

/// A parsed assertion that names its client. Nothing in it is verified yet.
pub(crate) struct Assertion<'a> {
    jws: Jws<'a>,
    pub(crate) client_id: ClientId,
}

impl<'a> Assertion<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, AssertionError> {
        let jws = Jws::parse(text, MAX_BYTES)?;
        if jws.typ().is_some_and(|typ| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ))) {
            return Err(AssertionError::Typ);
        }
        let claims: Claims = jws.unverified_claims()?;
        let names = |sub: &String| !sub.is_empty() && !sub.chars().any(char::is_control);
        let sub = claims.sub.filter(names).ok_or(AssertionError::NoSubject)?;
        Ok(Self { jws, client_id: ClientId::new(sub) })
    }

    /// Verifies the assertion; returns the key under which it is consumed.
    pub(crate) async fn verify(&self, ctx: &Ctx, client: &Client) -> Result<ReplayKey, AssertionError> {
        let registered = client.token_endpoint_auth_signing_alg();
        if registered.is_some_and(|alg| alg != self.jws.algorithm().as_str()) {
            return Err(AssertionError::RegisteredAlg);
        }
        let claims: Claims = ctx.client_keys().verify(ctx, client, &self.jws).await?.claims()?;
        let now = ctx.now();
        if !claims.aud.single().is_some_and(|aud| is_for(aud, ctx.issuer())) {
            return Err(AssertionError::Audience(ctx.issuer().to_owned()));
        }
        claims.check(&ClaimRules {
            now,
            iss: Some(client.client_id.as_str()),
            sub: Some(client.client_id.as_str()),
            aud: &[],
            exp: Expiry::Within(LIFETIME_SECONDS),
            grace_seconds: GRACE_SECONDS,
            skew_seconds: SKEW_SECONDS,
            needs_jti: true,
        })?;
        let exp = claims.exp.ok_or(ClaimError::NoExpiry)?;
        let jti = claims.jti.as_deref().ok_or(ClaimError::Jti)?;
        Ok(ReplayKey::assertion(&client.client_id, jti, exp.plus(GRACE_SECONDS + 1)))
    }
}

/// Whether an assertion with this audience is for this server: its issuer, or its token endpoint, which RFC
/// 7523 allows and RFC 7523bis does not.
fn is_for(audience: &str, issuer: &str) -> bool {
    audience == issuer || audience.strip_prefix(issuer) == Some("/oauth/token")
}
