//! The error codes of the OAuth specifications, as they go over the wire.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal),+ $(,)?) => {
        /// An `error` value of a specification. Its `Display` is the wire form.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name),+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The wire form.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $wire),+
                }
            }
        }
    };
}

error_codes! {
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
    /// Ours: the response of the upstream server is not XRPC.
    UpstreamInvalid = "upstream_invalid",
    /// Ours: the upstream server refuses our token or proof even when they are new.
    UpstreamRefused = "upstream_refused",
    /// Ours: the response of a PDS exceeds the size that is buffered.
    AnswerTooLarge = "answer_too_large",
    /// Ours: the client has to send the request again, since its body was too large to buffer for a retry.
    ResendRequest = "resend_request",
    /// Ours: the address does not exist here.
    NotFound = "not_found",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
