//! The grants of the token endpoint.

wire_names! {
    /// A grant type that a client may use at the token endpoint (RFC 7591 section 2), in the order of the metadata document.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum GrantType {
        /// RFC 6749 section 4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 section 6.
        RefreshToken = "refresh_token",
        /// RFC 8628 section 3.4.
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
        /// RFC 6749 section 4.4.
        ClientCredentials = "client_credentials",
        /// RFC 8693 section 2.1.
        TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange",
    }
}

#[cfg(test)]
mod tests {
    use super::GrantType;
    use crate::wire::tests::assert_names;

    #[test]
    fn names_of_grants() {
        assert_names!(
            GrantType: "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        );
    }
}
