//! DPoP (RFC 9449): the proof of a request, checked the same way at the token endpoint, at the PAR endpoint
//! and at resources.

use causeway_domain::client::{DpopNoncePolicy, ReplayKey};
use causeway_jose::{DpopError, DpopRequest, JwsAlgorithm, verify_dpop_proof};
use causeway_types::{ErrorCode, Jkt};

use crate::ctx::Ctx;
use crate::error::Internal;

/// The algorithms of proofs and assertions that we verify, by name.
pub const ALGORITHMS: [&str; JwsAlgorithm::ALL.len()] = {
    let mut names = [""; JwsAlgorithm::ALL.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = JwsAlgorithm::ALL[n].as_str();
        n += 1;
    }
    names
};

/// The parts of a request that its DPoP proof covers, and the proofs that came with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProofRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The URL as clients see it: our issuer and the path. A query is ignored.
    pub url: &'a str,
    /// The values of its `DPoP` headers: there must be one at most.
    pub proofs: &'a [String],
}

/// Why the proof of a request is rejected.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is missing, though the client has to send one.
    #[error("a DPoP proof is required: this client registered dpop_bound_access_tokens")]
    Missing,
    /// It is missing beside a token that is bound to a key.
    #[error("the access token is bound to a key: send a DPoP header with a proof by that key")]
    MissingAtResource,
    /// More than one.
    #[error("the request has more than one DPoP header: send one")]
    Several,
    /// It is invalid for this request.
    #[error(transparent)]
    Invalid(#[from] DpopError),
    /// It was used before.
    #[error("the DPoP proof was used before: create a new one, with a new jti, for each request")]
    Replayed,
    /// It lacks our nonce, or carries an old one.
    #[error("the DPoP proof needs the nonce of this answer's DPoP-Nonce header: make a new one with it")]
    Nonce {
        /// The nonce to use.
        fresh: String,
    },
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ProofError {
    /// The code of RFC 9449 sections 5, 7.1 and 8.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Nonce { .. } => ErrorCode::UseDpopNonce,
            Self::Internal(_) => ErrorCode::ServerError,
            _ => ErrorCode::InvalidDpopProof,
        }
    }
}

/// A valid proof that is not consumed yet.
#[derive(Debug)]
pub(crate) struct Proven {
    /// The key.
    pub(crate) jkt: Jkt,
    /// The key under which it is consumed in the request's transaction.
    pub(crate) once: ReplayKey,
}

/// Checks the proof of a request, if it has one: everything except whether it was used before. A required
/// nonce is checked here, before anything is consumed.
pub(crate) fn verify(
    ctx: &Ctx,
    policy: DpopNoncePolicy,
    request: &ProofRequest<'_>,
    access_token: Option<&str>,
) -> Result<Option<Proven>, ProofError> {
    let proof = match request.proofs {
        [] => return Ok(None),
        [proof] => proof,
        _ => return Err(ProofError::Several),
    };
    let now = ctx.now();
    let request = DpopRequest { method: request.method, url: request.url, now, access_token };
    let proof = verify_dpop_proof(proof, &request)?;
    if policy == DpopNoncePolicy::Required {
        let nonces = ctx.nonces()?;
        if !proof.nonce.as_deref().is_some_and(|nonce| nonces.accepts(nonce, now)) {
            return Err(ProofError::Nonce { fresh: nonces.issue(now).map_err(Internal::from)? });
        }
    }
    let once = ReplayKey::dpop_proof(&proof.jkt, &proof.jti, proof.expires_at());
    Ok(Some(Proven { jkt: proof.jkt, once }))
}

/// The nonce that goes with an answer, for a client whose proofs need one (RFC 9449 section 8.2).
pub(crate) fn fresh_nonce(ctx: &Ctx, policy: DpopNoncePolicy) -> Result<Option<String>, Internal> {
    match policy {
        DpopNoncePolicy::Off => Ok(None),
        DpopNoncePolicy::Required => Ok(Some(ctx.nonces()?.issue(ctx.now())?)),
    }
}
