//! Statements as they were executed, and how a database goes about them.

use std::sync::{Arc, Mutex};

use causeway_store::{AnyConnection, StoreError};
use diesel::connection::{InstrumentationEvent, SimpleConnection as _};
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};

#[derive(QueryableByName)]
struct SqliteStep {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct PostgresStep {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    detail: String,
}

/// How a database goes about a statement; `binds` is diesel's notation of them.
pub(crate) fn plan(c: &mut AnyConnection, sql: &str, binds: &str) -> Result<String, StoreError> {
    let steps: Vec<String> = match c {
        AnyConnection::Sqlite(conn) => {
            let steps: Vec<SqliteStep> = sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(conn)?;
            steps.into_iter().map(|step| step.detail).collect()
        }
        AnyConnection::Postgres(conn) => {
            conn.batch_execute(&format!("PREPARE swept AS {sql}"))?;
            let values = binds
                .trim_matches(['[', ']'])
                .replace("Some(", "(")
                .replace("None", "NULL")
                .replace('"', "'");
            let steps: Vec<PostgresStep> =
                sql_query(format!("EXPLAIN EXECUTE swept({values})")).load(conn)?;
            conn.batch_execute("DEALLOCATE swept")?;
            steps.into_iter().map(|step| step.detail).collect()
        }
    };
    Ok(steps.join("\n"))
}

/// Statements and their values.
pub(crate) type Statements = Arc<Mutex<Vec<(String, String)>>>;

/// Writes statements down as they begin.
pub(crate) fn note(noted: Statements) -> impl Fn(InstrumentationEvent<'_>) + Send + 'static {
    move |event| {
        let InstrumentationEvent::StartQuery { query, .. } = event else { return };
        // Without that it is the store's own: the end of the transaction.
        if let Some((sql, binds)) = query.to_string().split_once(" -- binds: ") {
            noted.lock().unwrap().push((sql.to_owned(), binds.to_owned()));
        }
    }
}
