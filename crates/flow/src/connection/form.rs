//! Sign-ins at sites that know nothing but a form: the user types on a page of ours, and what was typed goes to the site and
//! nowhere else. What follows is the same as after an authorization: the answer is kept, judged, and awaits confirmation.

use std::net::IpAddr;

use causeway_domain::TooMany;
use causeway_domain::client::Client;
use causeway_domain::connection::{ConnectSession, MOST_SIGN_INS, PENDING_SECONDS, PendingConnection};
use causeway_providers::FormFieldType;
use causeway_providers::form::Typed;
use causeway_store::StoreError;
use causeway_store::connections::{connect_sessions, heads, pending};
use causeway_store::events::{self, EventKind};
use causeway_types::secret::{Connect, PlainToken, ProviderState};
use causeway_types::{BrowserSessionId, ErrorCode, Secret, SessionKind};
use serde::{Deserialize, Serialize, Serializer};

use crate::connection::begin::{self, BeginError, ConnectView};
use crate::connection::complete::Attempt;
use crate::connection::returned::Returned;
use crate::connection::store::{self, Made, Stored};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::limits;
use crate::upstream::connect::failure::ConnectFailure;
use crate::upstream::traits::{
    CallbackParams, ConnectError, FormAnswer, FormRequest, Offer, Redeemed, SignInForm, Upstream,
};

/// A form that was sent.
#[derive(Debug)]
pub struct Submission<'a> {
    /// The token of the connect session.
    pub token: &'a PlainToken<Connect>,
    /// The chosen provider; it may be left out if there is one.
    pub provider: Option<&'a str>,
    /// The step that it answers; `None`: the sign-in begins.
    pub step: Option<PlainToken<ProviderState>>,
    /// The text that was typed.
    pub typed: Typed,
    /// The browser.
    pub browser: &'a BrowserSessionId,
    /// Its address.
    pub address: Option<IpAddr>,
}

/// The next page.
#[derive(Debug)]
pub enum Submitted {
    /// The user goes back to the client.
    Returned {
        /// The way.
        returned: Returned,
        /// The provider's name for users to read.
        title: String,
    },
    /// The site asks for more.
    Asks(Box<AskedStep>),
}

/// A further step of a sign-in.
#[derive(Debug)]
pub struct AskedStep {
    /// The provider.
    pub provider: String,
    /// Its name for users to read.
    pub title: String,
    /// The kind of the connection that it is for, where the connect session makes several.
    pub kind: Option<SessionKind>,
    /// The form.
    pub form: SignInForm,
    /// The token of the step: it works once, for 900 seconds, and in this browser.
    pub step: PlainToken<ProviderState>,
    /// Whether what was typed before was refused.
    pub is_refused: bool,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The connect session is unknown, used or expired.
    #[error("this link was already used, or has expired")]
    Gone,
    /// The form names none of the offered providers, or one that has no form.
    #[error("none of the offered providers was chosen")]
    NotChosen,
    /// The connect session has been tried with too often.
    #[error("there were {MOST_SIGN_INS} failed sign-ins with this link: ask the app for a new one")]
    Spent,
    /// Too many sign-ins of this account, from this address or in this tenant.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The site did not sign the user in. They can try again.
    #[error(transparent)]
    Site(ConnectFailure),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl SubmitError {
    /// The code that the page shows.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Gone => ErrorCode::NonceInvalidOrReused,
            Self::NotChosen => ErrorCode::InvalidRequest,
            Self::Spent | Self::TooMany(_) => ErrorCode::SlowDown,
            Self::Site(ConnectFailure::Unavailable) => ErrorCode::UpstreamUnavailable,
            Self::Site(failure) => failure.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<StoreError> for SubmitError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<BeginError> for SubmitError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Gone => Self::Gone,
            // Users who signed in here connect MCP servers, and no sites.
            BeginError::NotChosen | BeginError::NotSignedIn(_) => Self::NotChosen,
            BeginError::Provider(failure) => Self::Site(failure),
            BeginError::Internal(error) => Self::Internal(error),
        }
    }
}

impl From<ConnectError> for SubmitError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Failed(failure) => Self::Site(failure),
            ConnectError::Internal(error) => Self::Internal(error),
        }
    }
}

/// The sign-in of one kind of connection: done, or waiting for a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress {
    kind: SessionKind,
    is_done: bool,
    /// The session at the site, or what the next step needs.
    #[serde(serialize_with = "expose")]
    state: Secret,
}

fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Signs a user in with what they typed, once for each kind of connection. The connect session is used up when all of them
/// succeed. Everything runs to its end even when the browser disconnects.
///
/// # Errors
/// [`SubmitError`]. Unless it is [`SubmitError::Gone`] or [`SubmitError::Spent`], the user can try again.
#[tracing::instrument(name = "flow.connect.form", skip_all)]
pub async fn submit(ctx: &Ctx, submission: Submission<'_>) -> Result<Submitted, SubmitError> {
    let ConnectView { session, client, offers, .. } = begin::view(ctx, submission.token).await?;
    let (provider, offer) = begin::choose(&offers, submission.provider)?;
    let form = offer.form.clone().ok_or(SubmitError::NotChosen)?;
    acquire(ctx, &session, provider, &form, &submission)?;
    let fingerprint = match device_of_reconnected(ctx, &session).await? {
        Some(device) => Some(device),
        None => session.fingerprint.clone(),
    };
    let sign_in = SignIn {
        fingerprint,
        ctx: ctx.clone(),
        session,
        client,
        provider: provider.to_owned(),
        offer: offer.clone(),
        token: submission.token.clone(),
        browser: submission.browser.clone(),
    };
    let Submission { typed, step, .. } = submission;
    ctx.finish(async move { sign_in.run(&typed, step).await }).await.map_err(SubmitError::Internal)?
}

/// The device of the connection that is connected again: it stays bound to that one.
async fn device_of_reconnected(ctx: &Ctx, session: &ConnectSession) -> Result<Option<String>, Internal> {
    let Some(id) = session.connection_id.clone() else { return Ok(None) };
    let store = ctx.store().in_tenant(&session.tenant_id);
    let found = store.find(move |scope| heads::find_connection(scope, &id).map_err(Internal::from)).await?;
    Ok(found.map(|found| found.slot.device_slot).filter(|device| !device.is_empty()))
}

/// Applies the limits of a site's account, an address and a tenant.
fn acquire(
    ctx: &Ctx,
    session: &ConnectSession,
    provider: &str,
    form: &SignInForm,
    submission: &Submission<'_>,
) -> Result<(), TooMany> {
    let names = |kind| matches!(kind, FormFieldType::Text | FormFieldType::Email);
    let field = form.fields.iter().find(|field| names(field.kind));
    let account =
        field.and_then(|field| submission.typed.get(&field.name)).map(|it| it.trim().to_lowercase());
    limits::acquire_form(
        ctx,
        &limits::FormSignIn {
            tenant: session.tenant_id.as_str(),
            account: account.as_deref().map(|account| (provider, account)),
            address: submission.address,
        },
    )
}

/// A sign-in under way.
struct SignIn {
    ctx: Ctx,
    session: ConnectSession,
    client: std::sync::Arc<Client>,
    provider: String,
    offer: Offer,
    token: PlainToken<Connect>,
    browser: BrowserSessionId,
    /// The fingerprint of the device, where it is known.
    fingerprint: Option<String>,
}

impl SignIn {
    async fn run(
        self,
        typed: &Typed,
        step: Option<PlainToken<ProviderState>>,
    ) -> Result<Submitted, SubmitError> {
        let before = match &step {
            Some(step) => self.take_step(step).await?,
            None => Vec::new(),
        };
        self.take_attempt().await?;
        let upstream = self.ctx.upstreams().named(&self.provider).map_err(Internal::from)?;
        let mut progress = before.clone();
        if let Some(asked) = progress.iter_mut().find(|one| !one.is_done) {
            let request = self.request(asked.kind, typed, Some(&asked.state));
            match upstream.sign_in_with(&request).await {
                Ok(FormAnswer::Done(redeemed)) => {
                    (asked.is_done, asked.state) = (true, redeemed.other().map_err(Internal::from)?.clone());
                }
                Ok(FormAnswer::Asks { form, step }) => {
                    asked.state = step;
                    return self.ask(progress, form, false).await;
                }
                Err(ConnectError::Failed(
                    failure @ (ConnectFailure::Refused | ConnectFailure::Unavailable),
                )) => {
                    let Some(form) = upstream.step_form(&asked.state) else {
                        return Err(SubmitError::Site(failure));
                    };
                    return self.ask(before, form, true).await;
                }
                Err(error) => return Err(error.into()),
            }
        } else {
            for kind in self.session.session_kinds.clone() {
                match upstream.sign_in_with(&self.request(kind, typed, None)).await {
                    Ok(FormAnswer::Done(redeemed)) => {
                        let state = redeemed.other().map_err(Internal::from)?.clone();
                        progress.push(Progress { kind, is_done: true, state });
                    }
                    Ok(FormAnswer::Asks { step, .. }) => {
                        progress.push(Progress { kind, is_done: false, state: step });
                    }
                    Err(error) => {
                        self.give_back(&*upstream, &progress).await;
                        return Err(error.into());
                    }
                }
            }
        }
        if let Some(asked) = progress.iter().find(|one| !one.is_done) {
            let form = upstream.step_form(&asked.state);
            let form = form.ok_or(SubmitError::Site(ConnectFailure::Misconfigured))?;
            return self.ask(progress, form, false).await;
        }
        self.connect(&*upstream, progress).await
    }

    fn request<'a>(
        &'a self,
        kind: SessionKind,
        typed: &'a Typed,
        step: Option<&'a Secret>,
    ) -> FormRequest<'a> {
        FormRequest {
            tenant_id: &self.session.tenant_id,
            client_id: &self.session.client_id,
            user: &self.session.user,
            kind,
            browser: &self.browser,
            fingerprint: self.fingerprint.as_deref(),
            parameters: &self.offer.parameters,
            typed,
            step,
        }
    }

    /// Takes one of the sign-ins that the connect session may try.
    async fn take_attempt(&self) -> Result<(), SubmitError> {
        let (hash, now) = (self.token.hash(), self.ctx.now());
        let taken = self.ctx.store().write(move |c| {
            connect_sessions::take_sign_in_attempt(c, &hash, MOST_SIGN_INS, now).map_err(Internal::from)
        });
        match taken.await? {
            Some(number) => {
                tracing::info!(provider = self.provider, number, "a user signs in at a site");
                Ok(())
            }
            None => Err(SubmitError::Spent),
        }
    }

    /// Stores a step, and shows its form.
    async fn ask(
        &self,
        progress: Vec<Progress>,
        form: SignInForm,
        is_refused: bool,
    ) -> Result<Submitted, SubmitError> {
        let payload = serde_json::to_string(&progress)
            .map(Secret::new)
            .map_err(|_| Internal::Inconsistent("a sign-in cannot be written"))?;
        let step = PlainToken::<ProviderState>::issued(self.ctx.rng(), self.ctx.unix_millis());
        let kind = progress.iter().find(|one| !one.is_done).map(|one| one.kind);
        let row = self.pending(&step, kind.unwrap_or(SessionKind::Device), payload);
        let ring = self.ctx.ring();
        let stored = self.ctx.store().write(move |c| {
            match pending::insert_pending(c, &ring, &row) {
                // The tenant was deleted meanwhile.
                Err(StoreError::Constraint(_)) => Err(SubmitError::Gone),
                outcome => Ok(outcome?),
            }
        });
        stored.await?;
        let asked = AskedStep {
            provider: self.provider.clone(),
            title: self.offer.title.clone(),
            kind: kind.filter(|_| self.session.session_kinds.len() > 1),
            form,
            step,
            is_refused,
        };
        Ok(Submitted::Asks(Box::new(asked)))
    }

    /// Takes a step that was stored: once, and in the browser that it was shown in.
    async fn take_step(&self, step: &PlainToken<ProviderState>) -> Result<Vec<Progress>, SubmitError> {
        let (ring, state, browser, now) =
            (self.ctx.ring(), step.hash(), self.browser.clone(), self.ctx.now());
        let taken = self.ctx.store().write(move |c| {
            pending::consume_pending(c, &ring, &state, &browser, now).map_err(Internal::from)
        });
        let taken = taken.await?.ok_or(SubmitError::Gone)?;
        let is_own = taken.connect_session_id.as_ref() == Some(&self.session.connect_session_id);
        if !is_own || taken.provider != self.provider {
            return Err(SubmitError::Gone);
        }
        let progress = serde_json::from_str(taken.payload.expose());
        progress.map_err(|_| Internal::Inconsistent("a stored sign-in cannot be read").into())
    }

    fn pending(
        &self,
        state: &PlainToken<ProviderState>,
        kind: SessionKind,
        payload: Secret,
    ) -> PendingConnection {
        let now = self.ctx.now();
        PendingConnection {
            state: state.hash(),
            tenant_id: self.session.tenant_id.clone(),
            client_id: self.session.client_id.clone(),
            user: self.session.user.clone(),
            provider: self.provider.clone(),
            registration_id: None,
            session_kind: kind,
            browser_id: self.browser.clone(),
            connect_session_id: Some(self.session.connect_session_id.clone()),
            payload,
            created_at: now,
            expires_at: now.plus(PENDING_SECONDS),
        }
    }

    /// Keeps what the site issued, judges it, and stores the connections; the connect session is used up with them.
    async fn connect(
        &self,
        upstream: &dyn Upstream,
        progress: Vec<Progress>,
    ) -> Result<Submitted, SubmitError> {
        let Self { ctx, session, client, .. } = self;
        let is_confirmed = session.return_uri.is_none();
        if is_confirmed && !client.entitlements.allow_unconfirmed {
            self.give_back(upstream, &progress).await;
            return Err(SubmitError::Site(ConnectFailure::Refused));
        }
        if !self.consume().await? {
            self.give_back(upstream, &progress).await;
            return Err(SubmitError::Gone);
        }
        let (mut made, mut kept) = (Vec::new(), Vec::new());
        for Progress { kind, state: answer, .. } in progress {
            let redeemed = Redeemed::Other(answer);
            let begun = self.begun(kind).await;
            let attempt = Attempt { ctx, begun: begun?, session: session.clone(), upstream };
            let answer = attempt.keep(&redeemed).await?;
            kept.push((attempt, answer, redeemed));
        }
        let mut failure = None;
        for (attempt, answer, redeemed) in &kept {
            match attempt.judged(redeemed, &CallbackParams::default()).await {
                Ok(authorized) => {
                    let event = attempt.audit_event("ok", &authorized.connection);
                    made.push(Made { authorized, kept: answer.clone(), event });
                }
                Err(error) => failure = Some(error),
            }
        }
        let outcome = match failure {
            Some(error) => Err(error),
            None => match store::store(ctx, session, &made, is_confirmed).await {
                Ok(Stored::Connected(code)) => Ok(Returned::connected(session, code.as_ref())),
                Ok(Stored::NoRefreshToken) => Err(ConnectFailure::NoRefreshToken.into()),
                Err(error) => Err(error.into()),
            },
        };
        let returned = match outcome {
            Ok(returned) => returned,
            Err(mut error) => {
                let mut first = None;
                for (attempt, answer, redeemed) in kept {
                    error = attempt.give_back(answer, &redeemed, error).await;
                    first = first.or(Some(attempt));
                }
                match (error, first) {
                    (ConnectError::Failed(failure), Some(attempt)) => attempt.fail(failure).await?,
                    (error, _) => return Err(error.into()),
                }
            }
        };
        Ok(Submitted::Returned { returned, title: self.offer.title.clone() })
    }

    /// Uses the connect session up; `false`: another tab was first.
    async fn consume(&self) -> Result<bool, Internal> {
        let (hash, now, session) = (self.token.hash(), self.ctx.now(), self.session.clone());
        let provider = self.provider.clone();
        self.ctx
            .store()
            .write(move |c| {
                if connect_sessions::consume_connect_session(c, &hash, now)?.is_none() {
                    return Ok(false);
                }
                let event = begin::connecting(&session, &provider);
                events::note_connecting(c, &event, EventKind::Started, now)?;
                Ok(true)
            })
            .await
    }

    /// The row that an answer is kept in, which nobody can begin with.
    async fn begun(&self, kind: SessionKind) -> Result<PendingConnection, SubmitError> {
        let state = PlainToken::<ProviderState>::issued(self.ctx.rng(), self.ctx.unix_millis());
        let row = self.pending(&state, kind, Secret::new(""));
        let (ring, begun, browser, now) =
            (self.ctx.ring(), row.clone(), self.browser.clone(), self.ctx.now());
        let stored = self.ctx.store().write(move |c| {
            match pending::insert_pending(c, &ring, &row) {
                Err(StoreError::Constraint(_)) => return Err(SubmitError::Gone),
                outcome => outcome?,
            }
            pending::consume_pending(c, &ring, &row.state, &browser, now)?.ok_or(SubmitError::Gone)
        });
        stored.await?;
        Ok(begun)
    }

    /// Ends sessions at the site that will not be used.
    async fn give_back(&self, upstream: &dyn Upstream, progress: &[Progress]) {
        for one in progress.iter().filter(|one| one.is_done) {
            let redeemed = Redeemed::Other(one.state.clone());
            if let Err(error) = upstream.give_back(&self.session.tenant_id, &redeemed).await {
                tracing::warn!(%error, provider = self.provider, "an unused session at a site was not ended");
            }
        }
    }
}
