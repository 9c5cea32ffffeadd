//! Asking the user of an MCP client to connect: by an address for them to open, or on the way of an authorization of ours.

use causeway_domain::connection::{CONNECT_SESSION_SECONDS, ConnectOutcome, ConnectSession};
use causeway_store::TenantScope;
use causeway_store::connections::{connect_flows, connect_sessions, heads, in_use};
use causeway_types::secret::{Connect, PlainToken};
use causeway_types::{
    BrowserSessionId, ConnectSessionId, CorrelationId, ErrorCode, SessionKind, Timestamp, UpstreamSessionId,
};
use serde_json::{Map, Value};
use url::Url;

use super::{McpUser, is_mcp};
use crate::connection::begin::{self, BeginError, Way};
use crate::connection::coalesce::{self, AskedBy, Coalesced, Wanted};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::upstream::oauth2::binding::OauthBinding;

/// The most times that a connection is connected again for more scopes within [`STEP_UP_SECONDS`].
const MOST_STEP_UPS: i64 = 3;
/// Seconds.
const STEP_UP_SECONDS: i64 = 3600;

/// The reason for which a user has to be asked.
#[derive(Clone, Copy, Debug)]
pub enum Need<'a> {
    /// They have no connection at the server.
    Connection,
    /// Theirs has ended.
    Reauth(&'a UpstreamSessionId),
    /// The server demands more scopes than those of theirs.
    Scopes {
        /// The connection.
        connection_id: &'a UpstreamSessionId,
        /// The scopes that the server demands.
        demanded: &'a [String],
    },
}

/// An address at which the user connects.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The address.
    pub connect_url: String,
    /// Its connect session, whose [`outcome`] everybody who waits is told.
    pub connect_session_id: ConnectSessionId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it may be opened by itself: the user was not asked in the last 5 minutes, and has not declined.
    pub may_open: bool,
    /// Whether the user has declined.
    pub declined: bool,
}

/// Why nobody is asked.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is no such MCP server, or no such connection of the user's.
    #[error("there is no such MCP server, or this user has no such connection")]
    NotFound,
    /// The server demands more and more.
    #[error(
        "the server demands scopes again that it was granted, or more than {MOST_STEP_UPS} times an hour"
    )]
    TooManyStepUps,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl PromptError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::TooManyStepUps => ErrorCode::InsufficientScope,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Makes an address at which the user connects. All who need the same get the same one, from every process.
///
/// # Errors
/// [`PromptError`].
#[tracing::instrument(name = "flow.mcp.prompt", skip_all, fields(client_id = %user.client.client_id, provider))]
pub async fn prompt(
    ctx: &Ctx,
    user: &McpUser,
    provider: &str,
    need: Need<'_>,
    by: AskedBy,
) -> Result<Prompt, PromptError> {
    if !is_mcp(ctx, provider) {
        return Err(PromptError::NotFound);
    }
    let scopes = match need {
        Need::Scopes { connection_id, demanded } => {
            Some(union_of_scopes(ctx, user, connection_id, demanded).await?)
        }
        Need::Connection | Need::Reauth(_) => None,
    };
    let connection_id = match need {
        Need::Connection => existing(ctx, user, provider).await?,
        Need::Reauth(id) | Need::Scopes { connection_id: id, .. } => Some(id.clone()),
    };
    let (session, token) = new_session(ctx, user, provider, connection_id, scopes, None)?;
    // Whichever client of the user's needs it, it is one flow.
    let key = coalesce::flow_key(&session, &Value::Null);
    let Coalesced { connect_session_id, token, expires_at, may_open, is_declined, .. } =
        coalesce::join(ctx, Wanted { new: session, token, key, by }).await?;
    Ok(Prompt {
        connect_url: format!("{}/connect/{}", ctx.issuer(), token.expose()),
        connect_session_id,
        expires_at,
        may_open,
        declined: is_declined,
    })
}

/// The outcome of a connect session of the user's; `None`: it is not finished, or there is none of that name.
///
/// # Errors
/// When the database does not answer.
pub async fn outcome(
    ctx: &Ctx,
    user: &McpUser,
    id: &ConnectSessionId,
) -> Result<Option<ConnectOutcome>, Internal> {
    let (owner, tenant_id, id) = (user.user()?, user.tenant_id.clone(), id.clone());
    let find = move |c: &mut causeway_store::AnyConnection| {
        let session = connect_sessions::find_connect_session_by_id(c, &tenant_id, &id)?;
        let Some(session) = session.filter(|session| session.user == owner) else { return Ok(None) };
        let found = connect_sessions::find_outcome(c, &tenant_id, &session.client_id, &id)?;
        Ok::<_, Internal>(found.flatten())
    };
    ctx.store().read(find).await
}

/// Sends the user of an authorization of ours on to the server, without a page: they consented to it, in `browser`, in which
/// they are signed in. The browser comes back to `return_to` with `connect_session_id`, and with `error` when no account was
/// connected.
///
/// # Errors
/// [`BeginError`]. The connect session is finished then.
#[tracing::instrument(name = "flow.mcp.begin", skip_all, fields(client_id = %user.client.client_id, provider))]
pub async fn begin_for_authorization(
    ctx: &Ctx,
    user: &McpUser,
    provider: &str,
    browser: &BrowserSessionId,
    return_to: &Url,
) -> Result<Url, BeginError> {
    if !is_mcp(ctx, provider) {
        return Err(BeginError::Gone);
    }
    let connection_id = existing(ctx, user, provider).await?;
    let (session, token) = new_session(ctx, user, provider, connection_id, None, Some(return_to))?;
    let row = session.clone();
    let insert = move |c: &mut causeway_store::AnyConnection| {
        connect_sessions::insert_connect_session(c, &row).map_err(Internal::from)
    };
    ctx.store().write(insert).await?;
    let way = Way { session: &session, client: &user.client, provider, browser, again: None };
    let sent = begin::send(ctx, &way, Some(token.hash())).await;
    if let Err(error) = &sent {
        begin::fail(ctx, &session, provider, error.code()).await?;
    }
    sent
}

/// The connection that a new one would take the place of: it is connected again, and every client keeps its access.
async fn existing(ctx: &Ctx, user: &McpUser, provider: &str) -> Result<Option<UpstreamSessionId>, Internal> {
    let (owner, name) = (user.user()?, provider.to_owned());
    let find = move |scope: &mut TenantScope<'_>| {
        in_use::find_connection_of_user(scope, &owner, &name, SessionKind::Device).map_err(Internal::from)
    };
    ctx.store().in_tenant(&user.tenant_id).find(find).await
}

/// The scopes of a connection together with those that its server demands.
async fn union_of_scopes(
    ctx: &Ctx,
    user: &McpUser,
    connection_id: &UpstreamSessionId,
    demanded: &[String],
) -> Result<Vec<String>, PromptError> {
    let (owner, id) = (user.user()?, connection_id.clone());
    let since = ctx.now().plus(-STEP_UP_SECONDS);
    let find = move |scope: &mut TenantScope<'_>| {
        let found = heads::find_connection(scope, &id)?.filter(|found| found.slot.user == owner);
        let Some(found) = found else { return Ok::<_, Internal>(None) };
        let tenant_id = scope.tenant_id().clone();
        let count = connect_flows::count_step_ups(scope.connection(), &tenant_id, &id, since)?;
        Ok(Some((found, count)))
    };
    let found = ctx.store().in_tenant(&user.tenant_id).read(find).await?;
    let (found, count) = found.ok_or(PromptError::NotFound)?;
    let mut scopes = OauthBinding::of(&found.head)?.requested_scopes;
    let before = scopes.len();
    for scope in demanded {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    if scopes.len() == before || count >= MOST_STEP_UPS {
        return Err(PromptError::TooManyStepUps);
    }
    Ok(scopes)
}

fn new_session(
    ctx: &Ctx,
    user: &McpUser,
    provider: &str,
    connection_id: Option<UpstreamSessionId>,
    scopes: Option<Vec<String>>,
    return_to: Option<&Url>,
) -> Result<(ConnectSession, PlainToken<Connect>), Internal> {
    let (now, token) = (ctx.now(), PlainToken::<Connect>::issued(ctx.rng(), ctx.unix_millis()));
    let correlation_id = trace::correlation().unwrap_or_else(|| CorrelationId::random(ctx.rng()));
    trace::correlate(Some(&correlation_id));
    let session = ConnectSession {
        token: token.hash(),
        connect_session_id: ConnectSessionId::issued(ctx.rng(), ctx.unix_millis()),
        tenant_id: user.tenant_id.clone(),
        client_id: user.client.client_id.clone(),
        user: user.user()?,
        providers: vec![provider.to_owned()],
        session_kinds: vec![SessionKind::Device],
        scopes,
        parameters: Map::new(),
        return_uri: return_to.map(|url| url.as_str().to_owned()),
        state: None,
        force_reauth: false,
        fingerprint: None,
        connection_id,
        correlation_id: Some(correlation_id),
        created_at: now,
        expires_at: now.plus(CONNECT_SESSION_SECONDS),
    };
    Ok((session, token))
}
