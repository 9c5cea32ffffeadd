//! The algorithms that our own tokens are signed with.

wire_names! {
    /// An algorithm that signs our own tokens, by its name in RFC 7518 section 3.1, in the order of the metadata document.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum SigningAlg {
        /// RSASSA-PKCS1-v1_5 with SHA-256: the default of OpenID Connect Core section 2.
        Rs256 = "RS256",
        /// ECDSA with P-256 and SHA-256.
        Es256 = "ES256",
    }
}

#[cfg(test)]
mod tests {
    use super::SigningAlg;
    use crate::wire::tests::assert_names;

    #[test]
    fn names_of_algorithms() {
        assert_names!(SigningAlg: "RS256", "ES256");
        assert_eq!(SigningAlg::parse("rs256"), None);
    }
}
