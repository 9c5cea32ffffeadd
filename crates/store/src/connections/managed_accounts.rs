//! Accounts that the user of an identity manages: `managed_account`.

use causeway_domain::connection::{ManagedAccount, read_tasks};
use causeway_types::{IdentityId, ManagedAccountId, Timestamp};
use diesel::prelude::*;
use serde_json::Value;

use crate::engine::column::Column;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::schema::managed_account::{self, dsl};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = managed_account, treat_none_as_default_value = false)]
struct Row {
    managed_account_id: String,
    tenant_id: String,
    social_identity_id: String,
    subject: String,
    name: Option<String>,
    category: Option<String>,
    tasks: String,
    unavailable_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

const fn column(name: &'static str) -> Column {
    Column("managed_account", name)
}

impl Row {
    fn into_domain(self) -> ManagedAccount {
        let tasks = read_tasks(Some(&Value::String(self.tasks))).unwrap_or_else(|error| {
            tracing::warn!(name: "store.garbled_tasks", account = self.managed_account_id, %error, "tasks are ignored");
            Vec::new()
        });
        ManagedAccount {
            managed_account_id: ManagedAccountId::new(self.managed_account_id),
            identity_id: IdentityId::new(self.social_identity_id),
            subject: self.subject,
            name: self.name,
            category: self.category,
            tasks,
            unavailable_at: self.unavailable_at.map(Timestamp),
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        }
    }
}

/// The live accounts of an identity of this scope's tenant.
macro_rules! of_identity {
    ($scope:expr, $identity_id:expr) => {
        dsl::managed_account
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
            .filter(dsl::social_identity_id.eq($identity_id.as_str()))
            .filter(dsl::deleted_at.is_null())
    };
}

/// Stores an account, or brings the one of the same identity and subject up to date and makes it available again, unless
/// a later listing has changed it; returns its identifier. One that was [held](hold_managed_account) is live from now on.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such identity, or another process stores the account at this moment: a
/// retry then succeeds.
pub fn put_managed_account(
    scope: &mut TenantScope<'_>,
    account: &ManagedAccount,
) -> Result<ManagedAccountId, StoreError> {
    let tasks = column("tasks").to_json(&account.tasks)?;
    let current = (
        dsl::name.eq(&account.name),
        dsl::category.eq(&account.category),
        dsl::tasks.eq(&tasks),
        dsl::unavailable_at.eq(None::<i64>),
        dsl::updated_at.eq(account.updated_at.as_secs()),
    );
    if let Some(id) = find_id(scope, &account.identity_id, &account.subject)? {
        let earlier = of_identity!(scope, account.identity_id)
            .filter(dsl::managed_account_id.eq(id.as_str()))
            .filter(dsl::updated_at.le(account.updated_at.as_secs()));
        fixed!(diesel::update(earlier).set(current)).execute(scope.connection())?;
        return Ok(id);
    }
    let held = dsl::managed_account
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::managed_account_id.eq(account.managed_account_id.as_str()));
    let revived = diesel::update(held).set((current, dsl::deleted_at.eq(None::<i64>)));
    if fixed!(revived).execute(scope.connection())? == 1 {
        return Ok(account.managed_account_id.clone());
    }
    insert(scope, account, None)?;
    Ok(account.managed_account_id.clone())
}

/// Holds an account for an unconfirmed connection, as a deleted row without its name: nobody sees it before it is
/// [stored](put_managed_account). Returns its identifier, which is that of the live account of the same subject if there is
/// one.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such identity.
pub fn hold_managed_account(
    scope: &mut TenantScope<'_>,
    account: &ManagedAccount,
) -> Result<ManagedAccountId, StoreError> {
    if let Some(id) = find_id(scope, &account.identity_id, &account.subject)? {
        return Ok(id);
    }
    let nameless = ManagedAccount { name: None, category: None, tasks: Vec::new(), ..account.clone() };
    insert(scope, &nameless, Some(account.created_at))?;
    Ok(account.managed_account_id.clone())
}

/// Finds the identifier of the live account of a subject.
fn find_id(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
    subject: &str,
) -> Result<Option<ManagedAccountId>, StoreError> {
    let known =
        of_identity!(scope, identity_id).filter(dsl::subject.eq(subject)).select(dsl::managed_account_id);
    Ok(fixed!(known).get_result::<String>(scope.connection()).optional()?.map(ManagedAccountId::new))
}

fn insert(
    scope: &mut TenantScope<'_>,
    account: &ManagedAccount,
    deleted_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let row = Row {
        managed_account_id: account.managed_account_id.as_str().to_owned(),
        tenant_id: scope.tenant_id().as_str().to_owned(),
        social_identity_id: account.identity_id.as_str().to_owned(),
        subject: account.subject.clone(),
        name: account.name.clone(),
        category: account.category.clone(),
        tasks: column("tasks").to_json(&account.tasks)?,
        unavailable_at: None,
        created_at: account.created_at.as_secs(),
        updated_at: account.updated_at.as_secs(),
    };
    let row = (&row, dsl::deleted_at.eq(deleted_at.map(Timestamp::as_secs)));
    diesel::insert_into(managed_account::table).values(row).execute(scope.connection())?;
    Ok(())
}

/// Marks those accounts of an identity as unavailable that a complete listing at `listed_at` has missed; returns which.
/// Accounts of the listing were [stored](put_managed_account) before, at the same time.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn note_unlisted(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
    listed_at: Timestamp,
) -> Result<Vec<ManagedAccountId>, StoreError> {
    let missed = of_identity!(scope, identity_id)
        .filter(dsl::unavailable_at.is_null())
        .filter(dsl::updated_at.lt(listed_at.as_secs()));
    let marked: Vec<String> = diesel::update(missed)
        .set(dsl::unavailable_at.eq(Some(listed_at.as_secs())))
        .returning(dsl::managed_account_id)
        .load(scope.connection())?;
    Ok(marked.into_iter().map(ManagedAccountId::new).collect())
}

/// Finds an account of an identity.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn find_managed_account(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
    managed_account_id: &ManagedAccountId,
) -> Result<Option<ManagedAccount>, StoreError> {
    let found = of_identity!(scope, identity_id)
        .filter(dsl::managed_account_id.eq(managed_account_id.as_str()))
        .select(Row::as_select());
    Ok(fixed!(found).get_result::<Row>(scope.connection()).optional()?.map(Row::into_domain))
}

/// Lists the accounts of an identity, at most `limit`, the first listed first.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn list_managed_accounts(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
    limit: i64,
) -> Result<Vec<ManagedAccount>, StoreError> {
    let rows: Vec<Row> = of_identity!(scope, identity_id)
        .order(dsl::managed_account_id.asc())
        .limit(limit)
        .select(Row::as_select())
        .load(scope.connection())?;
    Ok(rows.into_iter().map(Row::into_domain).collect())
}

/// Deletes the accounts of an identity; returns how many there were.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_managed_accounts(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let all = of_identity!(scope, identity_id);
    let deleted = diesel::update(all).set(dsl::deleted_at.eq(Some(now.as_secs())));
    Ok(deleted.execute(scope.connection())?)
}
