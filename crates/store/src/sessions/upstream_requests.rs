//! Authorization requests pending at the user's authorization server: `oauth_atp_request`.

use causeway_domain::session::{AtprotoPending, Pending, UpstreamAuth, UpstreamBinding, UpstreamRequest};
use causeway_types::{
    AuthRequestId, BrowserSessionId, CodeVerifier, OauthState, Timestamp, UpstreamClientId,
};
use diesel::prelude::*;

use crate::encryption::columns::{DPOP_PRIVATE_KEY, PKCE_VERIFIER};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::oauth_atp_request::{self, dsl};

#[derive(Queryable, Insertable)]
#[diesel(table_name = oauth_atp_request)]
struct Row {
    oauth_state: String,
    authorization_server: String,
    nonce: String,
    pkce_verifier: String,
    signing_public_key: String,
    dpop_private_key: String,
    created_at: i64,
    expires_at: i64,
    auth_request_id: String,
    browser_id: String,
    pds: String,
    upstream_client_id: String,
    upstream_auth: String,
    upstream_redirect_uri: String,
    expected_did: Option<String>,
    typed_handle: Option<String>,
    dpop_jkt: String,
    used: bool,
    asked_again: bool,
}

const fn column(name: &'static str) -> Column {
    Column("oauth_atp_request", name)
}

/// Stores a request before its redirect is sent.
///
/// # Errors
/// [`StoreError`] when encryption or the query fails, or the request is to another provider: the table has no
/// column for what those need.
pub fn insert_upstream_request(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    request: &UpstreamRequest,
) -> Result<(), StoreError> {
    let state = request.oauth_state.as_str();
    let pending = request.pending.atproto().map_err(|_| column("authorization_server").corrupt())?;
    let upstream = &pending.upstream;
    let row = Row {
        oauth_state: state.to_owned(),
        authorization_server: upstream.issuer.clone(),
        nonce: pending.nonce.clone(),
        pkce_verifier: ring.encrypt_column(PKCE_VERIFIER, state, pending.pkce_verifier.expose())?,
        // The key of our assertion, by its thumbprint; none for a public client.
        signing_public_key: match &upstream.auth {
            UpstreamAuth::PrivateKeyJwt { kid } => kid.clone(),
            UpstreamAuth::None => String::new(),
        },
        dpop_private_key: ring.encrypt_column(DPOP_PRIVATE_KEY, state, pending.dpop_private_key.expose())?,
        created_at: request.created_at.as_secs(),
        expires_at: request.expires_at.as_secs(),
        auth_request_id: request.auth_request_id.as_str().to_owned(),
        browser_id: request.browser_id.as_str().to_owned(),
        pds: upstream.pds.clone(),
        upstream_client_id: upstream.client_id.as_str().to_owned(),
        upstream_auth: column("upstream_auth").to_json(&upstream.auth)?,
        upstream_redirect_uri: upstream.redirect_uri.clone(),
        expected_did: pending.expected_did.as_ref().map(|did| did.as_str().to_owned()),
        typed_handle: pending.typed_handle.as_ref().map(|handle| handle.as_str().to_owned()),
        dpop_jkt: pending.dpop_jkt.clone(),
        used: false,
        asked_again: request.asked_again,
    };
    diesel::insert_into(oauth_atp_request::table).values(&row).execute(c)?;
    Ok(())
}

/// Consumes a request: once, before it expires, by the browser that was redirected. The row's secrets are
/// wiped with it.
///
/// # Errors
/// [`StoreError`] when a query fails or the row is corrupt or does not open.
pub fn consume_upstream_request(
    c: &mut AnyConnection,
    ring: &EncryptionKeyRing,
    state: &OauthState,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Option<UpstreamRequest>, StoreError> {
    let live = || {
        dsl::oauth_atp_request
            .filter(dsl::oauth_state.eq(state.as_str()))
            .filter(dsl::browser_id.eq(browser_id.as_str()))
            .filter(dsl::expires_at.gt(now.as_secs()))
            .filter(dsl::used.eq(false))
    };
    // Read first, because the update wipes the secrets; the update alone decides which caller was first.
    let Some(row) = live().get_result::<Row>(c).optional()? else { return Ok(None) };
    let won = diesel::update(live())
        .set((dsl::used.eq(true), dsl::pkce_verifier.eq(""), dsl::dpop_private_key.eq("")))
        .execute(c)?;
    if won == 1 { into_domain(row, ring).map(Some) } else { Ok(None) }
}

fn into_domain(row: Row, ring: &EncryptionKeyRing) -> Result<UpstreamRequest, StoreError> {
    let verifier = ring.open_column(PKCE_VERIFIER, &row.oauth_state, &row.pkce_verifier)?;
    let pending = AtprotoPending {
        pkce_verifier: CodeVerifier::parse(verifier.expose())
            .map_err(|_| column("pkce_verifier").corrupt())?,
        dpop_private_key: ring.open_column(DPOP_PRIVATE_KEY, &row.oauth_state, &row.dpop_private_key)?,
        upstream: UpstreamBinding {
            issuer: row.authorization_server,
            pds: row.pds,
            client_id: UpstreamClientId::new(row.upstream_client_id),
            auth: column("upstream_auth").upstream_auth(&row.upstream_auth)?,
            redirect_uri: row.upstream_redirect_uri,
        },
        expected_did: row.expected_did.as_deref().map(|did| column("expected_did").did(did)).transpose()?,
        typed_handle: column("typed_handle").handle(row.typed_handle.as_deref())?,
        nonce: row.nonce,
        dpop_jkt: row.dpop_jkt,
    };
    Ok(UpstreamRequest {
        oauth_state: OauthState::new(row.oauth_state),
        auth_request_id: AuthRequestId::new(row.auth_request_id),
        browser_id: BrowserSessionId::new(row.browser_id),
        pending: Pending::Atproto(Box::new(pending)),
        asked_again: row.asked_again,
        created_at: Timestamp(row.created_at),
        expires_at: Timestamp(row.expires_at),
    })
}
