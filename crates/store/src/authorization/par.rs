//! Pushed authorization requests (RFC 9126): `oauth_par_request`.

use causeway_domain::authorization::{AUTH_REQUEST_SECONDS, ParRequest};
use causeway_types::{AuthRequestId, ClientId, CorrelationId, RequestUri, Timestamp};
use diesel::dsl::exists;
use diesel::prelude::*;

use crate::clients::live_client;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::oauth_par_request::{self, dsl};

#[derive(Insertable)]
#[diesel(table_name = oauth_par_request, treat_none_as_default_value = false)]
struct NewRow<'a> {
    request_uri: &'a str,
    authorization_request: &'a str,
    client_id: &'a str,
    created_at: i64,
    expires_at: i64,
    metadata: &'a str,
    auth_request_id: Option<&'a str>,
    used: bool,
    correlation_id: Option<&'a str>,
}

/// Stores a pushed request.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn insert_par_request(c: &mut AnyConnection, request: &ParRequest) -> Result<(), StoreError> {
    let row = NewRow {
        request_uri: request.request_uri.as_str(),
        authorization_request: &request.authorization_request,
        client_id: request.client_id.as_str(),
        created_at: request.created_at.as_secs(),
        expires_at: request.expires_at.as_secs(),
        metadata: "{}",
        auth_request_id: request.auth_request_id.as_ref().map(AuthRequestId::as_str),
        used: false,
        correlation_id: request.correlation_id.as_ref().map(CorrelationId::as_str),
    };
    fixed!(diesel::insert_into(oauth_par_request::table).values(&row)).defer(c)?;
    Ok(())
}

/// Finds a live and undecided pushed request of this client.
///
/// It lives until it expires; once a browser has presented it, it lives as long as the authorization request
/// created from it can ([`AUTH_REQUEST_SECONDS`] more), so that the page survives a reload.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn find_par_request(
    c: &mut AnyConnection,
    client_id: &ClientId,
    request_uri: &RequestUri,
    now: Timestamp,
) -> Result<Option<ParRequest>, StoreError> {
    let bound_and_alive =
        dsl::auth_request_id.is_not_null().and(dsl::expires_at.gt(now.plus(-AUTH_REQUEST_SECONDS).as_secs()));
    let alive = dsl::oauth_par_request
        .filter(dsl::request_uri.eq(request_uri.as_str()))
        .filter(dsl::client_id.eq(client_id.as_str()))
        .filter(dsl::used.eq(false))
        .filter(dsl::expires_at.gt(now.as_secs()).or(bound_and_alive))
        .filter(exists(live_client!(dsl::client_id)))
        .select((
            dsl::authorization_request,
            dsl::auth_request_id,
            dsl::correlation_id,
            dsl::created_at,
            dsl::expires_at,
        ));
    let row = fixed!(alive).get_result::<(String, Option<String>, Option<String>, i64, i64)>(c).optional()?;
    Ok(row.map(|(authorization_request, auth_request_id, correlation_id, created_at, expires_at)| {
        ParRequest {
            request_uri: request_uri.clone(),
            client_id: client_id.clone(),
            authorization_request,
            auth_request_id: auth_request_id.map(AuthRequestId::new),
            correlation_id: correlation_id.map(CorrelationId::new),
            created_at: Timestamp(created_at),
            expires_at: Timestamp(expires_at),
        }
    }))
}

/// Binds a pushed request to the authorization request created from it; `false` when it was bound or used
/// before.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn bind_par_request(
    c: &mut AnyConnection,
    request_uri: &RequestUri,
    auth_request_id: &AuthRequestId,
) -> Result<bool, StoreError> {
    let unbound = dsl::oauth_par_request
        .filter(dsl::request_uri.eq(request_uri.as_str()))
        .filter(dsl::auth_request_id.is_null())
        .filter(dsl::used.eq(false));
    let bound = dsl::auth_request_id.eq(Some(auth_request_id.as_str()));
    Ok(fixed!(diesel::update(unbound).set(bound)).execute(c)? == 1)
}

/// Consumes a pushed request; `false` when it was used before.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn consume_par_request(c: &mut AnyConnection, request_uri: &RequestUri) -> Result<bool, StoreError> {
    let unused =
        dsl::oauth_par_request.filter(dsl::request_uri.eq(request_uri.as_str())).filter(dsl::used.eq(false));
    Ok(fixed!(diesel::update(unused).set(dsl::used.eq(true))).execute(c)? == 1)
}
