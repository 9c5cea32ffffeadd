//! A connection to PostgreSQL that diesel's queries run on.
//!
//! Same as diesel's own, but for round trips: `BEGIN` goes along with the first statement, statements whose
//! result nobody needs go along with the next one or with `COMMIT`, and nobody waits for the `COMMIT` of a
//! transaction that only read, nor for a `ROLLBACK`.

use std::time::{Duration, Instant};

use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, DynInstrumentation, Instrumentation,
    InstrumentationEvent, LoadConnection, MultiConnectionHelper, SimpleConnection, StrQueryHelper,
    TransactionDepthChange, TransactionManager, TransactionManagerStatus,
};
use diesel::expression::QueryMetadata;
use diesel::migration::{CREATE_MIGRATIONS_TABLE, MigrationConnection};
use diesel::pg::{GetPgMetadataCache, Pg, PgMetadataCache, PgMetadataLookup, PgQueryBuilder};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{Query, QueryBuilder as _, QueryFragment, QueryId};
use diesel::result::{ConnectionError, ConnectionResult, Error as DieselError};
use diesel::sql_types::TypeMetadata;
use diesel::{QueryResult, RunQueryDsl as _};

use super::libpq::Reply;
use super::pipeline::{Key, Pipeline};
use super::row::{PostgresRow, Rows};

/// What diesel expects of every connection.
const SETUP: &str = "SET TIME ZONE 'UTC'; SET client_encoding TO 'UTF8'";
/// How long the server may take where no deadline was set.
const LONGEST: Duration = Duration::from_hours(24);

/// A connection to a PostgreSQL server.
#[expect(missing_debug_implementations, reason = "a connection has nothing to show")]
pub struct PostgresConnection {
    pipeline: Pipeline,
    transactions: AnsiTransactionManager,
    instrumentation: DynInstrumentation,
    types: PgMetadataCache,
    is_deferring: bool,
}

impl PostgresConnection {
    /// Connects. `setup` is run first; `keeps_statements` says whether the server's side of the connection
    /// stays the same from one transaction to the next.
    pub(crate) fn open(uri: &str, setup: &str, keeps_statements: bool) -> Result<Self, String> {
        let setup = format!("{SETUP}{setup}");
        let pipeline = Pipeline::open(uri, &setup, keeps_statements, Instant::now() + LONGEST)?;
        Ok(Self {
            pipeline,
            transactions: AnsiTransactionManager::default(),
            instrumentation: DynInstrumentation::none(),
            types: PgMetadataCache::new(),
            is_deferring: false,
        })
    }

    /// Makes sure that the connection can be used. `until` is when a server that does not reply is given up,
    /// and the connection with it.
    pub(crate) fn make_ready(&mut self, until: Instant) -> QueryResult<()> {
        self.pipeline.set_deadline(until);
        self.pipeline.settle()
    }

    /// Begins a transaction with `statements`, which are sent with its first one, on a connection
    /// that is [made ready](Self::make_ready).
    pub(crate) fn begin<'a>(
        &mut self,
        statements: impl IntoIterator<Item = &'a str>,
        until: Instant,
    ) -> QueryResult<()> {
        self.make_ready(until)?;
        for statement in statements {
            self.pipeline.queue_beginning(statement)?;
        }
        self.deepen()
    }

    /// Diesel counts transactions, so that one within another is a savepoint.
    fn deepen(&mut self) -> QueryResult<()> {
        match AnsiTransactionManager::transaction_manager_status_mut(self) {
            TransactionManagerStatus::Valid(status) => {
                status.change_transaction_depth(TransactionDepthChange::IncreaseDepth)
            }
            TransactionManagerStatus::InError => Err(DieselError::BrokenTransactionManager),
        }
    }

    /// Commits, together with what is still queued, and waits until it is done.
    pub(crate) fn commit(&mut self) -> QueryResult<()> {
        self.pipeline.queue_plain("COMMIT")?;
        let committed = self.pipeline.exchange();
        match committed {
            // A transaction in which a statement had failed is rolled back by COMMIT, too, without an error.
            Ok(reply) if reply.as_ref().is_some_and(|reply| reply.tag() == "COMMIT") => {
                self.reset();
                Ok(())
            }
            Ok(_) => {
                self.reset();
                Err(DieselError::RollbackTransaction)
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Ends a transaction that has only read. Nobody waits for it.
    pub(crate) fn finish(&mut self) {
        let _ = self.pipeline.queue_plain("COMMIT").and_then(|()| self.pipeline.post());
        self.reset();
    }

    /// Rolls back. Nobody waits for it: the connection is used again only when it is done.
    pub(crate) fn roll_back(&mut self) {
        // A statement that is still queued and fails would have the server skip the ROLLBACK.
        let _ = self.send_queued();
        let _ = self.pipeline.queue_plain("ROLLBACK").and_then(|()| self.pipeline.post());
        self.reset();
    }

    fn send_queued(&mut self) -> QueryResult<()> {
        if self.pipeline.has_queued() { self.pipeline.post() } else { Ok(()) }
    }

    fn reset(&mut self) {
        *AnsiTransactionManager::transaction_manager_status_mut(self) = TransactionManagerStatus::default();
    }

    /// Whether the connection must not be used again.
    pub(crate) fn is_lost(&self) -> bool {
        self.pipeline.is_lost()
    }

    /// Whether the transaction lost against another one (SQLSTATE class 40) and may run again.
    pub(crate) fn take_contended(&mut self) -> bool {
        self.pipeline.take_contended()
    }

    /// Whether statements that change rows are only queued from now on: they are sent with the next one that
    /// somebody waits for, or with `COMMIT`, and their errors are its errors. The counts that they return mean
    /// nothing then.
    pub(crate) fn set_deferring(&mut self, is_deferring: bool) {
        self.is_deferring = is_deferring;
    }

    fn queue<T: QueryFragment<Pg> + QueryId>(&mut self, source: &T) -> QueryResult<()> {
        self.instrumentation
            .on_connection_event(InstrumentationEvent::start_query(&diesel::debug_query::<Pg, _>(source)));
        let mut binds = RawBytesBindCollector::<Pg>::new();
        source.collect_binds(&mut binds, self, &Pg)?;
        let mut types = Vec::with_capacity(binds.metadata.len());
        for metadata in &binds.metadata {
            types.push(
                metadata.oid().map_err(|error| DieselError::SerializationError(error.to_string().into()))?,
            );
        }
        let sql = || {
            let mut builder = PgQueryBuilder::default();
            source.to_sql(&mut builder, &Pg)?;
            Ok(builder.finish())
        };
        if let Some(id) = T::query_id() {
            return self.pipeline.queue(Some(Key::Type(id)), sql, &types, &binds.binds);
        }
        let text = sql()?;
        let key = source.is_safe_to_cache_prepared(&Pg)?.then(|| Key::Text(text.clone(), types.clone()));
        self.pipeline.queue(key, || Ok(text), &types, &binds.binds)
    }

    fn run<T: QueryFragment<Pg> + QueryId>(&mut self, source: &T) -> QueryResult<Reply> {
        self.queue(source)?;
        let reply = self.pipeline.exchange()?;
        reply.ok_or_else(|| DieselError::QueryBuilderError("an empty statement".into()))
    }
}

impl SimpleConnection for PostgresConnection {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.instrumentation
            .on_connection_event(InstrumentationEvent::start_query(&StrQueryHelper::new(query)));
        self.pipeline.execute_simple(query)
    }
}

impl ConnectionSealed for PostgresConnection {}

impl Connection for PostgresConnection {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(uri: &str) -> ConnectionResult<Self> {
        Self::open(uri, "", true).map_err(ConnectionError::BadConnection)
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, source: &T) -> QueryResult<usize> {
        if self.is_deferring {
            return self.queue(source).map(|()| 0);
        }
        Ok(self.run(source)?.affected())
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut *self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = instrumentation.into();
    }

    /// How long statements are kept was said when the connection was opened.
    fn set_prepared_statement_cache_size(&mut self, _: CacheSize) {}
}

impl LoadConnection for PostgresConnection {
    type Cursor<'conn, 'query> = Rows;
    type Row<'conn, 'query> = PostgresRow;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<Rows>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        self.run(&source).map(Rows::new)
    }
}

impl GetPgMetadataCache for PostgresConnection {
    fn get_metadata_cache(&mut self) -> &mut PgMetadataCache {
        &mut self.types
    }
}

impl MultiConnectionHelper for PostgresConnection {
    fn to_any<'a>(lookup: &mut <Pg as TypeMetadata>::MetadataLookup) -> &mut (dyn std::any::Any + 'a) {
        lookup.as_any()
    }

    fn from_any(lookup: &mut dyn std::any::Any) -> Option<&mut <Pg as TypeMetadata>::MetadataLookup> {
        lookup.downcast_mut::<Self>().map(|conn| conn as &mut dyn PgMetadataLookup)
    }
}

impl MigrationConnection for PostgresConnection {
    fn setup(&mut self) -> QueryResult<usize> {
        diesel::sql_query(CREATE_MIGRATIONS_TABLE).execute(self)
    }
}
