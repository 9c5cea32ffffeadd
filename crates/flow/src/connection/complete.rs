//! The user's return from a provider: the state is consumed, the code redeemed and kept, the account found out, and the
//! connection stored. Nobody uses it until its client has confirmed the user.

use causeway_domain::client::Client;
use causeway_domain::connection::{ConnectOutcome, ConnectSession, Connection, PendingConnection};
use causeway_store::connections::{connect_sessions, credentials, heads, identities, pending, registrations};
use causeway_store::events::{self, EventKind};
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_types::secret::ProviderState;
use causeway_types::{BrowserSessionId, ErrorCode, PlainToken, RegistrationId, TokenHash};
use url::Url;

use crate::client::lookup;
use crate::connection::audited::audit_event;
use crate::connection::begin::{self, BeginError, Way, connecting};
use crate::connection::connect_session;
use crate::connection::returned::Returned;
use crate::connection::store::{self, Authorized, Made, Stored};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::upstream::connect::failure::{AskAgain, ConnectFailure};
use crate::upstream::connect::kept_answer::{self, KeptAnswer, pending_of};
use crate::upstream::oauth2::registrations::{redirect_uri, registration_redirect_uri};
use crate::upstream::traits::{CallbackParams, Completion, ConnectError, Redeemed, Upstream};

/// The address that an authorization response came to. Each registration has one, so that the response of one issuer is
/// not taken for that of another (RFC 9700 section 4.4.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackAddress {
    /// That of registrations that the operator enters, by the provider's name.
    Provider(String),
    /// That of one registration.
    Registration(RegistrationId),
}

impl CallbackAddress {
    fn redirect_uri(&self, issuer: &str) -> String {
        match self {
            Self::Provider(name) => redirect_uri(issuer, name),
            Self::Registration(id) => registration_redirect_uri(issuer, id),
        }
    }
}

/// The next step.
#[derive(Debug)]
pub enum Completed {
    /// The user goes back to the client.
    Returned {
        /// The way.
        returned: Returned,
        /// The provider's name for users to read.
        title: String,
    },
    /// The provider is asked once more.
    Provider(Url),
}

/// Why an authorization response cannot be processed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The state is unknown, expired, used, or another browser's.
    #[error("this connection was already made, has expired, or was begun in another browser")]
    State,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl CompleteError {
    /// The code that the page shows.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::State => ErrorCode::NonceInvalidOrReused,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Processes an authorization response. Its state works once, for 900 seconds, and only in the browser that it was made
/// for. Everything from there on runs to its end even when that browser disconnects.
///
/// # Errors
/// [`CompleteError`]: there is nobody to return to.
#[tracing::instrument(name = "flow.connect.complete", skip_all)]
pub async fn complete(
    ctx: &Ctx,
    address: CallbackAddress,
    params: CallbackParams,
    browser: &BrowserSessionId,
) -> Result<Completed, CompleteError> {
    let state = PlainToken::<ProviderState>::presented(params.state.as_deref().ok_or(CompleteError::State)?);
    let (detached, browser, state) = (ctx.clone(), browser.clone(), state.hash());
    ctx.finish(async move { run(&detached, &state, &address, &params, &browser).await }).await?
}

async fn run(
    ctx: &Ctx,
    state: &TokenHash<ProviderState>,
    address: &CallbackAddress,
    params: &CallbackParams,
    browser: &BrowserSessionId,
) -> Result<Completed, CompleteError> {
    let (begun, session) = consume_state(ctx, state, browser).await?.ok_or(CompleteError::State)?;
    trace::correlate(session.correlation_id.as_ref());
    let upstream = ctx.upstreams().named(&begun.provider).map_err(Internal::from)?;
    let attempt = Attempt { ctx, begun, session, upstream: &*upstream };
    let failure = match attempt.connect(address, params).await {
        Ok(returned) => return Ok(attempt.returned(returned)),
        Err(ConnectError::Internal(error)) => return Err(error.into()),
        Err(ConnectError::Failed(failure)) => failure,
    };
    let failure = match failure {
        ConnectFailure::AskAgain(again) => match attempt.ask_again(again).await {
            Ok(url) => return Ok(Completed::Provider(url)),
            Err(BeginError::Internal(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the provider was not asked again");
                ConnectFailure::Unavailable
            }
        },
        failure => failure,
    };
    let returned = attempt.fail(failure).await?;
    Ok(attempt.returned(returned))
}

/// Consumes the state, and finds the connect session behind it.
async fn consume_state(
    ctx: &Ctx,
    state: &TokenHash<ProviderState>,
    browser: &BrowserSessionId,
) -> Result<Option<(PendingConnection, ConnectSession)>, Internal> {
    let (ring, state, browser, now) = (ctx.ring(), state.clone(), browser.clone(), ctx.now());
    ctx.store()
        .write(move |c| {
            let Some(begun) = pending::consume_pending(c, &ring, &state, &browser, now)? else {
                return Ok(None);
            };
            let Some(id) = &begun.connect_session_id else { return Ok(None) };
            let session = connect_sessions::find_connect_session_by_id(c, &begun.tenant_id, id)?;
            Ok(session.map(|session| (begun, session)))
        })
        .await
}

/// An authorization that is being completed.
pub(super) struct Attempt<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) begun: PendingConnection,
    pub(super) session: ConnectSession,
    pub(super) upstream: &'a dyn Upstream,
}

impl Attempt<'_> {
    async fn connect(
        &self,
        address: &CallbackAddress,
        params: &CallbackParams,
    ) -> Result<Returned, ConnectError> {
        let Self { ctx, begun, session, upstream } = self;
        if !self.came_to(address).await? {
            return Err(ConnectFailure::Issuer.into());
        }
        let client = self.client().await?.ok_or(ConnectFailure::Refused)?;
        let user = &session.user;
        if !connect_session::may_connect(ctx, &client, user, &begun.provider, begun.session_kind) {
            return Err(ConnectFailure::Refused.into());
        }
        let reconnected = self.reconnected_subject().await?;
        let subjects: Vec<&str> = reconnected.iter().map(String::as_str).collect();
        let pending = pending_of(&begun.provider, &begun.payload);
        let completion = Completion {
            tenant_id: &begun.tenant_id,
            pending: &pending,
            answer: params,
            subjects: &subjects,
            begun_at: begun.created_at,
        };
        let redeemed = upstream.redeem(&completion).await?;
        let kept = self.keep(&redeemed).await?;
        let (redeemed, kept) = match upstream.exchange(&completion, &redeemed).await {
            Ok(Some(exchanged)) => {
                let kept = self.keep(&exchanged).await?;
                (exchanged, kept)
            }
            Ok(None) => (redeemed, kept),
            Err(error) => return Err(self.give_back(kept, &redeemed, error).await),
        };
        match self.judge(&client, &completion, &redeemed, &kept).await {
            Ok(returned) => Ok(returned),
            Err(error) => Err(self.give_back(kept, &redeemed, error).await),
        }
    }

    /// Whether the response came to the redirect URI of its registration.
    async fn came_to(&self, address: &CallbackAddress) -> Result<bool, Internal> {
        let Self { ctx, begun, .. } = self;
        let Some(id) = begun.registration_id.clone() else { return Ok(false) };
        let (ring, store) = (ctx.ring(), ctx.store().in_tenant(&begun.tenant_id));
        let found = store
            .find(move |scope| registrations::find_registration(scope, &ring, &id).map_err(Internal::from));
        let expected = address.redirect_uri(ctx.issuer());
        Ok(found.await?.is_some_and(|registration| registration.redirect_uri == expected))
    }

    /// The account of the connection that is connected again.
    async fn reconnected_subject(&self) -> Result<Option<String>, Internal> {
        let Self { ctx, session, .. } = self;
        let Some(id) = session.connection_id.clone() else { return Ok(None) };
        let store = ctx.store().in_tenant(&session.tenant_id);
        let found = store.find(move |scope| heads::find_connection(scope, &id).map_err(Internal::from));
        Ok(found.await?.map(|connection| connection.head.subject().to_owned()))
    }

    /// Keeps what was issued, or gives it back at once.
    pub(super) async fn keep(&self, redeemed: &Redeemed) -> Result<KeptAnswer, Internal> {
        let Self { ctx, begun, upstream, .. } = self;
        let kept = kept_answer::keep(ctx, &begun.tenant_id, &begun.state, redeemed).await;
        if kept.is_err()
            && let Err(error) = upstream.give_back(&begun.tenant_id, redeemed).await
        {
            tracing::error!(%error, "upstream tokens could neither be kept nor given back");
        }
        kept
    }

    /// Finds out whose account it is, and stores the connection.
    async fn judge(
        &self,
        client: &Client,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
        kept: &KeptAnswer,
    ) -> Result<Returned, ConnectError> {
        let Self { ctx, session, .. } = self;
        let authorized = self.identified(completion, redeemed).await?;
        // This browser is the one that was sent to the provider, in which the user was signed in then.
        let is_did = session.user.namespace.is_did();
        let is_confirmed = is_did || session.return_uri.is_none();
        if is_confirmed && !is_did && !client.entitlements.allow_unconfirmed {
            return Err(ConnectFailure::Refused.into());
        }
        let event = self.audit_event("ok", &authorized.connection);
        let made = [Made { authorized, kept: kept.clone(), event }];
        match store::store(ctx, session, &made, is_confirmed).await? {
            Stored::Connected(code) => Ok(Returned::connected(session, code.as_ref())),
            Stored::NoRefreshToken => Err(ConnectFailure::NoRefreshToken.into()),
        }
    }

    /// Finds out whose account what was redeemed is for, and compares it with what is there.
    async fn identified(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<Authorized, ConnectError> {
        let Self { ctx, begun, session, upstream } = self;
        let new = upstream.identify(completion, redeemed).await?;
        let authorized = Authorized::of(ctx, begun, session, new);
        match self.check(&authorized).await? {
            Some(failure) => Err(failure.into()),
            None => Ok(authorized),
        }
    }

    /// The same for what was redeemed without a callback.
    pub(super) async fn judged(
        &self,
        redeemed: &Redeemed,
        answer: &CallbackParams,
    ) -> Result<Authorized, ConnectError> {
        let reconnected = self.reconnected_subject().await?;
        let subjects: Vec<&str> = reconnected.iter().map(String::as_str).collect();
        let Self { begun, .. } = self;
        let pending = pending_of(&begun.provider, &begun.payload);
        let completion = Completion {
            tenant_id: &begun.tenant_id,
            pending: &pending,
            answer,
            subjects: &subjects,
            begun_at: begun.created_at,
        };
        self.identified(&completion, redeemed).await
    }

    /// Compares a new connection with the one that it is to replace.
    async fn check(&self, authorized: &Authorized) -> Result<Option<ConnectFailure>, Internal> {
        let Self { ctx, session, .. } = self;
        let (ring, reconnected, new) =
            (ctx.ring(), session.connection_id.clone(), authorized.connection.clone());
        let store = ctx.store().in_tenant(&session.tenant_id);
        let existing = store.read(move |scope| {
            let id = match reconnected {
                Some(id) => Some(id),
                None => heads::find_superseded(scope, &new)?,
            };
            let Some(id) = id else { return Ok(None) };
            let Some(found) = heads::find_connection(scope, &id)? else { return Ok(None) };
            let iteration = found.head.iteration;
            let credentials = credentials::find_user_credential(scope, &ring, &id, iteration, false)?;
            let account = match &found.identity_id {
                Some(id) => identities::find_identity(scope, id)?,
                None => None,
            };
            Ok::<_, Internal>(Some((found, credentials, account)))
        });
        let Some((existing, credentials, account)) = existing.await? else { return Ok(None) };
        let is_same = account.is_some_and(|account| authorized.is_of(&account));
        if session.connection_id.is_some() && !is_same {
            return Ok(Some(ConnectFailure::AccountMismatch));
        }
        let is_live = existing.head.state == causeway_types::SessionState::Active;
        let is_refreshable = credentials.is_some_and(|credentials| credentials.refresh_token.is_some());
        if !(is_same && is_live && is_refreshable) || authorized.credentials.refresh_token.is_some() {
            return Ok(None);
        }
        Ok(Some(if self.begun_again() {
            ConnectFailure::NoRefreshToken
        } else {
            ConnectFailure::AskAgain(AskAgain::ForceReauth)
        }))
    }

    /// Whether this is the second attempt of its connect session.
    fn begun_again(&self) -> bool {
        self.upstream.is_second(&pending_of(&self.begun.provider, &self.begun.payload))
    }

    /// Gives back what was issued for a connection that is not made. After a fault of ours nobody knows whether it was: then
    /// the answer is given back later, unless it is settled.
    pub(super) async fn give_back(
        &self,
        kept: KeptAnswer,
        redeemed: &Redeemed,
        error: ConnectError,
    ) -> ConnectError {
        if let ConnectError::Failed(_) = &error {
            kept_answer::give_back(self.ctx, &self.begun.provider, kept, redeemed).await;
        }
        error
    }

    async fn client(&self) -> Result<Option<std::sync::Arc<Client>>, Internal> {
        lookup::find(self.ctx, &self.session.client_id).await
    }

    async fn ask_again(&self, again: AskAgain) -> Result<Url, BeginError> {
        let client = self.client().await?.ok_or(BeginError::Gone)?;
        let way = Way {
            session: &self.session,
            client: &client,
            provider: &self.begun.provider,
            browser: &self.begun.browser_id,
            again: Some(again),
        };
        begin::send(self.ctx, &way, None).await
    }

    /// Finishes the connect session without a connection.
    pub(super) async fn fail(&self, failure: ConnectFailure) -> Result<Returned, Internal> {
        let Self { ctx, session, begun, .. } = self;
        tracing::warn!(%failure, provider = begun.provider, "no account was connected");
        let now = ctx.now();
        let event = audit_event(ctx, Actor::User, "connect", "failed", session);
        let event = AuditEvent { provider: Some(begun.provider.clone()), ..event }
            .with("reason", failure.to_string());
        let outcome = ConnectOutcome {
            outcome: failure.code().as_str().to_owned(),
            connection_id: None,
            finished_at: now,
        };
        let (used, provider) = (session.clone(), begun.provider.clone());
        ctx.store()
            .write(move |c| {
                let (tenant_id, id) = (&used.tenant_id, &used.connect_session_id);
                if connect_sessions::finish_connect_session(c, tenant_id, id, &outcome, None)? {
                    events::note_connecting(c, &connecting(&used, &provider), EventKind::Failed, now)?;
                    insert_audit_event(c, &event)?;
                }
                Ok::<_, Internal>(())
            })
            .await?;
        Ok(Returned::failed(session, failure))
    }

    pub(super) fn audit_event(&self, outcome: &str, connection: &Connection) -> AuditEvent {
        let event = audit_event(self.ctx, Actor::User, "connect", outcome, &self.session);
        event.of_connection(connection)
    }

    fn returned(&self, returned: Returned) -> Completed {
        let provider =
            self.ctx.providers().find(&self.begun.provider).map(|found| found.definition.title.clone());
        Completed::Returned { returned, title: provider.unwrap_or_else(|| self.begun.provider.clone()) }
    }
}
