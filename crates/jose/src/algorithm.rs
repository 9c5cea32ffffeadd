//! The signature algorithms that we accept.

use std::fmt;

/// An algorithm that we accept signatures of. Neither `none` nor a symmetric one can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// ECDSA with P-256 and SHA-256 (RFC 7518 section 3.4).
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    Rs256,
    /// RSASSA-PSS with SHA-256 (RFC 7518 section 3.5).
    Ps256,
    /// EdDSA (RFC 8037 section 3.1), with Ed25519 keys only.
    EdDsa,
    /// The same signature under its newer, full name (RFC 9864 section 2.2).
    Ed25519,
}

impl JwsAlgorithm {
    /// Every algorithm that we accept, in the order of the metadata document.
    pub const ALL: [Self; 5] = [Self::Es256, Self::Rs256, Self::Ps256, Self::EdDsa, Self::Ed25519];

    /// The `alg` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Reads the `alg` value.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == value)
    }

    /// The `kty` of its keys (RFC 7518 section 6.1, RFC 8037 section 2).
    pub(crate) const fn key_type(self) -> &'static str {
        match self {
            Self::Es256 => "EC",
            Self::Rs256 | Self::Ps256 => "RSA",
            Self::EdDsa | Self::Ed25519 => "OKP",
        }
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::JwsAlgorithm;

    /// Registered names (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2), and nothing else.
    #[test]
    fn names() {
        let names = JwsAlgorithm::ALL.map(|algorithm| algorithm.to_string());
        assert_eq!(names, ["ES256", "RS256", "PS256", "EdDSA", "Ed25519"]);
        assert_eq!(
            JwsAlgorithm::ALL.map(|algorithm| JwsAlgorithm::parse(algorithm.as_str())),
            JwsAlgorithm::ALL.map(Some)
        );
        for other in ["none", "HS256", "ES384", "es256", ""] {
            assert_eq!(JwsAlgorithm::parse(other), None, "{other}");
        }
    }
}
