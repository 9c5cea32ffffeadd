//! The check of access tokens that clients present for themselves (RFC 6749 section 4.4), at the resources of clients.

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::token::AccessSubject;
use causeway_store::tokens;
use causeway_types::ClientType;

use crate::client::lookup;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::resource::access::{AccessError, AccessRequest, verify_binding};

/// The client behind a token that was issued to the client itself.
#[derive(Clone, Debug)]
pub struct ClientBearer {
    /// The client, which authenticated when the token was issued.
    pub client: Arc<Client>,
    /// The nonce that goes with the answer, if this client's proofs need one (RFC 9449 section 9).
    pub dpop_nonce: Option<String>,
}

/// Checks a presented access token and the proof that it may need, where only a client's own token is accepted.
///
/// # Errors
/// [`AccessError`]; [`AccessError::NoClient`] for a user's token.
#[tracing::instrument(name = "flow.client_access", skip_all)]
pub async fn verify(ctx: &Ctx, request: &AccessRequest<'_>) -> Result<ClientBearer, AccessError> {
    let (hash, now) = (request.token.hash(), ctx.now());
    let found =
        ctx.store().find(move |c| tokens::find_access_token(c, &hash).map_err(Internal::from)).await?;
    let live = found.filter(|token| !token.revoked && token.expires_at > now);
    let token = live.ok_or(AccessError::Invalid)?;
    if !token.resources.admit(ctx.issuer()) {
        return Err(AccessError::OtherResource(format!("{}, or without resource", ctx.issuer())));
    }
    let dpop_nonce = verify_binding(ctx, &token, request).await?;
    if token.subject != AccessSubject::Client {
        return Err(AccessError::NoClient);
    }
    let client = lookup::find(ctx, &token.client_id).await?;
    // A client that has become public since does not authenticate any more.
    let client = client.filter(|client| client.client_type() == ClientType::Confidential);
    Ok(ClientBearer { client: client.ok_or(AccessError::Invalid)?, dpop_nonce })
}
