//! Access for scripts of other origins (Fetch standard, "CORS protocol").

use actix_cors::Cors;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

/// CORS for endpoints that authenticate a request by its own credentials, never by a cookie: any origin may call
/// them, with any header, and read the headers that a client reacts to. Pages and forms are never wrapped.
pub(crate) fn cors() -> Cors {
    Cors::default()
        .allow_any_origin()
        .send_wildcard()
        .allowed_methods(["GET", "POST", "PUT", "DELETE"])
        .allow_any_header()
        .expose_headers(EXPOSED)
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
        .max_age(3600)
}

/// The same for the MCP endpoints. Whose script may call is decided by its token: a preflight request has none.
pub(crate) fn mcp_cors() -> Cors {
    cors().expose_headers(["Mcp-Session-Id", "MCP-Protocol-Version"])
}

/// Names without a constant of their own.
const EXPOSED: [&str; 8] = [
    "DPoP-Nonce",
    "X-Request-Id",
    // Sent by the PDS.
    "atproto-content-labelers",
    "atproto-repo-rev",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
];
