//! `causeway keys reencrypt`.

use anyhow::{Context as _, bail};
use causeway_domain::SystemClock;
use causeway_flow::operations::operator::{Progress, Reencrypted};
use causeway_store::Store;
use causeway_store::encryption::keyring::EncryptionKeyRing;

use super::operator;
use crate::progress::ProgressLine;

pub(crate) async fn run(store: &Store, ring: Option<EncryptionKeyRing>, dry_run: bool) -> anyhow::Result<()> {
    let Some(ring) = ring else {
        say!("Nothing is encrypted in this database yet.");
        return Ok(());
    };
    let mut line = ProgressLine::new();
    let on_progress = |at: Progress| {
        line.report(at.rows, at.all, || {
            let again = if at.pass > 1 { ", checking again" } else { "" };
            format!(
                "{} of {} rows, {} re-encrypted, at {}{again}",
                at.rows, at.all, at.reencrypted, at.column
            )
        });
    };
    let operator = operator(store);
    let done = if dry_run {
        operator.preview_reencrypt(&ring, on_progress).await
    } else {
        operator.reencrypt(&ring, &SystemClock, on_progress).await
    };
    line.end();
    let done = done.context("re-encryption stopped: run it again to continue from there")?;
    report(&done, ring.active_kid(), dry_run);
    require_complete(&done, ring.active_kid())
}

/// Prints how many values were re-encrypted, and how many each key encrypts.
fn report(done: &Reencrypted, kid: &str, dry_run: bool) {
    let verb = if dry_run { "to be re-encrypted" } else { "re-encrypted" };
    for (column, count) in &done.columns {
        say!("{column}\t{count} {verb}");
    }
    for (key, count) in &done.by_key {
        let key = if key.is_empty() { "an unknown key" } else { key };
        say!("{key}\tencrypts {count} values");
    }
    for value in &done.examples {
        say!("{} of {}\tcannot be decrypted: {}", value.column, value.row, value.error);
    }
    for old in &done.unneeded {
        say!(
            "No value needs {old} any more. Once every server was restarted with {kid} at the top of its key ring, \
             remove the line of {old}, and keep it together with older backups."
        );
    }
}

/// Fails unless everything is encrypted with the first key now, or would be.
fn require_complete(done: &Reencrypted, kid: &str) -> anyhow::Result<()> {
    if done.unreadable > 0 {
        bail!(
            "{} values cannot be decrypted with any key of the ring and were left unchanged: add the key that encrypted them \
             below the others and run this again",
            done.unreadable
        );
    }
    if !done.in_use.is_empty() {
        let old: Vec<_> = done.in_use.iter().map(String::as_str).collect();
        bail!(
            "values were encrypted with {} while this ran: a server still uses that key. Put {kid} at the top of every server's \
             key ring, restart the servers, and run this again",
            old.join(", ")
        );
    }
    Ok(())
}
