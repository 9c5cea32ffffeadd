//! Proofs that a browser's user controls an account: `account_proof`.

use causeway_domain::session::AccountProof;
use causeway_types::{AccountProofId, BrowserSessionId, TenantId, Timestamp};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::account_proof::{self, dsl};

#[derive(Queryable, Insertable)]
#[diesel(table_name = account_proof)]
struct Row {
    proof_id: String,
    tenant_id: String,
    browser_id: String,
    did: String,
    handle: Option<String>,
    created_at: i64,
    expires_at: i64,
}

const fn column(name: &'static str) -> Column {
    Column("account_proof", name)
}

/// Stores a proof.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn insert_account_proof(c: &mut AnyConnection, proof: &AccountProof) -> Result<(), StoreError> {
    let row = Row {
        proof_id: proof.id.as_str().to_owned(),
        tenant_id: proof.tenant_id.as_str().to_owned(),
        browser_id: proof.browser_id.as_str().to_owned(),
        did: proof.did.as_str().to_owned(),
        handle: proof.handle.as_ref().map(|handle| handle.as_str().to_owned()),
        created_at: proof.created_at.as_secs(),
        expires_at: proof.expires_at.as_secs(),
    };
    diesel::insert_into(account_proof::table).values(&row).execute(c)?;
    Ok(())
}

/// Lists the unexpired proofs of a browser, the newest first. One account may have several.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_account_proofs(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Vec<AccountProof>, StoreError> {
    let rows: Vec<Row> = dsl::account_proof
        .filter(dsl::browser_id.eq(browser_id.as_str()))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::expires_at.gt(now.as_secs()))
        .order(dsl::created_at.desc())
        .load(c)?;
    let read = |row: Row| {
        Ok(AccountProof {
            id: AccountProofId::new(row.proof_id),
            tenant_id: TenantId::new(row.tenant_id),
            browser_id: BrowserSessionId::new(row.browser_id),
            did: column("did").did(&row.did)?,
            handle: column("handle").handle(row.handle.as_deref())?,
            created_at: Timestamp(row.created_at),
            expires_at: Timestamp(row.expires_at),
        })
    };
    rows.into_iter().map(read).collect()
}

/// Deletes every proof of a browser.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_account_proofs(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    browser_id: &BrowserSessionId,
) -> Result<(), StoreError> {
    let own = dsl::account_proof
        .filter(dsl::browser_id.eq(browser_id.as_str()))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()));
    diesel::delete(own).execute(c)?;
    Ok(())
}
