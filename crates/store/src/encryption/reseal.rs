//! Re-encryption: values sealed by older keys of the ring are sealed again by its first key, in place.
//!
//! Rows are read page by page, sealed again without the database, and swapped: each value only while it is
//! still the one that was read. A concurrent write to the same row by a server is therefore never
//! overwritten, and work done before an interruption is skipped the next time.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::encryption::seal::{self, SealError, SealingKeyRing};
use crate::encryption::sealed::SealedColumn;
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
    /// The row's key, as sealing binds it into its values.
    fn row_key(&self, column: SealedColumn) -> String {
        match column.key() {
            [_, _] => format!("{}/{}", self.key, self.iteration),
            _ => self.key.clone(),
        }
    }
}

/// A value sealed by a key other than the ring's first one.
#[derive(Clone, Debug)]
pub struct OldValue {
    column: SealedColumn,
    place: Place,
    sealed: String,
}

impl OldValue {
    /// The primary key of its row.
    pub fn row(&self) -> String {
        self.place.row_key(self.column)
    }

    /// The kid of the key that sealed it; empty when it is not recorded.
    pub fn kid(&self) -> &str {
        seal::kid_of(&self.sealed).unwrap_or_default()
    }

    /// Seals the same secret with the ring's first key.
    ///
    /// # Errors
    /// The [`SealError`] that says why it does not open.
    pub fn reseal(self, ring: &SealingKeyRing) -> Result<Swap, SealError> {
        let fresh = ring.reseal_column(self.column, &self.row(), &self.sealed)?;
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
    /// Number of rows read, with a sealed value or without.
    pub rows: usize,
    /// Number of values sealed by the ring's first key.
    pub current: usize,
    /// The values sealed by other keys.
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
    /// `None`: the row has no sealed value. Empty: it is sealed by the first key.
    #[diesel(sql_type = Nullable<Text>)]
    sealed: Option<String>,
}

/// Reads at most `limit` rows of a column after a position. Values sealed by the ring's first key are not
/// fetched.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn list_old_values(
    c: &mut AnyConnection,
    ring: &SealingKeyRing,
    column: SealedColumn,
    after: &Place,
    limit: i64,
) -> Result<Page, StoreError> {
    let (table, name) = (column.table(), column.column());
    let sealed = format!(
        "CASE WHEN {name} IS NULL OR {name} = '' THEN NULL \
         WHEN substr({name}, 1, length($1)) = $1 THEN '' ELSE {name} END AS sealed"
    );
    let prefix = seal::prefix(ring.active_kid());
    let rows: Vec<Row> = match column.key() {
        [key, iteration] => sql_query(format!(
            "SELECT {key} AS row_key, {iteration} AS row_iteration, {sealed} FROM {table} \
             WHERE ({key}, {iteration}) > ($2, $3) ORDER BY {key}, {iteration} LIMIT $4"
        ))
        .bind::<Text, _>(prefix)
        .bind::<Text, _>(&after.key)
        .bind::<BigInt, _>(after.iteration)
        .bind::<BigInt, _>(limit)
        .load(c)?,
        keys => sql_query(format!(
            "SELECT {key} AS row_key, CAST(0 AS BIGINT) AS row_iteration, {sealed} FROM {table} \
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
    for Row { row_key, row_iteration, sealed } in rows {
        let place = Place { key: row_key, iteration: row_iteration };
        page.next = full.then(|| place.clone());
        match sealed {
            None => {}
            Some(sealed) if sealed.is_empty() => page.current += 1,
            Some(sealed) => page.old.push(OldValue { column, place, sealed }),
        }
    }
    Ok(page)
}

/// Swaps values, each only while it is still the one that was read; returns how many were swapped.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn swap_sealed(c: &mut AnyConnection, swaps: &[Swap]) -> Result<usize, StoreError> {
    let mut swapped = 0;
    for Swap { old: OldValue { column, place, sealed }, fresh } in swaps {
        let (table, name) = (column.table(), column.column());
        swapped += match column.key() {
            [key, iteration] => sql_query(format!(
                "UPDATE {table} SET {name} = $1 WHERE {key} = $2 AND {iteration} = $3 AND {name} = $4"
            ))
            .bind::<Text, _>(fresh)
            .bind::<Text, _>(&place.key)
            .bind::<BigInt, _>(place.iteration)
            .bind::<Text, _>(sealed)
            .execute(c)?,
            keys => sql_query(format!(
                "UPDATE {table} SET {name} = $1 WHERE {key} = $2 AND {name} = $3",
                key = keys.join(", ")
            ))
            .bind::<Text, _>(fresh)
            .bind::<Text, _>(&place.key)
            .bind::<Text, _>(sealed)
            .execute(c)?,
        };
    }
    Ok(swapped)
}

/// Counts the rows of a column's table, with a sealed value or without.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn count_rows(c: &mut AnyConnection, column: SealedColumn) -> Result<i64, StoreError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let counted = sql_query(format!("SELECT COUNT(*) AS rows FROM {}", column.table()));
    Ok(counted.get_result::<Count>(c)?.rows)
}

/// Whether this database holds any sealed value, which is lost without the key ring that sealed it.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn has_sealed_rows(c: &mut AnyConnection) -> Result<bool, StoreError> {
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = BigInt)]
        #[expect(dead_code, reason = "that there is a row says all")]
        one: i64,
    }
    for column in crate::encryption::sealed::SEALED_COLUMNS {
        let (table, name) = (column.table(), column.column());
        let first = format!("SELECT CAST(1 AS BIGINT) AS one FROM {table} WHERE {name} <> '' LIMIT 1");
        if sql_query(first).get_result::<One>(c).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
