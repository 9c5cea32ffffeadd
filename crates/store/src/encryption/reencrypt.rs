//! Re-encryption: values encrypted by older keys of the ring are encrypted again by its first key, in place.
//!
//! Rows are read page by page, encrypted again without the database, and swapped: each value only while it is
//! still the one that was read. A concurrent write to the same row by a server is therefore never
//! overwritten, and work done before an interruption is skipped the next time.

use causeway_types::TenantId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::connections::tenants;
use crate::encryption::columns::{ENCRYPTED_COLUMNS, EncryptedColumn};
use crate::encryption::keyring::{self, EncryptionError, EncryptionKeyRing};
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::tenancy::TenantScope;

/// A position in the order of a table's primary key. The first page begins after the default one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Of a table that is read tenant by tenant; `None` elsewhere, and before the first one.
    tenant_id: Option<TenantId>,
    key: String,
    /// Of a token set; 0 elsewhere.
    iteration: i64,
}

impl Place {
    /// The row's key, as encryption binds it into its values.
    fn row_key(&self, column: EncryptedColumn) -> String {
        match column.key() {
            [_, _] => format!("{}/{}", self.key, self.iteration),
            _ => self.key.clone(),
        }
    }
}

/// A value encrypted by a key other than the ring's first one.
#[derive(Clone, Debug)]
pub struct OldValue {
    column: EncryptedColumn,
    place: Place,
    encrypted: String,
}

impl OldValue {
    /// The primary key of its row.
    pub fn row(&self) -> String {
        self.place.row_key(self.column)
    }

    /// The kid of the key that encrypted it; empty when it is not recorded.
    pub fn kid(&self) -> &str {
        keyring::kid_of(&self.encrypted).unwrap_or_default()
    }

    /// Encrypts the same secret with the ring's first key.
    ///
    /// # Errors
    /// The [`EncryptionError`] that says why it does not open.
    pub fn reencrypt(self, ring: &EncryptionKeyRing) -> Result<Swap, EncryptionError> {
        let fresh = ring.reencrypt_column(self.column, &self.row(), &self.encrypted)?;
        Ok(Swap { old: self, fresh })
    }
}

/// A value and its replacement.
#[derive(Clone, Debug)]
pub struct Swap {
    old: OldValue,
    fresh: String,
}

/// Result of reading one page of a column.
#[derive(Clone, Debug)]
pub struct Page {
    /// Number of rows read, with a encrypted value or without.
    pub rows: usize,
    /// Number of values encrypted by the ring's first key.
    pub current: usize,
    /// The values encrypted by other keys.
    pub old: Vec<OldValue>,
    /// The position after which the next page begins; `None`: this was the last one.
    pub next: Option<Place>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    row_key: String,
    #[diesel(sql_type = BigInt)]
    row_iteration: i64,
    /// `None`: the row has no encrypted value. Empty: it is encrypted by the first key.
    #[diesel(sql_type = Nullable<Text>)]
    encrypted: Option<String>,
}

/// Reads at most `limit` rows of a column after a position. Values encrypted by the ring's first key are not
/// fetched.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn list_old_values(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    column: EncryptedColumn,
    after: &Place,
    limit: i64,
) -> Result<Page, StoreError> {
    if column.is_of_tenant() {
        return list_in_tenant(c, ring, column, after, limit);
    }
    let (table, encrypted) = (column.table(), encrypted_of(column));
    let prefix = keyring::prefix(ring.active_kid());
    let rows: Vec<Row> = match column.key() {
        [key, iteration] => sql_query(format!(
            "SELECT {key} AS row_key, {iteration} AS row_iteration, {encrypted} FROM {table} \
             WHERE ({key}, {iteration}) > ($2, $3) ORDER BY {key}, {iteration} LIMIT $4"
        ))
        .bind::<Text, _>(prefix)
        .bind::<Text, _>(&after.key)
        .bind::<BigInt, _>(after.iteration)
        .bind::<BigInt, _>(limit)
        .load(c)?,
        keys => sql_query(format!(
            "SELECT {key} AS row_key, CAST(0 AS BIGINT) AS row_iteration, {encrypted} FROM {table} \
             WHERE {key} > $2 ORDER BY {key} LIMIT $3",
            key = keys.join(", ")
        ))
        .bind::<Text, _>(prefix)
        .bind::<Text, _>(&after.key)
        .bind::<BigInt, _>(limit)
        .load(c)?,
    };
    Ok(Page::of(rows, column, None, limit))
}

/// Same for a table that is read tenant by tenant: a page is of one tenant, and behind a tenant's last one comes the next
/// tenant.
fn list_in_tenant(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    column: EncryptedColumn,
    after: &Place,
    limit: i64,
) -> Result<Page, StoreError> {
    let tenant_id = match &after.tenant_id {
        Some(tenant_id) => Some(tenant_id.clone()),
        None => tenants::find_tenant_after(c, "")?,
    };
    let Some(tenant_id) = tenant_id else { return Ok(Page::of(Vec::new(), column, None, limit)) };
    let (table, key, encrypted) = (column.table(), column.key().join(", "), encrypted_of(column));
    let rows: Vec<Row> = sql_query(format!(
        "SELECT {key} AS row_key, CAST(0 AS BIGINT) AS row_iteration, {encrypted} FROM {table} \
         WHERE tenant_id = $2 AND {key} > $3 ORDER BY {key} LIMIT $4"
    ))
    .bind::<Text, _>(keyring::prefix(ring.active_kid()))
    .bind::<Text, _>(tenant_id.as_str())
    .bind::<Text, _>(&after.key)
    .bind::<BigInt, _>(limit)
    .load(TenantScope::enter(c, &tenant_id).connection())?;
    let mut page = Page::of(rows, column, Some(&tenant_id), limit);
    if page.next.is_none() {
        let next = tenants::find_tenant_after(c, tenant_id.as_str())?;
        page.next = next.map(|next| Place { tenant_id: Some(next), ..Place::default() });
    }
    Ok(page)
}

/// The expression that selects an encrypted value: empty when the first key encrypted it, NULL when there is none.
fn encrypted_of(column: EncryptedColumn) -> String {
    let name = column.column();
    format!(
        "CASE WHEN {name} IS NULL OR {name} = '' THEN NULL \
         WHEN substr({name}, 1, length($1)) = $1 THEN '' ELSE {name} END AS encrypted"
    )
}

impl Page {
    fn of(rows: Vec<Row>, column: EncryptedColumn, tenant_id: Option<&TenantId>, limit: i64) -> Self {
        let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let mut page = Self { rows: rows.len(), current: 0, old: Vec::new(), next: None };
        for Row { row_key, row_iteration, encrypted } in rows {
            let place = Place { tenant_id: tenant_id.cloned(), key: row_key, iteration: row_iteration };
            page.next = full.then(|| place.clone());
            match encrypted {
                None => {}
                Some(encrypted) if encrypted.is_empty() => page.current += 1,
                Some(encrypted) => page.old.push(OldValue { column, place, encrypted }),
            }
        }
        page
    }
}

/// Swaps values, each only while it is still the one that was read; returns how many were swapped.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn swap_encrypted(c: &mut AnyConnection, swaps: &[Swap]) -> Result<usize, StoreError> {
    let mut swapped = 0;
    for Swap { old: OldValue { column, place, encrypted }, fresh } in swaps {
        let (table, name) = (column.table(), column.column());
        swapped += match (&place.tenant_id, column.key()) {
            (Some(tenant_id), keys) => sql_query(format!(
                "UPDATE {table} SET {name} = $1 WHERE tenant_id = $2 AND {key} = $3 AND {name} = $4",
                key = keys.join(", ")
            ))
            .bind::<Text, _>(fresh)
            .bind::<Text, _>(tenant_id.as_str())
            .bind::<Text, _>(&place.key)
            .bind::<Text, _>(encrypted)
            .execute(TenantScope::enter(c, tenant_id).connection())?,
            (None, [key, iteration]) => sql_query(format!(
                "UPDATE {table} SET {name} = $1 WHERE {key} = $2 AND {iteration} = $3 AND {name} = $4"
            ))
            .bind::<Text, _>(fresh)
            .bind::<Text, _>(&place.key)
            .bind::<BigInt, _>(place.iteration)
            .bind::<Text, _>(encrypted)
            .execute(c)?,
            (None, keys) => sql_query(format!(
                "UPDATE {table} SET {name} = $1 WHERE {key} = $2 AND {name} = $3",
                key = keys.join(", ")
            ))
            .bind::<Text, _>(fresh)
            .bind::<Text, _>(&place.key)
            .bind::<Text, _>(encrypted)
            .execute(c)?,
        };
    }
    Ok(swapped)
}

/// Counts the rows of a column's table, with a encrypted value or without.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn count_rows(c: &mut AnyConnection, column: EncryptedColumn) -> Result<i64, StoreError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let count = format!("SELECT COUNT(*) AS rows FROM {}", column.table());
    let mut rows = 0;
    each_scope(c, column, |c, tenant_id| {
        rows += match tenant_id {
            None => sql_query(&count).get_result::<Count>(c)?,
            Some(tenant_id) => {
                let count = sql_query(format!("{count} WHERE tenant_id = $1"));
                count.bind::<Text, _>(tenant_id.as_str()).get_result::<Count>(c)?
            }
        }
        .rows;
        Ok(true)
    })?;
    Ok(rows)
}

/// Calls `each` with every tenant, or once without one for a table that is not read tenant by tenant, until it returns
/// `false`.
fn each_scope(
    c: &mut AnyConnection,
    column: EncryptedColumn,
    mut each: impl FnMut(&mut AnyConnection, Option<&TenantId>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    if !column.is_of_tenant() {
        return each(c, None).map(drop);
    }
    let mut last = String::new();
    while let Some(tenant_id) = tenants::find_tenant_after(c, &last)? {
        if !each(TenantScope::enter(c, &tenant_id).connection(), Some(&tenant_id))? {
            break;
        }
        last = tenant_id.into_string();
    }
    Ok(())
}

/// Whether this database holds any encrypted value, which is lost without the key ring that encrypted it.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn has_encrypted_rows(c: &mut AnyConnection) -> Result<bool, StoreError> {
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = BigInt)]
        #[expect(dead_code, reason = "only the existence of a row matters")]
        one: i64,
    }
    let mut is_found = false;
    for column in ENCRYPTED_COLUMNS {
        let (table, name) = (column.table(), column.column());
        let first = format!("SELECT CAST(1 AS BIGINT) AS one FROM {table} WHERE {name} <> ''");
        each_scope(c, *column, |c, tenant_id| {
            let row = match tenant_id {
                None => sql_query(format!("{first} LIMIT 1")).get_result::<One>(c),
                Some(tenant_id) => {
                    let first = sql_query(format!("{first} AND tenant_id = $1 LIMIT 1"));
                    first.bind::<Text, _>(tenant_id.as_str()).get_result::<One>(c)
                }
            };
            is_found |= row.optional()?.is_some();
            Ok(!is_found)
        })?;
        if is_found {
            break;
        }
    }
    Ok(is_found)
}
