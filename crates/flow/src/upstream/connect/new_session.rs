//! The session that a completed sign-in begins.

use causeway_domain::authorization::AuthRequest;
use causeway_domain::session::{Binding, Cooldown, Credentials, SessionHead};
use causeway_store::authorization::auth_requests;
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::{AnyConnection, sessions};
use causeway_types::{AccountProofId, SessionKind, SessionState, UpstreamSessionId};

use crate::account::proof;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::answer::write_answer;
use crate::upstream::revocation;

/// The head of a session that awaits its user's consent.
pub(super) fn pending_session(ctx: &Ctx, request: &AuthRequest, binding: Binding) -> SessionHead {
    let now = ctx.now();
    SessionHead {
        session_id: UpstreamSessionId::issued(ctx.rng(), ctx.unix_millis()),
        tenant_id: request.tenant_id.clone(),
        client_id: request.client_id.clone(),
        kind: SessionKind::asked_by(&request.scope),
        state: SessionState::Pending,
        browser_id: request.session_owner(),
        iteration: 1,
        binding,
        created_at: now,
        last_used_at: now,
        cooldown: Cooldown::default(),
        correlation_id: request.correlation_id.clone(),
    }
}

/// Stores the session as pending and moves the request on to consent, in one transaction; `false`: another
/// tab was first.
pub(super) async fn store_session(
    ctx: &Ctx,
    request: &AuthRequest,
    head: &SessionHead,
    credentials: &Credentials,
) -> Result<bool, Internal> {
    let event = audit::event(ctx, Actor::User, "sign_in", "ok").of_session(head);
    let event = match head.atproto() {
        Ok(account) => event.with("issuer", account.upstream.issuer.as_str()),
        Err(_) => event,
    };
    let proof_id = proof::is_for_proof(request).then(|| AccountProofId::random(ctx.rng()));
    let stored = write_answer(ctx, || {
        let (ring, request_id) = (ctx.ring(), request.id.clone());
        let (head, credentials, proof_id, event) =
            (head.clone(), credentials.clone(), proof_id.clone(), event.clone());
        move |c: &mut AnyConnection| {
            if !auth_requests::begin_consent(c, &request_id, &head.session_id)? {
                // Either another tab was first, or an earlier try did commit after all.
                let found = sessions::find_session(c, &head.tenant_id, &head.session_id, head.kind)?;
                return Ok(found.is_some());
            }
            sessions::insert_session(c, &ring, &head, &credentials)?;
            insert_audit_event(c, &event)?;
            if let Some(proof_id) = &proof_id {
                proof::store(c, proof_id, &request_id, &head)?;
            }
            Ok(true)
        }
    })
    .await?;
    if !stored {
        return Ok(false);
    }
    let (did, session) = (head.subject(), &head.session_id);
    tracing::info!(did, %session, session.kind = head.kind.as_str(), session.iteration = 1, "signed in");
    if proof_id.is_some() {
        revocation::revoke_soon(ctx, session).await;
    }
    Ok(true)
}
