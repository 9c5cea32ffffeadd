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
    connect_session, provider_registration, social_identity, tenant_user, upstream_pending, upstream_session,
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
    let user = whose.user();
    // Connections that a user who is there again has made since are not erased.
    let back = user.map(|user| users::find_user(scope, user)).transpose()?.flatten();
    let step = Step { user, before: back.unwrap_or(Timestamp(i64::MAX)), now, limit };
    let connections = delete_connections(scope, &step)?;
    if connections > 0 {
        return Ok(Erased { connections, ..Erased::default() });
    }
    let mut rows = end_connect_sessions(scope, &step)?;
    rows += delete_identities(scope, &step)?;
    if *whose == Erasure::Tenant {
        rows += delete_users(scope, now, limit)?;
        rows += delete_registrations(scope, now, limit)?;
    }
    let waits = rows == 0 && *whose == Erasure::Tenant && has_registrations(scope)?;
    Ok(Erased { connections: 0, rows, waits })
}

/// The reach of a step.
struct Step<'a> {
    user: Option<&'a TenantUser>,
    /// Rows from before this time.
    before: Timestamp,
    now: Timestamp,
    limit: i64,
}

/// A batch of the rows of this scope's tenant that a step reaches.
macro_rules! batch {
    ($scope:expr, $table:ident, $step:expr) => {{
        let rows = $table::table
            .filter($table::tenant_id.eq($scope.tenant_id().as_str().to_owned()))
            .filter($table::created_at.lt($step.before.as_secs()))
            .limit($step.limit)
            .into_boxed();
        match $step.user {
            None => rows,
            Some(TenantUser { namespace, user_id }) => rows
                .filter($table::namespace.eq(namespace.as_str().to_owned()))
                .filter($table::user_id.eq(user_id.as_str().to_owned())),
        }
    }};
}

fn delete_connections(scope: &mut TenantScope<'_>, step: &Step<'_>) -> Result<usize, StoreError> {
    let live: Vec<String> = batch!(scope, upstream_session, step)
        .filter(upstream_session::namespace.is_not_null())
        .filter(upstream_session::deleted_at.is_null())
        .order(upstream_session::session_id.asc())
        .select(upstream_session::session_id)
        .load(scope.connection())?;
    for id in &live {
        heads::delete_connection(scope, &UpstreamSessionId::new(id.clone()), step.now)?;
    }
    Ok(live.len())
}

/// Nobody begins with them any more; they go with the expired ones.
fn end_connect_sessions(scope: &mut TenantScope<'_>, step: &Step<'_>) -> Result<usize, StoreError> {
    let now = step.now.as_secs();
    let live: Vec<String> = batch!(scope, connect_session, step)
        .filter(connect_session::expires_at.gt(now))
        .select(connect_session::connect_session_id)
        .load(scope.connection())?;
    let ended = connect_session::table
        .filter(connect_session::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(connect_session::connect_session_id.eq_any(live));
    Ok(diesel::update(ended).set(connect_session::expires_at.eq(now)).execute(scope.connection())?)
}

fn delete_identities(scope: &mut TenantScope<'_>, step: &Step<'_>) -> Result<usize, StoreError> {
    let live: Vec<String> = batch!(scope, social_identity, step)
        .filter(social_identity::deleted_at.is_null())
        .select(social_identity::social_identity_id)
        .load(scope.connection())?;
    let mut rows = 0;
    for id in live.into_iter().map(IdentityId::new) {
        rows += managed_accounts::delete_managed_accounts(scope, &id, step.now)?;
        rows += usize::from(identities::delete_identity(scope, &id, step.now)?);
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

/// Deletes registrations that no revocation needs any more, and no answer that is to be given back.
fn delete_registrations(
    scope: &mut TenantScope<'_>,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let due = upstream_session::table
        .filter(upstream_session::tenant_id.eq(provider_registration::tenant_id))
        .filter(upstream_session::registration_id.eq(provider_registration::registration_id.nullable()))
        .filter(upstream_session::revocation_due_at.is_not_null());
    let kept = upstream_pending::table
        .filter(upstream_pending::tenant_id.eq(provider_registration::tenant_id))
        .filter(upstream_pending::registration_id.eq(provider_registration::registration_id.nullable()))
        .filter(upstream_pending::used.eq(true))
        .filter(upstream_pending::payload.ne(""));
    let unused: Vec<String> = provider_registration::table
        .filter(provider_registration::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(provider_registration::deleted_at.is_null())
        .filter(diesel::dsl::not(exists(due)))
        .filter(diesel::dsl::not(exists(kept)))
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
