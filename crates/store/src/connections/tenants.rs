//! Tenants, and the clients that act in them: `tenant` and `tenant_client`. Neither is under row-level security.

use causeway_domain::connection::Tenant;
use causeway_types::{ClientId, TenantId, Timestamp, UserNamespace};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::paging::{Page, PageRequest};
use crate::schema::{tenant, tenant_client};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = tenant, treat_none_as_default_value = false)]
struct Row {
    tenant_id: String,
    name: String,
    user_namespace: Option<String>,
    created_at: i64,
}

impl Row {
    fn into_domain(self) -> Result<Tenant, StoreError> {
        let column = Column("tenant", "user_namespace");
        let namespace = |text: String| column.present(UserNamespace::parse(&text));
        Ok(Tenant {
            tenant_id: TenantId::new(self.tenant_id),
            name: self.name,
            user_namespace: self.user_namespace.map(namespace).transpose()?,
            created_at: Timestamp(self.created_at),
        })
    }
}

/// Stores a tenant.
///
/// # Errors
/// [`StoreError::Constraint`] when the identifier is taken or empty.
pub fn insert_tenant(c: &mut AnyConnection, tenant: &Tenant) -> Result<(), StoreError> {
    let row = Row {
        tenant_id: tenant.tenant_id.as_str().to_owned(),
        name: tenant.name.clone(),
        user_namespace: tenant.user_namespace.as_ref().map(|namespace| namespace.as_str().to_owned()),
        created_at: tenant.created_at.as_secs(),
    };
    diesel::insert_into(tenant::table).values(&row).execute(c)?;
    Ok(())
}

/// Records the client that made a tenant.
///
/// # Errors
/// [`StoreError::Corrupt`] when there is no such tenant.
pub fn note_maker(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Result<(), StoreError> {
    let own = tenant::table.filter(tenant::tenant_id.eq(tenant_id.as_str()));
    let made = diesel::update(own).set(tenant::made_by.eq(Some(client_id.as_str())));
    Column("tenant", "made_by").one(made.execute(c)?)
}

/// Whether a client made a tenant.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn is_made_by(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Result<bool, StoreError> {
    let made = tenant::table
        .filter(tenant::tenant_id.eq(tenant_id.as_str()))
        .filter(tenant::made_by.eq(client_id.as_str()))
        .select(tenant::tenant_id);
    Ok(fixed!(made).get_result::<String>(c).optional()?.is_some())
}

/// Whether a row's tenant is there and not deleted.
macro_rules! tenant_is_live {
    ($column:expr) => {
        diesel::dsl::exists(
            crate::schema::tenant::table
                .filter(crate::schema::tenant::tenant_id.eq($column))
                .filter(crate::schema::tenant::deleted_at.is_null()),
        )
    };
}
pub(super) use tenant_is_live;

/// Holds a tenant until this transaction ends: it is not deleted while something is added to it. For
/// [`crate::Store::write`] only; on SQLite that alone suffices.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such tenant, or it is deleted; [`StoreError`] when the query fails.
pub(super) fn hold_tenant(c: &mut AnyConnection, tenant_id: &TenantId) -> Result<(), StoreError> {
    let live = tenant::table
        .filter(tenant::tenant_id.eq(tenant_id.as_str()))
        .filter(tenant::deleted_at.is_null())
        .select(tenant::tenant_id);
    let found: Option<String> = match c {
        AnyConnection::Sqlite(conn) => live.first(conn).optional()?,
        AnyConnection::Postgres(conn) => live.for_share().first(conn).optional()?,
    };
    found.map(drop).ok_or_else(|| StoreError::Constraint("the tenant is deleted".to_owned()))
}

/// Finds a tenant.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_tenant(c: &mut AnyConnection, tenant_id: &TenantId) -> Result<Option<Tenant>, StoreError> {
    let found = tenant::table
        .filter(tenant::tenant_id.eq(tenant_id.as_str()))
        .filter(tenant::deleted_at.is_null())
        .select(Row::as_select());
    fixed!(found).get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// Lists a page of the tenants, in the order of their identifiers.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_tenants(c: &mut AnyConnection, wanted: &PageRequest) -> Result<Page<Tenant>, StoreError> {
    let mut query = tenant::table
        .filter(tenant::deleted_at.is_null())
        .order(tenant::tenant_id.asc())
        .limit(wanted.look_ahead())
        .select(Row::as_select())
        .into_boxed();
    if let Some(after) = &wanted.after {
        query = query.filter(tenant::tenant_id.gt(after.clone()));
    }
    let tenants = query.load::<Row>(c)?.into_iter().map(Row::into_domain).collect::<Result<_, _>>()?;
    Ok(wanted.page(tenants, |tenant: &Tenant| tenant.tenant_id.as_str().to_owned()))
}

/// Finds the tenant that comes after another one, in the order of their identifiers, deleted ones included: for work
/// that goes through the rows of all tenants. The first one comes after the empty text.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn find_tenant_after(c: &mut AnyConnection, after: &str) -> Result<Option<TenantId>, StoreError> {
    let next = tenant::table
        .filter(tenant::tenant_id.gt(after))
        .order(tenant::tenant_id.asc())
        .limit(1)
        .select(tenant::tenant_id);
    Ok(fixed!(next).get_result::<String>(c).optional()?.map(TenantId::new))
}

/// Deletes a tenant: from now on no client acts in it. `false` when there is none of this identifier.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_tenant(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let live =
        tenant::table.filter(tenant::tenant_id.eq(tenant_id.as_str())).filter(tenant::deleted_at.is_null());
    Ok(diesel::update(live).set(tenant::deleted_at.eq(Some(now.as_secs()))).execute(c)? == 1)
}

/// Lets a client act in a tenant; `false` when it does already. A client that registers acts in its own tenant.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such tenant or client.
pub fn insert_tenant_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let row = (
        tenant_client::tenant_id.eq(tenant_id.as_str()),
        tenant_client::client_id.eq(client_id.as_str()),
        tenant_client::created_at.eq(now.as_secs()),
    );
    let insert = diesel::insert_into(tenant_client::table).values(row).on_conflict_do_nothing();
    let inserted = match c {
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
    };
    Ok(inserted == 1)
}

/// Finds a tenant that a client acts in.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_tenant_of_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Result<Option<Tenant>, StoreError> {
    let own = tenant::table
        .inner_join(tenant_client::table.on(tenant_client::tenant_id.eq(tenant::tenant_id)))
        .filter(tenant_client::tenant_id.eq(tenant_id.as_str()))
        .filter(tenant_client::client_id.eq(client_id.as_str()))
        .filter(tenant::deleted_at.is_null())
        .select(Row::as_select());
    fixed!(own).get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// Finds the tenants that a client acts in, two at most: whether there is one that it need not name.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn find_some_tenants_of_client(
    c: &mut AnyConnection,
    client_id: &ClientId,
) -> Result<Vec<Tenant>, StoreError> {
    let own = tenant::table
        .inner_join(tenant_client::table.on(tenant_client::tenant_id.eq(tenant::tenant_id)))
        .filter(tenant_client::client_id.eq(client_id.as_str()))
        .filter(tenant::deleted_at.is_null())
        .limit(2)
        .select(Row::as_select());
    fixed!(own).load::<Row>(c)?.into_iter().map(Row::into_domain).collect()
}

/// Lists a page of the tenants that a client acts in, in the order of their identifiers.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_tenants_of_client(
    c: &mut AnyConnection,
    client_id: &ClientId,
    wanted: &PageRequest,
) -> Result<Page<Tenant>, StoreError> {
    let mut query = tenant::table
        .inner_join(tenant_client::table.on(tenant_client::tenant_id.eq(tenant::tenant_id)))
        .filter(tenant_client::client_id.eq(client_id.as_str().to_owned()))
        .filter(tenant::deleted_at.is_null())
        .order(tenant_client::tenant_id.asc())
        .limit(wanted.look_ahead())
        .select(Row::as_select())
        .into_boxed();
    if let Some(after) = &wanted.after {
        query = query.filter(tenant_client::tenant_id.gt(after.clone()));
    }
    let tenants = query.load::<Row>(c)?.into_iter().map(Row::into_domain).collect::<Result<_, _>>()?;
    Ok(wanted.page(tenants, |tenant: &Tenant| tenant.tenant_id.as_str().to_owned()))
}

/// Whether a tenant is deleted; `None`: there never was one of this identifier.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn is_deleted(c: &mut AnyConnection, tenant_id: &TenantId) -> Result<Option<bool>, StoreError> {
    let found = tenant::table
        .filter(tenant::tenant_id.eq(tenant_id.as_str()))
        .select(tenant::deleted_at.is_not_null());
    Ok(fixed!(found).get_result(c).optional()?)
}
