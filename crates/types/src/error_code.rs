//! The error codes of the OAuth specifications, as they go over the wire.

wire_names! {
    /// An `error` value of a specification, or one of this server's own.
    #[non_exhaustive]
    pub enum ErrorCode {
        /// RFC 6749 sections 4.1.2.1 and 5.2.
        InvalidRequest = "invalid_request",
        /// RFC 6749 section 5.2.
        InvalidClient = "invalid_client",
        /// RFC 6749 section 5.2.
        InvalidGrant = "invalid_grant",
        /// RFC 6749 sections 4.1.2.1 and 5.2.
        UnauthorizedClient = "unauthorized_client",
        /// RFC 6749 section 5.2.
        UnsupportedGrantType = "unsupported_grant_type",
        /// RFC 6749 section 4.1.2.1.
        UnsupportedResponseType = "unsupported_response_type",
        /// RFC 6749 sections 4.1.2.1 and 5.2.
        InvalidScope = "invalid_scope",
        /// RFC 8628 section 3.5: the user has not decided yet.
        AuthorizationPending = "authorization_pending",
        /// RFC 8628 section 3.5: the same, and the device polls too often.
        SlowDown = "slow_down",
        /// RFC 8628 section 3.5: the device has to begin again.
        ExpiredToken = "expired_token",
        /// RFC 8707 section 2, RFC 8693 section 2.2.2.
        InvalidTarget = "invalid_target",
        /// RFC 6749 section 4.1.2.1.
        AccessDenied = "access_denied",
        /// RFC 6749 section 4.1.2.1.
        ServerError = "server_error",
        /// RFC 6749 section 4.1.2.1.
        TemporarilyUnavailable = "temporarily_unavailable",
        /// RFC 6750 section 3.1.
        InvalidToken = "invalid_token",
        /// RFC 6750 section 3.1.
        InsufficientScope = "insufficient_scope",
        /// RFC 7591 section 3.2.2.
        InvalidRedirectUri = "invalid_redirect_uri",
        /// RFC 7591 section 3.2.2.
        InvalidClientMetadata = "invalid_client_metadata",
        /// RFC 9101 section 6.2, for a `request_uri` that is unknown, expired or used (RFC 9126 section 4).
        InvalidRequestUri = "invalid_request_uri",
        /// RFC 9449 sections 5 and 7.1.
        InvalidDpopProof = "invalid_dpop_proof",
        /// RFC 9449 sections 8 and 9.
        UseDpopNonce = "use_dpop_nonce",
        /// RFC 9101 section 7.
        InvalidRequestObject = "invalid_request_object",
        /// OpenID Connect Core section 3.1.2.6: a `request_uri` that is the client's own.
        RequestUriNotSupported = "request_uri_not_supported",
        /// OpenID Connect Core section 3.1.2.6: no page may be shown, and no user is signed in.
        LoginRequired = "login_required",
        /// OpenID Connect Core section 3.1.2.6: no page may be shown, and consent is missing.
        ConsentRequired = "consent_required",
        /// OpenID Connect Core section 3.1.2.6: the user has to choose an account.
        AccountSelectionRequired = "account_selection_required",
        /// OpenID Connect Core section 3.1.2.6: something has to be shown to the user.
        InteractionRequired = "interaction_required",
        /// OpenID Connect Core Error Code `unmet_authentication_requirements` 1.0: an essential `acr` that is not
        /// available.
        UnmetAuthenticationRequirements = "unmet_authentication_requirements",
        /// Ours: a callback whose state is unknown, expired, used, or of another browser.
        NonceInvalidOrReused = "nonce_invalid_or_reused",
        /// Ours: the upstream session has ended; the user has to sign in again.
        ReauthRequired = "reauth_required",
        /// Ours: the typed handle, DID or server address leads nowhere.
        IdentityNotFound = "identity_not_found",
        /// Ours: the upstream server cannot be reached or does not answer properly.
        UpstreamUnavailable = "upstream_unavailable",
        /// Ours: the upstream server timed out. It may have processed the request.
        UpstreamTimeout = "upstream_timeout",
        /// Ours: the connection to the upstream server broke. It may have processed the request.
        UpstreamInterrupted = "upstream_interrupted",
        /// Ours: the response of the upstream server cannot be passed on, such as one of a PDS that is not XRPC.
        UpstreamInvalid = "upstream_invalid",
        /// Ours: the upstream server refuses our token or proof even when they are new.
        UpstreamRefused = "upstream_refused",
        /// Ours: the provider asks to wait before further calls.
        UpstreamRateLimited = "upstream_rate_limited",
        /// Ours: the user has to do something at the provider. The connection stays.
        ActionRequired = "action_required",
        /// Ours: the response of a PDS exceeds the size that is buffered.
        AnswerTooLarge = "answer_too_large",
        /// Ours: the client has to send the request again, since its body was too large to buffer for a retry.
        ResendRequest = "resend_request",
        /// Ours: the user did not grant a scope without which a connection is of no use.
        ScopeMissing = "scope_missing",
        /// Ours: the user connected another account than the one that was to be connected again.
        AccountMismatch = "account_mismatch",
        /// Ours: a provider issued no refresh token, and the connection that it would replace has one.
        RefreshTokenMissing = "refresh_token_missing",
        /// Ours: a provider does not accept our registration, or there is none.
        ProviderMisconfigured = "provider_misconfigured",
        /// Ours: the metadata of an MCP server or of its authorization server is missing or invalid.
        DiscoveryFailed = "discovery_failed",
        /// Ours: an authorization server does not register this server as a client.
        RegistrationFailed = "registration_failed",
        /// Ours: an authorization server registers no clients, and the operator has entered none.
        ClientIdRequired = "client_id_required",
        /// Ours: the address does not exist here.
        NotFound = "not_found",
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;
    use crate::wire::tests::assert_names;

    #[test]
    fn names_of_errors() {
        assert_names!(
            ErrorCode: "invalid_request",
            "invalid_client",
            "invalid_grant",
            "unauthorized_client",
            "unsupported_grant_type",
            "unsupported_response_type",
            "invalid_scope",
            "authorization_pending",
            "slow_down",
            "expired_token",
            "invalid_target",
            "access_denied",
            "server_error",
            "temporarily_unavailable",
            "invalid_token",
            "insufficient_scope",
            "invalid_redirect_uri",
            "invalid_client_metadata",
            "invalid_request_uri",
            "invalid_dpop_proof",
            "use_dpop_nonce",
            "invalid_request_object",
            "request_uri_not_supported",
            "login_required",
            "consent_required",
            "account_selection_required",
            "interaction_required",
            "unmet_authentication_requirements",
            "nonce_invalid_or_reused",
            "reauth_required",
            "identity_not_found",
            "upstream_unavailable",
            "upstream_timeout",
            "upstream_interrupted",
            "upstream_invalid",
            "upstream_refused",
            "upstream_rate_limited",
            "action_required",
            "answer_too_large",
            "resend_request",
            "scope_missing",
            "account_mismatch",
            "refresh_token_missing",
            "provider_misconfigured",
            "discovery_failed",
            "registration_failed",
            "client_id_required",
            "not_found",
        );
    }
}
