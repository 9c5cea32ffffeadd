//! Kinds of providers that users connect, and of the credentials that a connection holds.

wire_names! {
    /// How users connect an account at a provider, and how the connection is kept.
    #[non_exhaustive]
    pub enum ProviderKind {
        /// OAuth 2.0 at the addresses of the provider's definition (RFC 6749).
        OAuth2 = "oauth2",
        /// OpenID Connect at an issuer that is discovered.
        Oidc = "oidc",
        /// A server of the Model Context Protocol, whose authorization server is discovered from its address.
        Mcp = "mcp",
        /// A website with a sign-in form: cookies and a token that are refreshed.
        Form = "form",
        /// An API key that the user enters.
        Key = "key",
    }
}

wire_names! {
    /// Whose access a credential is.
    #[non_exhaustive]
    pub enum CredentialKind {
        /// The user's own.
        User = "user",
        /// That of an account that the user manages at the provider, such as a page or a bot.
        Page = "page",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_names;

    #[test]
    fn names_of_connections() {
        assert_names!(ProviderKind: "oauth2", "oidc", "mcp", "form", "key");
        assert_names!(CredentialKind: "user", "page");
    }
}
