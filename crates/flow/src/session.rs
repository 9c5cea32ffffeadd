//! The session at a person's own server, as a client may know it.

use causeway_domain::session::SessionHead;
use causeway_domain::{ErrorCode, Handle, Scope, SessionState, Timestamp};
use causeway_store::upkeep;
use url::form_urlencoded;

use crate::access::Bearer;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::handles;

/// Why a session was not refreshed. Nothing of it is lost.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The person's server ended it, or the account moved away.
    #[error("the session at the person's server has ended: send them through sign-in again")]
    ReauthRequired {
        /// Where to send them; the client adds what is its own: `redirect_uri`, `state`, PKCE, `scope`.
        /// `None`: callers were told a moment ago ([`limit_prompts`]).
        sign_in_url: Option<String>,
    },
    /// The person's server does not answer; the session stays as it is.
    #[error("the person's server cannot be reached at the moment: try again later")]
    Unavailable {
        /// Seconds after which a retry makes sense.
        retry_after: u64,
    },
    /// Another process refreshes it, or died doing so and its lease has to run out.
    #[error("another process is refreshing this session: try again in a moment")]
    Busy {
        /// Seconds after which a retry makes sense.
        retry_after: u64,
    },
    /// The session is over.
    #[error("the access token is unknown, expired or revoked")]
    Ended,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl SessionError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::ReauthRequired { .. } => ErrorCode::ReauthRequired,
            Self::Unavailable { .. } => ErrorCode::UpstreamUnavailable,
            Self::Busy { .. } => ErrorCode::TemporarilyUnavailable,
            Self::Ended => ErrorCode::InvalidToken,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }

    /// Whether it says nothing about the session itself: what is left of the old token may be used.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Busy { .. } | Self::Internal(_) => true,
            Self::ReauthRequired { .. } | Self::Ended => false,
        }
    }
}

/// The error of a session that its server has ended, with the way to a new one.
pub(crate) fn reauth_required(ctx: &Ctx, head: &SessionHead) -> SessionError {
    SessionError::ReauthRequired { sign_in_url: Some(sign_in_url(ctx, head)) }
}

/// Where the person of a session signs in to its client again.
fn sign_in_url(ctx: &Ctx, head: &SessionHead) -> String {
    let hint = head.handle_at(ctx.now()).map_or(head.did.as_str(), Handle::as_str);
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", head.client_id.as_str())
        .append_pair("login_hint", hint)
        .finish();
    format!("{}/oauth/authorize?{query}", ctx.issuer())
}

/// Where the person behind a token signs in again, for a client that they asked to: as often as they ask.
pub fn prompt(ctx: &Ctx, bearer: &Bearer) -> String {
    sign_in_url(ctx, &bearer.session)
}

/// Leaves the way to a new sign-in out of an error when callers were told of it in the last
/// [`PROMPT_SECONDS`](upkeep::PROMPT_SECONDS): an app that opens it by itself would open it with each call. The
/// processes share the count.
pub(crate) async fn limit_prompts<T>(
    ctx: &Ctx,
    head: &SessionHead,
    outcome: Result<T, SessionError>,
) -> Result<T, SessionError> {
    let Err(SessionError::ReauthRequired { sign_in_url }) = outcome else { return outcome };
    let told = match may_tell(ctx, head).await {
        Ok(true) => sign_in_url,
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(%error, "whether callers were told lately is not known");
            sign_in_url
        }
    };
    Err(SessionError::ReauthRequired { sign_in_url: told })
}

/// Looks first: most of those who ask too often cost a read and no more.
async fn may_tell(ctx: &Ctx, head: &SessionHead) -> Result<bool, Internal> {
    let (id, now) = (head.session_id.clone(), ctx.now());
    if !ctx.store().read(move |c| upkeep::may_prompt(c, &id, now).map_err(Internal::from)).await? {
        return Ok(false);
    }
    let id = head.session_id.clone();
    ctx.store().write(move |c| upkeep::note_prompt(c, &id, now).map_err(Internal::from)).await
}

/// What a client may know of the session behind its token.
#[derive(Debug)]
pub struct SessionView {
    /// The session as it stands.
    pub head: SessionHead,
    /// The handle as it may be shown now.
    pub handle: Option<Handle>,
    /// Its state now.
    pub state: SessionState,
    /// What the token allows.
    pub scope: Scope,
    /// The upstream token set that the token came from.
    pub session_iteration: Option<i64>,
    /// When our access token ends.
    pub token_expires_at: Timestamp,
}

/// Shows the session behind a token; `head` when it has moved since the token was checked.
pub async fn view(ctx: &Ctx, bearer: &Bearer, head: Option<SessionHead>) -> SessionView {
    let head = head.unwrap_or_else(|| bearer.session.clone());
    SessionView {
        handle: handles::shown(ctx, &head).await,
        state: head.state_at(ctx.now()),
        scope: bearer.token.scope.clone(),
        session_iteration: bearer.person.session_iteration,
        token_expires_at: bearer.token.expires_at,
        head,
    }
}
