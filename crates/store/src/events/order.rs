//! The order in which a client receives its events.
//!
//! A client that has read up to an id must never miss a smaller one that commits later. A lock that every
//! writer of an event holds to the end of its transaction would ensure that, but it could deadlock with the
//! rows of sessions: a sweep writes an event and then ends a session, a refresh moves a session and then
//! writes an event. So writers take no such lock. Committed events get their position here, in a transaction
//! of its own that touches no other table, one client at a time.
//!
//! Rows are therefore locked in this order: a session's head, then the rows that belong to it, an event's own
//! row last; this file locks events alone.

use causeway_types::ClientId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::event_outbox;

/// Ids are at least microseconds, so that they grow even when the table was emptied or restored from a
/// backup.
const MICROS: i64 = 1_000_000;
/// Events of one client that are ordered in one transaction.
const BATCH: i64 = 200;
/// Clients whose events are ordered in one transaction.
const CLIENTS: i64 = 20;

/// Each step reads one entry of an index.
const WAITING: &str = "WITH RECURSIVE waiting (client_id) AS ( \
    SELECT min(client_id) FROM event_outbox WHERE position IS NULL \
    UNION ALL SELECT (SELECT min(e.client_id) FROM event_outbox e \
        WHERE e.position IS NULL AND e.client_id > waiting.client_id) \
    FROM waiting WHERE waiting.client_id IS NOT NULL) \
    SELECT client_id AS id FROM waiting WHERE client_id IS NOT NULL";

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Whether committed events have no position yet.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn has_unordered_events(c: &mut AnyConnection) -> Result<bool, StoreError> {
    let waiting = event_outbox::table.filter(event_outbox::position.is_null());
    Ok(waiting.select(event_outbox::id).first::<i64>(c).optional()?.is_some())
}

/// Gives committed events their position, a batch for each client; `true`: there are more. Events that
/// another process is ordering at this moment are left to it.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn order_events(c: &mut AnyConnection) -> Result<bool, StoreError> {
    let clients: Vec<Id> = sql_query(WAITING).load(c)?;
    let (mut more, mut ordered) = (false, 0);
    for Id { id } in clients {
        if ordered == CLIENTS {
            return Ok(true);
        }
        let client_id = ClientId::new(id);
        if take_turn(c, &client_id)? {
            more |= order_events_of(c, &client_id)?;
            ordered += 1;
        }
    }
    Ok(more)
}

/// Claims the ordering of a client's events until the end of the transaction; `false`: another process has
/// it.
fn take_turn(c: &mut AnyConnection, client_id: &ClientId) -> Result<bool, StoreError> {
    if let AnyConnection::Sqlite(_) = c {
        // There is one writer.
        return Ok(true);
    }
    let turn = sql_query("SELECT pg_try_advisory_xact_lock(71265432, hashtext($1)) AS locked")
        .bind::<Text, _>(client_id.as_str());
    Ok(turn.get_result::<Locked>(c)?.locked)
}

fn order_events_of(c: &mut AnyConnection, client_id: &ClientId) -> Result<bool, StoreError> {
    let own = || event_outbox::table.filter(event_outbox::client_id.eq(client_id.as_str()));
    let waiting: Vec<(i64, i64)> = own()
        .filter(event_outbox::position.is_null())
        .order(event_outbox::id.asc())
        .limit(BATCH)
        .select((event_outbox::id, event_outbox::at))
        .load(c)?;
    let last: Option<i64> = own().select(diesel::dsl::max(event_outbox::position)).first(c)?;
    let mut last = last.unwrap_or(0);
    let more = i64::try_from(waiting.len()).is_ok_and(|count| count == BATCH);
    for (id, at) in waiting {
        last = place_after(last, id, at);
        diesel::update(event_outbox::table.filter(event_outbox::id.eq(id)))
            .set(event_outbox::position.eq(Some(last)))
            .execute(c)?;
    }
    Ok(more)
}

/// The position of the event in row `id`, from the second `at`, after `last`. Rows are numbered across the
/// deployment: no two of a million have the same last digits, so no two clients have the same position
/// either.
fn place_after(last: i64, id: i64, at: i64) -> i64 {
    let second = at.max(last.div_euclid(MICROS));
    let place = second.saturating_mul(MICROS).saturating_add(id.rem_euclid(MICROS));
    if place > last { place } else { place.saturating_add(MICROS) }
}

#[cfg(test)]
mod tests {
    use super::place_after;

    #[test]
    fn places_grow_whatever_clocks_and_numbers_do() {
        let at = 1_700_000_000;
        let first = place_after(0, 17, at);
        assert_eq!(first, 1_700_000_000_000_017);
        assert_eq!(place_after(first, 18, at), first + 1);
        assert_eq!(place_after(first, 18, at - 60), first + 1, "a clock that is behind");
        assert_eq!(place_after(first, 16, at), first + 999_999, "numbers that restart");
        assert_eq!(place_after(first, 17, at + 1), first + 1_000_000);
    }
}
