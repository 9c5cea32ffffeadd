//! Upstream sessions of users: the heads in `upstream_session`, their credentials in tables beside it.
//!
//! A query by session serves every provider, and so do the schedules of refreshes, revocations and sweeps. A query by
//! account or by browser is for AT Protocol sessions: those that a user signed in with.
//!
//! A session is a head and an append-only list of iterations. A refresh at the upstream adds iteration n+1,
//! moves the head by compare-and-swap, and wipes the secrets of n, in one transaction ([`advance_session`]).
//! A lease whose fence only grows decides who may refresh: a caller with an old fence has lost the lease, and
//! may bring tokens but cannot report failures.

pub mod account_proofs;
pub mod upkeep;
pub mod upstream_requests;

mod background;
mod credentials;
mod ending;
pub(crate) mod head;
mod history;
mod lease;
mod live;

pub use self::background::supersede_background;
pub use self::credentials::{find_credentials, find_token_set};
pub use self::ending::{
    ClaimedRevocation, claim_due_revocations, claim_revocation, complete_revocation, end_session,
    end_session_quietly, enqueue_revocation, postpone_revocation,
};
pub(crate) use self::ending::{Reach, end, end_quietly};
pub use self::history::{History, sweep_history};
pub use self::lease::{Lease, LeaseClaim, acquire_lease, release_lease, release_lease_along, renew_lease};
pub use self::live::{
    LIVE_LIMIT, find_live_session, find_live_session_of_client, find_session_of_token,
    list_live_sessions_at_client, list_live_sessions_of_account, list_live_sessions_of_account_in_browser,
    list_live_sessions_of_browser, list_live_sessions_of_client,
};

use causeway_domain::session::{ATPROTO, Binding, Credentials, SessionHead};
use causeway_types::{
    ClientId, Scope, SessionKind, SessionState, TenantId, Timestamp, UpstreamClientId, UpstreamSessionId,
};
use diesel::prelude::*;

use self::credentials::NewIteration;
pub(crate) use self::head::HeadRow;
use self::head::head;
use crate::connections;
use crate::connections::credentials::Renewal;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::events::{self, EventKind};
use crate::schema::oauth_atp_request;
use crate::schema::upstream_session::{self, dsl};

/// Seconds by which `last_used_at` may lag behind.
pub const TOUCH_SECONDS: i64 = 60;

const PENDING: &str = SessionState::Pending.as_str();
const ACTIVE: &str = SessionState::Active.as_str();
const REAUTH_REQUIRED: &str = SessionState::ReauthRequired.as_str();
const ENDED: &str = SessionState::Ended.as_str();

/// Stores a session: its head, and the credentials that its `iteration` names.
///
/// # Errors
/// [`StoreError`] when encryption or a query fails.
pub fn insert_session(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    session: &SessionHead,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    let Binding::Atproto(account) = &session.binding else {
        let scope = &mut TenantScope::enter(c, &session.tenant_id);
        return connections::heads::insert_sign_in(scope, ring, session, credentials);
    };
    diesel::insert_into(upstream_session::table).values(&HeadRow::of(session)?).execute(c)?;
    let new = NewIteration {
        session_id: &session.session_id,
        iteration: session.iteration,
        did: account.did.as_str().to_owned(),
        session_created_at: session.created_at.as_secs(),
        exchanged_at: credentials.created_at.as_secs(),
    };
    credentials::insert(c, ring, new, credentials)
}

/// Finds a session of this tenant and kind, in whatever state.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_session(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    session_id: &UpstreamSessionId,
    kind: SessionKind,
) -> Result<Option<SessionHead>, StoreError> {
    let session = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::session_kind.eq(kind.as_str()))
        .filter(dsl::deleted_at.is_null())
        .select(HeadRow::as_select());
    fixed!(session).get_result(c).optional()?.map(HeadRow::into_domain).transpose()
}

/// Activates a pending session with the scope `granted` by the user, in a response to `redirect_origin` if
/// that is specific to one party. `false` when it was not pending. A user who signs in with it is confirmed by that; a
/// connection is [confirmed](connections::heads::confirm_connection) in its tenant.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn activate_session(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    granted: &Scope,
    redirect_origin: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let pending =
        dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str())).filter(dsl::state.eq(PENDING));
    let changed = diesel::update(pending)
        .set((
            dsl::state.eq(ACTIVE),
            dsl::last_used_at.eq(now.as_secs()),
            dsl::granted_scope.eq(Some(granted.to_string())),
            dsl::redirect_origin.eq(redirect_origin),
        ))
        .returning((dsl::provider, dsl::tenant_id))
        .get_result::<(String, String)>(c)
        .optional()?;
    let Some((provider, tenant_id)) = changed else { return Ok(false) };
    if provider != ATPROTO {
        let tenant_id = TenantId::new(tenant_id);
        connections::heads::note_confirmed(&mut TenantScope::enter(c, &tenant_id), session_id, now)?;
    }
    events::note_session(c, session_id, EventKind::Completed, now)?;
    Ok(true)
}

/// Adds iteration `from_iteration + 1`, moves the head to it, ends its cooldown and wipes the secrets of
/// `from_iteration`. `false`, with nothing changed, when the head has moved or the session has ended.
///
/// The head alone decides, not the lease: as long as it is at `from_iteration`, these are the only tokens
/// that the upstream still accepts, however late they come. For the same reason a session whose tokens were
/// considered refused ([`require_reauth`]) becomes active again.
///
/// # Errors
/// [`StoreError`] when encryption or a query fails.
pub fn advance_session(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    from_iteration: i64,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let iteration = from_iteration.saturating_add(1);
    let current = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(from_iteration))
        .filter(dsl::state.ne(ENDED));
    let moved = diesel::update(current)
        .set((
            dsl::iteration.eq(iteration),
            dsl::last_used_at.eq(now.as_secs()),
            dsl::refresh_failures.eq(0),
            dsl::refresh_not_before.eq(None::<i64>),
        ))
        .returning((dsl::state, dsl::did, dsl::created_at, dsl::tenant_id));
    let moved = fixed!(moved).get_result::<(String, Option<String>, i64, String)>(c).optional()?;
    let Some((state, did, session_created_at, tenant_id)) = moved else { return Ok(false) };
    upkeep::forget_refusal(c, session_id)?;
    history::schedule(c, session_id, now)?;
    if state == REAUTH_REQUIRED {
        let revived = dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str()));
        diesel::update(revived).set(dsl::state.eq(ACTIVE)).execute(c)?;
    }
    if let Some(did) = did {
        let new =
            NewIteration { session_id, iteration, did, session_created_at, exchanged_at: now.as_secs() };
        credentials::replace(c, ring, new, credentials)?;
    } else {
        let tenant_id = TenantId::new(tenant_id);
        let scope = &mut TenantScope::enter(c, &tenant_id);
        let renewal = Renewal { from_iteration, credentials, at: now };
        connections::heads::note_renewed(scope, ring, session_id, renewal)?;
    }
    events::note_session(c, session_id, EventKind::Refreshed, now)?;
    Ok(true)
}

/// Marks a session whose upstream refused the tokens of `iteration`: the user has to sign in again. `false`
/// when the head has moved since, another caller has taken the lease with this `fence`, or the session is not
/// active.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn require_reauth(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    iteration: i64,
    fence: i64,
) -> Result<bool, StoreError> {
    let current = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::lease_fence.eq(fence))
        .filter(dsl::state.eq(ACTIVE));
    let over = diesel::update(current)
        .set((dsl::state.eq(REAUTH_REQUIRED), dsl::refresh_due_at.eq(None::<i64>)))
        .returning((dsl::provider, dsl::tenant_id))
        .get_result::<(String, String)>(c)
        .optional()?;
    let Some((provider, tenant_id)) = over else { return Ok(false) };
    if provider != ATPROTO {
        let tenant_id = TenantId::new(tenant_id);
        let scope = &mut TenantScope::enter(c, &tenant_id);
        connections::credentials::require_user_reauth(scope, session_id, iteration)?;
    }
    Ok(true)
}

/// Records that an active session is in use, unless that was recorded in the last [`TOUCH_SECONDS`].
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn touch_session(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let stale = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::state.eq(ACTIVE))
        .filter(dsl::last_used_at.le(now.plus(-TOUCH_SECONDS).as_secs()));
    Ok(fixed!(diesel::update(stale).set(dsl::last_used_at.eq(now.as_secs()))).defer(c)?)
}

/// Whether any session of this client that is live, or still to be revoked upstream, began under this
/// upstream client identifier of ours.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn any_began_as(
    c: &mut AnyConnection,
    client_id: &ClientId,
    upstream_client_id: &UpstreamClientId,
) -> Result<bool, StoreError> {
    let found = dsl::upstream_session
        .filter(dsl::client_id.eq(client_id.as_str()))
        .filter(dsl::upstream_client_id.eq(upstream_client_id.as_str()))
        .filter(dsl::state.ne(ENDED).or(dsl::revocation_due_at.is_not_null()))
        .select(dsl::session_id)
        .first::<String>(c)
        .optional()?;
    Ok(found.is_some())
}

/// Counts live sessions by the upstream client identifier under which they began.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn count_by_upstream_client(c: &mut AnyConnection) -> Result<Vec<(UpstreamClientId, i64)>, StoreError> {
    let counts: Vec<(String, i64)> = dsl::upstream_session
        .filter(dsl::state.ne(ENDED))
        .filter(dsl::provider.eq(ATPROTO))
        .group_by(dsl::upstream_client_id)
        .select((dsl::upstream_client_id.assume_not_null(), diesel::dsl::count_star()))
        .load(c)?;
    Ok(counts.into_iter().map(|(id, count)| (UpstreamClientId::new(id), count)).collect())
}

/// The keys with which live sessions, and those that are about to begin or to be revoked, authenticate
/// upstream: they have to stay in our published JWKS.
///
/// # Errors
/// [`StoreError`] when a query fails or a row is corrupt.
pub fn live_upstream_kids(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    use causeway_domain::session::UpstreamAuth;
    let of_sessions: Vec<String> = dsl::upstream_session
        .filter(dsl::state.ne(ENDED).or(dsl::revocation_due_at.is_not_null()))
        .filter(dsl::provider.eq(ATPROTO))
        .select(dsl::upstream_auth.assume_not_null())
        .distinct()
        .load(c)?;
    let of_requests: Vec<String> = oauth_atp_request::table
        .filter(oauth_atp_request::used.eq(false))
        .select(oauth_atp_request::upstream_auth)
        .distinct()
        .load(c)?;
    let mut kids = Vec::new();
    for text in of_sessions.iter().chain(&of_requests) {
        match head("upstream_auth").upstream_auth(text)? {
            UpstreamAuth::PrivateKeyJwt { kid } if !kids.contains(&kid) => kids.push(kid),
            _ => {}
        }
    }
    kids.sort_unstable();
    Ok(kids)
}
