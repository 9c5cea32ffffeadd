//! Upstream sessions of users: the heads in `upstream_session`, their token sets in `oauth_atp_session`.
//!
//! A session is a head and an append-only list of iterations. A refresh at the upstream adds iteration n+1,
//! moves the head by compare-and-swap, and wipes the secrets of n, in one transaction ([`advance_session`]).
//! A lease whose fence only grows decides who may refresh: a caller with an old fence has lost the lease, and
//! may bring tokens but cannot report failures.

pub mod account_proofs;
pub mod upkeep;
pub mod upstream_requests;

mod background;
mod ending;
mod history;
mod lease;
mod live;

pub use self::background::supersede_background;
pub use self::ending::{
    ClaimedRevocation, claim_due_revocations, claim_revocation, complete_revocation, end_session,
    end_session_quietly, enqueue_revocation, postpone_revocation,
};
pub use self::history::{History, sweep_history};
pub use self::lease::{Lease, LeaseClaim, acquire_lease, release_lease, renew_lease};
pub use self::live::{
    LIVE_LIMIT, find_live_session, find_live_session_of_client, find_session_of_token,
    list_live_sessions_at_client, list_live_sessions_of_account, list_live_sessions_of_account_in_browser,
    list_live_sessions_of_browser, list_live_sessions_of_client,
};

use causeway_domain::session::{Cooldown, SessionHead, TokenSet, UpstreamBinding};
use causeway_types::{
    BrowserSessionId, ClientId, CorrelationId, Scope, SessionKind, SessionState, TenantId, Timestamp,
    UpstreamClientId, UpstreamSessionId,
};
use diesel::prelude::*;

use crate::encryption::columns::{ACCESS_TOKEN, DPOP_KEY, REFRESH_TOKEN};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::events::{self, EventKind};
use crate::schema::upstream_session::dsl;
use crate::schema::{oauth_atp_request, oauth_atp_session, upstream_session};

/// Seconds by which `last_used_at` may lag behind.
pub const TOUCH_SECONDS: i64 = 60;

const PENDING: &str = SessionState::Pending.as_str();
const ACTIVE: &str = SessionState::Active.as_str();
const REAUTH_REQUIRED: &str = SessionState::ReauthRequired.as_str();
const ENDED: &str = SessionState::Ended.as_str();

/// The part of a head that the domain knows. Lease, revocation and deletion have their own functions.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = upstream_session)]
pub(crate) struct HeadRow {
    session_id: String,
    tenant_id: String,
    client_id: String,
    did: String,
    handle: Option<String>,
    session_kind: String,
    state: String,
    browser_id: String,
    iteration: i64,
    issuer: String,
    pds: String,
    upstream_client_id: String,
    upstream_auth: String,
    upstream_redirect_uri: String,
    created_at: i64,
    last_used_at: i64,
    refresh_failures: i64,
    refresh_not_before: Option<i64>,
    verified_at: Option<i64>,
    correlation_id: Option<String>,
}

const fn head(name: &'static str) -> Column {
    Column("upstream_session", name)
}

const fn tokens_of(name: &'static str) -> Column {
    Column("oauth_atp_session", name)
}

impl HeadRow {
    fn of(session: &SessionHead) -> Result<Self, StoreError> {
        Ok(Self {
            session_id: session.session_id.as_str().to_owned(),
            tenant_id: session.tenant_id.as_str().to_owned(),
            client_id: session.client_id.as_str().to_owned(),
            did: session.did.as_str().to_owned(),
            handle: session.handle.as_ref().map(|handle| handle.as_str().to_owned()),
            session_kind: session.kind.as_str().to_owned(),
            state: session.state.as_str().to_owned(),
            browser_id: session.browser_id.as_str().to_owned(),
            iteration: session.iteration,
            issuer: session.upstream.issuer.clone(),
            pds: session.upstream.pds.clone(),
            upstream_client_id: session.upstream.client_id.as_str().to_owned(),
            upstream_auth: head("upstream_auth").to_json(&session.upstream.auth)?,
            upstream_redirect_uri: session.upstream.redirect_uri.clone(),
            created_at: session.created_at.as_secs(),
            last_used_at: session.last_used_at.as_secs(),
            refresh_failures: session.cooldown.failures,
            refresh_not_before: session.cooldown.not_before.map(Timestamp::as_secs),
            verified_at: Some(session.verified_at.as_secs()),
            correlation_id: session.correlation_id.as_ref().map(|id| id.as_str().to_owned()),
        })
    }

    pub(crate) fn into_domain(self) -> Result<SessionHead, StoreError> {
        Ok(SessionHead {
            session_id: UpstreamSessionId::new(self.session_id),
            tenant_id: TenantId::new(self.tenant_id),
            client_id: ClientId::new(self.client_id),
            did: head("did").did(&self.did)?,
            handle: head("handle").handle(self.handle.as_deref())?,
            kind: head("session_kind").present(SessionKind::parse(&self.session_kind))?,
            state: head("state").present(SessionState::parse(&self.state))?,
            browser_id: BrowserSessionId::new(self.browser_id),
            iteration: self.iteration,
            upstream: UpstreamBinding {
                issuer: self.issuer,
                pds: self.pds,
                client_id: UpstreamClientId::new(self.upstream_client_id),
                auth: head("upstream_auth").upstream_auth(&self.upstream_auth)?,
                redirect_uri: self.upstream_redirect_uri,
            },
            created_at: Timestamp(self.created_at),
            last_used_at: Timestamp(self.last_used_at),
            verified_at: Timestamp(self.verified_at.unwrap_or(self.created_at)),
            cooldown: Cooldown {
                failures: self.refresh_failures,
                not_before: self.refresh_not_before.map(Timestamp),
            },
            correlation_id: self.correlation_id.map(CorrelationId::new),
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = oauth_atp_session)]
struct TokenSetRow {
    session_id: String,
    iteration: i64,
    did: Option<String>,
    session_created_at: i64,
    atp_oauth_state: String,
    signing_key_jkt: String,
    dpop_key: String,
    access_token: Option<String>,
    refresh_token: Option<String>,
    access_token_created_at: Option<i64>,
    access_token_expires_at: Option<i64>,
    access_token_scopes: Option<String>,
    session_exchanged_at: Option<i64>,
    exchange_error: Option<String>,
}

/// The primary key of a token set, for encryption.
fn row_key(session_id: &UpstreamSessionId, iteration: i64) -> String {
    format!("{session_id}/{iteration}")
}

/// Identifies the row of `oauth_atp_session` to write.
struct NewIteration<'a> {
    session_id: &'a UpstreamSessionId,
    iteration: i64,
    did: String,
    session_created_at: i64,
    exchanged_at: i64,
}

fn insert_iteration(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    new: NewIteration<'_>,
    set: &TokenSet,
) -> Result<(), StoreError> {
    let key = row_key(new.session_id, new.iteration);
    let row = TokenSetRow {
        session_id: new.session_id.as_str().to_owned(),
        iteration: new.iteration,
        did: Some(new.did),
        session_created_at: new.session_created_at,
        atp_oauth_state: String::new(),
        signing_key_jkt: set.dpop_jkt.clone(),
        dpop_key: ring.encrypt_column(DPOP_KEY, &key, set.dpop_key.expose())?,
        access_token: Some(ring.encrypt_column(ACCESS_TOKEN, &key, set.access_token.expose())?),
        refresh_token: set
            .refresh_token
            .as_ref()
            .map(|token| ring.encrypt_column(REFRESH_TOKEN, &key, token.expose()))
            .transpose()?,
        access_token_created_at: Some(set.created_at.as_secs()),
        access_token_expires_at: set.expires_at.map(Timestamp::as_secs),
        access_token_scopes: Some(set.scope.to_string()),
        session_exchanged_at: Some(new.exchanged_at),
        exchange_error: None,
    };
    diesel::insert_into(oauth_atp_session::table).values(&row).execute(c)?;
    Ok(())
}

/// Adds an iteration and wipes the secrets of the previous one; earlier ones were wiped before.
fn replace_secrets(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    new: NewIteration<'_>,
    set: &TokenSet,
) -> Result<(), StoreError> {
    let before = oauth_atp_session::table
        .filter(oauth_atp_session::session_id.eq(new.session_id.as_str()))
        .filter(oauth_atp_session::iteration.eq(new.iteration.saturating_sub(1)));
    diesel::update(before).set(WIPED).execute(c)?;
    insert_iteration(c, ring, new, set)
}

/// Stores a session: its head, and the token set that its `iteration` names.
///
/// # Errors
/// [`StoreError`] when encryption or a query fails.
pub fn insert_session(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    session: &SessionHead,
    set: &TokenSet,
) -> Result<(), StoreError> {
    diesel::insert_into(upstream_session::table).values(&HeadRow::of(session)?).execute(c)?;
    let new = NewIteration {
        session_id: &session.session_id,
        iteration: session.iteration,
        did: session.did.as_str().to_owned(),
        session_created_at: session.created_at.as_secs(),
        exchanged_at: set.created_at.as_secs(),
    };
    insert_iteration(c, ring, new, set)
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

/// Finds one token set of a session; `None` when there is none or its secrets are wiped.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt or does not open.
pub fn find_token_set(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    iteration: i64,
) -> Result<Option<TokenSet>, StoreError> {
    let set = oauth_atp_session::table
        .filter(oauth_atp_session::session_id.eq(session_id.as_str()))
        .filter(oauth_atp_session::iteration.eq(iteration))
        .select(oauth_atp_session::all_columns);
    let row = fixed!(set).get_result::<TokenSetRow>(c).optional()?;
    let Some(row) = row else { return Ok(None) };
    let Some(access_token) = row.access_token else { return Ok(None) };
    let key = row_key(session_id, iteration);
    Ok(Some(TokenSet {
        access_token: ring.open_column(ACCESS_TOKEN, &key, &access_token)?,
        refresh_token: row
            .refresh_token
            .map(|token| ring.open_column(REFRESH_TOKEN, &key, &token))
            .transpose()?,
        created_at: Timestamp(tokens_of("access_token_created_at").present(row.access_token_created_at)?),
        expires_at: row.access_token_expires_at.map(Timestamp),
        scope: tokens_of("access_token_scopes").scope(row.access_token_scopes.as_deref())?,
        dpop_key: ring.open_column(DPOP_KEY, &key, &row.dpop_key)?,
        dpop_jkt: row.signing_key_jkt,
    }))
}

/// Activates a pending session with the scope `granted` by the user, in a response to `redirect_origin` if
/// that is specific to one party. `false` when it was not pending.
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
        .execute(c)?;
    if changed == 1 {
        events::note_session(c, session_id, EventKind::Completed, now)?;
    }
    Ok(changed == 1)
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
    set: &TokenSet,
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
        .returning((dsl::state, dsl::did, dsl::created_at))
        .get_result::<(String, String, i64)>(c)
        .optional()?;
    let Some((state, did, session_created_at)) = moved else { return Ok(false) };
    upkeep::forget_refusal(c, session_id)?;
    history::schedule(c, session_id, now)?;
    if state == REAUTH_REQUIRED {
        let revived = dsl::upstream_session.filter(dsl::session_id.eq(session_id.as_str()));
        diesel::update(revived).set(dsl::state.eq(ACTIVE)).execute(c)?;
    }
    let new = NewIteration { session_id, iteration, did, session_created_at, exchanged_at: now.as_secs() };
    replace_secrets(c, ring, new, set)?;
    events::note_session(c, session_id, EventKind::Refreshed, now)?;
    Ok(true)
}

/// Empties the secrets of a token set; the row stays.
#[derive(AsChangeset)]
#[diesel(table_name = oauth_atp_session, treat_none_as_null = true)]
struct Wiped {
    dpop_key: &'static str,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

const WIPED: Wiped = Wiped { dpop_key: "", access_token: None, refresh_token: None };

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
    let over = (dsl::state.eq(REAUTH_REQUIRED), dsl::refresh_due_at.eq(None::<i64>));
    Ok(diesel::update(current).set(over).execute(c)? == 1)
}

/// Records that an active session is in use, unless that was recorded in the last [`TOUCH_SECONDS`].
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn touch_session(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let stale = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::state.eq(ACTIVE))
        .filter(dsl::last_used_at.le(now.plus(-TOUCH_SECONDS).as_secs()));
    Ok(fixed!(diesel::update(stale).set(dsl::last_used_at.eq(now.as_secs()))).execute(c)? == 1)
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
        .group_by(dsl::upstream_client_id)
        .select((dsl::upstream_client_id, diesel::dsl::count_star()))
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
        .select(dsl::upstream_auth)
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
