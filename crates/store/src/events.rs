//! What clients are told of their sign-ins and sessions: `event_subscription` and `event_outbox`.
//!
//! An event is written in the transaction of what happens, and only for a client that has subscribed.

use causeway_domain::{ClientId, CorrelationId, Secret, TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use diesel::sql_query;
use serde::Serialize;

use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::schema::{event_outbox, event_subscription, upstream_session};
use crate::seal::SealingKeyRing;
use crate::sealed::WEBHOOK_SECRET;

/// Ids are microseconds at least, so that they grow even when the table was emptied.
const MICROS: i64 = 1_000_000;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A person was sent to their own server.
    Started,
    /// They signed in and agreed: the session is in use.
    Completed,
    /// They did not: denied, cancelled, or something failed.
    Failed,
    /// The session has new tokens at the person's server.
    Refreshed,
    /// The person's server has ended the session: they have to sign in again.
    ReauthRequired,
    /// The session is over.
    Ended,
}

impl EventKind {
    /// The form on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Refreshed => "refreshed",
            Self::ReauthRequired => "reauth_required",
            Self::Ended => "ended",
        }
    }
}

/// One event, as its client is told it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = event_outbox)]
pub struct Event {
    /// Grows from one event of a deployment to the next.
    pub id: i64,
    /// What happened ([`EventKind`]).
    pub event: String,
    /// When, in Unix seconds.
    pub at: i64,
    /// The sign-in that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_kind: Option<String>,
    /// Its token set then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_iteration: Option<i64>,
    /// The person.
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
}

#[derive(Insertable)]
#[diesel(table_name = event_outbox)]
struct NewRow {
    id: i64,
    at: i64,
    tenant_id: String,
    client_id: String,
    event: &'static str,
    correlation_id: Option<String>,
    session_id: Option<String>,
    session_kind: Option<String>,
    session_iteration: Option<i64>,
    did: Option<String>,
    webhook_due_at: Option<i64>,
}

/// Writes down what happened to a session.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_session(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    event: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    type Found = (String, String, Option<String>, String, i64, String, Option<String>);
    let found = upstream_session::table
        .inner_join(
            event_subscription::table.on(event_subscription::client_id.eq(upstream_session::client_id)),
        )
        .filter(upstream_session::session_id.eq(session_id.as_str()))
        .select((
            upstream_session::tenant_id,
            upstream_session::client_id,
            upstream_session::correlation_id,
            upstream_session::session_kind,
            upstream_session::iteration,
            upstream_session::did,
            event_subscription::webhook_url,
        ))
        .first::<Found>(c)
        .optional()?;
    let Some((tenant_id, client_id, correlation_id, kind, iteration, did, webhook)) = found else {
        return Ok(());
    };
    let row = NewRow {
        id: next_id(c, at)?,
        at: at.as_secs(),
        tenant_id,
        client_id,
        event: event.as_str(),
        correlation_id,
        session_id: Some(session_id.as_str().to_owned()),
        session_kind: Some(kind),
        session_iteration: Some(iteration),
        did: Some(did),
        webhook_due_at: webhook.map(|_| at.as_secs()),
    };
    diesel::insert_into(event_outbox::table).values(&row).execute(c)?;
    Ok(())
}

/// Writes down what happened to a sign-in that has no session yet, or none any more.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_sign_in(
    c: &mut AnyConnection,
    client_id: &ClientId,
    correlation_id: Option<&CorrelationId>,
    event: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    let found = event_subscription::table
        .filter(event_subscription::client_id.eq(client_id.as_str()))
        .select((event_subscription::tenant_id, event_subscription::webhook_url))
        .first::<(String, Option<String>)>(c)
        .optional()?;
    let Some((tenant_id, webhook)) = found else { return Ok(()) };
    let row = NewRow {
        id: next_id(c, at)?,
        at: at.as_secs(),
        tenant_id,
        client_id: client_id.as_str().to_owned(),
        event: event.as_str(),
        correlation_id: correlation_id.map(|id| id.as_str().to_owned()),
        session_id: None,
        session_kind: None,
        session_iteration: None,
        did: None,
        webhook_due_at: webhook.map(|_| at.as_secs()),
    };
    diesel::insert_into(event_outbox::table).values(&row).execute(c)?;
    Ok(())
}

/// The next id. Whoever has read up to an id must never miss a smaller one that commits later: events are
/// written one transaction after the other.
fn next_id(c: &mut AnyConnection, at: Timestamp) -> Result<i64, StoreError> {
    if let AnyConnection::Postgres(_) = c {
        // Held to the end of the transaction. On SQLite there is one writer anyway.
        sql_query("SELECT pg_advisory_xact_lock(7126543210)").execute(c)?;
    }
    let last: Option<i64> = event_outbox::table.select(diesel::dsl::max(event_outbox::id)).first(c)?;
    Ok(last.unwrap_or(0).saturating_add(1).max(at.as_secs().saturating_mul(MICROS)))
}

/// The largest id so far.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn last_event_id(c: &mut AnyConnection) -> Result<i64, StoreError> {
    let last: Option<i64> = event_outbox::table.select(diesel::dsl::max(event_outbox::id)).first(c)?;
    Ok(last.unwrap_or(0))
}

/// At most `limit` events of a client after `id`, in order; `None`: it has not subscribed.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn list_events_after(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    id: i64,
    limit: i64,
) -> Result<Option<Vec<Event>>, StoreError> {
    let subscribed = event_subscription::table
        .filter(event_subscription::client_id.eq(client_id.as_str()))
        .filter(event_subscription::tenant_id.eq(tenant_id.as_str()))
        .count()
        .get_result::<i64>(c)?;
    if subscribed == 0 {
        return Ok(None);
    }
    let events = event_outbox::table
        .filter(event_outbox::client_id.eq(client_id.as_str()))
        .filter(event_outbox::tenant_id.eq(tenant_id.as_str()))
        .filter(event_outbox::id.gt(id))
        .order(event_outbox::id.asc())
        .limit(limit)
        .select(Event::as_select())
        .load(c)?;
    Ok(Some(events))
}

/// Where and how a client is told.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where.
    pub url: String,
    /// What its requests are signed with.
    pub secret: Secret,
}

/// Subscribes a client, or changes how it is told; `false` when this tenant has no such client.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn subscribe(
    c: &mut AnyConnection,
    ring: &SealingKeyRing,
    tenant_id: &TenantId,
    client_id: &ClientId,
    webhook: Option<&Webhook>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    if crate::clients::find_client(c, tenant_id, client_id)?.is_none() {
        return Ok(false);
    }
    let secret = webhook
        .map(|webhook| ring.seal_column(WEBHOOK_SECRET, client_id.as_str(), webhook.secret.expose()))
        .transpose()?;
    unsubscribe(c, tenant_id, client_id)?;
    diesel::insert_into(event_subscription::table)
        .values((
            event_subscription::client_id.eq(client_id.as_str()),
            event_subscription::tenant_id.eq(tenant_id.as_str()),
            event_subscription::webhook_url.eq(webhook.map(|webhook| webhook.url.clone())),
            event_subscription::webhook_secret.eq(secret),
            event_subscription::created_at.eq(at.as_secs()),
        ))
        .execute(c)?;
    Ok(true)
}

/// Tells a client nothing more; `false` when it had not subscribed.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn unsubscribe(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Result<bool, StoreError> {
    let own = event_subscription::table
        .filter(event_subscription::client_id.eq(client_id.as_str()))
        .filter(event_subscription::tenant_id.eq(tenant_id.as_str()));
    Ok(diesel::delete(own).execute(c)? == 1)
}

/// Every subscription of a tenant, and where it is told by webhook.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn list_subscriptions(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
) -> Result<Vec<(ClientId, Option<String>)>, StoreError> {
    let rows: Vec<(String, Option<String>)> = event_subscription::table
        .filter(event_subscription::tenant_id.eq(tenant_id.as_str()))
        .order(event_subscription::client_id.asc())
        .select((event_subscription::client_id, event_subscription::webhook_url))
        .load(c)?;
    Ok(rows.into_iter().map(|(id, url)| (ClientId::new(id), url)).collect())
}

/// A webhook request that is due, and whose turn it is to send it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What is told.
    pub event: Event,
    /// Where.
    pub webhook: Webhook,
    /// How often it was tried before.
    pub attempts: i64,
}

/// Takes at most `limit` webhook requests that are due: nobody else takes them before `until`.
///
/// # Errors
/// [`StoreError`] when a query fails or a secret does not open.
pub fn take_due_deliveries(
    c: &mut AnyConnection,
    ring: &SealingKeyRing,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    type Due = (Event, String, i64, i64);
    let due: Vec<Due> = event_outbox::table
        .filter(event_outbox::webhook_due_at.is_not_null())
        .filter(event_outbox::webhook_due_at.assume_not_null().le(now.as_secs()))
        .order(event_outbox::id.asc())
        .limit(limit)
        .select((
            Event::as_select(),
            event_outbox::client_id,
            event_outbox::webhook_due_at.assume_not_null(),
            event_outbox::webhook_attempts,
        ))
        .load(c)?;
    let mut taken = Vec::new();
    for (event, client_id, due_at, attempts) in due {
        let webhook = event_subscription::table
            .filter(event_subscription::client_id.eq(&client_id))
            .select((event_subscription::webhook_url, event_subscription::webhook_secret))
            .first::<(Option<String>, Option<String>)>(c)
            .optional()?;
        let Some((Some(url), Some(sealed))) = webhook else {
            // Nobody is told any more.
            settle_delivery(c, event.id, None)?;
            continue;
        };
        let same = event_outbox::table
            .filter(event_outbox::id.eq(event.id))
            .filter(event_outbox::webhook_due_at.eq(Some(due_at)));
        let claimed = diesel::update(same)
            .set((
                event_outbox::webhook_due_at.eq(Some(until.as_secs())),
                event_outbox::webhook_attempts.eq(event_outbox::webhook_attempts + 1),
            ))
            .execute(c)?;
        if claimed == 1 {
            let secret = ring.open_column(WEBHOOK_SECRET, &client_id, &sealed)?;
            taken.push(Delivery { event, webhook: Webhook { url, secret }, attempts });
        }
    }
    Ok(taken)
}

/// A webhook request is done or given up (`None`), or is due again.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn settle_delivery(c: &mut AnyConnection, id: i64, due_at: Option<Timestamp>) -> Result<(), StoreError> {
    diesel::update(event_outbox::table.filter(event_outbox::id.eq(id)))
        .set(event_outbox::webhook_due_at.eq(due_at.map(Timestamp::as_secs)))
        .execute(c)?;
    Ok(())
}

/// Deletes events of before `until`, at most `limit`; how many there were.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn sweep_events(c: &mut AnyConnection, until: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let old = event_outbox::table
        .filter(event_outbox::at.lt(until.as_secs()))
        .order(event_outbox::at.asc())
        .limit(limit)
        .select(event_outbox::id)
        .load::<i64>(c)?;
    Ok(diesel::delete(event_outbox::table.filter(event_outbox::id.eq_any(old))).execute(c)?)
}
