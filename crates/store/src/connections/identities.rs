//! Accounts that users connected: `social_identity`.

use causeway_domain::connection::SocialIdentity;
use causeway_types::{IdentityId, TenantUser, Timestamp};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::schema::social_identity::{self, dsl};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = social_identity, treat_none_as_default_value = false)]
struct Row {
    social_identity_id: String,
    tenant_id: String,
    namespace: String,
    user_id: String,
    provider: String,
    issuer: String,
    subject: String,
    display_name: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl Row {
    fn into_domain(self) -> Result<SocialIdentity, StoreError> {
        Ok(SocialIdentity {
            identity_id: IdentityId::new(self.social_identity_id),
            user: Column("social_identity", "user_id").user(&self.namespace, &self.user_id)?,
            provider: self.provider,
            issuer: self.issuer,
            subject: self.subject,
            display_name: self.display_name,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        })
    }
}

/// The live row of an identity of this scope's tenant.
macro_rules! live {
    ($scope:expr, $identity_id:expr) => {
        dsl::social_identity
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
            .filter(dsl::social_identity_id.eq($identity_id.as_str()))
            .filter(dsl::deleted_at.is_null())
    };
}

/// Finds the identity of the same account, as it is, or stores this one; returns its identifier.
///
/// # Errors
/// [`StoreError::Constraint`] when there is no such user, or another process stores the account at this moment: a retry
/// then succeeds.
pub fn find_or_insert_identity(
    scope: &mut TenantScope<'_>,
    identity: &SocialIdentity,
) -> Result<IdentityId, StoreError> {
    let TenantUser { namespace, user_id } = &identity.user;
    let known = dsl::social_identity
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::namespace.eq(namespace.as_str()))
        .filter(dsl::user_id.eq(user_id.as_str()))
        .filter(dsl::provider.eq(&identity.provider))
        .filter(dsl::issuer.eq(&identity.issuer))
        .filter(dsl::subject.eq(&identity.subject))
        .filter(dsl::deleted_at.is_null())
        .select(dsl::social_identity_id);
    let known = fixed!(known).get_result::<String>(scope.connection()).optional()?;
    if let Some(id) = known {
        return Ok(IdentityId::new(id));
    }
    let row = Row {
        social_identity_id: identity.identity_id.as_str().to_owned(),
        tenant_id: scope.tenant_id().as_str().to_owned(),
        namespace: namespace.as_str().to_owned(),
        user_id: user_id.as_str().to_owned(),
        provider: identity.provider.clone(),
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        display_name: identity.display_name.clone(),
        created_at: identity.created_at.as_secs(),
        updated_at: identity.updated_at.as_secs(),
    };
    diesel::insert_into(social_identity::table).values(&row).execute(scope.connection())?;
    Ok(identity.identity_id.clone())
}

/// Sets the name of an account, unless a later one is known.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub(crate) fn set_display_name(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
    display_name: Option<&str>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let earlier = live!(scope, identity_id).filter(dsl::updated_at.le(at.as_secs()));
    let current = (dsl::display_name.eq(display_name), dsl::updated_at.eq(at.as_secs()));
    Ok(fixed!(diesel::update(earlier).set(current)).execute(scope.connection()).map(drop)?)
}

/// Finds an identity.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_identity(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
) -> Result<Option<SocialIdentity>, StoreError> {
    let found = live!(scope, identity_id).select(Row::as_select());
    let row = fixed!(found).get_result::<Row>(scope.connection()).optional()?;
    row.map(Row::into_domain).transpose()
}

/// Lists the identities of a user, at most `limit`, the first connected first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_identities_of_user(
    scope: &mut TenantScope<'_>,
    user: &TenantUser,
    limit: i64,
) -> Result<Vec<SocialIdentity>, StoreError> {
    let rows: Vec<Row> = dsl::social_identity
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::namespace.eq(user.namespace.as_str()))
        .filter(dsl::user_id.eq(user.user_id.as_str()))
        .filter(dsl::deleted_at.is_null())
        .order(dsl::social_identity_id.asc())
        .limit(limit)
        .select(Row::as_select())
        .load(scope.connection())?;
    rows.into_iter().map(Row::into_domain).collect()
}

/// Deletes an identity; `false` when the tenant has none of it.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_identity(
    scope: &mut TenantScope<'_>,
    identity_id: &IdentityId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let deleted = diesel::update(live!(scope, identity_id)).set(dsl::deleted_at.eq(Some(now.as_secs())));
    Ok(deleted.execute(scope.connection())? == 1)
}
