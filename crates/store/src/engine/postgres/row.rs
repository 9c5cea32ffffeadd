//! Rows of a reply, as diesel reads them.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use diesel::backend::Backend;
use diesel::pg::{Pg, PgValue, TypeOidLookup};
use diesel::row::{Field, PartialRow, Row, RowIndex, RowSealed};

use super::libpq::Reply;

/// The rows of a reply.
#[expect(missing_debug_implementations, reason = "rows hold values")]
pub struct Rows {
    reply: Arc<Reply>,
    next: usize,
}

impl Rows {
    pub(super) const fn new(reply: Arc<Reply>) -> Self {
        Self { reply, next: 0 }
    }
}

impl Iterator for Rows {
    type Item = diesel::QueryResult<PostgresRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next;
        self.next += 1;
        (row < self.reply.rows()).then(|| Ok(PostgresRow { reply: Arc::clone(&self.reply), row }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.reply.rows().saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Rows {}

/// One row.
#[expect(missing_debug_implementations, reason = "rows hold values")]
pub struct PostgresRow {
    reply: Arc<Reply>,
    row: usize,
}

impl RowSealed for PostgresRow {}

impl<'a> Row<'a, Pg> for PostgresRow {
    type Field<'f>
        = PostgresField<'f>
    where
        'a: 'f,
        Self: 'f;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        self.reply.columns()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<Self::Field<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        let column = self.idx(index)?;
        Some(PostgresField { reply: &self.reply, row: self.row, column })
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self::InnerPartialRow> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for PostgresRow {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.reply.columns()).then_some(index)
    }
}

impl<'a> RowIndex<&'a str> for PostgresRow {
    fn idx(&self, name: &'a str) -> Option<usize> {
        (0..self.reply.columns()).find(|column| self.reply.column_name(*column) == Some(name))
    }
}

/// One value of a row.
#[expect(missing_debug_implementations, reason = "rows hold values")]
pub struct PostgresField<'a> {
    reply: &'a Reply,
    row: usize,
    column: usize,
}

impl<'a> Field<'a, Pg> for PostgresField<'a> {
    fn field_name(&self) -> Option<&str> {
        self.reply.column_name(self.column)
    }

    fn value(&self) -> Option<<Pg as Backend>::RawValue<'_>> {
        Some(PgValue::new(self.reply.value(self.row, self.column)?, self))
    }
}

impl TypeOidLookup for PostgresField<'_> {
    fn lookup(&self) -> NonZeroU32 {
        self.reply.column_type(self.column)
    }
}
