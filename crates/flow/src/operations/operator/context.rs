//! The operator, in whose name changes are made and recorded.

use causeway_domain::Clock;
use causeway_store::Store;
use causeway_store::operations::audit::{Actor, AuditEvent};
use causeway_types::{TenantId, Timestamp};

use crate::ctx::Ctx;
use crate::operations::audit;

/// Rows that one transaction changes: few enough not to delay a running server.
pub(super) const BATCH: i64 = 100;

/// The operator, acting at one moment.
#[derive(Debug)]
pub struct Operator<'a> {
    pub(super) store: &'a Store,
    /// Template of the audit events of this moment.
    pub(super) by: AuditEvent,
}

impl<'a> Operator<'a> {
    /// At the command line, beside a running server or without one.
    pub fn at_command_line(store: &'a Store, clock: &dyn Clock) -> Self {
        let by = AuditEvent::new(TenantId::default_tenant(), clock.now(), Actor::Operator, "", "ok");
        Self { store, by: by.with("by", "command line") }
    }

    /// Over HTTP, by the request that is served now.
    pub(crate) fn over_http(ctx: &'a Ctx) -> Self {
        Self { store: ctx.store(), by: audit::event(ctx, Actor::Operator, "", "ok").with("by", "http") }
    }

    /// An audit event of the operator's, to be committed together with the change.
    pub fn audit_event(&self, event: &str) -> AuditEvent {
        AuditEvent { event: event.to_owned(), ..self.by.clone() }
    }

    pub(super) fn about(&self, event: &str) -> (TenantId, Timestamp, AuditEvent) {
        (self.by.tenant_id.clone(), self.by.at, self.audit_event(event))
    }
}
