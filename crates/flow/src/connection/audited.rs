//! Audit events of connect sessions.

use causeway_domain::connection::ConnectSession;
use causeway_store::operations::audit::{Actor, AuditEvent};

use crate::ctx::Ctx;
use crate::operations::audit;

/// An audit event of a connect session.
pub(crate) fn audit_event(
    ctx: &Ctx,
    actor: Actor,
    event: &str,
    outcome: &str,
    session: &ConnectSession,
) -> AuditEvent {
    let event = audit::event(ctx, actor, event, outcome).of_client(&session.client_id);
    AuditEvent {
        tenant_id: session.tenant_id.clone(),
        user_id: Some(session.user.user_id.clone()),
        correlation_id: event.correlation_id.clone().or_else(|| session.correlation_id.clone()),
        ..event
    }
    .with("connect_session", session.connect_session_id.as_str())
}
