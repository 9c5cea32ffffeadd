//! The secrets of a credential, as they are encrypted in one value.

use causeway_domain::session::{Credentials, DpopBound, UpstreamAccess};
use causeway_types::{CredentialId, Secret, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encryption::columns::PAYLOAD;
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::error::StoreError;

const COLUMN: Column = Column("upstream_credential", "payload");

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

/// The columns of a credential that its secrets are read from.
#[derive(diesel::Queryable)]
pub(crate) struct Encrypted {
    pub(crate) credential_id: String,
    pub(crate) payload: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) granted_scope: String,
}

/// Encrypts the secrets of a credential.
pub(crate) fn encrypt(
    ring: &EncryptionKeyRing,
    credential_id: &CredentialId,
    credentials: &Credentials,
) -> Result<String, StoreError> {
    let (kind, token, bound) = match &credentials.access {
        UpstreamAccess::DpopBound(bound) => (DPOP_BOUND, &bound.token, Some(bound)),
        UpstreamAccess::Bearer(token) => (BEARER, token, None),
        UpstreamAccess::CookieJar(jar) => (COOKIE_JAR, jar, None),
    };
    let written = Written {
        kind,
        access: token.expose(),
        refresh_token: credentials.refresh_token.as_ref().map(Secret::expose),
        key: bound.map(|bound| bound.key.expose()),
        jkt: bound.map(|bound| bound.jkt.as_str()),
    };
    let plain = Secret::new(COLUMN.to_json(&written)?);
    ring.encrypt_column(PAYLOAD, credential_id.as_str(), plain.expose())
}

/// Opens the secrets of a credential.
pub(crate) fn open(ring: &EncryptionKeyRing, encrypted: Encrypted) -> Result<Credentials, StoreError> {
    let plain = ring.open_column(PAYLOAD, &encrypted.credential_id, &encrypted.payload)?;
    let Payload { kind, access, refresh_token, key, jkt } = COLUMN.json(plain.expose())?;
    let access = match kind.as_str() {
        DPOP_BOUND => UpstreamAccess::DpopBound(DpopBound {
            token: access,
            key: COLUMN.present(key)?,
            jkt: COLUMN.present(jkt)?,
        }),
        BEARER => UpstreamAccess::Bearer(access),
        COOKIE_JAR => UpstreamAccess::CookieJar(access),
        _ => return Err(COLUMN.corrupt()),
    };
    Ok(Credentials {
        access,
        refresh_token,
        created_at: Timestamp(encrypted.created_at),
        expires_at: encrypted.expires_at.map(Timestamp),
        scope: encrypted.granted_scope,
    })
}
