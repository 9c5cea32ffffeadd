//! Commands other than `serve`. They work on the database, beside a running server or without one.

pub(crate) mod audit;
mod client_options;
pub(crate) mod clients;
pub(crate) mod connect;
pub(crate) mod connections;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod providers;
mod reencrypt;
mod registrations;
pub(crate) mod sessions;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod users;

use anyhow::Context as _;
use causeway_domain::SystemClock;
use causeway_domain::connection::Erasure;
use causeway_flow::operations::operator::Operator;
use causeway_store::operations::admin::SessionFilter;
use causeway_store::{Page, Store};
use causeway_types::{ClientId, Did, TenantId};

use crate::cli::{OfTenant, Whose};
use crate::progress::ProgressLine;

/// Filter for the live sessions that the options select.
fn filter(of: Whose) -> anyhow::Result<SessionFilter> {
    let did = of.user.map(|did| Did::parse(&did)).transpose()?;
    Ok(SessionFilter { did, client_id: of.client.map(ClientId::new), ended: false })
}

/// The operator at the command line, as the actor of audit events.
fn operator(store: &Store) -> Operator<'_> {
    Operator::at_command_line(store, &SystemClock)
}

/// The tenant that an option names, which exists.
async fn find_tenant(store: &Store, OfTenant { tenant_id }: OfTenant) -> anyhow::Result<TenantId> {
    let found = operator(store).find_tenant(&TenantId::new(&*tenant_id)).await?;
    Ok(found.with_context(|| format!("no tenant {tenant_id}"))?.tenant_id)
}

/// Erases what belongs to a deleted tenant or user, with a line of progress; returns how many connections ended.
async fn erase(store: &Store, tenant_id: &TenantId, whose: &Erasure) -> anyhow::Result<usize> {
    let mut line = ProgressLine::new();
    let (mut connections, mut rows) = (0, 0);
    loop {
        let erased = operator(store).erase(tenant_id, whose).await.context(
            "it is deleted, but not everything of it is erased yet: run this again, or a running server does the rest",
        )?;
        if erased.is_done() {
            break;
        }
        connections += erased.connections;
        rows += erased.rows;
        line.count(|| format!("{connections} connections ended, {rows} rows deleted"));
    }
    line.end();
    Ok(connections)
}

fn print(value: &serde_json::Value) -> anyhow::Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints on standard error where the next page of a list begins.
fn say_more<T>(page: &Page<T>) {
    if let Some(next) = &page.next {
        eprintln!("More entries: --after {next}");
    }
}
