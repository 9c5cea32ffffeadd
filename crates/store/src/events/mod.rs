//! Events about sign-ins and sessions, delivered to clients: `event_subscription` and `event_outbox`.
//!
//! An event is written in the transaction of the change that it reports, and only for a client that has
//! subscribed. The row takes no lock but its own: it has no position in the client's order yet, which it gets
//! once it is committed ([`crate::events::order`]).

pub mod deliveries;
pub mod logouts;
pub mod order;

use causeway_types::{
    ClientId, CorrelationId, ManagedAccountId, Secret, SessionKind, TenantId, Timestamp, UpstreamSessionId,
    UserId,
};
use diesel::dsl::{AssumeNotNull, case_when};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;

use crate::encryption::columns::WEBHOOK_SECRET;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::{event_outbox, event_subscription, tenant_client, upstream_session};

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The user was sent to the authorization server.
    Started,
    /// The user signed in and consented: the session is in use.
    Completed,
    /// The sign-in did not complete: denied, cancelled, or something failed.
    Failed,
    /// The session was refreshed at the authorization server.
    Refreshed,
    /// The authorization server has ended the session: the user has to sign in again.
    ReauthRequired,
    /// The session has ended.
    Ended,
    /// The provider lists a managed account no longer.
    AccountUnavailable,
}

impl EventKind {
    /// Its name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Refreshed => "refreshed",
            Self::ReauthRequired => "reauth_required",
            Self::Ended => "ended",
            Self::AccountUnavailable => "account_unavailable",
        }
    }
}

/// An event, as its client receives it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = event_outbox)]
pub struct Event {
    /// Position in the client's order: grows from one event to the next, and is unique in the deployment.
    #[diesel(select_expression = event_outbox::position.assume_not_null())]
    #[diesel(select_expression_type = AssumeNotNull<event_outbox::position>)]
    pub id: i64,
    /// Its kind ([`EventKind`]).
    pub event: String,
    /// Time of the event, in Unix seconds.
    pub at: i64,
    /// The tenant.
    pub tenant_id: String,
    /// The sign-in that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_kind: Option<String>,
    /// Its iteration at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_iteration: Option<i64>,
    /// The account.
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
    /// The provider of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// The client's name for the user of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The managed account, where the event is about one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_account_id: Option<String>,
}

/// A connection that a user is making.
#[derive(Clone, Copy, Debug)]
pub struct Connecting<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The client.
    pub client_id: &'a ClientId,
    /// The user.
    pub user_id: &'a UserId,
    /// The provider.
    pub provider: &'a str,
    /// The kind of connection.
    pub session_kind: SessionKind,
    /// The connection, where an existing one is connected again.
    pub connection_id: Option<&'a UpstreamSessionId>,
    /// The connect session that it is part of, in log lines.
    pub correlation_id: Option<&'a CorrelationId>,
}

#[derive(Insertable)]
#[diesel(table_name = event_outbox)]
struct NewRow {
    at: i64,
    tenant_id: String,
    client_id: String,
    event: &'static str,
    correlation_id: Option<String>,
    webhook_due_at: Option<i64>,
    session_kind: Option<&'static str>,
    user_id: Option<String>,
    provider: Option<String>,
    connection_id: Option<String>,
}

/// Records an event of a session, if its client has subscribed.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_session(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    event: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    note(c, session_id, None, event, at)
}

/// Records an event of one managed account of a connection, if its client has subscribed.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_account(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    account: &ManagedAccountId,
    event: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    note(c, session_id, Some(account), event, at)
}

fn note(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    account: Option<&ManagedAccountId>,
    event: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    let seconds = || at.as_secs().into_sql::<BigInt>();
    let account = account.map(ManagedAccountId::as_str);
    let event = upstream_session::table
        .inner_join(
            event_subscription::table.on(event_subscription::client_id.eq(upstream_session::client_id)),
        )
        .filter(upstream_session::session_id.eq(session_id.as_str()))
        .select((
            seconds(),
            upstream_session::tenant_id,
            upstream_session::client_id,
            event.as_str().into_sql::<Text>(),
            upstream_session::correlation_id,
            upstream_session::session_id.nullable(),
            upstream_session::session_kind.nullable(),
            upstream_session::iteration.nullable(),
            upstream_session::did,
            case_when(event_subscription::webhook_url.is_not_null(), seconds()),
            // Only connections have a user of a tenant.
            upstream_session::user_id,
            case_when(upstream_session::user_id.is_not_null(), upstream_session::provider),
            case_when(upstream_session::user_id.is_not_null(), upstream_session::session_id),
            account.into_sql::<Nullable<Text>>(),
        ))
        .insert_into(event_outbox::table)
        .into_columns((
            event_outbox::at,
            event_outbox::tenant_id,
            event_outbox::client_id,
            event_outbox::event,
            event_outbox::correlation_id,
            event_outbox::session_id,
            event_outbox::session_kind,
            event_outbox::session_iteration,
            event_outbox::did,
            event_outbox::webhook_due_at,
            event_outbox::user_id,
            event_outbox::provider,
            event_outbox::connection_id,
            event_outbox::managed_account_id,
        ));
    Ok(fixed!(event).defer(c)?)
}

/// Records an event of a sign-in without a session, if its client has subscribed.
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
    note_without_session(c, client_id, |own_tenant, webhook_due_at| NewRow {
        at: at.as_secs(),
        tenant_id: own_tenant,
        client_id: client_id.as_str().to_owned(),
        event: event.as_str(),
        correlation_id: correlation_id.map(|id| id.as_str().to_owned()),
        webhook_due_at: webhook_due_at.then(|| at.as_secs()),
        session_kind: None,
        user_id: None,
        provider: None,
        connection_id: None,
    })
}

/// Records an event of a connection that a user is making, if its client has subscribed.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_connecting(
    c: &mut AnyConnection,
    connecting: &Connecting<'_>,
    event: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    let text = |id: Option<&str>| id.map(str::to_owned);
    note_without_session(c, connecting.client_id, |_, webhook_due_at| NewRow {
        at: at.as_secs(),
        tenant_id: connecting.tenant_id.as_str().to_owned(),
        client_id: connecting.client_id.as_str().to_owned(),
        event: event.as_str(),
        correlation_id: text(connecting.correlation_id.map(CorrelationId::as_str)),
        webhook_due_at: webhook_due_at.then(|| at.as_secs()),
        session_kind: Some(connecting.session_kind.as_str()),
        user_id: Some(connecting.user_id.as_str().to_owned()),
        provider: Some(connecting.provider.to_owned()),
        connection_id: text(connecting.connection_id.map(UpstreamSessionId::as_str)),
    })
}

/// Stores the row that `make` makes of the client's own tenant, and of whether there is a webhook.
fn note_without_session(
    c: &mut AnyConnection,
    client_id: &ClientId,
    make: impl FnOnce(String, bool) -> NewRow,
) -> Result<(), StoreError> {
    let found = event_subscription::table
        .filter(event_subscription::client_id.eq(client_id.as_str()))
        .select((event_subscription::tenant_id, event_subscription::webhook_url))
        .first::<(String, Option<String>)>(c)
        .optional()?;
    let Some((tenant_id, webhook)) = found else { return Ok(()) };
    let row = make(tenant_id, webhook.is_some());
    Ok(c.defer(|c| diesel::insert_into(event_outbox::table).values(&row).execute(c))?)
}

/// Events of a client, in all tenants that it acts in.
macro_rules! of_client {
    ($client_id:expr) => {
        event_outbox::table.filter(event_outbox::client_id.eq($client_id.as_str())).filter(
            diesel::dsl::exists(
                tenant_client::table
                    .filter(tenant_client::client_id.eq(event_outbox::client_id))
                    .filter(tenant_client::tenant_id.eq(event_outbox::tenant_id)),
            ),
        )
    };
}
use of_client;

/// The id of a client's latest event, 0 before the first one; `None`: it has not subscribed.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn latest_event_id(c: &mut AnyConnection, client_id: &ClientId) -> Result<Option<i64>, StoreError> {
    let subscribed = event_subscription::table
        .filter(event_subscription::client_id.eq(client_id.as_str()))
        .count()
        .get_result::<i64>(c)?;
    if subscribed == 0 {
        return Ok(None);
    }
    let latest: Option<i64> = event_outbox::table
        .filter(event_outbox::client_id.eq(client_id.as_str()))
        .select(diesel::dsl::max(event_outbox::position))
        .first(c)?;
    Ok(Some(latest.unwrap_or(0)))
}

/// Lists at most `limit` events of a client after `id`, in order, of all tenants that it acts in.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn list_events_after(
    c: &mut AnyConnection,
    client_id: &ClientId,
    id: i64,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    Ok(of_client!(client_id)
        .filter(event_outbox::position.gt(id))
        .order(event_outbox::position.asc())
        .limit(limit)
        .select(Event::as_select())
        .load(c)?)
}

/// The webhook of a client.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its URL.
    pub url: String,
    /// The key that signs its requests.
    pub secret: Secret,
}

/// Subscribes a client, or changes its webhook; `false` when this tenant has no such client.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn subscribe(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    tenant_id: &TenantId,
    client_id: &ClientId,
    webhook: Option<&Webhook>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    if crate::clients::find_client(c, tenant_id, client_id)?.is_none() {
        return Ok(false);
    }
    let secret = webhook
        .map(|webhook| ring.encrypt_column(WEBHOOK_SECRET, client_id.as_str(), webhook.secret.expose()))
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

/// Unsubscribes a client; `false` when it had not subscribed.
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

/// Lists every subscription of a tenant, with the URL of its webhook, if any.
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

/// Deletes events from before `until`, at most `limit`; returns how many.
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
