//! The commands beside `serve`. They work on the database, beside a running server or without one.

pub(crate) mod clients;
pub(crate) mod doctor;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod sessions;
pub(crate) mod tokens;

use causeway_domain::{ClientId, Did};
use causeway_store::admin::SessionFilter;

use crate::cli::Whose;

/// Which live sessions are meant.
fn filter(of: Whose) -> anyhow::Result<SessionFilter> {
    let did = of.user.map(|did| Did::parse(&did)).transpose()?;
    Ok(SessionFilter { did, client_id: of.client.map(ClientId::new), ended: false })
}

fn print(value: &serde_json::Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
