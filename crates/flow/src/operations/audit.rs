//! Audit events, stored in the transaction of the change that they record ([`causeway_store::operations::audit`]).
//!
//! Sign-ins, decisions, failed refreshes, revocations, reuse of one-use values, sessions that are exchanged
//! or exported, registrations and everything that an operator does. Not each redeemed code and each rotated
//! token: those are as many as requests, and the sign-in of their session is recorded.

use causeway_store::operations::audit::{Actor, AuditEvent};

use crate::ctx::Ctx;
use crate::operations::trace;

/// An audit event of the request being served. Built outside the transaction, which does not know the
/// request.
pub(crate) fn event(ctx: &Ctx, actor: Actor, event: &str, outcome: &str) -> AuditEvent {
    let (request_id, address) = trace::origin();
    let event = AuditEvent::new(ctx.tenant().clone(), ctx.now(), actor, event, outcome);
    AuditEvent { correlation_id: trace::correlation(), ..event.from_request(request_id, address) }
}
