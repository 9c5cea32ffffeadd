//! One connect session for all who need the same thing, in the whole deployment (invariant 14 of the design): they get the
//! same address, and are told the same outcome.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

use causeway_domain::connection::{CONNECT_SESSION_SECONDS, ConnectSession, MOST_SIGN_INS, PENDING_SECONDS};
use causeway_store::connections::connect_flows::{self, CurrentFlow, FlowHistory};
use causeway_store::connections::{connect_sessions, users};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::sessions::upkeep::PROMPT_SECONDS;
use causeway_store::{AnyConnection, Store, StoreError};
use causeway_types::secret::{Connect, PlainToken};
use causeway_types::{ConnectSessionId, ErrorCode, Timestamp, UpstreamSessionId};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::connection::audited::audit_event;
use crate::ctx::Ctx;
use crate::error::Internal;

/// Seconds that an unused connect session has left at least when somebody else joins it.
const LEFT_SECONDS: i64 = 60;

/// The party that needs a connect session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// A user, or a client at its user's wish: whatever became of the ones before, there is one.
    Hand,
    /// A call that cannot be made: nobody is asked again who declined, nor more often than once in 5 minutes.
    Itself,
}

/// A connect session that serves all who need the same thing.
#[derive(Clone, Debug)]
pub struct Coalesced {
    /// The session.
    pub connect_session_id: ConnectSessionId,
    /// The token in its address.
    pub token: PlainToken<Connect>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was made now.
    pub is_new: bool,
    /// Whether its address may be opened by itself.
    pub may_open: bool,
    /// Whether the user declined the one before.
    pub is_declined: bool,
}

/// The name of what a connect session is for: owner, provider, kind, scopes, account, and how the provider is asked.
/// `further` tells apart what else must not be mixed.
pub(crate) fn flow_key(session: &ConnectSession, further: &serde_json::Value) -> String {
    let user = &session.user;
    let mut scopes = session.scopes.clone().unwrap_or_default();
    scopes.sort_unstable();
    let need = json!([
        user.namespace.as_str(),
        user.user_id.as_str(),
        session.providers,
        session.session_kinds,
        scopes,
        session.parameters,
        session.connection_id.as_ref().map(UpstreamSessionId::as_str),
        session.force_reauth,
        further,
    ]);
    URL_SAFE_NO_PAD.encode(Sha256::digest(need.to_string()))
}

/// A connect session that is needed.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The session that is made unless there is one.
    pub(crate) new: ConnectSession,
    /// Its token.
    pub(crate) token: PlainToken<Connect>,
    /// The flow, by its [name](flow_key).
    pub(crate) key: String,
    /// The party that needs it.
    pub(crate) by: AskedBy,
}

/// Joins the current connect session of a flow, or makes the new one the current one.
///
/// # Errors
/// [`StoreError::Constraint`] when the tenant is deleted, or the client does not act in it.
pub(super) async fn join(ctx: &Ctx, wanted: Wanted) -> Result<Coalesced, Internal> {
    let event = audit_event(ctx, Actor::Client, "connect_session", "created", &wanted.new);
    Ok(join_at(ctx.store(), ctx.ring(), wanted, event).await?)
}

/// The same without a server.
///
/// # Errors
/// See [`join`].
pub(crate) async fn join_at(
    store: &Store,
    ring: Arc<EncryptionKeyRing>,
    Wanted { new, token, key, by }: Wanted,
    event: AuditEvent,
) -> Result<Coalesced, StoreError> {
    let now = event.at;
    let tenant = store.in_tenant(&new.tenant_id);
    tenant
        .write(move |scope| {
            // All who need something of one user wait for each other here.
            users::put_user(scope, &new.user, now)?;
            users::lock_user(scope, &new.user)?;
            let c = scope.connection();
            let current = connect_flows::find_flow(c, &ring, &new.tenant_id, &key)?;
            let (joined, history) = match current {
                Some(current) if may_join(&current, by, now) => (Some(current), FlowHistory::default()),
                Some(before) => (None, history(&before, by)),
                None => (None, FlowHistory::default()),
            };
            let mut coalesced = if let Some(current) = joined {
                Coalesced {
                    connect_session_id: current.connect_session_id,
                    token: PlainToken::presented(current.token.expose()),
                    expires_at: current.expires_at,
                    is_new: false,
                    may_open: true,
                    is_declined: current.is_declined,
                }
            } else {
                connect_sessions::insert_connect_session(c, &new)?;
                connect_flows::put_flow(c, &ring, (&new.tenant_id, &key), &token, history)?;
                insert_audit_event(c, &event)?;
                Coalesced {
                    connect_session_id: new.connect_session_id.clone(),
                    token: token.clone(),
                    expires_at: new.expires_at,
                    is_new: true,
                    may_open: true,
                    is_declined: history.is_declined,
                }
            };
            if by == AskedBy::Itself {
                coalesced.may_open =
                    !coalesced.is_declined && may_prompt(c, &new, &coalesced.connect_session_id, now)?;
            }
            Ok(coalesced)
        })
        .await
}

fn may_prompt(
    c: &mut AnyConnection,
    session: &ConnectSession,
    id: &ConnectSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    connect_flows::note_flow_prompt(c, &session.tenant_id, id, PROMPT_SECONDS, now)
}

/// Whether one more may join: nobody has begun with it, or the user is at the provider. Who asks by hand may have lost that
/// browser. One that is spent by failed sign-ins serves nobody.
fn may_join(current: &CurrentFlow, by: AskedBy, now: Timestamp) -> bool {
    if current.outcome.is_some() || current.sign_in_attempts >= MOST_SIGN_INS {
        return false;
    }
    match current.begun_at {
        None => current.expires_at.since(now) >= LEFT_SECONDS,
        Some(begun_at) => by == AskedBy::Itself && now.since(begun_at) < PENDING_SECONDS,
    }
}

/// State that a new session takes over. Who asks by hand begins anew.
fn history(before: &CurrentFlow, by: AskedBy) -> FlowHistory {
    if by == AskedBy::Hand {
        return FlowHistory::default();
    }
    let has_declined = before.outcome.as_deref() == Some(ErrorCode::AccessDenied.as_str());
    FlowHistory { prompted_at: before.prompted_at, is_declined: before.is_declined || has_declined }
}

/// Nobody joins a session that outlives its own page.
const _: () = assert!(LEFT_SECONDS < CONNECT_SESSION_SECONDS);

#[cfg(test)]
mod tests {
    use causeway_types::Secret;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn flow() -> CurrentFlow {
        CurrentFlow {
            connect_session_id: ConnectSessionId::new("cs_1"),
            token: Secret::new("token"),
            expires_at: NOW.plus(CONNECT_SESSION_SECONDS),
            begun_at: None,
            outcome: None,
            prompted_at: None,
            sign_in_attempts: 0,
            is_declined: false,
        }
    }

    #[test]
    fn an_open_session_is_joined() {
        for (current, by_hand, by_itself) in [
            (flow(), true, true),
            (CurrentFlow { expires_at: NOW.plus(59), ..flow() }, false, false),
            (CurrentFlow { begun_at: Some(NOW), ..flow() }, false, true),
            (CurrentFlow { begun_at: Some(NOW.plus(-PENDING_SECONDS)), ..flow() }, false, false),
            (CurrentFlow { outcome: Some("connected".to_owned()), ..flow() }, false, false),
            (CurrentFlow { sign_in_attempts: MOST_SIGN_INS - 1, ..flow() }, true, true),
            (CurrentFlow { sign_in_attempts: MOST_SIGN_INS, ..flow() }, false, false),
        ] {
            assert_eq!(may_join(&current, AskedBy::Hand, NOW), by_hand, "{current:?}");
            assert_eq!(may_join(&current, AskedBy::Itself, NOW), by_itself, "{current:?}");
        }
    }

    #[test]
    fn a_decline_lasts_until_somebody_asks_by_hand() {
        let declined = CurrentFlow { outcome: Some("access_denied".to_owned()), ..flow() };
        assert!(history(&declined, AskedBy::Itself).is_declined);
        assert!(history(&CurrentFlow { is_declined: true, ..flow() }, AskedBy::Itself).is_declined);
        assert!(!history(&declined, AskedBy::Hand).is_declined);
        let failed = CurrentFlow { outcome: Some("server_error".to_owned()), ..flow() };
        assert!(!history(&failed, AskedBy::Itself).is_declined);
    }
}
