//! Statements whose text never changes: written once, and prepared once on each connection.
//!
//! By default, diesel generates a statement's text several times at each execution on a
//! multi-connection, and prepares every UPDATE again, because the text of one might differ the next
//! time. On SQLite that takes longer than what the statement does.

use std::marker::PhantomData;
use std::sync::OnceLock;

use diesel::QueryResult;
use diesel::backend::Backend;
// The helper by which `#[derive(MultiConnection)]` itself distinguishes the passes.
use diesel::internal::derives::multiconnection::AstPassHelper as _;
use diesel::pg::PgQueryBuilder;
use diesel::query_builder::{AstPass, Query, QueryBuilder as _, QueryFragment, QueryId};
use diesel::query_dsl::RunQueryDsl;
use diesel::sqlite::SqliteQueryBuilder;

use crate::engine::conn::{AnyConnection, MultiBackend};

type Builder = <MultiBackend as Backend>::QueryBuilder;

/// Marks a statement of diesel's as one whose text is the same at every execution of this line: no
/// `eq_any`, nothing boxed, no `Option` that decides which columns are named. A debug build compares.
macro_rules! fixed {
    ($query:expr) => {{
        struct Here;
        impl $crate::engine::fixed::Site for Here {
            fn text() -> &'static $crate::engine::fixed::Text {
                static TEXT: $crate::engine::fixed::Text = $crate::engine::fixed::Text::new();
                &TEXT
            }
        }
        $crate::engine::fixed::Fixed::<_, Here>::new($query)
    }};
}
pub(crate) use fixed;

/// One line of code with a statement: diesel's cache of prepared statements is keyed by this type.
pub(crate) trait Site: 'static {
    /// The statement's text.
    fn text() -> &'static Text;
}

/// The text of a statement, in the dialect of each database.
pub(crate) struct Text {
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Text {
    /// A text that has not been written yet.
    pub(crate) const fn new() -> Self {
        Self { sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    fn of(&self, backend: &MultiBackend, query: &impl QueryFragment<MultiBackend>) -> QueryResult<&str> {
        let cell = match backend {
            MultiBackend::Sqlite(_) => &self.sqlite,
            MultiBackend::Postgres(_) => &self.postgres,
        };
        if let Some(text) = cell.get() {
            return Ok(text);
        }
        let written = write(backend, query)?;
        Ok(cell.get_or_init(|| written))
    }
}

fn write(backend: &MultiBackend, query: &impl QueryFragment<MultiBackend>) -> QueryResult<String> {
    let mut builder = match backend {
        MultiBackend::Sqlite(_) => Builder::Sqlite(SqliteQueryBuilder::default()),
        MultiBackend::Postgres(_) => Builder::Postgres(PgQueryBuilder::default()),
    };
    query.to_sql(&mut builder, backend)?;
    Ok(builder.finish())
}

/// A statement of [`fixed!`].
pub(crate) struct Fixed<Q, S> {
    query: Q,
    site: PhantomData<S>,
}

impl<Q, S> Fixed<Q, S> {
    pub(crate) const fn new(query: Q) -> Self {
        Self { query, site: PhantomData }
    }
}

impl<Q: QueryFragment<MultiBackend>, S: Site> Fixed<Q, S> {
    /// Executes a statement whose count nobody needs ([`AnyConnection::defer`]).
    pub(crate) fn defer(self, c: &mut AnyConnection) -> QueryResult<()> {
        c.defer(|c| self.execute(c))
    }
}

impl<Q: QueryFragment<MultiBackend>, S: Site> QueryFragment<MultiBackend> for Fixed<Q, S> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        if pass.bind_collector().is_some() || pass.debug_binds().is_some() {
            return self.query.walk_ast(pass);
        }
        let text = S::text().of(pass.backend(), &self.query)?;
        if cfg!(debug_assertions) {
            assert_eq!(
                text,
                write(pass.backend(), &self.query)?,
                "the text of a fixed statement has changed"
            );
        }
        // In the pass that asks whether the prepared statement may be kept, nothing objects.
        pass.push_sql(text);
        Ok(())
    }
}

impl<Q, S: Site> QueryId for Fixed<Q, S> {
    type QueryId = S;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Q: Query, S> Query for Fixed<Q, S> {
    type SqlType = Q::SqlType;
}

impl<Q, S> RunQueryDsl<AnyConnection> for Fixed<Q, S> {}
