//! A connection to PostgreSQL that diesel's queries run on.
//!
//! Same as diesel's own, but for round trips: `BEGIN` goes along with the first statement, statements whose
//! result nobody needs go along with the next one or with `COMMIT`, and nobody waits for the `COMMIT` of a
//! transaction that only read, nor for a `ROLLBACK`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, DynInstrumentation, Instrumentation,
    InstrumentationEvent, LoadConnection, MultiConnectionHelper, SimpleConnection, StrQueryHelper,
    TransactionDepthChange, TransactionManager, TransactionManagerStatus,
};
use diesel::expression::QueryMetadata;
use diesel::migration::{CREATE_MIGRATIONS_TABLE, MigrationConnection};
use diesel::pg::{GetPgMetadataCache, Pg, PgMetadataCache, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{Query, QueryBuilder as _, QueryFragment, QueryId};
use diesel::result::{ConnectionError, ConnectionResult, Error as DieselError};
use diesel::sql_types::TypeMetadata;
use diesel::{QueryResult, RunQueryDsl as _};

use super::error::closed;
use super::libpq::Reply;
use super::pipeline::{Answer, Key, Pipeline, Statement};
use super::rehearsal::{Rehearsal, Trace};
use super::row::{PostgresRow, Rows};

/// The settings that diesel expects of every connection.
const SETUP: &str = "SET TIME ZONE 'UTC'; SET client_encoding TO 'UTF8'";
/// How long the server may take where no deadline was set.
const LONGEST: Duration = Duration::from_hours(24);

/// A connection to a PostgreSQL server.
#[expect(missing_debug_implementations, reason = "a connection has nothing to show")]
pub struct PostgresConnection {
    line: Line,
    transactions: AnsiTransactionManager,
    instrumentation: DynInstrumentation,
    types: PgMetadataCache,
    is_deferring: bool,
    /// Whether a transaction is open that ends with [`PostgresConnection::commit`].
    is_writing: bool,
    /// The tenant whose rows the next statement reaches.
    tenant: Option<String>,
    /// The tenant that the open transaction has been told; `None`: none, or it is not known.
    told_tenant: Option<String>,
}

/// Kind of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It only reads.
    Read,
    /// It writes.
    Write,
}

/// The other side of a connection.
enum Line {
    /// A server.
    Open(Pipeline),
    /// Nobody: the answers are known.
    Rehearsal(Box<Rehearsal>),
}

impl PostgresConnection {
    /// Connects. `setup` is run first; `keeps_statements` says whether the server's side of the connection
    /// stays the same from one transaction to the next.
    /// `timeout` is for the setup; how long the server may take to accept a connection is said by the URI.
    pub(crate) fn open(
        uri: &str,
        setup: &str,
        keeps_statements: bool,
        timeout: Duration,
    ) -> Result<Self, String> {
        let setup = format!("{SETUP}{setup}");
        let mut pipeline = Pipeline::open(uri, &setup, keeps_statements, Instant::now() + timeout)?;
        pipeline.set_deadline(Instant::now() + LONGEST);
        Ok(Self::on(Line::Open(pipeline)))
    }

    /// A connection on which a closure that reads finds the answers to the statements that it begins with.
    pub(in crate::engine) fn reading(answers: Vec<Answer>) -> Self {
        Self::on(Line::Rehearsal(Box::new(Rehearsal::reading(answers))))
    }

    /// A connection on which a closure that writes leaves statements, as long as it needs no answer.
    pub(in crate::engine) fn writing() -> Self {
        Self::on(Line::Rehearsal(Box::new(Rehearsal::writing())))
    }

    /// The trace of a closure on a connection without a server.
    pub(in crate::engine) fn into_trace(self) -> Option<Trace> {
        match self.line {
            Line::Open(_) => None,
            Line::Rehearsal(rehearsal) => Some(rehearsal.into_trace()),
        }
    }

    /// The pipeline behind diesel's connection.
    pub(in crate::engine) fn into_pipeline(self) -> Option<Pipeline> {
        match self.line {
            Line::Open(pipeline) => Some(pipeline),
            Line::Rehearsal(_) => None,
        }
    }

    fn on(line: Line) -> Self {
        Self {
            line,
            transactions: AnsiTransactionManager::default(),
            instrumentation: DynInstrumentation::none(),
            types: PgMetadataCache::new(),
            is_deferring: false,
            is_writing: false,
            tenant: None,
            told_tenant: None,
        }
    }

    fn pipeline(&mut self) -> QueryResult<&mut Pipeline> {
        match &mut self.line {
            Line::Open(pipeline) => Ok(pipeline),
            Line::Rehearsal(_) => Err(closed("there is no transaction without a server")),
        }
    }

    /// Makes sure that the connection can be used. `until` is when a server that does not reply is given up,
    /// and the connection with it.
    pub(crate) fn make_ready(&mut self, until: Instant) -> QueryResult<()> {
        let pipeline = self.pipeline()?;
        pipeline.set_deadline(until);
        pipeline.settle()
    }

    /// Begins a transaction with `statements`, which are sent with its first one, on a connection
    /// that is [made ready](Self::make_ready).
    pub(crate) fn begin<'a>(
        &mut self,
        statements: impl IntoIterator<Item = &'a str>,
        access: Access,
        until: Instant,
    ) -> QueryResult<()> {
        self.make_ready(until)?;
        self.forget_tenant();
        for statement in statements {
            self.pipeline()?.queue_beginning(statement)?;
        }
        self.is_writing = access == Access::Write;
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
        let pipeline = self.pipeline()?;
        pipeline.queue_plain("COMMIT")?;
        match pipeline.exchange() {
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
        self.post("COMMIT");
    }

    /// Rolls back. Nobody waits for it: the connection is used again only when it is done.
    pub(crate) fn roll_back(&mut self) {
        self.post("ROLLBACK");
    }

    /// Sends the end of a transaction. A connection that is lost has ended it already.
    fn post(&mut self, end: &str) {
        if let Ok(pipeline) = self.pipeline() {
            // Apart from what is still queued: if that fails, the server must not skip the end.
            let _ = pipeline
                .post_queued()
                .and_then(|()| pipeline.queue_plain(end))
                .and_then(|()| pipeline.post());
        }
        self.reset();
    }

    fn reset(&mut self) {
        self.is_writing = false;
        self.forget_tenant();
        *AnsiTransactionManager::transaction_manager_status_mut(self) = TransactionManagerStatus::default();
    }

    /// Whether the connection must not be used again.
    pub(crate) const fn is_lost(&self) -> bool {
        match &self.line {
            Line::Open(pipeline) => pipeline.is_lost(),
            Line::Rehearsal(_) => false,
        }
    }

    /// Whether the transaction lost against another one (SQLSTATE class 40) and may run again.
    pub(crate) fn take_contended(&mut self) -> bool {
        self.pipeline().is_ok_and(Pipeline::take_contended)
    }

    /// Whether statements that change rows are only queued from now on: they are sent with the next one that
    /// somebody waits for, or with `COMMIT`, and their errors are its errors. The counts that they return mean
    /// nothing then.
    pub(crate) fn set_deferring(&mut self, is_deferring: bool) {
        self.is_deferring = is_deferring;
    }

    /// Sets the tenant until another one is set or the transaction ends. Goes along with the next statement.
    pub(crate) fn set_tenant(&mut self, tenant: &str) {
        if self.tenant.as_deref() != Some(tenant) {
            self.tenant = Some(tenant.to_owned());
        }
    }

    fn forget_tenant(&mut self) {
        self.tenant = None;
        self.told_tenant = None;
    }

    /// Queues the setting of the tenant, unless the transaction has it. One that has failed takes nothing but its end.
    fn tell_tenant(&mut self) -> QueryResult<()> {
        let is_known = self.is_in_transaction() && self.told_tenant == self.tenant;
        if let (Line::Open(pipeline), Some(tenant), false) = (&mut self.line, &self.tenant, is_known)
            && !pipeline.has_failed_transaction()
        {
            pipeline.queue_tenant(tenant)?;
            self.told_tenant.clone_from(&self.tenant);
        }
        Ok(())
    }

    fn is_in_transaction(&mut self) -> bool {
        match AnsiTransactionManager::transaction_manager_status_mut(self) {
            TransactionManagerStatus::Valid(status) => status.transaction_depth().is_some(),
            TransactionManagerStatus::InError => true,
        }
    }

    /// Executes a statement, or queues it only: then there is no reply yet.
    fn run<T: QueryFragment<Pg> + QueryId>(&mut self, source: &T) -> QueryResult<Option<Arc<Reply>>> {
        self.instrumentation
            .on_connection_event(InstrumentationEvent::start_query(&diesel::debug_query::<Pg, _>(source)));
        let mut binds = RawBytesBindCollector::<Pg>::new();
        source.collect_binds(&mut binds, self, &Pg)?;
        let types = types_of(&binds)?;
        let (key, text) = if let Some(id) = T::query_id() {
            (Some(Key::Type(id)), None)
        } else {
            let text = text_of(source)?;
            let is_safe = source.is_safe_to_cache_prepared(&Pg)?;
            (is_safe.then(|| Key::Text(text.clone(), types.clone())), Some(text))
        };
        let sql = || text.map_or_else(|| text_of(source), Ok);
        self.tell_tenant()?;
        match &mut self.line {
            Line::Open(pipeline) => {
                pipeline.queue(key.as_ref(), sql, &types, &binds.binds)?;
                // Elsewhere there is nothing that it could go along with, or nobody would learn of its error.
                if self.is_deferring && self.is_writing {
                    return Ok(None);
                }
                Ok(pipeline.exchange()?.map(Arc::new))
            }
            Line::Rehearsal(rehearsal) => {
                let tenant = self.tenant.clone();
                let statement = Statement { key, sql: sql()?, types, values: binds.binds, tenant };
                rehearsal.answer(statement, self.is_deferring)
            }
        }
    }
}

fn types_of(binds: &RawBytesBindCollector<Pg>) -> QueryResult<Vec<u32>> {
    let oid = |metadata: &PgTypeMetadata| {
        metadata.oid().map_err(|error| DieselError::SerializationError(error.to_string().into()))
    };
    binds.metadata.iter().map(oid).collect()
}

fn text_of(source: &impl QueryFragment<Pg>) -> QueryResult<String> {
    let mut builder = PgQueryBuilder::default();
    source.to_sql(&mut builder, &Pg)?;
    Ok(builder.finish())
}

impl SimpleConnection for PostgresConnection {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.instrumentation
            .on_connection_event(InstrumentationEvent::start_query(&StrQueryHelper::new(query)));
        self.tell_tenant()?;
        // A savepoint that is rolled back takes the tenant along that was set in it.
        self.told_tenant = None;
        match &mut self.line {
            Line::Open(pipeline) => pipeline.execute_simple(query),
            Line::Rehearsal(rehearsal) => Err(rehearsal.refuse()),
        }
    }
}

impl ConnectionSealed for PostgresConnection {}

impl Connection for PostgresConnection {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(uri: &str) -> ConnectionResult<Self> {
        Self::open(uri, "", true, LONGEST).map_err(ConnectionError::BadConnection)
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, source: &T) -> QueryResult<usize> {
        Ok(self.run(source)?.map_or(0, |reply| reply.affected()))
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
        // Rows are waited for, whatever goes along.
        let is_deferring = std::mem::take(&mut self.is_deferring);
        let reply = self.run(&source);
        self.is_deferring = is_deferring;
        reply?.map(Rows::new).ok_or_else(|| DieselError::QueryBuilderError("an empty statement".into()))
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
