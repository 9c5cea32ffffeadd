//! The commands beside `serve`. They work on the database, beside a running server or without one.

pub(crate) mod audit;
pub(crate) mod clients;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod sessions;
pub(crate) mod tokens;

use causeway_domain::{ClientId, Clock as _, Did, SystemClock, TenantId};
use causeway_store::admin::SessionFilter;
use causeway_store::audit::{Actor, AuditEvent};

use crate::cli::Whose;

/// Which live sessions are meant.
fn filter(of: Whose) -> anyhow::Result<SessionFilter> {
    let did = of.user.map(|did| Did::parse(&did)).transpose()?;
    Ok(SessionFilter { did, client_id: of.client.map(ClientId::new), ended: false })
}

/// An act of the operator, at the command line.
fn act(event: &str) -> AuditEvent {
    let tenant = TenantId::default_tenant();
    AuditEvent::new(tenant, SystemClock.now(), Actor::Operator, event, "ok").with("by", "command line")
}

fn print(value: &serde_json::Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
