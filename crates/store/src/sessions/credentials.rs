//! The credentials of sessions: those of AT Protocol sessions in `oauth_atp_session`, one row an iteration; all others
//! in `upstream_credential`, one row a session.

use causeway_domain::session::{Credentials, DpopBound, SessionHead, UpstreamAccess};
use causeway_types::{Secret, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::encryption::columns::{ACCESS_TOKEN, DPOP_KEY, PAYLOAD, REFRESH_TOKEN};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::{oauth_atp_session, upstream_credential};

const fn tokens_of(name: &'static str) -> Column {
    Column("oauth_atp_session", name)
}

const fn credential(name: &'static str) -> Column {
    Column("upstream_credential", name)
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

#[derive(Queryable, Insertable)]
#[diesel(table_name = upstream_credential, treat_none_as_default_value = false)]
struct CredentialRow {
    session_id: String,
    iteration: i64,
    payload: String,
    created_at: i64,
    expires_at: Option<i64>,
    granted_scope: String,
}

/// The secrets of a credential as they are encrypted.
#[derive(Serialize)]
struct Written<'a> {
    kind: &'a str,
    access: &'a str,
    refresh_token: Option<&'a str>,
    key: Option<&'a str>,
    jkt: Option<&'a str>,
}

/// The same, decrypted.
#[derive(Deserialize)]
struct Payload {
    kind: String,
    access: Secret,
    refresh_token: Option<Secret>,
    key: Option<Secret>,
    jkt: Option<String>,
}

const DPOP_BOUND: &str = "dpop_bound";
const BEARER: &str = "bearer";
const COOKIE_JAR: &str = "cookie_jar";

/// The primary key of a token set, for encryption.
fn row_key(session_id: &UpstreamSessionId, iteration: i64) -> String {
    format!("{session_id}/{iteration}")
}

/// Identifies the iteration to write.
pub(super) struct NewIteration<'a> {
    pub(super) session_id: &'a UpstreamSessionId,
    pub(super) iteration: i64,
    /// The account, if it is at an AT Protocol server.
    pub(super) did: Option<String>,
    pub(super) session_created_at: i64,
    pub(super) exchanged_at: i64,
}

/// Stores the credentials of an iteration.
pub(super) fn insert(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    new: NewIteration<'_>,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    if new.did.is_none() {
        return put(c, ring, &new, credentials);
    }
    let DpopBound { token, key: dpop_key, jkt } =
        credentials.dpop_bound().map_err(|_| tokens_of("dpop_key").corrupt())?;
    let key = row_key(new.session_id, new.iteration);
    let row = TokenSetRow {
        session_id: new.session_id.as_str().to_owned(),
        iteration: new.iteration,
        did: new.did,
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

/// Puts credentials in the place of the session's earlier ones.
fn put(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    new: &NewIteration<'_>,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    let Credentials { access, refresh_token, created_at, expires_at, scope } = credentials;
    let (kind, token, bound) = match access {
        UpstreamAccess::DpopBound(bound) => (DPOP_BOUND, &bound.token, Some(bound)),
        UpstreamAccess::Bearer(token) => (BEARER, token, None),
        UpstreamAccess::CookieJar(jar) => (COOKIE_JAR, jar, None),
    };
    let written = Written {
        kind,
        access: token.expose(),
        refresh_token: refresh_token.as_ref().map(Secret::expose),
        key: bound.map(|bound| bound.key.expose()),
        jkt: bound.map(|bound| bound.jkt.as_str()),
    };
    let plain = Secret::new(credential("payload").to_json(&written)?);
    let session_id = new.session_id.as_str();
    let row = CredentialRow {
        session_id: session_id.to_owned(),
        iteration: new.iteration,
        payload: ring.encrypt_column(PAYLOAD, session_id, plain.expose())?,
        created_at: created_at.as_secs(),
        expires_at: expires_at.map(Timestamp::as_secs),
        granted_scope: scope.clone(),
    };
    delete_other(c, new.session_id)?;
    Ok(fixed!(diesel::insert_into(upstream_credential::table).values(&row)).defer(c)?)
}

fn delete_other(c: &mut AnyConnection, session_id: &UpstreamSessionId) -> Result<(), StoreError> {
    let of_session =
        upstream_credential::table.filter(upstream_credential::session_id.eq(session_id.as_str()));
    Ok(fixed!(diesel::delete(of_session)).defer(c)?)
}

/// Adds an iteration and wipes the secrets of the previous one; earlier ones were wiped before.
pub(super) fn replace(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    new: NewIteration<'_>,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    if new.did.is_some() {
        wipe_token_set(c, new.session_id, new.iteration.saturating_sub(1))?;
    }
    insert(c, ring, new, credentials)
}

/// Removes the secrets of an iteration, the last of its session that has any.
pub(super) fn wipe(
    c: &mut AnyConnection,
    session_id: &UpstreamSessionId,
    iteration: i64,
) -> Result<(), StoreError> {
    wipe_token_set(c, session_id, iteration)?;
    delete_other(c, session_id)
}

/// Empties the secrets of a token set; the row stays.
fn wipe_token_set(
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
    let row = upstream_credential::table
        .filter(upstream_credential::session_id.eq(head.session_id.as_str()))
        .filter(upstream_credential::iteration.eq(head.iteration))
        .select(upstream_credential::all_columns);
    let row = fixed!(row).get_result::<CredentialRow>(c).optional()?;
    row.map(|row| open(ring, row)).transpose()
}

fn open(ring: &EncryptionKeyRing, row: CredentialRow) -> Result<Credentials, StoreError> {
    let payload = credential("payload");
    let plain = ring.open_column(PAYLOAD, &row.session_id, &row.payload)?;
    let Payload { kind, access, refresh_token, key, jkt } = payload.json(plain.expose())?;
    let access = match kind.as_str() {
        DPOP_BOUND => UpstreamAccess::DpopBound(DpopBound {
            token: access,
            key: payload.present(key)?,
            jkt: payload.present(jkt)?,
        }),
        BEARER => UpstreamAccess::Bearer(access),
        COOKIE_JAR => UpstreamAccess::CookieJar(access),
        _ => return Err(payload.corrupt()),
    };
    Ok(Credentials {
        access,
        refresh_token,
        created_at: Timestamp(row.created_at),
        expires_at: row.expires_at.map(Timestamp),
        scope: row.granted_scope,
    })
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
