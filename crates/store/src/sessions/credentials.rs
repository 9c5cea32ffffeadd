//! The credentials of sessions: those of AT Protocol sessions in `oauth_atp_session`, one row an iteration; all others
//! are the credentials of connections.

use causeway_domain::session::{Credentials, DpopBound, SessionHead, UpstreamAccess};
use causeway_types::{SessionState, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::connections;
use crate::encryption::columns::{ACCESS_TOKEN, DPOP_KEY, REFRESH_TOKEN};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::schema::oauth_atp_session;

const fn tokens_of(name: &'static str) -> Column {
    Column("oauth_atp_session", name)
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = oauth_atp_session, treat_none_as_default_value = false)]
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

/// Identifies the iteration to write.
pub(super) struct NewIteration<'a> {
    pub(super) session_id: &'a UpstreamSessionId,
    pub(super) iteration: i64,
    pub(super) did: String,
    pub(super) session_created_at: i64,
    pub(super) exchanged_at: i64,
}

/// Stores the token set of an iteration.
pub(super) fn insert(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    new: NewIteration<'_>,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    let DpopBound { token, key: dpop_key, jkt } =
        credentials.dpop_bound().map_err(|_| tokens_of("dpop_key").corrupt())?;
    let key = row_key(new.session_id, new.iteration);
    let row = TokenSetRow {
        session_id: new.session_id.as_str().to_owned(),
        iteration: new.iteration,
        did: Some(new.did),
        session_created_at: new.session_created_at,
        atp_oauth_state: String::new(),
        signing_key_jkt: jkt.clone(),
        dpop_key: ring.encrypt_column(DPOP_KEY, &key, dpop_key.expose())?,
        access_token: Some(ring.encrypt_column(ACCESS_TOKEN, &key, token.expose())?),
        refresh_token: credentials
            .refresh_token
            .as_ref()
            .map(|token| ring.encrypt_column(REFRESH_TOKEN, &key, token.expose()))
            .transpose()?,
        access_token_created_at: Some(credentials.created_at.as_secs()),
        access_token_expires_at: credentials.expires_at.map(Timestamp::as_secs),
        access_token_scopes: Some(credentials.scope.clone()),
        session_exchanged_at: Some(new.exchanged_at),
        exchange_error: None,
    };
    Ok(fixed!(diesel::insert_into(oauth_atp_session::table).values(&row)).defer(c)?)
}

/// Adds an iteration and wipes the secrets of the previous one; earlier ones were wiped before.
pub(super) fn replace(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    new: NewIteration<'_>,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    wipe(c, new.session_id, new.iteration.saturating_sub(1))?;
    insert(c, ring, new, credentials)
}

/// Empties the secrets of a token set; the row stays.
pub(super) fn wipe(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    iteration: i64,
) -> Result<(), StoreError> {
    #[derive(AsChangeset)]
    #[diesel(table_name = oauth_atp_session, treat_none_as_null = true)]
    struct Wiped {
        dpop_key: &'static str,
        access_token: Option<String>,
        refresh_token: Option<String>,
    }
    let set = oauth_atp_session::table
        .filter(oauth_atp_session::session_id.eq(session_id.as_str()))
        .filter(oauth_atp_session::iteration.eq(iteration));
    let wiped = Wiped { dpop_key: "", access_token: None, refresh_token: None };
    Ok(fixed!(diesel::update(set).set(wiped)).defer(c)?)
}

/// Finds the credentials of the iteration that a head names; `None` when there are none or their secrets are
/// wiped.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt or does not open.
pub fn find_credentials(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    head: &SessionHead,
) -> Result<Option<Credentials>, StoreError> {
    if head.atproto().is_ok() {
        return find_token_set(c, ring, &head.session_id, head.iteration);
    }
    let scope = &mut TenantScope::enter(c, &head.tenant_id);
    let has_ended = head.state == SessionState::Ended;
    connections::credentials::find_user_credential(scope, ring, &head.session_id, head.iteration, has_ended)
}

/// Finds one token set of an AT Protocol session; `None` when there is none or its secrets are wiped.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt or does not open.
pub fn find_token_set(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    iteration: i64,
) -> Result<Option<Credentials>, StoreError> {
    let set = oauth_atp_session::table
        .filter(oauth_atp_session::session_id.eq(session_id.as_str()))
        .filter(oauth_atp_session::iteration.eq(iteration))
        .select(oauth_atp_session::all_columns);
    let row = fixed!(set).get_result::<TokenSetRow>(c).optional()?;
    let Some(row) = row else { return Ok(None) };
    let Some(access_token) = row.access_token else { return Ok(None) };
    let key = row_key(session_id, iteration);
    Ok(Some(Credentials {
        access: UpstreamAccess::DpopBound(DpopBound {
            token: ring.open_column(ACCESS_TOKEN, &key, &access_token)?,
            key: ring.open_column(DPOP_KEY, &key, &row.dpop_key)?,
            jkt: row.signing_key_jkt,
        }),
        refresh_token: row
            .refresh_token
            .map(|token| ring.open_column(REFRESH_TOKEN, &key, &token))
            .transpose()?,
        created_at: Timestamp(tokens_of("access_token_created_at").present(row.access_token_created_at)?),
        expires_at: row.access_token_expires_at.map(Timestamp),
        scope: row.access_token_scopes.unwrap_or_default(),
    }))
}
