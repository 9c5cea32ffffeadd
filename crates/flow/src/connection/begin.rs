//! The page at which a user begins to connect an account, and the way to the provider: what is pending is committed
//! before the browser leaves.

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::connection::{ConnectOutcome, ConnectSession, PENDING_SECONDS, PendingConnection};
use causeway_store::StoreError;
use causeway_store::connections::{connect_sessions, pending};
use causeway_store::events::{self, Connecting, EventKind};
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_types::secret::{Connect, PlainToken, ProviderState};
use causeway_types::{BrowserSessionId, Did, ErrorCode, OauthState, SessionKind, TenantUser, TokenHash};
use url::Url;

use crate::account;
use crate::client::{lookup, trust};
use crate::connection::audited::audit_event;
use crate::connection::connect_session::may_connect;
use crate::connection::returned::Returned;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::upstream::connect::failure::{AskAgain, ConnectFailure, SignInError};
use crate::upstream::traits::{AskedOffer, BeginRequest, Begun, ConnectRequest, Offer, Purpose};

/// The contents of the page.
#[derive(Debug)]
pub struct ConnectView {
    /// The connect session.
    pub session: ConnectSession,
    /// The client that made it.
    pub client: Arc<Client>,
    /// Whether somebody vouches for the client: the operator, or the owner of the address of its document.
    pub is_verified: bool,
    /// The providers that the user chooses from, with what is offered there.
    pub offers: Vec<(String, Offer)>,
}

/// Why a user could not be sent to a provider.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The connect session is unknown, used or expired.
    #[error("this link was already used, or has expired")]
    Gone,
    /// The account is that of a user who signs in here, and is not signed in in this browser.
    #[error("sign in as {0} in this browser first: the account is connected for nobody else")]
    NotSignedIn(Did),
    /// The form names none of the offered providers.
    #[error("none of the offered providers was chosen")]
    NotChosen,
    /// The provider, or our registration there, does not let anybody in at the moment.
    #[error(transparent)]
    Provider(ConnectFailure),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for BeginError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl BeginError {
    /// The code that the page shows.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Gone => ErrorCode::NonceInvalidOrReused,
            Self::NotSignedIn(_) => ErrorCode::LoginRequired,
            Self::NotChosen => ErrorCode::InvalidRequest,
            Self::Provider(ConnectFailure::Unavailable) => ErrorCode::UpstreamUnavailable,
            Self::Provider(failure) => failure.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Loads the page of a connect session, and uses nothing of it up: links are opened by scanners, too.
///
/// # Errors
/// [`BeginError::Gone`] and [`BeginError::Internal`].
pub async fn view(ctx: &Ctx, token: &PlainToken<Connect>) -> Result<ConnectView, BeginError> {
    let (hash, now) = (token.hash(), ctx.now());
    let found = ctx
        .store()
        .find(move |c| connect_sessions::find_connect_session(c, &hash, now).map_err(Internal::from));
    let session = found.await?.ok_or(BeginError::Gone)?;
    trace::correlate(session.correlation_id.as_ref());
    let client = lookup::find(ctx, &session.client_id).await?.ok_or(BeginError::Gone)?;
    // A provider that the operator has withdrawn since is not offered any more.
    let is_granted = |name: &String| {
        let kinds = &session.session_kinds;
        kinds.iter().all(|kind| may_connect(ctx, &client, &session.user, name, *kind))
    };
    let offered = session.providers.iter().filter(|name| is_granted(name));
    let offers: Vec<_> =
        offered.filter_map(|name| Some((name.clone(), offer(ctx, &session, name)?))).collect();
    if offers.is_empty() {
        return Err(BeginError::Gone);
    }
    let is_verified = trust::is_vouched_for(&client);
    Ok(ConnectView { session, client, is_verified, offers })
}

/// Uses a connect session up, and returns where the user is sent. What is pending is committed by then. `chosen` is the
/// provider; it may be left out if there is one.
///
/// # Errors
/// [`BeginError`]. Unless it is [`BeginError::Gone`], the user can try again.
#[tracing::instrument(name = "flow.connect.begin", skip_all)]
pub async fn start(
    ctx: &Ctx,
    token: &PlainToken<Connect>,
    chosen: Option<&str>,
    browser: &BrowserSessionId,
) -> Result<Url, BeginError> {
    // An authorization that is being prepared may register us at the provider: it goes on when the browser does not.
    let (detached, token) = (ctx.clone(), token.clone());
    let (chosen, browser) = (chosen.map(str::to_owned), browser.clone());
    ctx.finish(async move { run(&detached, &token, chosen.as_deref(), &browser).await }).await?
}

async fn run(
    ctx: &Ctx,
    token: &PlainToken<Connect>,
    chosen: Option<&str>,
    browser: &BrowserSessionId,
) -> Result<Url, BeginError> {
    let ConnectView { session, client, offers, .. } = view(ctx, token).await?;
    if let Some(did) = did_of(&session)
        && !account::is_signed_in(ctx, browser, &did).await?
    {
        return Err(BeginError::NotSignedIn(did));
    }
    let (chosen, offer) = choose(&offers, chosen)?;
    if offer.form.is_some() {
        // It is filled in here.
        return Err(BeginError::NotChosen);
    }
    let way = Way { session: &session, client: &client, provider: chosen, browser, again: None };
    send(ctx, &way, Some(token.hash())).await
}

/// The chosen one of the offers; it may be left out if there is one.
pub(super) fn choose<'a>(
    offers: &'a [(String, Offer)],
    chosen: Option<&str>,
) -> Result<(&'a str, &'a Offer), BeginError> {
    let found = match (chosen, offers) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(chosen), offers) => offers.iter().find(|(name, _)| *name == chosen),
    };
    found.map(|(name, offer)| (name.as_str(), offer)).ok_or(BeginError::NotChosen)
}

/// The way of one user to one provider.
pub(super) struct Way<'a> {
    /// The connect session.
    pub(super) session: &'a ConnectSession,
    /// The client.
    pub(super) client: &'a Client,
    /// The provider.
    pub(super) provider: &'a str,
    /// The browser.
    pub(super) browser: &'a BrowserSessionId,
    /// The change with which the provider is asked the second time.
    pub(super) again: Option<AskAgain>,
}

/// Prepares an authorization, and commits what is pending, together with the use of the connect session where `unused`
/// names it.
pub(super) async fn send(
    ctx: &Ctx,
    way: &Way<'_>,
    unused: Option<TokenHash<Connect>>,
) -> Result<Url, BeginError> {
    let Way { session, client, provider, browser, again } = *way;
    let offer = offer(ctx, session, provider).ok_or(BeginError::Gone)?;
    let state = PlainToken::<ProviderState>::issued(ctx.rng(), ctx.unix_millis());
    let request = BeginRequest {
        client,
        state: &OauthState::new(state.expose()),
        purpose: Purpose::Connect(ConnectRequest {
            tenant_id: &session.tenant_id,
            scopes: session.scopes.as_deref().unwrap_or_default(),
            parameters: &offer.parameters,
            force_reauth: session.force_reauth,
            again,
        }),
    };
    let upstream = ctx.upstreams().named(provider).map_err(Internal::from)?;
    let Begun { url, pending, registration_id, .. } =
        upstream.begin(&request).await.map_err(|error| match error {
            SignInError::Internal(error) => BeginError::Internal(error),
            SignInError::Provider(failure) => BeginError::Provider(failure),
            error => {
                tracing::warn!(%error, "the provider was not asked");
                BeginError::Provider(ConnectFailure::Refused)
            }
        })?;
    let causeway_domain::session::Pending::Other { data: payload, .. } = pending else {
        return Err(Internal::Inconsistent("a connection at an AT Protocol server").into());
    };
    let now = ctx.now();
    let row = PendingConnection {
        state: state.hash(),
        tenant_id: session.tenant_id.clone(),
        client_id: session.client_id.clone(),
        user: session.user.clone(),
        provider: provider.to_owned(),
        registration_id,
        session_kind: kind_of(session),
        browser_id: browser.clone(),
        connect_session_id: Some(session.connect_session_id.clone()),
        payload,
        created_at: now,
        expires_at: now.plus(PENDING_SECONDS),
    };
    let (ring, session) = (ctx.ring(), session.clone());
    let is_committed = ctx
        .store()
        .write(move |c| {
            if let Some(unused) = &unused {
                if connect_sessions::consume_connect_session(c, unused, now)?.is_none() {
                    return Ok(false);
                }
                events::note_connecting(c, &connecting(&session, &row.provider), EventKind::Started, now)?;
            }
            match pending::insert_pending(c, &ring, &row) {
                // The tenant was deleted meanwhile.
                Err(StoreError::Constraint(_)) => Err(BeginError::Gone),
                outcome => Ok(outcome.map(|()| true)?),
            }
        })
        .await?;
    if !is_committed {
        return Err(BeginError::Gone);
    }
    tracing::info!(provider, "user redirected to the provider");
    Ok(url)
}

/// Ends a connect session at the user's wish, and returns to the client.
///
/// # Errors
/// [`BeginError::Gone`] and [`BeginError::Internal`].
#[tracing::instrument(name = "flow.connect.cancel", skip_all)]
pub async fn cancel(ctx: &Ctx, token: &PlainToken<Connect>) -> Result<Returned, BeginError> {
    let (hash, now) = (token.hash(), ctx.now());
    let session = view(ctx, token).await?.session;
    let event = audit_event(ctx, Actor::User, "connect", "cancelled", &session);
    let outcome = ConnectOutcome {
        outcome: ErrorCode::AccessDenied.as_str().to_owned(),
        connection_id: None,
        finished_at: now,
    };
    let used = session.clone();
    let is_finished = ctx
        .store()
        .write(move |c| {
            if connect_sessions::consume_connect_session(c, &hash, now)?.is_none() {
                return Ok(false);
            }
            let (tenant_id, id) = (&used.tenant_id, &used.connect_session_id);
            connect_sessions::finish_connect_session(c, tenant_id, id, &outcome, None)?;
            let provider = used.providers.first().map_or("", String::as_str);
            events::note_connecting(c, &connecting(&used, provider), EventKind::Failed, now)?;
            insert_audit_event(c, &event)?;
            Ok::<_, Internal>(true)
        })
        .await?;
    if !is_finished {
        return Err(BeginError::Gone);
    }
    Ok(Returned::failed(&session, ConnectFailure::Declined))
}

/// Finishes a connect session with which nobody can begin.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn fail(
    ctx: &Ctx,
    session: &ConnectSession,
    provider: &str,
    code: ErrorCode,
) -> Result<(), Internal> {
    let now = ctx.now();
    let event = audit_event(ctx, Actor::User, "connect", "failed", session);
    let outcome = ConnectOutcome { outcome: code.as_str().to_owned(), connection_id: None, finished_at: now };
    let (session, provider) = (session.clone(), provider.to_owned());
    ctx.store()
        .write(move |c| {
            let (tenant_id, id) = (&session.tenant_id, &session.connect_session_id);
            if connect_sessions::finish_connect_session(c, tenant_id, id, &outcome, None)? {
                events::note_connecting(c, &connecting(&session, &provider), EventKind::Failed, now)?;
                insert_audit_event(c, &event)?;
            }
            Ok::<_, Internal>(())
        })
        .await
}

/// The event of a connection that is being made.
pub(super) fn connecting<'a>(session: &'a ConnectSession, provider: &'a str) -> Connecting<'a> {
    Connecting {
        tenant_id: &session.tenant_id,
        client_id: &session.client_id,
        user_id: &session.user.user_id,
        provider,
        session_kind: kind_of(session),
        connection_id: session.connection_id.as_ref(),
        correlation_id: session.correlation_id.as_ref(),
    }
}

/// The user, if they signed in here.
pub(super) fn did_of(session: &ConnectSession) -> Option<Did> {
    let TenantUser { namespace, user_id } = &session.user;
    namespace.is_did().then(|| Did::parse(user_id.as_str()).ok()).flatten()
}

/// The kind of connection.
pub(super) fn kind_of(session: &ConnectSession) -> SessionKind {
    session.session_kinds.first().copied().unwrap_or(SessionKind::Device)
}

fn offer(ctx: &Ctx, session: &ConnectSession, provider: &str) -> Option<Offer> {
    let asked =
        AskedOffer { scopes: session.scopes.as_deref().unwrap_or_default(), parameters: &session.parameters };
    ctx.upstreams().named(provider).ok()?.offer(&asked).ok()
}
