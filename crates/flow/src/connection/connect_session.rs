//! Connect sessions: the permits by which clients let their users connect accounts in a browser.

use causeway_domain::client::Client;
use causeway_domain::connection::{
    CONNECT_SESSION_SECONDS, ConnectOutcome, ConnectSession, Connection, PENDING_SECONDS,
};
use causeway_store::StoreError;
use causeway_store::connections::{access, connect_sessions, heads};
use causeway_store::operations::audit::Actor;
use causeway_types::secret::{Connect, PlainToken};
use causeway_types::{
    ConnectSessionId, CorrelationId, ErrorCode, SessionKind, SessionState, TenantUser, Timestamp,
    UpstreamSessionId,
};
use serde_json::{Map, Value, json};

use crate::client::trust;
use crate::connection::audited::audit_event;
use crate::connection::coalesce::{self, AskedBy, Coalesced, Wanted};
use crate::connection::mcp;
use crate::connection::tenant_client::TenantClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::upstream::traits::{AskedOffer, OfferError};

/// The most providers that a user may choose from.
const MOST_PROVIDERS: usize = 20;
/// The most scopes that are requested.
const MOST_SCOPES: usize = 100;
/// The longest scope, fingerprint or value of a parameter, in bytes.
const LONGEST: usize = 512;
/// The longest `state` of a client, in bytes.
const LONGEST_STATE: usize = 2048;

/// A connect session to make.
#[derive(Clone, Debug)]
pub struct ConnectSessionParams {
    /// The client's name for its user.
    pub user_id: String,
    /// The providers that the user chooses from.
    pub providers: Vec<String>,
    /// The kinds of connection, each once: several where the user signs in on a page of ours.
    pub session_kinds: Vec<SessionKind>,
    /// Where the browser returns to: one of the client's redirect URIs.
    pub return_uri: Option<String>,
    /// The client's own value, returned unchanged.
    pub state: Option<String>,
    /// The requested scopes; empty: those of the definition.
    pub scopes: Vec<String>,
    /// Values of the definition's parameters.
    pub parameters: Map<String, Value>,
    /// Whether the provider has to ask the user again.
    pub force_reauth: bool,
    /// The fingerprint of the user's device.
    pub fingerprint: Option<String>,
    /// The connection that is connected again.
    pub connection_id: Option<String>,
}

/// A connect session that was made.
#[derive(Debug)]
pub struct NewConnectSession {
    /// Its identifier.
    pub connect_session_id: ConnectSessionId,
    /// The token in the address for the user's browser.
    pub token: PlainToken<Connect>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A connect session as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownConnectSession {
    /// The session.
    pub session: ConnectSession,
    /// Its outcome, once it is finished.
    pub outcome: Option<ConnectOutcome>,
    /// Whether it can no longer be finished.
    pub is_expired: bool,
}

/// Why there is no connect session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectSessionError {
    /// A name that no user can have.
    #[error("user_id must have 1 to 255 characters, none of which is a control character")]
    UserId,
    /// None, or too many of them.
    #[error("providers must name 1 to {MOST_PROVIDERS} providers, each once")]
    Providers,
    /// The operator has not granted the client this provider. The same whether or not there is such a provider.
    #[error("this client may not connect accounts at {0}: ask the operator of this server")]
    NotEntitled(String),
    /// The operator has not granted the client background connections.
    #[error("this client may not make background connections: ask the operator of this server")]
    NoBackground,
    /// The provider cannot be offered so.
    #[error("{provider}: {error}")]
    Offer {
        /// The provider.
        provider: String,
        /// The reason.
        error: OfferError,
    },
    /// A return address that the client has not registered.
    #[error("return_uri must be one of the client's redirect URIs")]
    ReturnUri,
    /// The user has to come back to the client, which confirms them.
    #[error(
        "return_uri is missing: the client confirms there that it was its user who connected the account"
    )]
    NoReturnUri,
    /// A value is too long, or has characters that it cannot have.
    #[error("{0}")]
    Value(&'static str),
    /// The connection to connect again is unknown, or another client's or user's: one text for all on purpose.
    #[error("this client has no such connection of this user at this provider")]
    NoConnection,
    /// The tenant was deleted meanwhile, or the client does not act in it any more.
    #[error("there is no such tenant, or this client does not act in it")]
    NoTenant,
    /// There is no such connect session of this client.
    #[error("this client has no such connect session")]
    NotFound,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for ConnectSessionError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl ConnectSessionError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotEntitled(_) | Self::NoBackground => ErrorCode::UnauthorizedClient,
            Self::NoConnection | Self::NoTenant | Self::NotFound => ErrorCode::NotFound,
            Self::Internal(_) => ErrorCode::ServerError,
            Self::UserId
            | Self::Providers
            | Self::Offer { .. }
            | Self::ReturnUri
            | Self::NoReturnUri
            | Self::Value(_) => ErrorCode::InvalidRequest,
        }
    }
}

/// Makes a connect session: within 30 minutes, the user's browser can begin with it once.
///
/// # Errors
/// [`ConnectSessionError`].
#[tracing::instrument(name = "flow.connect_session.create", skip_all, fields(client_id = %own.client.client_id))]
pub async fn create(
    ctx: &Ctx,
    own: &TenantClient,
    params: ConnectSessionParams,
) -> Result<NewConnectSession, ConnectSessionError> {
    let user = own.user(&params.user_id).map_err(|_| ConnectSessionError::UserId)?;
    check(ctx, &own.client, &params)?;
    let connection_id = match &params.connection_id {
        None => None,
        Some(id) => Some(find_own(ctx, own, &user, &params, UpstreamSessionId::new(&**id)).await?),
    };
    let (now, token) = (ctx.now(), PlainToken::<Connect>::issued(ctx.rng(), ctx.unix_millis()));
    let correlation_id = CorrelationId::random(ctx.rng());
    trace::correlate(Some(&correlation_id));
    let session = ConnectSession {
        token: token.hash(),
        connect_session_id: ConnectSessionId::issued(ctx.rng(), ctx.unix_millis()),
        tenant_id: own.tenant_id.clone(),
        client_id: own.client.client_id.clone(),
        user,
        providers: params.providers,
        session_kinds: params.session_kinds,
        scopes: (!params.scopes.is_empty()).then_some(params.scopes),
        parameters: params.parameters,
        return_uri: params.return_uri,
        state: params.state,
        force_reauth: params.force_reauth,
        fingerprint: params.fingerprint,
        connection_id,
        correlation_id: Some(correlation_id),
        created_at: now,
        expires_at: now.plus(CONNECT_SESSION_SECONDS),
    };
    let event = audit_event(ctx, Actor::Client, "connect_session", "created", &session);
    // Requests of a client that differ in what it is told at the end are different ones.
    let further = json!([session.client_id.as_str(), session.return_uri, session.state, session.fingerprint]);
    let key = coalesce::flow_key(&session, &further);
    let wanted = Wanted { new: session, token, key, by: AskedBy::Hand };
    let made = coalesce::join_at(ctx.store(), ctx.ring(), wanted, event).await;
    let Coalesced { connect_session_id, token, expires_at, .. } = made.map_err(|error| match error {
        StoreError::Constraint(_) => ConnectSessionError::NoTenant,
        error => ConnectSessionError::Internal(error.into()),
    })?;
    Ok(NewConnectSession { connect_session_id, token, expires_at })
}

/// Shows a connect session to the client that made it.
///
/// # Errors
/// [`ConnectSessionError::NotFound`] and [`ConnectSessionError::Internal`].
pub async fn show(
    ctx: &Ctx,
    own: &TenantClient,
    id: &ConnectSessionId,
) -> Result<ShownConnectSession, ConnectSessionError> {
    let (tenant_id, client_id, id) = (own.tenant_id.clone(), own.client.client_id.clone(), id.clone());
    let found = ctx
        .store()
        .read(move |c| {
            let Some(outcome) = connect_sessions::find_outcome(c, &tenant_id, &client_id, &id)? else {
                return Ok(None);
            };
            let session = connect_sessions::find_connect_session_by_id(c, &tenant_id, &id)?;
            Ok::<_, Internal>(session.map(|session| (session, outcome)))
        })
        .await?;
    let (session, outcome) = found.ok_or(ConnectSessionError::NotFound)?;
    trace::correlate(session.correlation_id.as_ref());
    let is_expired = outcome.is_none() && session.expires_at.plus(PENDING_SECONDS) <= ctx.now();
    Ok(ShownConnectSession { session, outcome, is_expired })
}

/// Whether a client may make and use connections of a kind at a provider: the operator has entered the client, and granted
/// it both. A client that registered itself is granted none.
pub(crate) fn is_entitled(client: &Client, provider: &str, kind: SessionKind) -> bool {
    let is_granted = client.entitlements.providers.iter().any(|granted| granted == provider);
    is_granted && trust::is_the_operators(client) && may_be_of(client, kind)
}

/// Whether a client may connect an account of this user: as it is entitled to, or at an MCP server for a user who signed in
/// here. Those belong to the user, who consents for each client.
pub(crate) fn may_connect(
    ctx: &Ctx,
    client: &Client,
    user: &TenantUser,
    provider: &str,
    kind: SessionKind,
) -> bool {
    let is_mcp = || mcp::is_mcp(ctx, provider) && kind == SessionKind::Device;
    is_entitled(client, provider, kind) || (user.namespace.is_did() && is_mcp())
}

/// Whether a client may have connections of a kind.
fn may_be_of(client: &Client, kind: SessionKind) -> bool {
    kind != SessionKind::Background || client.allows_background_access()
}

/// Checks everything that needs no database.
fn check(ctx: &Ctx, client: &Client, params: &ConnectSessionParams) -> Result<(), ConnectSessionError> {
    use ConnectSessionError as E;
    let fits = |text: &str, longest: usize| text.len() <= longest && !text.chars().any(char::is_control);
    let is_scope = |scope: &String| !scope.is_empty() && fits(scope, LONGEST) && !scope.contains(' ');
    if params.scopes.len() > MOST_SCOPES || !params.scopes.iter().all(is_scope) {
        return Err(E::Value("scopes must be at most 100 texts of 1 to 512 bytes without spaces"));
    }
    if params.state.as_deref().is_some_and(|state| !fits(state, LONGEST_STATE)) {
        return Err(E::Value("state must have 2048 bytes at most, and no control characters"));
    }
    if params.fingerprint.as_deref().is_some_and(|print| print.is_empty() || !fits(print, LONGEST)) {
        return Err(E::Value("fingerprint must have 1 to 512 bytes, and no control characters"));
    }
    let values = params.parameters.values().filter_map(Value::as_str);
    if values.into_iter().any(|value| !fits(value, LONGEST)) {
        return Err(E::Value("each of parameters must have 512 bytes at most, and no control characters"));
    }
    match params.return_uri.as_deref() {
        Some(uri) if client.find_redirect_uri(uri).is_none() => return Err(E::ReturnUri),
        None if !client.entitlements.allow_unconfirmed => return Err(E::NoReturnUri),
        _ => {}
    }
    let providers = &params.providers;
    let is_repeated = |(index, name): (usize, &String)| providers[..index].contains(name);
    if providers.is_empty()
        || providers.len() > MOST_PROVIDERS
        || providers.iter().enumerate().any(is_repeated)
        || (params.connection_id.is_some() && providers.len() > 1)
    {
        return Err(E::Providers);
    }
    let kinds = &params.session_kinds;
    if kinds.is_empty() || (kinds.len() > 1 && (kinds[0] == kinds[1] || kinds.len() > 2)) {
        return Err(E::Value("session_kind must be device or background, or a list of both"));
    }
    if kinds.len() > 1 && params.connection_id.is_some() {
        return Err(E::Value("a connection is connected again alone: session_kind must be its own"));
    }
    let is_granted = |name: &&String| kinds.iter().all(|kind| is_entitled(client, name, *kind));
    if let Some(refused) = providers.iter().find(|name| !is_granted(name)) {
        return Err(if kinds.iter().all(|kind| may_be_of(client, *kind)) {
            E::NotEntitled(refused.chars().take(64).collect())
        } else {
            E::NoBackground
        });
    }
    let asked = AskedOffer { scopes: &params.scopes, parameters: &params.parameters };
    for provider in providers {
        let offered = match ctx.upstreams().named(provider) {
            Ok(upstream) => match upstream.offer(&asked) {
                Ok(offer) if offer.form.is_none() && kinds.len() > 1 => {
                    return Err(E::Value(
                        "session_kind can be a list at providers alone whose users sign in here",
                    ));
                }
                offered => offered.map(drop),
            },
            Err(_) => Err(OfferError::NotOffered),
        };
        offered.map_err(|error| E::Offer { provider: provider.clone(), error })?;
    }
    Ok(())
}

/// Finds the connection that is to be connected again.
async fn find_own(
    ctx: &Ctx,
    own: &TenantClient,
    user: &TenantUser,
    params: &ConnectSessionParams,
    id: UpstreamSessionId,
) -> Result<UpstreamSessionId, ConnectSessionError> {
    let client_id = own.client.client_id.clone();
    let store = own.store(ctx);
    let found = store.read(move |scope| {
        if !access::has_access(scope, &id, &client_id)? {
            return Ok(None);
        }
        heads::find_connection(scope, &id).map_err(Internal::from)
    });
    let is_wanted = |connection: &Connection| {
        connection.slot.user == *user
            && params.session_kinds.contains(&connection.head.kind)
            && params.providers.iter().any(|name| name == connection.head.provider())
            && matches!(connection.head.state, SessionState::Active | SessionState::ReauthRequired)
    };
    let found = found.await?.filter(is_wanted).ok_or(ConnectSessionError::NoConnection)?;
    Ok(found.head.session_id)
}
