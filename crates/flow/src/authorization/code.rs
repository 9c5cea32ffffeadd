//! Authorization codes.

use causeway_domain::authorization::{AuthRequest, AuthorizationCode, CODE_SECONDS};
use causeway_domain::session::{OtherKind, SessionHead};
use causeway_types::secret::Code;
use causeway_types::{Scope, Timestamp, TokenHash};

/// The code for a request that a session was granted `scope` for.
pub(crate) fn new_code(
    request: &AuthRequest,
    session: &SessionHead,
    scope: Scope,
    code: TokenHash<Code>,
    now: Timestamp,
) -> Result<AuthorizationCode, OtherKind> {
    Ok(AuthorizationCode {
        code,
        client_id: request.client_id.clone(),
        did: session.atproto()?.did.clone(),
        session_id: session.session_id.clone(),
        session_iteration: session.iteration,
        redirect_uri: request.redirect_uri.clone(),
        scope,
        resources: request.resources.clone(),
        code_challenge: request.code_challenge.clone(),
        nonce: request.nonce.clone(),
        dpop_jkt: request.dpop_jkt.clone(),
        created_at: now,
        expires_at: now.plus(CODE_SECONDS),
        used_at: None,
    })
}
