//! Why a call failed.

use causeway_jose::JoseError;
use causeway_outbound::{HttpError, UploadError};

/// Why a call brought no response for its caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XrpcError {
    /// No answer, or one that is not XRPC.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server does not take the access token (RFC 6750 section 3.1, `invalid_token`).
    #[error("the PDS does not accept the access token")]
    InvalidToken,
    /// The server does not take our proofs: with the newest nonce it still asks for another one, or finds
    /// something else wrong with them. Often its clock differs from ours.
    #[error("the PDS does not accept the DPoP proof: {0}")]
    InvalidProof(String),
    /// Another nonce or token would have worked, but the body was already sent and cannot be sent again.
    #[error("the body was sent and cannot be sent again")]
    BodySpent,
    /// The body did not arrive whole here.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// We could not sign the request. Nothing was sent.
    #[error("the request could not be signed: {0}")]
    Sign(#[from] JoseError),
}
