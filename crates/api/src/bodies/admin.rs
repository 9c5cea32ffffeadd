//! Bodies of the operator's API.

use causeway_domain::session::SessionHead;
use causeway_flow::operations::admin::IssuerKey;
use causeway_store::operations::audit::{Actor, AuditEvent};
use causeway_types::{
    ClientId, CorrelationId, CredentialKind, Did, Handle, SessionKind, SessionState, SigningAlg, Timestamp,
    UpstreamSessionId, UserId,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

/// A page of clients.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminClients<'a> {
    /// The clients.
    #[schemars(schema_with = "clients")]
    pub(crate) clients: Vec<Value>,
    /// The value of after for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'a str>,
}

/// Clients are shown with all the metadata that they registered, which no type of ours describes.
fn clients(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "$ref": "#/components/schemas/AdminClient" } })
}

/// A new client secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminSecret<'a> {
    /// The client.
    pub(crate) client_id: &'a ClientId,
    /// Only in this response.
    pub(crate) client_secret: &'a str,
}

/// An upstream session.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminSession<'a> {
    /// The session.
    session_id: &'a UpstreamSessionId,
    /// Interactive (device) or for automation (background).
    session_kind: SessionKind,
    /// Whether the session can be used.
    session_state: SessionState,
    /// The iteration in use.
    head_iteration: i64,
    /// The provider of the account: atproto, or another one's name.
    provider: &'a str,
    /// The account, by the provider's own identifier.
    subject: &'a str,
    /// Whose access the credentials are.
    credential_kind: CredentialKind,
    /// The user's DID; null: the account is at another provider.
    did: Option<&'a Did>,
    /// The user's handle, if it is verified in both directions.
    handle: Option<&'a Handle>,
    /// The client that the session belongs to.
    client_id: &'a ClientId,
    /// The user's PDS; null: the account is at another provider.
    #[schemars(with = "Option<Url>")]
    pds: Option<&'a str>,
    /// The authorization server of the PDS; null: the account is at another provider.
    #[schemars(with = "Option<Url>")]
    issuer: Option<&'a str>,
    /// The sign-in that began the session, in logs and in the audit log.
    correlation_id: Option<&'a CorrelationId>,
    /// Unix time at which the session began.
    created_at: Timestamp,
    /// Unix time of the last use.
    last_used_at: Timestamp,
    /// Unix time at which the session ends unless it is used before; null: never.
    session_expires_at: Option<Timestamp>,
}

impl<'a> AdminSession<'a> {
    /// A session as it is at `now`.
    pub(crate) fn at(head: &'a SessionHead, now: Timestamp) -> Self {
        let account = head.atproto().ok();
        Self {
            session_id: &head.session_id,
            session_kind: head.kind,
            session_state: head.state_at(now),
            head_iteration: head.iteration,
            provider: head.provider(),
            subject: head.subject(),
            credential_kind: head.credential_kind(),
            did: account.map(|account| &account.did),
            handle: account.and_then(|account| account.handle_at(now)),
            client_id: &head.client_id,
            pds: account.map(|account| account.upstream.pds.as_str()),
            issuer: account.map(|account| account.upstream.issuer.as_str()),
            correlation_id: head.correlation_id.as_ref(),
            created_at: head.created_at,
            last_used_at: head.last_used_at,
            session_expires_at: head.idle_end(),
        }
    }
}

/// A page of sessions.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminSessions<'a> {
    /// The sessions.
    pub(crate) sessions: Vec<AdminSession<'a>>,
    /// The value of after for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'a str>,
}

/// The tokens to revoke: those of a user, of a client, or of a user at a client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(crate) struct AdminWhose {
    /// A DID.
    pub(crate) user: Option<String>,
    /// A client_id.
    pub(crate) client: Option<String>,
}

/// The result of a revocation.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminRevoked {
    /// Sessions that were ended, with all their tokens.
    pub(crate) ended_sessions: usize,
    /// Revoked tokens of the client itself; 0 when a user is named.
    pub(crate) revoked_client_tokens: usize,
}

/// A request for a new key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
pub(crate) struct AdminNewKey {
    /// The algorithm of its signatures.
    #[schemars(with = "SigningAlg")]
    pub(crate) alg: String,
}

/// A new signing key.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminMadeKey<'a> {
    /// The key ID in the JWK set.
    pub(crate) kid: &'a str,
    /// The algorithm of its signatures.
    pub(crate) alg: SigningAlg,
}

/// A signing key, current or rotated out.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminKey<'a> {
    /// The key ID in the JWK set.
    kid: &'a str,
    /// The algorithm of its signatures.
    alg: SigningAlg,
    /// Unix time at which it was created.
    created_at: Timestamp,
    /// Whether it signs new tokens.
    signs: bool,
    /// Unix time until which it is published; null: as long as it signs.
    published_until: Option<Timestamp>,
}

impl<'a> From<&'a IssuerKey> for AdminKey<'a> {
    fn from(key: &'a IssuerKey) -> Self {
        Self {
            kid: &key.kid,
            alg: key.alg,
            created_at: key.created_at,
            signs: key.published_until.is_none(),
            published_until: key.published_until,
        }
    }
}

/// The keys, those that sign first.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminKeys<'a> {
    /// The keys.
    pub(crate) keys: Vec<AdminKey<'a>>,
}

/// An event of the audit log.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminAuditEvent<'a> {
    /// Unix time of the event.
    at: Timestamp,
    /// The actor.
    #[schemars(schema_with = "actor")]
    actor: Actor,
    /// The name of the event.
    event: &'a str,
    /// Its outcome.
    outcome: &'a str,
    /// The client concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a ClientId>,
    /// The user concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<&'a Did>,
    /// The session concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a UpstreamSessionId>,
    /// The client's name for the user of the connection concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a UserId>,
    /// The provider of the connection concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    /// The connection concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<&'a UpstreamSessionId>,
    /// The request that caused the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The sign-in that the event belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a CorrelationId>,
    /// The client address of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    /// Further details.
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: &'a Map<String, Value>,
}

fn actor(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Actor::ALL.map(Actor::as_str) })
}

impl<'a> From<&'a AuditEvent> for AdminAuditEvent<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        // Each field is named, so that a new one is not forgotten.
        let AuditEvent {
            at,
            tenant_id: _,
            actor,
            event,
            outcome,
            client_id,
            did,
            session_id,
            user_id,
            provider,
            connection_id,
            request_id,
            correlation_id,
            address,
            details,
        } = event;
        Self {
            at: *at,
            actor: *actor,
            event,
            outcome,
            client_id: client_id.as_ref(),
            did: did.as_ref(),
            session_id: session_id.as_ref(),
            user_id: user_id.as_ref(),
            provider: provider.as_deref(),
            connection_id: connection_id.as_ref(),
            request_id: request_id.as_deref(),
            correlation_id: correlation_id.as_ref(),
            address: address.as_deref(),
            details,
        }
    }
}

/// A page of the audit log.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AdminAuditEvents<'a> {
    /// The events.
    pub(crate) events: Vec<AdminAuditEvent<'a>>,
    /// The value of after for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'a str>,
}
