//! The audit log: `audit_event`. Rows are written in the transaction of the event that they record, and never
//! changed.

use std::net::IpAddr;

use causeway_domain::connection::Connection;
use causeway_domain::session::SessionHead;
use causeway_types::{ClientId, CorrelationId, Did, TenantId, Timestamp, UpstreamSessionId, UserId};
use diesel::prelude::*;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::paging::{Page, PageRequest};
use crate::schema::audit_event::{self, dsl};

/// The actor of an audit event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user in a browser.
    User,
    /// An authenticated client.
    Client,
    /// The operator of the server.
    Operator,
    /// The server itself.
    Server,
}

impl Actor {
    /// Every actor.
    pub const ALL: [Self; 4] = [Self::User, Self::Client, Self::Operator, Self::Server];

    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Server => "server",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|actor| actor.as_str() == text)
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An audit event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// Time of the event.
    pub at: Timestamp,
    /// The tenant.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// The actor.
    pub actor: Actor,
    /// Name of the event.
    pub event: String,
    /// Its outcome.
    pub outcome: String,
    /// The client concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// The user concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did: Option<Did>,
    /// The session concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<UpstreamSessionId>,
    /// The client's name for the user of the connection concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The provider of the connection concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The connection concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<UpstreamSessionId>,
    /// The request that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The sign-in that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<CorrelationId>,
    /// Client address of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Further details. No secrets.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

impl AuditEvent {
    /// Creates an event that concerns nothing in particular.
    pub fn new(tenant_id: TenantId, at: Timestamp, actor: Actor, event: &str, outcome: &str) -> Self {
        Self {
            at,
            tenant_id,
            actor,
            event: event.to_owned(),
            outcome: outcome.to_owned(),
            client_id: None,
            did: None,
            session_id: None,
            user_id: None,
            provider: None,
            connection_id: None,
            request_id: None,
            correlation_id: None,
            address: None,
            details: Map::new(),
        }
    }

    /// Sets the client concerned.
    #[must_use]
    pub fn of_client(self, client_id: &ClientId) -> Self {
        Self { client_id: Some(client_id.clone()), ..self }
    }

    /// Sets the session concerned, with its user and client.
    #[must_use]
    pub fn of_session(self, session: &SessionHead) -> Self {
        Self {
            client_id: Some(session.client_id.clone()),
            did: session.atproto().ok().map(|account| account.did.clone()),
            session_id: Some(session.session_id.clone()),
            correlation_id: self.correlation_id.or_else(|| session.correlation_id.clone()),
            ..self
        }
        .with("session_kind", session.kind.as_str())
    }

    /// Sets the connection concerned, with its tenant, user and client.
    #[must_use]
    pub fn of_connection(self, connection: &Connection) -> Self {
        Self {
            tenant_id: connection.head.tenant_id.clone(),
            user_id: Some(connection.slot.user.user_id.clone()),
            provider: Some(connection.head.provider().to_owned()),
            connection_id: Some(connection.head.session_id.clone()),
            ..self.of_session(&connection.head)
        }
    }

    /// Sets the user concerned.
    #[must_use]
    pub fn of_user(self, did: &Did) -> Self {
        Self { did: Some(did.clone()), ..self }
    }

    /// Sets the request that caused it.
    #[must_use]
    pub fn from_request(self, request_id: Option<String>, address: Option<IpAddr>) -> Self {
        Self { request_id, address: address.map(|address| address.to_string()), ..self }
    }

    /// Adds a detail, which must not be a secret.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

#[derive(Insertable)]
#[diesel(table_name = audit_event)]
struct NewRow {
    at: i64,
    tenant_id: String,
    actor: &'static str,
    event: String,
    outcome: String,
    client_id: Option<String>,
    did: Option<String>,
    session_id: Option<String>,
    user_id: Option<String>,
    provider: Option<String>,
    connection_id: Option<String>,
    request_id: Option<String>,
    correlation_id: Option<String>,
    address: Option<String>,
    details: String,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_event)]
struct Row {
    at: i64,
    tenant_id: String,
    actor: String,
    event: String,
    outcome: String,
    client_id: Option<String>,
    did: Option<String>,
    session_id: Option<String>,
    user_id: Option<String>,
    provider: Option<String>,
    connection_id: Option<String>,
    request_id: Option<String>,
    correlation_id: Option<String>,
    address: Option<String>,
    details: String,
}

const fn column(name: &'static str) -> Column {
    Column("audit_event", name)
}

impl Row {
    fn into_domain(self) -> Result<AuditEvent, StoreError> {
        Ok(AuditEvent {
            at: Timestamp(self.at),
            tenant_id: TenantId::new(self.tenant_id),
            actor: column("actor").present(Actor::parse(&self.actor))?,
            event: self.event,
            outcome: self.outcome,
            client_id: self.client_id.map(ClientId::new),
            did: self.did.map(|did| column("did").did(&did)).transpose()?,
            session_id: self.session_id.map(UpstreamSessionId::new),
            user_id: self.user_id.map(|id| column("user_id").present(UserId::parse(&id))).transpose()?,
            provider: self.provider,
            connection_id: self.connection_id.map(UpstreamSessionId::new),
            request_id: self.request_id,
            correlation_id: self.correlation_id.map(CorrelationId::new),
            address: self.address,
            details: column("details").json(&self.details)?,
        })
    }
}

/// Stores an audit event, in the transaction of what it records.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn insert_audit_event(c: &mut AnyConnection, event: &AuditEvent) -> Result<(), StoreError> {
    let row = NewRow {
        at: event.at.as_secs(),
        tenant_id: event.tenant_id.as_str().to_owned(),
        actor: event.actor.as_str(),
        event: event.event.clone(),
        outcome: event.outcome.clone(),
        client_id: event.client_id.as_ref().map(|id| id.as_str().to_owned()),
        did: event.did.as_ref().map(|did| did.as_str().to_owned()),
        session_id: event.session_id.as_ref().map(|id| id.as_str().to_owned()),
        user_id: event.user_id.as_ref().map(|id| id.as_str().to_owned()),
        provider: event.provider.clone(),
        connection_id: event.connection_id.as_ref().map(|id| id.as_str().to_owned()),
        request_id: event.request_id.clone(),
        correlation_id: event.correlation_id.as_ref().map(|id| id.as_str().to_owned()),
        address: event.address.clone(),
        details: column("details").to_json(&event.details)?,
    };
    Ok(c.defer(|c| diesel::insert_into(audit_event::table).values(&row).execute(c))?)
}

/// Selects audit events.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Events about this user.
    pub did: Option<Did>,
    /// Events about this client.
    pub client_id: Option<ClientId>,
    /// Events about this session.
    pub session_id: Option<UpstreamSessionId>,
    /// Events of this name.
    pub event: Option<String>,
}

/// Lists a page of a tenant's audit events, the latest first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_audit_events(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    filter: &AuditFilter,
    wanted: &PageRequest,
) -> Result<Page<AuditEvent>, StoreError> {
    let mut query = dsl::audit_event
        .filter(dsl::tenant_id.eq(tenant_id.as_str().to_owned()))
        .order(dsl::id.desc())
        .limit(wanted.look_ahead())
        .select((dsl::id, Row::as_select()))
        .into_boxed();
    if let Some(did) = &filter.did {
        query = query.filter(dsl::did.eq(did.as_str().to_owned()));
    }
    if let Some(client_id) = &filter.client_id {
        query = query.filter(dsl::client_id.eq(client_id.as_str().to_owned()));
    }
    if let Some(session_id) = &filter.session_id {
        query = query.filter(dsl::session_id.eq(session_id.as_str().to_owned()));
    }
    if let Some(event) = &filter.event {
        query = query.filter(dsl::event.eq(event.clone()));
    }
    if let Some(after) = wanted.after_number() {
        query = query.filter(dsl::id.lt(after));
    }
    let read = |(id, row): (i64, Row)| Ok::<_, StoreError>((id, row.into_domain()?));
    let rows = query.load::<(i64, Row)>(c)?.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let Page { items, next } = wanted.page(rows, |(id, _)| id.to_string());
    Ok(Page { items: items.into_iter().map(|(_, event)| event).collect(), next })
}

/// Deletes audit events from before `until`, at most `limit`; returns how many.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn sweep_audit_events(c: &mut AnyConnection, until: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let old = dsl::audit_event
        .filter(dsl::at.lt(until.as_secs()))
        .order(dsl::at.asc())
        .limit(limit)
        .select(dsl::id)
        .load::<i64>(c)?;
    Ok(diesel::delete(dsl::audit_event.filter(dsl::id.eq_any(old))).execute(c)?)
}
