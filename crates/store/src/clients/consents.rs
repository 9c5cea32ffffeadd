//! Remembered consent: `consent`.

use causeway_types::{ClientId, Did, Scope, TenantId, Timestamp};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::consent::{self, dsl};

#[derive(Insertable)]
#[diesel(table_name = consent)]
struct Row<'a> {
    tenant_id: &'a str,
    client_id: &'a str,
    did: &'a str,
    redirect_origin: &'a str,
    scope: String,
    created_at: i64,
    expires_at: i64,
}

/// The key of a remembered consent.
#[derive(Clone, Copy, Debug)]
pub struct Agreement<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The client.
    pub client_id: &'a ClientId,
    /// The user.
    pub did: &'a Did,
}

/// Finds the unexpired scope that the user consented to for this client, for responses to `redirect_origin`.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_consent(
    c: &mut AnyConnection,
    of: Agreement<'_>,
    redirect_origin: &str,
    now: Timestamp,
) -> Result<Option<Scope>, StoreError> {
    let scope: Option<String> = dsl::consent
        .filter(dsl::tenant_id.eq(of.tenant_id.as_str()))
        .filter(dsl::client_id.eq(of.client_id.as_str()))
        .filter(dsl::did.eq(of.did.as_str()))
        .filter(dsl::redirect_origin.eq(redirect_origin))
        .filter(dsl::expires_at.gt(now.as_secs()))
        .select(dsl::scope)
        .get_result(c)
        .optional()?;
    scope.map(|scope| Column("consent", "scope").scope(Some(&scope))).transpose()
}

/// Stores this scope, replacing any other, until `until`, for responses to `redirect_origin`.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn put_consent(
    c: &mut AnyConnection,
    of: Agreement<'_>,
    redirect_origin: &str,
    scope: &Scope,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    let before = dsl::consent
        .filter(dsl::tenant_id.eq(of.tenant_id.as_str()))
        .filter(dsl::client_id.eq(of.client_id.as_str()))
        .filter(dsl::did.eq(of.did.as_str()))
        .filter(dsl::redirect_origin.eq(redirect_origin));
    diesel::delete(before).execute(c)?;
    let row = Row {
        tenant_id: of.tenant_id.as_str(),
        client_id: of.client_id.as_str(),
        did: of.did.as_str(),
        redirect_origin,
        scope: scope.to_string(),
        created_at: now.as_secs(),
        expires_at: until.as_secs(),
    };
    // A user who consents in another browser at this very moment is asked again; nothing worse happens.
    let insert = diesel::insert_into(consent::table).values(&row).on_conflict_do_nothing();
    match c {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    Ok(())
}

/// Deletes the user's consent for this client, for every redirect origin; `false` when there was none.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_consent(c: &mut AnyConnection, of: Agreement<'_>) -> Result<bool, StoreError> {
    let own = dsl::consent
        .filter(dsl::tenant_id.eq(of.tenant_id.as_str()))
        .filter(dsl::client_id.eq(of.client_id.as_str()))
        .filter(dsl::did.eq(of.did.as_str()));
    Ok(diesel::delete(own).execute(c)? > 0)
}
