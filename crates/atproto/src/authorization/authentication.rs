//! Our client authentication at authorization servers.

use causeway_jose::{ClientAssertion, EcKey, JoseError, client_assertion};
use causeway_types::{Secret, Timestamp, UpstreamClientId};

/// Our client identity at an authorization server.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamIdentity<'a> {
    /// Our `client_id` there.
    pub client_id: &'a UpstreamClientId,
    /// How we authenticate there.
    pub auth: UpstreamAuthKey<'a>,
}

/// Our client authentication method and its key.
#[derive(Clone, Copy, Debug)]
pub enum UpstreamAuthKey<'a> {
    /// As a public client.
    None,
    /// With a signed assertion (RFC 7523).
    PrivateKeyJwt {
        /// The key.
        key: &'a EcKey,
        /// Its identifier in our published key set.
        kid: &'a str,
    },
}

/// The assertion type of RFC 7523 section 2.2.
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds that an assertion lives.
const ASSERTION_SECONDS: i64 = 60;

impl UpstreamIdentity<'_> {
    /// A signed assertion for this issuer (RFC 7523 section 2.2); `None` for a public client.
    pub(super) fn assertion(
        &self,
        issuer: &str,
        jti: &str,
        now: Timestamp,
    ) -> Result<Option<Secret>, JoseError> {
        let UpstreamAuthKey::PrivateKeyJwt { key, kid } = self.auth else { return Ok(None) };
        let assertion = ClientAssertion {
            kid,
            client_id: self.client_id,
            audience: issuer,
            jti,
            iat: now,
            lifetime_seconds: ASSERTION_SECONDS,
        };
        client_assertion(key, &assertion).map(Some)
    }
}
