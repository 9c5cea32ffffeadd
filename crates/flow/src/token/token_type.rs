//! Types of tokens (RFC 8693 section 3).

/// The type of a `subject_token` that is the identifier of a session.
pub const SESSION_TOKEN_TYPE: &str = "urn:causeway:token-type:session";
/// The type of what is issued (RFC 8693 section 3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
