//! Connections that the operator begins for a user, such as on a machine without a browser.

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::connection::{CONNECT_SESSION_SECONDS, ConnectOutcome, ConnectSession};
use causeway_providers::{Catalog, Kind};
use causeway_store::connections::connect_sessions;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::{StoreError, clients};
use causeway_types::secret::{Connect, PlainToken};
use causeway_types::{
    ClientId, ConnectSessionId, CorrelationId, Did, Rng, SessionKind, TenantId, TenantUser, UserId,
    UserNamespace,
};
use serde_json::{Map, Value};

use super::context::Operator;
use crate::connection::coalesce::{AskedBy, Coalesced, Wanted, flow_key, join_at};
use crate::connection::connect_session::is_entitled;

/// A connection to begin.
#[derive(Clone, Debug)]
pub struct NewConnecting {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The provider.
    pub provider: String,
    /// The user: a DID, or the client's own name for its user.
    pub user: String,
    /// The client that may use the connection.
    pub client_id: ClientId,
}

/// Why nothing is begun.
#[derive(Debug, thiserror::Error)]
pub enum ConnectingError {
    /// The catalog has no such provider.
    #[error("no provider {0}: `causeway providers list` lists them")]
    NoProvider(String),
    /// There is no such client.
    #[error("no client {0}: `causeway clients list` lists them")]
    NoClient(ClientId),
    /// The client may not connect there.
    #[error(
        "{client_id} may not connect accounts at {provider}: `causeway clients update {client_id} --provider {provider}`"
    )]
    NotEntitled {
        /// The client.
        client_id: ClientId,
        /// The provider.
        provider: String,
    },
    /// Nobody could confirm the user.
    #[error(
        "{0} has to confirm its own users, and is not here to do it: a user is a DID here, or the client is created with --allow-unconfirmed"
    )]
    Unconfirmed(ClientId),
    /// A name that no user can have.
    #[error("a user has 1 to 255 characters, none of which is a control character")]
    User,
    /// The database does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Operator<'_> {
    /// Begins a connection, or joins one that is under way: its session, and the token in its address.
    ///
    /// # Errors
    /// [`ConnectingError`].
    pub async fn begin_connecting(
        &self,
        ring: &Arc<EncryptionKeyRing>,
        rng: &dyn Rng,
        catalog: &Catalog,
        wanted: NewConnecting,
    ) -> Result<Coalesced, ConnectingError> {
        let NewConnecting { tenant_id, provider, user, client_id } = wanted;
        let found = catalog.find(&provider).ok_or_else(|| ConnectingError::NoProvider(provider.clone()))?;
        let client = self.client_to_connect(&client_id).await?;
        let is_mcp = matches!(found.definition.kind, Kind::Mcp(_));
        let user = match Did::parse(&user) {
            Ok(did) if is_mcp => TenantUser::of_did(&did).ok_or(ConnectingError::User)?,
            _ => TenantUser {
                namespace: UserNamespace::of_client(&client_id).ok_or(ConnectingError::User)?,
                user_id: UserId::parse(&user).ok_or(ConnectingError::User)?,
            },
        };
        if !user.namespace.is_did() {
            if !is_entitled(&client, &provider, SessionKind::Device) {
                return Err(ConnectingError::NotEntitled { client_id, provider });
            }
            if !client.entitlements.allow_unconfirmed {
                return Err(ConnectingError::Unconfirmed(client_id));
            }
        }
        let (_, now, event) = self.about("connect_session");
        let token = PlainToken::<Connect>::issued(rng, now.into());
        let new = ConnectSession {
            token: token.hash(),
            connect_session_id: ConnectSessionId::issued(rng, now.into()),
            tenant_id,
            client_id,
            user,
            providers: vec![provider],
            session_kinds: vec![SessionKind::Device],
            scopes: None,
            parameters: Map::new(),
            return_uri: None,
            state: None,
            force_reauth: false,
            fingerprint: None,
            connection_id: None,
            correlation_id: Some(CorrelationId::random(rng)),
            created_at: now,
            expires_at: now.plus(CONNECT_SESSION_SECONDS),
        };
        let event = event.with("connect_session", new.connect_session_id.as_str());
        let key = flow_key(&new, &Value::Null);
        let wanted = Wanted { new, token, key, by: AskedBy::Hand };
        Ok(join_at(self.store, Arc::clone(ring), wanted, event).await?)
    }

    /// The outcome of a connect session; `None`: it is not finished.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn connecting_outcome(
        &self,
        tenant_id: &TenantId,
        id: &ConnectSessionId,
    ) -> Result<Option<ConnectOutcome>, StoreError> {
        let (tenant_id, id) = (tenant_id.clone(), id.clone());
        let find = move |c: &mut causeway_store::AnyConnection| {
            let session = connect_sessions::find_connect_session_by_id(c, &tenant_id, &id)?;
            let Some(session) = session else { return Ok(None) };
            let found = connect_sessions::find_outcome(c, &tenant_id, &session.client_id, &id)?;
            Ok(found.flatten())
        };
        self.store.read(find).await
    }

    async fn client_to_connect(&self, client_id: &ClientId) -> Result<Client, ConnectingError> {
        let (home, id) = (TenantId::default_tenant(), client_id.clone());
        let found = self.store.read(move |c| clients::find_client(c, &home, &id)).await?;
        found.ok_or_else(|| ConnectingError::NoClient(client_id.clone()))
    }
}
