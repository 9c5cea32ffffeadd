//! Credentials of connections: `upstream_credential`. A connection has one of its user, and one for each managed account.

use causeway_domain::connection::{CredentialOwner, CredentialRecord, Slot};
use causeway_domain::session::Credentials;
use causeway_types::{
    CredentialId, CredentialKind, IdentityId, ManagedAccountId, SessionKind, SessionState, Timestamp,
    UpstreamSessionId,
};
use diesel::prelude::*;

use super::payload::{self, Encrypted};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::paging::{Page, PageRequest};
use crate::engine::tenancy::TenantScope;
use crate::schema::upstream_credential::{self, dsl};

const PENDING: &str = SessionState::Pending.as_str();
const ACTIVE: &str = SessionState::Active.as_str();
const REAUTH_REQUIRED: &str = SessionState::ReauthRequired.as_str();
const ENDED: &str = SessionState::Ended.as_str();
const USER: &str = CredentialKind::User.as_str();

const fn column(name: &'static str) -> Column {
    Column("upstream_credential", name)
}

#[derive(Insertable)]
#[diesel(table_name = upstream_credential, treat_none_as_default_value = false)]
struct NewRow {
    credential_id: String,
    tenant_id: String,
    session_id: String,
    iteration: i64,
    namespace: String,
    user_id: String,
    provider: String,
    session_kind: &'static str,
    account_slot: String,
    device_slot: String,
    credential_kind: &'static str,
    social_identity_id: Option<String>,
    managed_account_id: Option<String>,
    account_ref: Option<String>,
    payload: String,
    state: &'static str,
    created_at: i64,
    updated_at: i64,
    expires_at: Option<i64>,
    granted_scope: String,
}

/// Everything but the payload.
#[derive(Queryable, Selectable)]
#[diesel(table_name = upstream_credential)]
pub(super) struct Row {
    credential_id: String,
    session_id: String,
    iteration: i64,
    namespace: String,
    user_id: String,
    provider: String,
    session_kind: String,
    account_slot: String,
    device_slot: String,
    credential_kind: String,
    social_identity_id: Option<String>,
    managed_account_id: Option<String>,
    account_ref: Option<String>,
    state: String,
    created_at: i64,
    updated_at: i64,
    expires_at: Option<i64>,
    granted_scope: String,
    deleted_at: Option<i64>,
}

impl Row {
    pub(super) fn into_domain(self) -> Result<CredentialRecord, StoreError> {
        let kind = column("credential_kind").present(CredentialKind::parse(&self.credential_kind))?;
        let owner = match (kind, self.managed_account_id) {
            (CredentialKind::User, None) => CredentialOwner::User,
            (CredentialKind::Page, Some(account)) => CredentialOwner::Page(ManagedAccountId::new(account)),
            _ => return Err(column("credential_kind").corrupt()),
        };
        Ok(CredentialRecord {
            slot: Slot {
                user: column("user_id").user(&self.namespace, &self.user_id)?,
                account_slot: self.account_slot,
                device_slot: self.device_slot,
            },
            session_kind: column("session_kind").session_kind(&self.session_kind)?,
            state: column("state").session_state(&self.state)?,
            credential_id: CredentialId::new(self.credential_id),
            session_id: UpstreamSessionId::new(self.session_id),
            iteration: self.iteration,
            provider: self.provider,
            owner,
            identity_id: self.social_identity_id.map(IdentityId::new),
            account_ref: self.account_ref,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            expires_at: self.expires_at.map(Timestamp),
            granted_scope: self.granted_scope,
            deleted_at: self.deleted_at.map(Timestamp),
        })
    }
}

/// A credential to store.
#[derive(Clone, Debug)]
pub struct NewCredential<'a> {
    /// Its identifier.
    pub credential_id: &'a CredentialId,
    /// The connection.
    pub session_id: &'a UpstreamSessionId,
    /// The iteration of the connection that it is of.
    pub iteration: i64,
    /// The connection's place.
    pub slot: &'a Slot,
    /// The provider.
    pub provider: &'a str,
    /// The connection's kind.
    pub session_kind: SessionKind,
    /// Its owner.
    pub owner: &'a CredentialOwner,
    /// The account at the provider.
    pub identity_id: Option<&'a IdentityId>,
    /// The provider's identifier of the user or page.
    pub account_ref: Option<&'a str>,
    /// Where it stands: pending until the user is confirmed.
    pub state: SessionState,
    /// When it is stored.
    pub at: Timestamp,
}

/// The rows of this scope's tenant, live or not.
macro_rules! rows {
    ($scope:expr) => {
        dsl::upstream_credential.filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
    };
}
pub(super) use rows;

/// One row of this scope's tenant, live or not.
macro_rules! row {
    ($scope:expr, $credential_id:expr) => {
        rows!($scope).filter(dsl::credential_id.eq($credential_id.as_str()))
    };
}
pub(super) use row;

/// The columns of [`Encrypted`].
macro_rules! encrypted {
    () => {
        (dsl::credential_id, dsl::payload, dsl::created_at, dsl::expires_at, dsl::granted_scope)
    };
}

/// Stores a credential.
///
/// # Errors
/// [`StoreError::Constraint`] when another one is live in its place; [`StoreError`] when encryption or the query fails.
pub fn insert_credential(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    new: &NewCredential<'_>,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    let Slot { user, account_slot, device_slot } = new.slot;
    let row = NewRow {
        credential_id: new.credential_id.as_str().to_owned(),
        tenant_id: scope.tenant_id().as_str().to_owned(),
        session_id: new.session_id.as_str().to_owned(),
        iteration: new.iteration,
        namespace: user.namespace.as_str().to_owned(),
        user_id: user.user_id.as_str().to_owned(),
        provider: new.provider.to_owned(),
        session_kind: new.session_kind.as_str(),
        account_slot: account_slot.clone(),
        device_slot: device_slot.clone(),
        credential_kind: new.owner.kind().as_str(),
        social_identity_id: new.identity_id.map(|id| id.as_str().to_owned()),
        managed_account_id: new.owner.managed_account().map(|id| id.as_str().to_owned()),
        account_ref: new.account_ref.map(str::to_owned),
        payload: payload::encrypt(ring, new.credential_id, credentials)?,
        state: new.state.as_str(),
        created_at: credentials.created_at.as_secs(),
        updated_at: new.at.as_secs(),
        expires_at: credentials.expires_at.map(Timestamp::as_secs),
        granted_scope: credentials.scope.clone(),
    };
    let insert = fixed!(diesel::insert_into(upstream_credential::table).values(&row));
    Ok(insert.defer(scope.connection())?)
}

/// Finds the secrets of the user's credential of an iteration; `None` when it is deleted, unless `ended` says that its
/// connection has ended and it is to be revoked.
///
/// # Errors
/// [`StoreError`] when the query fails, or the row is corrupt or does not open.
pub fn find_user_credential(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    iteration: i64,
    ended: bool,
) -> Result<Option<Credentials>, StoreError> {
    let found = rows!(scope)
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::credential_kind.eq(USER))
        .filter(dsl::payload.ne(""))
        .filter(dsl::deleted_at.is_null().or(dsl::state.eq(if ended { ENDED } else { "" })))
        .select(encrypted!());
    let found = fixed!(found).get_result::<Encrypted>(scope.connection()).optional()?;
    found.map(|encrypted| payload::open(ring, encrypted)).transpose()
}

/// Finds the credential of a managed account at a connection.
///
/// # Errors
/// [`StoreError`] when the query fails, or the row is corrupt or does not open.
pub fn find_page_credential(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    managed_account_id: &ManagedAccountId,
) -> Result<Option<(CredentialRecord, Credentials)>, StoreError> {
    let found = rows!(scope)
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::managed_account_id.eq(managed_account_id.as_str()))
        .filter(dsl::deleted_at.is_null())
        .select((Row::as_select(), encrypted!()));
    let found = fixed!(found).get_result::<(Row, Encrypted)>(scope.connection()).optional()?;
    found.map(|(row, secrets)| Ok((row.into_domain()?, payload::open(ring, secrets)?))).transpose()
}

/// Selects credentials.
#[derive(Clone, Debug, Default)]
pub struct CredentialFilter {
    /// Those of this connection.
    pub session_id: Option<UpstreamSessionId>,
    /// Include deleted ones.
    pub deleted: bool,
}

/// Lists a page of the tenant's credentials, without their secrets, in the order of their identifiers.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_credentials(
    scope: &mut TenantScope<'_>,
    filter: &CredentialFilter,
    wanted: &PageRequest,
) -> Result<Page<CredentialRecord>, StoreError> {
    let mut query = dsl::upstream_credential
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str().to_owned()))
        .order(dsl::credential_id.asc())
        .limit(wanted.look_ahead())
        .select(Row::as_select())
        .into_boxed();
    if !filter.deleted {
        query = query.filter(dsl::deleted_at.is_null());
    }
    if let Some(session_id) = &filter.session_id {
        query = query.filter(dsl::session_id.eq(session_id.as_str().to_owned()));
    }
    if let Some(after) = &wanted.after {
        query = query.filter(dsl::credential_id.gt(after.clone()));
    }
    let rows = query.load::<Row>(scope.connection())?;
    let records = rows.into_iter().map(Row::into_domain).collect::<Result<_, _>>()?;
    Ok(wanted.page(records, |record: &CredentialRecord| record.credential_id.as_str().to_owned()))
}

/// Finds the identifier of the user's credential of an iteration, deleted or not.
fn find_user_credential_id(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    iteration: i64,
) -> Result<Option<CredentialId>, StoreError> {
    let found = rows!(scope)
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::credential_kind.eq(USER))
        .select(dsl::credential_id);
    Ok(fixed!(found).get_result::<String>(scope.connection()).optional()?.map(CredentialId::new))
}

/// A provider's answer to the credential of an iteration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewal<'a> {
    /// The iteration that was spent: the answer becomes that of the next one.
    pub(crate) from_iteration: i64,
    /// The answer.
    pub(crate) credentials: &'a Credentials,
    /// When it came.
    pub(crate) at: Timestamp,
}

impl Renewal<'_> {
    /// The columns that it changes.
    fn columns(
        &self,
        ring: &EncryptionKeyRing,
        credential_id: &CredentialId,
    ) -> Result<RenewedRow, StoreError> {
        Ok(RenewedRow {
            iteration: self.from_iteration.saturating_add(1),
            payload: payload::encrypt(ring, credential_id, self.credentials)?,
            created_at: self.credentials.created_at.as_secs(),
            updated_at: self.at.as_secs(),
            expires_at: self.credentials.expires_at.map(Timestamp::as_secs),
            granted_scope: self.credentials.scope.clone(),
        })
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = upstream_credential, treat_none_as_null = true)]
struct RenewedRow {
    iteration: i64,
    payload: String,
    created_at: i64,
    updated_at: i64,
    expires_at: Option<i64>,
    granted_scope: String,
}

/// Puts what the provider answered in the place of the user's live credential; `false` when there is none of that
/// iteration. The caller has moved the head: it alone decides.
pub(crate) fn renew_user_credential(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    renewal: Renewal<'_>,
) -> Result<bool, StoreError> {
    let Renewal { from_iteration, credentials, at } = renewal;
    match find_user_credential_id(scope, session_id, from_iteration)? {
        Some(id) => renew_credential(scope, ring, &id, from_iteration, credentials, at),
        None => Ok(false),
    }
}

/// Same as [`renew_user_credential`], for the deleted credential of a session that has ended: the answer is to be
/// revoked in the place of what it spent.
pub(crate) fn replace_ended_credential(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    renewal: Renewal<'_>,
) -> Result<bool, StoreError> {
    let Some(id) = find_user_credential_id(scope, session_id, renewal.from_iteration)? else {
        return Ok(false);
    };
    let ended = row!(scope, id)
        .filter(dsl::iteration.eq(renewal.from_iteration))
        .filter(dsl::state.eq(ENDED))
        .filter(dsl::deleted_at.is_not_null());
    let replaced = diesel::update(ended).set(renewal.columns(ring, &id)?);
    Ok(fixed!(replaced).execute(scope.connection())? == 1)
}

/// Puts what the provider answered in the place of a live credential; `false`, with nothing changed, when it has moved
/// on from `from_iteration` or is deleted.
///
/// # Errors
/// [`StoreError`] when encryption or a query fails.
pub fn renew_credential(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    credential_id: &CredentialId,
    from_iteration: i64,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let current = row!(scope, credential_id)
        .filter(dsl::iteration.eq(from_iteration))
        .filter(dsl::deleted_at.is_null());
    let renewal = Renewal { from_iteration, credentials, at: now };
    let renewed = diesel::update(current).set(renewal.columns(ring, credential_id)?);
    let renewed = fixed!(renewed).execute(scope.connection())? == 1;
    if renewed {
        let revived = row!(scope, credential_id).filter(dsl::state.eq(REAUTH_REQUIRED));
        fixed!(diesel::update(revived).set(dsl::state.eq(ACTIVE))).defer(scope.connection())?;
    }
    Ok(renewed)
}

/// Puts other secrets in the place of those of an iteration, as old as they are; `false` when there is no live credential of
/// it. The caller has locked the head.
///
/// # Errors
/// [`StoreError`] when encryption or a query fails.
pub fn replace_secrets(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    iteration: i64,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(id) = find_user_credential_id(scope, session_id, iteration)? else { return Ok(false) };
    let current = row!(scope, id).filter(dsl::iteration.eq(iteration)).filter(dsl::deleted_at.is_null());
    let payload = payload::encrypt(ring, &id, credentials)?;
    let replaced = diesel::update(current).set((dsl::payload.eq(payload), dsl::updated_at.eq(now.as_secs())));
    Ok(fixed!(replaced).execute(scope.connection())? == 1)
}

/// Activates the pending credentials of a connection; `false` when its user's is not among them.
///
/// # Errors
/// [`StoreError::Constraint`] when another one is live in the place of the user's.
pub fn activate_credentials_of(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let pending = || {
        rows!(scope)
            .filter(dsl::session_id.eq(session_id.as_str()))
            .filter(dsl::state.eq(PENDING))
            .filter(dsl::deleted_at.is_null())
    };
    let active = (dsl::state.eq(ACTIVE), dsl::updated_at.eq(now.as_secs()));
    let of_user = diesel::update(pending().filter(dsl::credential_kind.eq(USER))).set(active);
    let of_pages = diesel::update(pending().filter(dsl::credential_kind.ne(USER))).set(active);
    fixed!(of_pages).defer(scope.connection())?;
    Ok(fixed!(of_user).execute(scope.connection())? == 1)
}

/// Sets the account that the user's credential of a connection is for.
pub(crate) fn set_account(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    iteration: i64,
    identity_id: Option<&IdentityId>,
    account_ref: &str,
) -> Result<(), StoreError> {
    let own = rows!(scope)
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::credential_kind.eq(USER));
    let account = (
        dsl::social_identity_id.eq(identity_id.map(IdentityId::as_str)),
        dsl::account_ref.eq(Some(account_ref)),
    );
    column("account_ref").one(fixed!(diesel::update(own).set(account)).execute(scope.connection())?)
}

/// Marks a credential that the provider refused in this iteration; `false` when it has been renewed since or is not
/// active.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn require_reauth(
    scope: &mut TenantScope<'_>,
    credential_id: &CredentialId,
    iteration: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let current = row!(scope, credential_id)
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::state.eq(ACTIVE))
        .filter(dsl::deleted_at.is_null());
    let refused = (dsl::state.eq(REAUTH_REQUIRED), dsl::updated_at.eq(now.as_secs()));
    Ok(fixed!(diesel::update(current).set(refused)).execute(scope.connection())? == 1)
}

/// Same for the user's credential of a connection, whose head is marked already; [`StoreError::Corrupt`] when there is
/// none of this iteration.
pub(crate) fn require_user_reauth(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    iteration: i64,
) -> Result<(), StoreError> {
    let current = rows!(scope)
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::iteration.eq(iteration))
        .filter(dsl::credential_kind.eq(USER))
        .filter(dsl::state.ne(PENDING))
        .filter(dsl::deleted_at.is_null());
    let refused = diesel::update(current).set(dsl::state.eq(REAUTH_REQUIRED));
    column("state").one(fixed!(refused).execute(scope.connection())?)
}

/// Deletes one credential; `false` when the tenant has none of it. Its payload stays until it is
/// [erased](erase_payload).
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_credential(
    scope: &mut TenantScope<'_>,
    credential_id: &CredentialId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let live = row!(scope, credential_id).filter(dsl::deleted_at.is_null());
    let ended = (dsl::state.eq(ENDED), dsl::deleted_at.eq(Some(now.as_secs())));
    Ok(fixed!(diesel::update(live).set(ended)).execute(scope.connection())? == 1)
}

/// Deletes the credentials of a connection, its pages' included; returns how many there were.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_credentials_of(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let live = rows!(scope).filter(dsl::session_id.eq(session_id.as_str())).filter(dsl::deleted_at.is_null());
    let ended = (dsl::state.eq(ENDED), dsl::deleted_at.eq(Some(now.as_secs())));
    Ok(fixed!(diesel::update(live).set(ended)).execute(scope.connection())?)
}

/// Lists deleted credentials of managed accounts at a connection whose revocation is not settled, at most `limit`.
///
/// # Errors
/// [`StoreError`] when the query fails, or a row is corrupt or does not open.
pub fn list_deleted_pages(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    session_id: &UpstreamSessionId,
    limit: i64,
) -> Result<Vec<(CredentialId, Credentials)>, StoreError> {
    let deleted = rows!(scope)
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::credential_kind.ne(USER))
        .filter(dsl::deleted_at.is_not_null())
        .filter(dsl::payload.ne(""))
        .order(dsl::credential_id.asc())
        .limit(limit)
        .select(encrypted!());
    let deleted = deleted.load::<Encrypted>(scope.connection())?.into_iter();
    deleted
        .map(|encrypted| {
            let id = CredentialId::new(encrypted.credential_id.clone());
            Ok((id, payload::open(ring, encrypted)?))
        })
        .collect()
}

/// Erases the secrets of a deleted credential whose revocation is settled; `false` when it is not deleted.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn erase_payload(scope: &mut TenantScope<'_>, credential_id: &CredentialId) -> Result<bool, StoreError> {
    let deleted = row!(scope, credential_id).filter(dsl::deleted_at.is_not_null());
    Ok(fixed!(diesel::update(deleted).set(dsl::payload.eq(""))).execute(scope.connection())? == 1)
}

/// Erases the secrets of all deleted credentials of a connection; returns how many there were.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn erase_payloads_of(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
) -> Result<usize, StoreError> {
    let deleted =
        rows!(scope).filter(dsl::session_id.eq(session_id.as_str())).filter(dsl::deleted_at.is_not_null());
    Ok(fixed!(diesel::update(deleted).set(dsl::payload.eq(""))).execute(scope.connection())?)
}
