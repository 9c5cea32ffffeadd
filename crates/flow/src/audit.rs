//! Acts that are written down with what they do ([`causeway_store::audit`]).
//!
//! Sign-ins, decisions, failed refreshes, revocations, reuse of what works once, sessions that are exchanged or
//! exported, registrations and whatever an operator does. Not each code that is redeemed and each token that is rotated: they are as many as
//! requests, and their session's sign-in is here.

use causeway_store::audit::{Actor, AuditEvent};

use crate::ctx::Ctx;
use crate::trace;

/// An act of the request that is served now. Made outside the transaction, which does not know the request.
pub(crate) fn act(ctx: &Ctx, actor: Actor, event: &str, outcome: &str) -> AuditEvent {
    let (request_id, address) = trace::origin();
    let act = AuditEvent::new(ctx.tenant().clone(), ctx.now(), actor, event, outcome);
    AuditEvent { correlation_id: trace::correlation(), ..act.from_request(request_id, address) }
}
