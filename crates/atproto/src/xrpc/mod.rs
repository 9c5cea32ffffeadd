//! The credentials of calls to a PDS (atproto specification "HTTP API (XRPC)"): how a request presents them, and what
//! an answer says about them. Whoever makes the call sends it.

mod refusal;

use causeway_jose::{DpopClaims, EcKey, JoseError, dpop_proof};
use causeway_outbound::Method;
use causeway_outbound::header::{AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue};
use causeway_types::{Nsid, Secret};
use url::Url;

use crate::authorization::nonce::DPOP;
use crate::client::AtprotoClient;

pub use self::refusal::{XrpcRefusal, xrpc_refusal};

/// Seconds for which a nonce is assumed to be valid. Servers change theirs every minute or so and accept the
/// last ones, too.
const NONCE_SECONDS: i64 = 60;

/// A call of a method, as far as its credentials cover it.
#[derive(Clone, Copy, Debug)]
pub struct XrpcCall<'a> {
    /// The origin of the PDS.
    pub pds: &'a Url,
    /// The HTTP method.
    pub method: &'a Method,
    /// The XRPC method.
    pub nsid: &'a Nsid,
    /// The session's access token.
    pub access_token: &'a Secret,
    /// The session's DPoP key.
    pub dpop: &'a EcKey,
}

/// Why credentials could not be presented. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum XrpcSignError {
    /// The proof could not be signed.
    #[error("the request could not be signed: {0}")]
    Sign(#[from] JoseError),
    /// The token cannot be sent in a header.
    #[error("the access token holds characters that are not allowed in headers")]
    Header(#[from] InvalidHeaderValue),
}

impl AtprotoClient {
    /// Adds the token to the headers of one attempt, with a proof (RFC 9449 section 7.1) of its own, because servers
    /// accept a `jti` only once. Returns the URL of the call, without a query.
    ///
    /// # Errors
    /// [`XrpcSignError`].
    pub fn sign_xrpc(
        &self,
        call: &XrpcCall<'_>,
        nonce: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<Url, XrpcSignError> {
        let mut url = call.pds.clone();
        url.set_path(&format!("/xrpc/{}", call.nsid));
        let claims = DpopClaims {
            htm: call.method.as_str(),
            htu: url.as_str(),
            jti: &self.0.rng.base64url::<16>(),
            iat: self.0.clock.now(),
            nonce,
            access_token: Some(call.access_token),
        };
        let proof = dpop_proof(call.dpop, &claims)?;
        let mut token = HeaderValue::from_str(&format!("DPoP {}", call.access_token.expose()))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        let mut proof = HeaderValue::from_str(&proof)?;
        proof.set_sensitive(true);
        headers.insert(DPOP, proof);
        Ok(url)
    }

    /// The newest nonce of a PDS.
    pub fn xrpc_nonce(&self, pds: &Url) -> Option<String> {
        self.0.nonces.get(pds)
    }

    /// Whether that nonce is new enough to be accepted.
    pub fn has_fresh_nonce(&self, pds: &Url) -> bool {
        self.0.nonces.is_fresh(pds, self.0.clock.now(), NONCE_SECONDS)
    }

    /// Stores the nonce of an answer, and returns it.
    pub fn note_nonce(&self, pds: &Url, headers: &HeaderMap) -> Option<String> {
        self.0.nonces.store(pds, headers, self.0.clock.now())
    }
}
