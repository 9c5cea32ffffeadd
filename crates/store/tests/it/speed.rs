//! Not a test of a promise: prints durable rows per second. `cargo test -p causeway-store -- --ignored --nocapture`.

use std::time::Instant;

use causeway_store::tokens;

use crate::common::{access_token, on_each};

const ROWS: usize = 20_000;

#[test]
#[ignore = "a measurement"]
fn durable_rows_a_second() {
    for callers in [1, 32, 128] {
        on_each(move |world| async move {
            let (_, session) = world.client_and_session().await;
            let rows = if callers == 1 { ROWS / 20 } else { ROWS };
            let before = world.store.stats();
            let began = Instant::now();
            let mut running = Vec::new();
            for _ in 0..callers {
                let (world, session) = (world.clone(), session.clone());
                running.push(tokio::spawn(async move {
                    for _ in 0..rows / callers {
                        let token = access_token(&session);
                        world.write(move |c| tokens::insert_access_token(c, &token)).await;
                    }
                }));
            }
            for caller in running {
                caller.await.unwrap();
            }
            let seconds = began.elapsed().as_secs_f64();
            let batches = world.store.stats().batches - before.batches;
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let rate = rows as f64 / seconds;
            eprintln!("{:9} {callers:4} callers {rate:8.0} rows/s, {batches} commits", world.kind);
        });
    }
}
