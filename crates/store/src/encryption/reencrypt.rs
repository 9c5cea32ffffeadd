//! Re-encryption: values encrypted by older keys of the ring are encrypted again by its first key, in place.
//!
//! Rows are read page by page, encrypted again without the database, and swapped: each value only while it is
//! still the one that was read. A concurrent write to the same row by a server is therefore never
//! overwritten, and work done before an interruption is skipped the next time.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::encryption::columns::EncryptedColumn;
use crate::encryption::keyring::{self, EncryptionError, EncryptionKeyRing};
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;

/// A position in the order of a table's primary key. The first page begins after the default one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
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
    let (table, name) = (column.table(), column.column());
    let encrypted = format!(
        "CASE WHEN {name} IS NULL OR {name} = '' THEN NULL \
         WHEN substr({name}, 1, length($1)) = $1 THEN '' ELSE {name} END AS encrypted"
    );
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
    let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let mut page = Page { rows: rows.len(), current: 0, old: Vec::new(), next: None };
    for Row { row_key, row_iteration, encrypted } in rows {
        let place = Place { key: row_key, iteration: row_iteration };
        page.next = full.then(|| place.clone());
        match encrypted {
            None => {}
            Some(encrypted) if encrypted.is_empty() => page.current += 1,
            Some(encrypted) => page.old.push(OldValue { column, place, encrypted }),
        }
    }
    Ok(page)
}

/// Swaps values, each only while it is still the one that was read; returns how many were swapped.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn swap_encrypted(c: &mut AnyConnection, swaps: &[Swap]) -> Result<usize, StoreError> {
    let mut swapped = 0;
    for Swap { old: OldValue { column, place, encrypted }, fresh } in swaps {
        let (table, name) = (column.table(), column.column());
        swapped += match column.key() {
            [key, iteration] => sql_query(format!(
                "UPDATE {table} SET {name} = $1 WHERE {key} = $2 AND {iteration} = $3 AND {name} = $4"
            ))
            .bind::<Text, _>(fresh)
            .bind::<Text, _>(&place.key)
            .bind::<BigInt, _>(place.iteration)
            .bind::<Text, _>(encrypted)
            .execute(c)?,
            keys => sql_query(format!(
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
    let counted = sql_query(format!("SELECT COUNT(*) AS rows FROM {}", column.table()));
    Ok(counted.get_result::<Count>(c)?.rows)
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
    for column in crate::encryption::columns::ENCRYPTED_COLUMNS {
        let (table, name) = (column.table(), column.column());
        let first = format!("SELECT CAST(1 AS BIGINT) AS one FROM {table} WHERE {name} <> '' LIMIT 1");
        if sql_query(first).get_result::<One>(c).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
