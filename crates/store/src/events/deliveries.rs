//! Webhook requests to be sent: one queue per client, in `event_outbox`.

use causeway_types::{ClientId, Timestamp};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::encryption::columns::WEBHOOK_SECRET;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::events::{Event, Webhook, of_client};
use crate::schema::{event_outbox, event_subscription, tenant_client};

/// Each subscription reads one entry of an index, however much waits.
const DUE: &str = "SELECT s.client_id AS id FROM event_subscription s WHERE s.webhook_url IS NOT NULL \
    AND EXISTS (SELECT 1 FROM event_outbox e WHERE e.client_id = s.client_id AND e.webhook_due_at <= $1)";

const BACKLOG: &str = "SELECT e.client_id AS client_id, count(*) AS waiting, min(e.at) AS oldest_at \
    FROM event_outbox e JOIN event_subscription s ON s.client_id = e.client_id \
    WHERE e.webhook_due_at IS NOT NULL AND s.webhook_url IS NOT NULL GROUP BY e.client_id";

#[derive(QueryableByName)]
pub(crate) struct Id {
    #[diesel(sql_type = Text)]
    pub(crate) id: String,
}

/// The undelivered requests of one client.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Backlog {
    /// The client.
    #[diesel(sql_type = Text)]
    pub client_id: String,
    /// Their number.
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// When the oldest of them was enqueued, in Unix seconds.
    #[diesel(sql_type = BigInt)]
    pub oldest_at: i64,
}

/// A webhook request that is due and was claimed for sending.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its row.
    pub row_id: i64,
    /// The event to deliver.
    pub event: Event,
    /// The webhook that receives it.
    pub webhook: Webhook,
    /// Number of earlier attempts.
    pub attempts: i64,
}

/// Lists clients with a webhook that have requests due.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn clients_with_due_webhooks(c: &mut AnyConnection, now: Timestamp) -> Result<Vec<ClientId>, StoreError> {
    let due: Vec<Id> = sql_query(DUE).bind::<BigInt, _>(now.as_secs()).load(c)?;
    Ok(due.into_iter().map(|Id { id }| ClientId::new(id)).collect())
}

/// Claims at most `limit` due requests of a client, the longest due first: they are not due again before
/// `until`.
///
/// # Errors
/// [`StoreError`] when a query fails or the secret does not open.
pub fn claim_webhooks(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    client_id: &ClientId,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let webhook = event_subscription::table
        .filter(event_subscription::client_id.eq(client_id.as_str()))
        .select((event_subscription::webhook_url, event_subscription::webhook_secret))
        .first::<(Option<String>, Option<String>)>(c)
        .optional()?;
    let Some((Some(url), Some(encrypted))) = webhook else { return Ok(Vec::new()) };
    let webhook = Webhook { url, secret: ring.open_column(WEBHOOK_SECRET, client_id.as_str(), &encrypted)? };
    let due: Vec<(i64, Event, i64, i64)> = of_client!(client_id)
        .filter(event_outbox::webhook_due_at.is_not_null())
        .filter(event_outbox::webhook_due_at.assume_not_null().le(now.as_secs()))
        .filter(event_outbox::position.is_not_null())
        .order((event_outbox::webhook_due_at.asc(), event_outbox::id.asc()))
        .limit(limit)
        .select((
            event_outbox::id,
            Event::as_select(),
            event_outbox::webhook_due_at.assume_not_null(),
            event_outbox::webhook_attempts,
        ))
        .load(c)?;
    let mut taken = Vec::new();
    for (row_id, event, due_at, attempts) in due {
        let same = event_outbox::table
            .filter(event_outbox::id.eq(row_id))
            .filter(event_outbox::webhook_due_at.eq(Some(due_at)));
        let claimed = diesel::update(same)
            .set((
                event_outbox::webhook_due_at.eq(Some(until.as_secs())),
                event_outbox::webhook_attempts.eq(event_outbox::webhook_attempts + 1),
            ))
            .execute(c)?;
        if claimed == 1 {
            taken.push(Delivery { row_id, event, webhook: webhook.clone(), attempts });
        }
    }
    Ok(taken)
}

/// Marks a webhook request as delivered or given up (`None`), or as due again.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn settle_webhook(
    c: &mut AnyConnection,
    row_id: i64,
    due_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    diesel::update(event_outbox::table.filter(event_outbox::id.eq(row_id)))
        .set(event_outbox::webhook_due_at.eq(due_at.map(Timestamp::as_secs)))
        .execute(c)?;
    Ok(())
}

/// The backlog of every client that has a webhook.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn webhook_backlog(c: &mut AnyConnection) -> Result<Vec<Backlog>, StoreError> {
    Ok(sql_query(BACKLOG).load(c)?)
}
