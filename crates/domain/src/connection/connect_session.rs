//! Connect sessions, and the authorizations that are under way at providers.

use causeway_types::secret::{Connect, ProviderState};
use causeway_types::{
    BrowserSessionId, ClientId, ConnectSessionId, CorrelationId, RegistrationId, Secret, SessionKind,
    TenantId, TenantUser, Timestamp, TokenHash, UpstreamSessionId,
};
use serde_json::{Map, Value};

/// Seconds for which a connect session can be begun with.
pub const CONNECT_SESSION_SECONDS: i64 = 1800;
/// Seconds within which the user has to come back from a provider.
pub const PENDING_SECONDS: i64 = 900;
/// Sign-ins that one connect session may try, so that nobody finds out passwords with it.
pub const MOST_SIGN_INS: i64 = 5;
/// Seconds within which a client redeems the code of a finished connect session.
pub const CONNECT_CODE_SECONDS: i64 = 300;

/// A short-lived permit that a client makes so that a user can connect accounts in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectSession {
    /// The token in the address, as it is stored.
    pub token: TokenHash<Connect>,
    /// Its identifier, by which the client asks for the outcome.
    pub connect_session_id: ConnectSessionId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The client that made it.
    pub client_id: ClientId,
    /// The user who is to connect.
    pub user: TenantUser,
    /// The providers to choose from.
    pub providers: Vec<String>,
    /// The kinds of connection that are made, one authorization each.
    pub session_kinds: Vec<SessionKind>,
    /// The requested scopes; `None`: those of the definition.
    pub scopes: Option<Vec<String>>,
    /// Values of the definition's parameters. No secret.
    pub parameters: Map<String, Value>,
    /// Where the browser returns to, one of the client's registered addresses.
    pub return_uri: Option<String>,
    /// The client's own value, returned unchanged.
    pub state: Option<String>,
    /// Whether the provider asks the user again.
    pub force_reauth: bool,
    /// The fingerprint of the user's device, where the client knows it.
    pub fingerprint: Option<String>,
    /// The connection that is connected again.
    pub connection_id: Option<UpstreamSessionId>,
    /// The sign-in that it is part of, in log lines.
    pub correlation_id: Option<CorrelationId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The outcome of a connect session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOutcome {
    /// `connected`, or the error that it ended with.
    pub outcome: String,
    /// The connection, if one was made.
    pub connection_id: Option<UpstreamSessionId>,
    /// When it was finished.
    pub finished_at: Timestamp,
}

/// An authorization at a provider while the user is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingConnection {
    /// The `state` that comes back, as it is stored.
    pub state: TokenHash<ProviderState>,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The client.
    pub client_id: ClientId,
    /// The user.
    pub user: TenantUser,
    /// The provider.
    pub provider: String,
    /// Our registration there.
    pub registration_id: Option<RegistrationId>,
    /// The kind of connection.
    pub session_kind: SessionKind,
    /// The browser that was sent there.
    pub browser_id: BrowserSessionId,
    /// The connect session that it is part of.
    pub connect_session_id: Option<ConnectSessionId>,
    /// Data that the provider's code needs to complete it, in its own form.
    pub payload: Secret,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}
