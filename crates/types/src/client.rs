//! Kinds of clients, and how they authenticate.

wire_names! {
    /// Whether a client can keep a secret (RFC 6749 section 2.1). There is no third type.
    pub enum ClientType {
        /// It cannot: a browser or native application.
        Public = "public",
        /// It can: a server.
        Confidential = "confidential",
    }
}

wire_names! {
    /// How a client authenticates at the token endpoint (RFC 7591 section 2), in the order of the metadata document.
    #[non_exhaustive]
    pub enum TokenEndpointAuthMethod {
        /// A public client: it has no secret.
        None = "none",
        /// HTTP Basic with form-encoded credentials (RFC 6749 section 2.3.1).
        ClientSecretBasic = "client_secret_basic",
        /// Credentials in the form body (RFC 6749 section 2.3.1).
        ClientSecretPost = "client_secret_post",
        /// An assertion that the client signs with its private key (RFC 7523, OpenID Connect Core section 9).
        PrivateKeyJwt = "private_key_jwt",
    }
}

impl TokenEndpointAuthMethod {
    /// Whether it is by a secret that both sides know.
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_names;

    #[test]
    fn names_of_clients() {
        assert_names!(ClientType: "public", "confidential");
        assert_names!(
            TokenEndpointAuthMethod: "none", "client_secret_basic", "client_secret_post", "private_key_jwt"
        );
    }

    #[test]
    fn methods_with_a_secret() {
        let with = TokenEndpointAuthMethod::ALL.iter().filter(|method| method.has_secret());
        assert_eq!(
            with.map(|one| one.as_str()).collect::<Vec<_>>(),
            ["client_secret_basic", "client_secret_post"]
        );
    }
}
