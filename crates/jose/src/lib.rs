//! Keys, signatures, their verification, and DPoP proofs over josekit, which stays out of this crate's
//! public surface.
//!
//! josekit writes the JWS, holds RSA keys, and verifies all algorithms but one. P-256 goes past it, to OpenSSL: josekit
//! hands each key to OpenSSL as DER, whose decoders take longer than the signature (90 us to read a private key beside
//! 25 us to sign with it; 100 us to read a public key beside 57 us to verify with it). Every DPoP proof brings its own
//! P-256 key, and every request to a PDS begins with reading one.
//!
//! ```
//! use causeway_types::Timestamp;
//! use causeway_jose::{DpopClaims, EcKey, dpop_proof};
//!
//! let key = EcKey::generate()?;
//! let again = EcKey::from_private_jwk(&key.private_jwk())?;
//! assert_eq!(key.thumbprint(), again.thumbprint());
//!
//! let claims = DpopClaims {
//!     htm: "POST",
//!     htu: "https://pds.example.com/oauth/token",
//!     jti: "fresh-and-random",
//!     iat: Timestamp(1_700_000_000),
//!     nonce: None,
//!     access_token: None,
//! };
//! assert_eq!(dpop_proof(&again, &claims)?.split('.').count(), 3);
//! # Ok::<(), causeway_jose::JoseError>(())
//! ```

mod algorithm;
mod claims;
mod dpop;
mod htu;
mod jwk;
mod jwt;
mod key;
mod mac;
mod nonce;
mod p256;
mod signing;
mod verifier;
mod verify;

pub use algorithm::JwsAlgorithm;
pub use claims::{Audience, ClaimError, ClaimRules, Claims, Expiry, MAX_JTI};
pub use dpop::{
    DPOP_FUTURE_SECONDS, DPOP_PAST_SECONDS, DpopClaims, DpopError, DpopProof, DpopRequest, dpop_proof,
    verify_dpop_proof,
};
pub use jwk::{JwkError, JwkSet, PublicJwk};
pub use jwt::{ClientAssertion, client_assertion, sign_jwt};
pub use key::EcKey;
pub use mac::hmac_sha256;
pub use nonce::{DpopNonces, NONCE_SECONDS};
pub use signing::{RsaKey, SigningKey, left_half_hash};
pub use verify::{Jws, Verified, VerifyError};

/// Why a key or a signature could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// The text is not a private JWK of the kind that was asked for, or its parts do not belong together.
    #[error("not a private JWK of this kind: {0}")]
    InvalidKey(&'static str),
    /// The header or the claims cannot be written as a JWT.
    #[error("the header or the claims cannot be serialized as a JSON object")]
    InvalidClaims,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
}

#[cfg(test)]
mod properties;
