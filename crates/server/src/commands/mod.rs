//! Commands other than `serve`. They work on the database, beside a running server or without one.

pub(crate) mod audit;
mod client_options;
pub(crate) mod clients;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod providers;
mod reencrypt;
pub(crate) mod sessions;
pub(crate) mod tokens;

use causeway_domain::SystemClock;
use causeway_flow::operations::operator::Operator;
use causeway_store::operations::admin::SessionFilter;
use causeway_store::{Page, Store};
use causeway_types::{ClientId, Did};

use crate::cli::Whose;

/// Filter for the live sessions that the options select.
fn filter(of: Whose) -> anyhow::Result<SessionFilter> {
    let did = of.user.map(|did| Did::parse(&did)).transpose()?;
    Ok(SessionFilter { did, client_id: of.client.map(ClientId::new), ended: false })
}

/// The operator at the command line, as the actor of audit events.
fn operator(store: &Store) -> Operator<'_> {
    Operator::at_command_line(store, &SystemClock)
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
