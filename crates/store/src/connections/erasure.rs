//! Erasure of what belongs to a deleted tenant or user, step by step: each can be interrupted and repeated.

use causeway_domain::connection::Erasure;
use causeway_types::{IdentityId, RegistrationId, TenantUser, Timestamp, UpstreamSessionId};
use diesel::dsl::exists;
use diesel::prelude::*;

use super::{heads, identities, managed_accounts, registrations, users};
use crate::engine::column::Column;
use crate::engine::error::StoreError;
use crate::engine::tenancy::TenantScope;
use crate::schema::{
    connect_session, provider_registration, social_identity, tenant_user, upstream_session,
};

/// The result of a step of an erasure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Connections that were ended and deleted.
    pub connections: usize,
    /// Other rows that were deleted.
    pub rows: usize,
    /// Whether something has to wait: registrations are needed until everything is revoked with them.
    pub waits: bool,
}

impl Erased {
    /// Whether a further step has something to do now.
    pub const fn is_done(&self) -> bool {
        self.connections == 0 && self.rows == 0
    }
}

/// Takes one step of an erasure: ends and deletes at most `limit` connections, which are due for revocation then, or
/// deletes at most `limit` other rows.
///
/// # Errors
/// [`StoreError`] when a query fails or a row is corrupt.
pub fn erase(
    scope: &mut TenantScope<'_>,
    whose: &Erasure,
    now: Timestamp,
    limit: i64,
) -> Result<Erased, StoreError> {
    let connections = delete_connections(scope, whose.user(), now, limit)?;
    if connections > 0 {
        return Ok(Erased { connections, ..Erased::default() });
    }
    let mut rows = end_connect_sessions(scope, whose.user(), now, limit)?;
    rows += delete_identities(scope, whose.user(), now, limit)?;
    if *whose == Erasure::Tenant {
        rows += delete_users(scope, now, limit)?;
        rows += delete_registrations(scope, now, limit)?;
    }
    let waits = rows == 0 && *whose == Erasure::Tenant && has_registrations(scope)?;
    Ok(Erased { connections: 0, rows, waits })
}

/// Rows of this scope's tenant, and of one user if one is named.
macro_rules! of {
    ($scope:expr, $table:ident, $user:expr) => {{
        let rows = $table::table.filter($table::tenant_id.eq($scope.tenant_id().as_str().to_owned())).into_boxed();
        match $user {
            None => rows,
            Some(TenantUser { namespace, user_id }) => rows
                .filter($table::namespace.eq(namespace.as_str().to_owned()))
                .filter($table::user_id.eq(user_id.as_str().to_owned())),
        }
    }};
}

fn delete_connections(
    scope: &mut TenantScope<'_>,
    user: Option<&TenantUser>,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let live: Vec<String> = of!(scope, upstream_session, user)
        .filter(upstream_session::namespace.is_not_null())
        .filter(upstream_session::deleted_at.is_null())
        .order(upstream_session::session_id.asc())
        .limit(limit)
        .select(upstream_session::session_id)
        .load(scope.connection())?;
    for id in &live {
        heads::delete_connection(scope, &UpstreamSessionId::new(id.clone()), now)?;
    }
    Ok(live.len())
}

/// Nobody begins with them any more; they go with the expired ones.
fn end_connect_sessions(
    scope: &mut TenantScope<'_>,
    user: Option<&TenantUser>,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let live: Vec<String> = of!(scope, connect_session, user)
        .filter(connect_session::expires_at.gt(now.as_secs()))
        .limit(limit)
        .select(connect_session::connect_session_id)
        .load(scope.connection())?;
    let ended = connect_session::table
        .filter(connect_session::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(connect_session::connect_session_id.eq_any(live));
    let ended = diesel::update(ended).set(connect_session::expires_at.eq(now.as_secs()));
    Ok(ended.execute(scope.connection())?)
}

fn delete_identities(
    scope: &mut TenantScope<'_>,
    user: Option<&TenantUser>,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let live: Vec<String> = of!(scope, social_identity, user)
        .filter(social_identity::deleted_at.is_null())
        .limit(limit)
        .select(social_identity::social_identity_id)
        .load(scope.connection())?;
    let mut rows = 0;
    for id in live.into_iter().map(IdentityId::new) {
        rows += managed_accounts::delete_managed_accounts(scope, &id, now)?;
        rows += usize::from(identities::delete_identity(scope, &id, now)?);
    }
    Ok(rows)
}

fn delete_users(scope: &mut TenantScope<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let live: Vec<(String, String)> = tenant_user::table
        .filter(tenant_user::tenant_id.eq(scope.tenant_id().as_str().to_owned()))
        .filter(tenant_user::deleted_at.is_null())
        .limit(limit)
        .select((tenant_user::namespace, tenant_user::user_id))
        .load(scope.connection())?;
    let column = Column("tenant_user", "user_id");
    for (namespace, user_id) in &live {
        users::delete_user(scope, &column.user(namespace, user_id)?, now)?;
    }
    Ok(live.len())
}

/// Deletes registrations that no revocation needs any more.
fn delete_registrations(
    scope: &mut TenantScope<'_>,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let due = upstream_session::table
        .filter(upstream_session::tenant_id.eq(provider_registration::tenant_id))
        .filter(upstream_session::registration_id.eq(provider_registration::registration_id.nullable()))
        .filter(upstream_session::revocation_due_at.is_not_null());
    let unused: Vec<String> = provider_registration::table
        .filter(provider_registration::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(provider_registration::deleted_at.is_null())
        .filter(diesel::dsl::not(exists(due)))
        .limit(limit)
        .select(provider_registration::registration_id)
        .load(scope.connection())?;
    for id in &unused {
        registrations::delete_registration(scope, &RegistrationId::new(id.clone()), now)?;
    }
    Ok(unused.len())
}

fn has_registrations(scope: &mut TenantScope<'_>) -> Result<bool, StoreError> {
    let live = provider_registration::table
        .filter(provider_registration::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(provider_registration::deleted_at.is_null())
        .select(provider_registration::registration_id);
    Ok(live.first::<String>(scope.connection()).optional()?.is_some())
}
