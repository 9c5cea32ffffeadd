//! Proof Key for Code Exchange (RFC 7636), `S256` only.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::rng::Rng;

/// Why PKCE input was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PkceError {
    /// The challenge is not the 43 base64url characters of a SHA-256.
    #[error("code_challenge must be the 43 characters of base64url(SHA-256(code_verifier))")]
    MalformedChallenge,
    /// The verifier is not 43 to 128 unreserved characters (RFC 7636 section 4.1).
    #[error("code_verifier must be 43 to 128 characters of A-Z a-z 0-9 - . _ ~")]
    MalformedVerifier,
}

/// The `code_challenge` of the method `S256` (RFC 7636 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// Checks the form of a challenge.
    ///
    /// # Errors
    /// [`PkceError::MalformedChallenge`] unless it is 43 characters of base64url.
    pub fn parse(value: &str) -> Result<Self, PkceError> {
        let decoded = URL_SAFE_NO_PAD.decode(value).map_err(|_| PkceError::MalformedChallenge)?;
        if decoded.len() != 32 {
            return Err(PkceError::MalformedChallenge);
        }
        Ok(Self(value.to_owned()))
    }

    /// The challenge as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is the one behind this challenge (RFC 7636 section 4.6); constant time.
    ///
    /// ```
    /// use causeway_types::{CodeChallenge, CodeVerifier};
    /// // RFC 7636 appendix B
    /// let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")?;
    /// let challenge = CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")?;
    /// assert!(challenge.verify(&verifier));
    /// # Ok::<(), causeway_types::pkce::PkceError>(())
    /// ```
    pub fn verify(&self, verifier: &CodeVerifier) -> bool {
        self.0.as_bytes().ct_eq(verifier.challenge().0.as_bytes()).into()
    }
}

text_type!(CodeChallenge, PkceError);

/// The `code_verifier`: a secret of the client that began the request.
#[derive(Clone)]
pub struct CodeVerifier(Zeroizing<String>);

impl CodeVerifier {
    /// A fresh verifier with 256 random bits.
    pub fn random(rng: &dyn Rng) -> Self {
        Self(Zeroizing::new(rng.base64url::<32>()))
    }

    /// Checks the form of a verifier.
    ///
    /// # Errors
    /// [`PkceError::MalformedVerifier`] unless it is 43 to 128 unreserved characters.
    pub fn parse(value: &str) -> Result<Self, PkceError> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if (43..=128).contains(&value.len()) && value.bytes().all(unreserved) {
            Ok(Self(Zeroizing::new(value.to_owned())))
        } else {
            Err(PkceError::MalformedVerifier)
        }
    }

    /// The verifier itself: for the token request and for encrypted storage.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The challenge of this verifier.
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.as_bytes())))
    }
}

from_text!(CodeVerifier, PkceError);

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_text_type;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn conversions() {
        assert_text_type::<CodeChallenge>(&[CHALLENGE, VERIFIER], &["", "plain"]);
        let read: CodeVerifier = VERIFIER.parse().unwrap();
        assert_eq!((read.expose(), read.challenge().as_str()), (VERIFIER, CHALLENGE));
        assert_eq!(CodeVerifier::try_from(VERIFIER).unwrap().expose(), VERIFIER);
        assert_eq!(CodeVerifier::try_from(VERIFIER.to_owned()).unwrap().expose(), VERIFIER);
        let json = serde_json::json!(VERIFIER);
        assert_eq!(serde_json::from_value::<CodeVerifier>(json).unwrap().expose(), VERIFIER);
        assert!(serde_json::from_str::<CodeVerifier>("\"short\"").is_err());
        assert_eq!(format!("{read:?}"), "CodeVerifier(redacted)");
    }

    #[test]
    fn lengths_of_verifiers() {
        for (length, valid) in [(42, false), (43, true), (128, true), (129, false)] {
            assert_eq!(CodeVerifier::parse(&"-._~".repeat(33)[..length.min(132)]).is_ok(), valid, "{length}");
        }
        assert_eq!(CodeVerifier::random(&crate::SystemRng).expose().len(), 43);
    }

    #[test]
    fn refuses_what_is_not_s256() {
        for bad in
            ["", "plain", &"a".repeat(42), &"a".repeat(44), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"]
        {
            assert_eq!(CodeChallenge::parse(bad), Err(PkceError::MalformedChallenge), "{bad}");
        }
        for bad in ["short", &"a".repeat(129), &format!("{} ", "a".repeat(43))] {
            assert!(CodeVerifier::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_verifier_does_not_pass() {
        let rng = crate::SystemRng;
        let (one, two) = (CodeVerifier::random(&rng), CodeVerifier::random(&rng));
        assert!(one.challenge().verify(&one));
        assert!(!one.challenge().verify(&two));
    }
}
