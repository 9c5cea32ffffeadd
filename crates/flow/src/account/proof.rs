//! Proof of account ownership, for seeing all sessions of an account: a fresh sign-in with this server itself
//! as the client. The upstream session that it creates is ended at once.

use std::sync::Arc;

use causeway_domain::authorization::{AuthRequest, AuthRequestStage};
use causeway_domain::client::{Client, ClientMetadata};
use causeway_domain::session::{ACCOUNT_PROOF_SECONDS, AccountProof, SessionHead};
use causeway_store::AnyConnection;
use causeway_store::authorization::auth_requests;
use causeway_store::clients;
use causeway_store::sessions;
use causeway_store::sessions::account_proofs;
use causeway_types::{
    AccountProofId, AuthRequestId, BrowserSessionId, ClientId, CodeVerifier, CorrelationId, Prompts, Scope,
};

use crate::authorization::new_request::ValidRequest;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;

/// The client that stands for this server. It has no redirect URI and no grant: only [`begin`] can start a
/// request in its name, and it gets no token.
const CLIENT_ID: &str = "causeway-account";

/// Begins a sign-in that proves an account, with a fresh login at the authorization server; it ends by
/// sending the browser to `return_to`.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.account_proof.begin", skip_all)]
pub async fn begin(
    ctx: &Ctx,
    browser: &BrowserSessionId,
    return_to: &str,
    ui_locales: Option<String>,
) -> Result<AuthRequest, Internal> {
    let client = ensure_client(ctx, return_to).await?;
    let contents = ValidRequest {
        redirect_uri: return_to.to_owned(),
        scope: Scope::atproto(),
        // It never yields a code.
        code_challenge: Some(CodeVerifier::random(ctx.rng()).challenge()),
        prompt: Prompts::parse("login").unwrap_or_default(),
        ui_locales,
        ..ValidRequest::default()
    };
    let id = AuthRequestId::issued(ctx.rng(), ctx.unix_millis());
    let mut request = contents.begin(id, &client, browser, ctx.now());
    request.correlation_id = Some(CorrelationId::random(ctx.rng()));
    trace::correlate(request.correlation_id.as_ref());
    let row = request.clone();
    ctx.store().write(move |c| auth_requests::insert_auth_request(c, &row).map_err(Internal::from)).await?;
    Ok(request)
}

/// The client that stands for this server, created if it does not exist.
async fn ensure_client(ctx: &Ctx, return_to: &str) -> Result<Arc<Client>, Internal> {
    let id = ClientId::new(CLIENT_ID);
    if let Some(client) = crate::client::lookup::find(ctx, &id).await? {
        return Ok(client);
    }
    let metadata = ClientMetadata {
        redirect_uris: vec![return_to.to_owned()],
        token_endpoint_auth_method: Some("none".to_owned()),
        client_name: Some("Causeway".to_owned()),
        ..ClientMetadata::default()
    };
    let valid =
        metadata.validate().map_err(|_| Internal::Inconsistent("the built-in client metadata is invalid"))?;
    let mut client = valid.into_client(id, ctx.tenant().clone(), None, ctx.now());
    client.redirect_uris.clear();
    client.grant_types.clear();
    let client = Arc::new(client);
    let row = Arc::clone(&client);
    let made = ctx.store().write(move |c| clients::insert_client(c, &row).map_err(Internal::from)).await;
    match made {
        // Another request was first.
        Err(error) if error.is_dangling() => Ok(client),
        done => done.map(|()| client),
    }
}

/// Whether a request is such a sign-in.
pub(crate) fn is_for_proof(request: &AuthRequest) -> bool {
    request.client_id.as_str() == CLIENT_ID
}

/// Stores the proof, and ends the request and the session, which have served their purpose.
pub(crate) fn store(
    c: &mut AnyConnection,
    id: &AccountProofId,
    request: &AuthRequestId,
    head: &SessionHead,
) -> Result<(), Internal> {
    let account = head.atproto()?;
    let proof = AccountProof {
        id: id.clone(),
        tenant_id: head.tenant_id.clone(),
        browser_id: head.browser_id.clone(),
        did: account.did.clone(),
        handle: account.handle.clone(),
        created_at: head.created_at,
        expires_at: head.created_at.plus(ACCOUNT_PROOF_SECONDS),
    };
    account_proofs::insert_account_proof(c, &proof)?;
    let stage = AuthRequestStage::Consent { session_id: head.session_id.clone() };
    auth_requests::decide_auth_request(c, request, &stage)?;
    sessions::end_session(c, &head.session_id, head.created_at)?;
    Ok(())
}

/// Deletes every proof of this browser before it expires.
///
/// # Errors
/// When the database does not answer.
pub async fn forget(ctx: &Ctx, browser: &BrowserSessionId) -> Result<(), Internal> {
    let (tenant, browser) = (ctx.tenant().clone(), browser.clone());
    ctx.store()
        .write(move |c| account_proofs::delete_account_proofs(c, &tenant, &browser).map_err(Internal::from))
        .await
}
