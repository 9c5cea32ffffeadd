//! Our own signing keys: `signing_key`.

use causeway_types::{Secret, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::encryption::columns::{PAYLOAD, PRIVATE_JWK};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::{oauth_atp_session, signing_key, upstream_credential};
use crate::sessions;

/// A signing key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its identifier: the thumbprint of its public JWK (RFC 7638).
    pub kid: String,
    /// Purpose of its signatures.
    pub purpose: String,
    /// The algorithm (RFC 7518 section 3.1).
    pub alg: String,
    /// The public JWK, as JSON.
    pub public_jwk: String,
    /// The private JWK, as JSON.
    pub private_jwk: Secret,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was retired; it stays published while something it signed is still valid.
    pub retired_at: Option<Timestamp>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = signing_key)]
struct Row {
    kid: String,
    purpose: String,
    alg: String,
    public_jwk: String,
    private_jwk: String,
    created_at: i64,
    retired_at: Option<i64>,
}

/// Stores a new key; `false` when this purpose already has an active key, or the key's name is taken.
///
/// # Errors
/// [`StoreError`] when encryption or the query fails.
pub fn insert_signing_key(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    key: &StoredKey,
) -> Result<bool, StoreError> {
    let row = Row {
        kid: key.kid.clone(),
        purpose: key.purpose.clone(),
        alg: key.alg.clone(),
        public_jwk: key.public_jwk.clone(),
        private_jwk: ring.encrypt_column(PRIVATE_JWK, &key.kid, key.private_jwk.expose())?,
        created_at: key.created_at.as_secs(),
        retired_at: key.retired_at.map(Timestamp::as_secs),
    };
    let insert = diesel::insert_into(signing_key::table).values(&row).on_conflict_do_nothing();
    let inserted = match c {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    Ok(inserted == 1)
}

/// Lists the keys of a purpose: the active one first, if there is one, then the retired ones, the newest
/// first.
///
/// # Errors
/// [`StoreError`] when the query fails or a key does not open.
pub fn list_signing_keys(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    purpose: &str,
) -> Result<Vec<StoredKey>, StoreError> {
    let rows: Vec<Row> = signing_key::table
        .filter(signing_key::purpose.eq(purpose))
        .order((
            signing_key::retired_at.is_not_null(),
            signing_key::created_at.desc(),
            signing_key::kid.asc(),
        ))
        .load(c)?;
    let open = |row: Row| {
        Ok(StoredKey {
            private_jwk: ring.open_column(PRIVATE_JWK, &row.kid, &row.private_jwk)?,
            kid: row.kid,
            purpose: row.purpose,
            alg: row.alg,
            public_jwk: row.public_jwk,
            created_at: Timestamp(row.created_at),
            retired_at: row.retired_at.map(Timestamp),
        })
    };
    rows.into_iter().map(open).collect()
}

/// Replaces the active key of a purpose; the old one stays published for a while. Returns the old key's name;
/// `None` when there was none.
///
/// # Errors
/// [`StoreError::Conflict`] when another process does the same at this moment.
pub fn rotate_signing_key(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    key: &StoredKey,
) -> Result<Option<String>, StoreError> {
    let live = signing_key::table
        .filter(signing_key::purpose.eq(&key.purpose))
        .filter(signing_key::retired_at.is_null());
    let old = live.select(signing_key::kid).first::<String>(c).optional()?;
    diesel::update(live).set(signing_key::retired_at.eq(Some(key.created_at.as_secs()))).execute(c)?;
    if insert_signing_key(c, ring, key)? {
        Ok(old)
    } else {
        Err(StoreError::Conflict("another key was created"))
    }
}

/// Withdraws a retired key from publication: its signatures no longer verify. `false` when the key is active
/// or does not exist.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn withdraw_signing_key(c: &mut AnyConnection, kid: &str) -> Result<bool, StoreError> {
    let retired =
        signing_key::table.filter(signing_key::kid.eq(kid)).filter(signing_key::retired_at.is_not_null());
    Ok(diesel::update(retired).set(signing_key::retired_at.eq(Some(0_i64))).execute(c)? == 1)
}

/// Checks that a key ring belongs to this database by opening one encrypted row: a signing key, or else a token
/// set or another credential. A database that holds none of these accepts any ring.
///
/// # Errors
/// [`StoreError::Encrypt`] when the row does not open, others when a query fails.
pub fn try_ring(c: &mut AnyConnection, ring: &EncryptionKeyRing) -> Result<(), StoreError> {
    let key = signing_key::table
        .order((signing_key::retired_at.is_not_null(), signing_key::created_at.desc()))
        .select((signing_key::kid, signing_key::private_jwk))
        .first::<(String, String)>(c)
        .optional()?;
    if let Some((kid, encrypted)) = key {
        return ring.open_column(PRIVATE_JWK, &kid, &encrypted).map(drop);
    }
    let set = oauth_atp_session::table
        .filter(oauth_atp_session::dpop_key.ne(""))
        .select((oauth_atp_session::session_id, oauth_atp_session::iteration))
        .first::<(String, i64)>(c)
        .optional()?;
    if let Some((session_id, iteration)) = set {
        return sessions::find_token_set(c, ring, &UpstreamSessionId::new(session_id), iteration).map(drop);
    }
    let credential = upstream_credential::table
        .select((upstream_credential::session_id, upstream_credential::payload))
        .first::<(String, String)>(c)
        .optional()?;
    let Some((session_id, encrypted)) = credential else { return Ok(()) };
    ring.open_column(PAYLOAD, &session_id, &encrypted).map(drop)
}
