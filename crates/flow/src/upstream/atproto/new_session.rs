//! The session that a sign-in begins, once its identity is proven.

use causeway_atproto::Identity;
use causeway_domain::authorization::AuthRequest;
use causeway_domain::session::{
    AtprotoBinding, Binding, Cooldown, Credentials, HANDLE_SECONDS, SessionHead, UpstreamBinding,
    UpstreamRequest,
};
use causeway_store::authorization::auth_requests;
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::{AnyConnection, sessions};
use causeway_types::{AccountProofId, Handle, SessionKind, SessionState, Timestamp, UpstreamSessionId};

use crate::account::proof;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::answer::write_answer;
use crate::upstream::revocation;

/// Stores the session as pending and moves the request on to consent, in one transaction; `false`: another
/// tab was first.
pub(super) async fn store_session(
    ctx: &Ctx,
    upstream: &UpstreamRequest,
    request: &AuthRequest,
    credentials: Credentials,
    identity: Identity,
) -> Result<bool, Internal> {
    let now = ctx.now();
    let (handle, verified_at) = first_handle(upstream, &identity, now);
    let binding = AtprotoBinding {
        did: identity.did,
        handle,
        verified_at,
        upstream: UpstreamBinding { pds: origin_of(&identity.pds), ..upstream.upstream.clone() },
    };
    let issuer = binding.upstream.issuer.clone();
    let head = SessionHead {
        session_id: UpstreamSessionId::issued(ctx.rng(), ctx.unix_millis()),
        tenant_id: request.tenant_id.clone(),
        client_id: request.client_id.clone(),
        kind: SessionKind::asked_by(&request.scope),
        state: SessionState::Pending,
        browser_id: request.session_owner(),
        iteration: 1,
        binding: Binding::Atproto(binding),
        created_at: now,
        last_used_at: now,
        cooldown: Cooldown::default(),
        correlation_id: request.correlation_id.clone(),
    };
    let event = audit::event(ctx, Actor::User, "sign_in", "ok").of_session(&head).with("issuer", issuer);
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

/// The initial handle of a session and the time of its verification. When the handle cannot be resolved now,
/// the typed one serves, which was verified when the sign-in began; without that one, it is looked up again
/// soon.
fn first_handle(
    upstream: &UpstreamRequest,
    identity: &Identity,
    now: Timestamp,
) -> (Option<Handle>, Timestamp) {
    if !identity.handle_unknown {
        return (identity.handle.clone(), now);
    }
    let is_expected = upstream.expected_did.as_ref() == Some(&identity.did);
    match upstream.typed_handle.clone().filter(|_| is_expected) {
        Some(handle) => (Some(handle), upstream.created_at),
        None => (None, now.plus(-HANDLE_SECONDS)),
    }
}

/// The origin of a server's address, without the slash that a URL ends with.
fn origin_of(url: &url::Url) -> String {
    url.origin().ascii_serialization()
}
