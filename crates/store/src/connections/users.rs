//! Users of a tenant: `tenant_user`.

use causeway_types::{TenantUser, Timestamp, UserNamespace};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::paging::{Page, PageRequest};
use crate::engine::tenancy::TenantScope;
use crate::schema::tenant_user::{self, dsl};

/// The row of a user of this scope's tenant.
macro_rules! user {
    ($scope:expr, $user:expr) => {
        dsl::tenant_user
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
            .filter(dsl::namespace.eq($user.namespace.as_str()))
            .filter(dsl::user_id.eq($user.user_id.as_str()))
    };
}

/// Stores a user, unless the tenant knows the user already, for a connection.
///
/// # Errors
/// [`StoreError::Constraint`] when the user is deleted, or there is no such tenant.
pub fn insert_user(scope: &mut TenantScope<'_>, user: &TenantUser, now: Timestamp) -> Result<(), StoreError> {
    let row = (
        dsl::tenant_id.eq(scope.tenant_id().as_str()),
        dsl::namespace.eq(user.namespace.as_str()),
        dsl::user_id.eq(user.user_id.as_str()),
        dsl::created_at.eq(now.as_secs()),
    );
    // The row of a known user is locked, so that nobody deletes the user meanwhile.
    let insert = diesel::insert_into(tenant_user::table)
        .values(row)
        .on_conflict((dsl::tenant_id, dsl::namespace, dsl::user_id))
        .do_update()
        .set(dsl::created_at.eq(dsl::created_at));
    let insert = diesel::query_dsl::methods::FilterDsl::filter(insert, dsl::deleted_at.is_null());
    let live = match scope.connection() {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    if live == 1 { Ok(()) } else { Err(StoreError::Constraint("the user is deleted".to_owned())) }
}

/// Stores a user, unless the tenant knows the user already; one who was deleted is there again. Nothing but a new connect
/// session brings a user back.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such tenant.
pub fn put_user(scope: &mut TenantScope<'_>, user: &TenantUser, now: Timestamp) -> Result<(), StoreError> {
    let row = (
        dsl::tenant_id.eq(scope.tenant_id().as_str()),
        dsl::namespace.eq(user.namespace.as_str()),
        dsl::user_id.eq(user.user_id.as_str()),
        dsl::created_at.eq(now.as_secs()),
    );
    let insert = diesel::insert_into(tenant_user::table).values(row).on_conflict_do_nothing();
    let inserted = match scope.connection() {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    if inserted == 0 {
        let deleted = user!(scope, user).filter(dsl::deleted_at.is_not_null());
        let back = (dsl::created_at.eq(now.as_secs()), dsl::deleted_at.eq(None::<i64>));
        diesel::update(deleted).set(back).execute(scope.connection())?;
    }
    Ok(())
}

/// Locks the row of a user, deleted or not, until the transaction ends: of two that connect accounts of one user, or end
/// them, the second sees what the first has done.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn lock_user(scope: &mut TenantScope<'_>, user: &TenantUser) -> Result<(), StoreError> {
    let lock = diesel::update(user!(scope, user)).set(dsl::created_at.eq(dsl::created_at));
    fixed!(lock).execute(scope.connection())?;
    Ok(())
}

/// When the tenant first knew this user; `None`: it does not.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn find_user(scope: &mut TenantScope<'_>, user: &TenantUser) -> Result<Option<Timestamp>, StoreError> {
    let live = user!(scope, user).filter(dsl::deleted_at.is_null()).select(dsl::created_at);
    Ok(fixed!(live).get_result(scope.connection()).optional()?.map(Timestamp))
}

/// Lists a page of the tenant's users, in the order of their names: those of one namespace, or all.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_users(
    scope: &mut TenantScope<'_>,
    namespace: Option<&UserNamespace>,
    wanted: &PageRequest,
) -> Result<Page<TenantUser>, StoreError> {
    let mut query = dsl::tenant_user
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str().to_owned()))
        .filter(dsl::deleted_at.is_null())
        .order((dsl::namespace.asc(), dsl::user_id.asc()))
        .limit(wanted.look_ahead())
        .select((dsl::namespace, dsl::user_id))
        .into_boxed();
    if let Some(namespace) = namespace {
        query = query.filter(dsl::namespace.eq(namespace.as_str().to_owned()));
    }
    if let Some((namespace, user_id)) = wanted.after.as_deref().and_then(split) {
        let later = dsl::namespace.gt(namespace.clone()).or(dsl::user_id.gt(user_id));
        query = query.filter(dsl::namespace.ge(namespace)).filter(later);
    }
    let rows: Vec<(String, String)> = query.load(scope.connection())?;
    let column = Column("tenant_user", "user_id");
    let users = rows.iter().map(|(namespace, user_id)| column.user(namespace, user_id));
    Ok(wanted.page(users.collect::<Result<_, _>>()?, place))
}

/// Deletes a user; `false` when the tenant has none of this name. Connections are ended before.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_user(
    scope: &mut TenantScope<'_>,
    user: &TenantUser,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let live = user!(scope, user).filter(dsl::deleted_at.is_null());
    let deleted = diesel::update(live).set(dsl::deleted_at.eq(Some(now.as_secs())));
    Ok(deleted.execute(scope.connection())? == 1)
}

/// The position of a user in a list: both names, with the length of the first before them.
fn place(user: &TenantUser) -> String {
    let (namespace, user_id) = (user.namespace.as_str(), user.user_id.as_str());
    format!("{}.{namespace}{user_id}", namespace.len())
}

fn split(place: &str) -> Option<(String, String)> {
    let (length, names) = place.split_once('.')?;
    let (namespace, user_id) = names.split_at_checked(length.parse().ok()?)?;
    Some((namespace.to_owned(), user_id.to_owned()))
}
