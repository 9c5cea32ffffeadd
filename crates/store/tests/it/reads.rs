//! Reads: each is one transaction, which ends, and its connection serves the next one.

use causeway_store::StoreError;
use diesel::connection::SimpleConnection as _;
use diesel::result::Error;
use diesel::sql_types::Text;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, sql_query};

use crate::common::on_each;

#[derive(QueryableByName)]
struct Remembered {
    #[diesel(sql_type = Text)]
    value: String,
}

/// A closure may have transactions of its own within the read. What its connection remembers shows that the next read
/// is the same connection's: one that is left within a transaction would have been replaced.
#[test]
fn a_connection_serves_one_read_after_the_other() {
    on_each(|world| async move {
        let (remember, ask) = match world.kind {
            "sqlite" => (
                "PRAGMA cache_size = -1234",
                "SELECT CAST(cache_size AS TEXT) AS value FROM pragma_cache_size",
            ),
            _ => ("SET application_name = '-1234'", "SELECT current_setting('application_name') AS value"),
        };
        world.read(move |c| Ok(c.transaction::<_, Error, _>(|c| c.batch_execute(remember))?)).await;
        for _ in 0..3 {
            let again = world.read(move |c| Ok(sql_query(ask).get_result::<Remembered>(c)?.value)).await;
            assert_eq!(again, "-1234");
            // On PostgreSQL look-ups have connections of their own.
            if world.kind == "sqlite" {
                let found: Result<_, StoreError> =
                    world.store.find(move |c| Ok(sql_query(ask).get_result::<Remembered>(c)?.value)).await;
                assert_eq!(found.unwrap(), "-1234");
            }
        }
    });
}
