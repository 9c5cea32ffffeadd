//! The past of a session: it costs nothing, and goes in time.

use causeway_domain::session::SessionHead;
use causeway_store::sessions::{self, History, sweep_history};
use causeway_store::testing::find_number;
use causeway_store::{AnyConnection, StoreError};
use diesel::connection::SimpleConnection as _;

use crate::common::{NOW, World, on_each, token_set};

const DAY: i64 = 86_400;

/// Lets a session have come this far, an iteration an hour: its past is wiped, but for a mark on every row.
fn grow(c: &mut AnyConnection, head: &SessionHead, iterations: i64) -> Result<(), StoreError> {
    let (id, now) = (&head.session_id, NOW.as_secs());
    c.batch_execute(&format!(
        "UPDATE oauth_atp_session SET iteration = {iterations} WHERE session_id = '{id}';
         UPDATE upstream_session SET iteration = {iterations} WHERE session_id = '{id}';
         WITH RECURSIVE past(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM past WHERE n < {iterations} - 1)
         INSERT INTO oauth_atp_session (session_id, iteration, session_created_at, atp_oauth_state, signing_key_jkt,
             dpop_key, session_exchanged_at)
         SELECT '{id}', n, 1, '', '', 'mark', {now} - ({iterations} - n) * 3600 FROM past"
    ))?;
    Ok(())
}

impl World {
    async fn advance_from(&self, session: &SessionHead, from: i64, at: i64) {
        let (id, ring) = (session.session_id.clone(), self.ring.clone());
        let advanced = self
            .write(move |c| sessions::advance_session(c, &ring, &id, from, &token_set("next"), NOW.plus(at)))
            .await;
        assert!(advanced);
    }
}

/// A refresh writes the row before its own and no other, however long the past is; so does the end of a session.
#[test]
fn the_past_is_left_alone() {
    const MARKED: &str = "SELECT COUNT(*) AS number FROM oauth_atp_session WHERE dpop_key = 'mark'";
    const SECRETS: &str = "SELECT COUNT(*) AS number FROM oauth_atp_session WHERE access_token IS NOT NULL";
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let head = session.clone();
        world.write(move |c| grow(c, &head, 3000)).await;
        world.advance_from(&session, 3000, 0).await;
        assert_eq!(world.read(|c| find_number(c, MARKED)).await, 2999, "{}", world.kind);
        assert_eq!(world.read(|c| find_number(c, SECRETS)).await, 1, "the predecessor is wiped");
        let id = session.session_id.clone();
        world
            .write(move |c| {
                sessions::end_session(c, &id, NOW)?;
                sessions::complete_revocation(c, &id, 3001)
            })
            .await;
        assert_eq!(world.read(|c| find_number(c, MARKED)).await, 2999, "{}", world.kind);
        assert_eq!(world.read(|c| find_number(c, SECRETS)).await, 0);
    });
}

const DUE: &str = "SELECT COALESCE(MAX(due_at), -1) AS number FROM iteration_history";

/// Iterations that are neither among the last nor young go in the sweep, a batch at a time. The rest is not read again
/// before something of it is old enough.
#[test]
fn the_past_goes() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let head = session.clone();
        // 1000 hours are 41 days and 16 hours.
        world.write(move |c| grow(c, &head, 1000)).await;
        world.advance_from(&session, 1000, 0).await;
        let keep = History { iterations: 100, seconds: 30 * DAY };
        let sweep = |keep, at: i64, limit| {
            let world = world.clone();
            async move { world.write(move |c| sweep_history(c, keep, NOW.plus(at), limit)).await }
        };
        let due = || {
            let world = world.clone();
            async move { world.read(|c| find_number(c, DUE)).await }
        };
        assert_eq!(sweep(keep, DAY - 1, 500).await, 0, "it was looked at a day after the first refresh");
        // By then 42 days and 16 hours: 12 and 16 hours of them are too old, the first to the 304th.
        assert_eq!((sweep(keep, DAY, 200).await, sweep(keep, DAY, 200).await), (200, 104), "{}", world.kind);
        assert_eq!(sweep(keep, DAY, 200).await, 0);
        let next = NOW.as_secs() - (1000 - 305) * 3600 + 30 * DAY;
        assert_eq!(due().await, next, "when the next one is old enough");
        assert_eq!(sweep(keep, next - NOW.as_secs() - 1, 200).await, 0);
        assert_eq!(sweep(keep, next - NOW.as_secs(), 200).await, 1);
        // A year later all are old, but a hundred stay.
        assert_eq!(sweep(keep, 365 * DAY, 9999).await, 1001 - 100 - 305);
        assert_eq!(due().await, -1, "nothing more can go");
        let left = "SELECT MIN(iteration) * 10000 + COUNT(*) AS number FROM oauth_atp_session";
        assert_eq!(world.read(|c| find_number(c, left)).await, 902 * 10_000 + 100);
        world.advance_from(&session, 1001, 400 * DAY).await;
        assert_eq!(due().await, NOW.plus(401 * DAY).as_secs(), "a refresh has it looked at again");
        assert_eq!(sweep(keep, 401 * DAY, 9999).await, 1);
        let none = History { iterations: 1, seconds: 0 };
        world.advance_from(&session, 1002, 402 * DAY).await;
        assert_eq!(sweep(none, 403 * DAY, 9999).await, 100, "as few as one may stay");
        let head = session.clone();
        let (ring, id) = (world.ring.clone(), head.session_id);
        assert!(world.read(move |c| sessions::find_token_set(c, &ring, &id, 1003)).await.is_some());
    });
}
