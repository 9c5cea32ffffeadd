//! A session at a user's authorization server, as a client sees it.

pub(crate) mod error;

use causeway_domain::session::SessionHead;
use causeway_store::sessions::upkeep;
use causeway_types::{Handle, Scope, SessionState, Timestamp};

pub(crate) use self::error::RETRY_SECONDS;
pub use self::error::{NotConfigured, SessionError};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::resource::access::Bearer;
use crate::upstream::atproto::handles;

/// The error for a session that its authorization server has ended, with the URL for a new sign-in.
pub(crate) fn reauth_required(ctx: &Ctx, head: &SessionHead) -> SessionError {
    let sign_in_url = sign_in_url(ctx, head)
        .inspect_err(|error| tracing::error!(%error, "the user cannot be told where to sign in again"))
        .ok();
    SessionError::ReauthRequired { sign_in_url }
}

/// The URL at which a session's user signs in to its client again: its provider makes it.
fn sign_in_url(ctx: &Ctx, head: &SessionHead) -> Result<String, Internal> {
    Ok(ctx.upstreams().of(head)?.sign_in_url(ctx.issuer(), head))
}

/// The URL at which a token's user signs in again, for a client that the user asked to do so; not limited.
///
/// # Errors
/// When the provider of the session is not configured.
pub fn prompt(ctx: &Ctx, bearer: &Bearer) -> Result<String, Internal> {
    sign_in_url(ctx, &bearer.session)
}

/// Leaves the sign-in URL out of an error when callers were given it in the last
/// [`PROMPT_SECONDS`](upkeep::PROMPT_SECONDS): an app that opens it automatically would do so on each call.
/// All processes share this limit.
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
            tracing::warn!(%error, "it is not known whether callers were given the sign-in URL recently");
            sign_in_url
        }
    };
    Err(SessionError::ReauthRequired { sign_in_url: told })
}

/// Reads first, so that most callers who ask too often cost no write.
async fn may_tell(ctx: &Ctx, head: &SessionHead) -> Result<bool, Internal> {
    let (id, now) = (head.session_id.clone(), ctx.now());
    if !ctx.store().read(move |c| upkeep::may_prompt(c, &id, now).map_err(Internal::from)).await? {
        return Ok(false);
    }
    let id = head.session_id.clone();
    ctx.store().write(move |c| upkeep::note_prompt(c, &id, now).map_err(Internal::from)).await
}

/// A client's view of the session behind its token.
#[derive(Debug)]
pub struct SessionView {
    /// The session in its current state.
    pub head: SessionHead,
    /// The handle as it may be shown now.
    pub handle: Option<Handle>,
    /// Its state now.
    pub state: SessionState,
    /// The scope of the token.
    pub scope: Scope,
    /// The iteration of the upstream token set that the token came from.
    pub session_iteration: Option<i64>,
    /// When our access token ends.
    pub token_expires_at: Timestamp,
}

/// Shows the session behind a token; `head` is given if it has changed since the token was checked.
pub async fn view(ctx: &Ctx, bearer: &Bearer, head: Option<SessionHead>) -> SessionView {
    let head = head.unwrap_or_else(|| bearer.session.clone());
    SessionView {
        handle: handles::shown(ctx, &head).await,
        state: head.state_at(ctx.now()),
        scope: bearer.token.scope.clone(),
        session_iteration: bearer.user.session_iteration,
        token_expires_at: bearer.token.expires_at,
        head,
    }
}
