//! Registrations at issuers: `provider_registration`.

use causeway_domain::connection::{Registration, RegistrationOrigin, RegistrationState};
use causeway_types::{RegistrationId, Secret, Timestamp, TokenEndpointAuthMethod, UpstreamClientId};
use diesel::prelude::*;

use crate::encryption::columns::{
    EncryptedColumn, NEXT_REGISTRATION_SECRET, REGISTRATION_ACCESS_TOKEN, REGISTRATION_SECRET,
};
use crate::encryption::keyring::EncryptionKeyRing;
use crate::engine::column::Column;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::paging::{Page, PageRequest};
use crate::engine::tenancy::TenantScope;
use crate::schema::provider_registration::{self, dsl};
use crate::schema::{upstream_pending, upstream_session};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = provider_registration, treat_none_as_default_value = false)]
pub(super) struct Row {
    registration_id: String,
    tenant_id: String,
    provider: String,
    issuer: String,
    origin: String,
    client_id: String,
    client_secret: Option<String>,
    next_secret: Option<String>,
    token_endpoint_auth_method: String,
    redirect_uri: String,
    registration_access_token: Option<String>,
    registration_client_uri: Option<String>,
    state: String,
    created_at: i64,
    updated_at: i64,
    expires_at: Option<i64>,
}

const fn column(name: &'static str) -> Column {
    Column("provider_registration", name)
}

impl Row {
    fn of(
        scope: &TenantScope<'_>,
        ring: &EncryptionKeyRing,
        registration: &Registration,
    ) -> Result<Self, StoreError> {
        let id = registration.registration_id.as_str();
        let encrypt = |column: EncryptedColumn, secret: &Option<Secret>| {
            let secret = secret.as_ref();
            secret.map(|secret| ring.encrypt_column(column, id, secret.expose())).transpose()
        };
        Ok(Self {
            registration_id: id.to_owned(),
            tenant_id: scope.tenant_id().as_str().to_owned(),
            provider: registration.provider.clone(),
            issuer: registration.issuer.clone(),
            origin: registration.origin.as_str().to_owned(),
            client_id: registration.client_id.as_str().to_owned(),
            client_secret: encrypt(REGISTRATION_SECRET, &registration.client_secret)?,
            next_secret: encrypt(NEXT_REGISTRATION_SECRET, &registration.next_secret)?,
            token_endpoint_auth_method: registration.token_endpoint_auth_method.as_str().to_owned(),
            redirect_uri: registration.redirect_uri.clone(),
            registration_access_token: encrypt(
                REGISTRATION_ACCESS_TOKEN,
                &registration.registration_access_token,
            )?,
            registration_client_uri: registration.registration_client_uri.clone(),
            state: registration.state.as_str().to_owned(),
            created_at: registration.created_at.as_secs(),
            updated_at: registration.updated_at.as_secs(),
            expires_at: registration.expires_at.map(Timestamp::as_secs),
        })
    }

    pub(super) fn into_domain(self, ring: &EncryptionKeyRing) -> Result<Registration, StoreError> {
        let open = |column: EncryptedColumn, value: Option<String>| {
            value.map(|value| ring.open_column(column, &self.registration_id, &value)).transpose()
        };
        let method = TokenEndpointAuthMethod::parse(&self.token_endpoint_auth_method);
        Ok(Registration {
            client_secret: open(REGISTRATION_SECRET, self.client_secret)?,
            next_secret: open(NEXT_REGISTRATION_SECRET, self.next_secret)?,
            registration_access_token: open(REGISTRATION_ACCESS_TOKEN, self.registration_access_token)?,
            registration_id: RegistrationId::new(self.registration_id),
            provider: self.provider,
            issuer: self.issuer,
            origin: column("origin").present(RegistrationOrigin::parse(&self.origin))?,
            client_id: UpstreamClientId::new(self.client_id),
            token_endpoint_auth_method: column("token_endpoint_auth_method").present(method)?,
            redirect_uri: self.redirect_uri,
            registration_client_uri: self.registration_client_uri,
            state: column("state").present(RegistrationState::parse(&self.state))?,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            expires_at: self.expires_at.map(Timestamp),
        })
    }
}

/// The live row of a registration of this scope's tenant.
macro_rules! live {
    ($scope:expr, $registration_id:expr) => {
        dsl::provider_registration
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
            .filter(dsl::registration_id.eq($registration_id.as_str()))
            .filter(dsl::deleted_at.is_null())
    };
}

/// Stores a registration.
///
/// # Errors
/// [`StoreError`] when encryption or the query fails.
pub fn insert_registration(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    registration: &Registration,
) -> Result<(), StoreError> {
    let row = Row::of(scope, ring, registration)?;
    diesel::insert_into(provider_registration::table).values(&row).execute(scope.connection())?;
    Ok(())
}

/// Moves a registration from one state to another; `false` when it is not in that state.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn change_state(
    scope: &mut TenantScope<'_>,
    registration_id: &RegistrationId,
    from: RegistrationState,
    to: RegistrationState,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let current = live!(scope, registration_id).filter(dsl::state.eq(from.as_str()));
    let moved = (dsl::state.eq(to.as_str()), dsl::updated_at.eq(now.as_secs()));
    Ok(fixed!(diesel::update(current).set(moved)).execute(scope.connection())? == 1)
}

/// Notes that an issuer does not know a client that registered itself. When it says so again after `seconds`, with nothing
/// accepted between, new authorizations do not use the registration any more: returns whether that is so.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_refused(
    scope: &mut TenantScope<'_>,
    registration_id: &RegistrationId,
    now: Timestamp,
    seconds: i64,
) -> Result<bool, StoreError> {
    let dynamic =
        || live!(scope, registration_id).filter(dsl::origin.eq(RegistrationOrigin::Dynamic.as_str()));
    let (first, again) = (dynamic().filter(dsl::refused_at.is_null()), dynamic());
    let first = diesel::update(first).set(dsl::refused_at.eq(Some(now.as_secs())));
    if fixed!(first).execute(scope.connection())? == 1 {
        return Ok(false);
    }
    let again =
        again.filter(dsl::refused_at.le(now.plus(-seconds).as_secs())).filter(dsl::abandoned_at.is_null());
    let abandoned = diesel::update(again).set(dsl::abandoned_at.eq(Some(now.as_secs())));
    Ok(fixed!(abandoned).execute(scope.connection())? == 1)
}

/// Forgets that an issuer did not know a client: it does.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn forget_refusal(
    scope: &mut TenantScope<'_>,
    registration_id: &RegistrationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = (
        dsl::refused_at.eq(None::<i64>),
        dsl::abandoned_at.eq(None::<i64>),
        dsl::updated_at.eq(now.as_secs()),
    );
    let known = diesel::update(live!(scope, registration_id)).set(known);
    Ok(fixed!(known).execute(scope.connection()).map(drop)?)
}

/// Has new authorizations use a registration that we made ourselves no more: its instance has deleted it.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn abandon_registration(
    scope: &mut TenantScope<'_>,
    registration_id: &RegistrationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let dynamic = live!(scope, registration_id).filter(dsl::origin.eq(RegistrationOrigin::Dynamic.as_str()));
    let abandoned = diesel::update(dynamic).set(dsl::abandoned_at.eq(Some(now.as_secs())));
    Ok(fixed!(abandoned).execute(scope.connection()).map(drop)?)
}

/// Deletes registrations that new authorizations have not used since before `until`, and that neither a live connection,
/// nor one that is to be revoked, nor an authorization under way needs, at most `limit`; returns how many.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn sweep_unused_registrations(
    scope: &mut TenantScope<'_>,
    until: Timestamp,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let needed = upstream_session::table
        .filter(upstream_session::tenant_id.eq(dsl::tenant_id))
        .filter(upstream_session::registration_id.eq(dsl::registration_id.nullable()))
        .filter(upstream_session::ended_at.is_null().or(upstream_session::revocation_due_at.is_not_null()));
    let pending = upstream_pending::table
        .filter(upstream_pending::tenant_id.eq(dsl::tenant_id))
        .filter(upstream_pending::registration_id.eq(dsl::registration_id.nullable()));
    let unused: Vec<String> = dsl::provider_registration
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::state.eq(RegistrationState::Superseded.as_str()).or(dsl::abandoned_at.is_not_null()))
        .filter(dsl::updated_at.lt(until.as_secs()))
        .filter(dsl::deleted_at.is_null())
        .filter(diesel::dsl::not(diesel::dsl::exists(needed)))
        .filter(diesel::dsl::not(diesel::dsl::exists(pending)))
        .limit(limit)
        .select(dsl::registration_id)
        .load(scope.connection())?;
    for id in &unused {
        delete_registration(scope, &RegistrationId::new(id.clone()), now)?;
    }
    Ok(unused.len())
}

/// Claims the next probe of a misconfigured registration, which was last tried at `tried_at`; `false` when another
/// process has claimed it, or it is misconfigured no more.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn claim_probe(
    scope: &mut TenantScope<'_>,
    registration_id: &RegistrationId,
    tried_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let untried = live!(scope, registration_id)
        .filter(dsl::state.eq(RegistrationState::Misconfigured.as_str()))
        .filter(dsl::updated_at.eq(tried_at.as_secs()));
    let claimed = diesel::update(untried).set(dsl::updated_at.eq(now.as_secs()));
    Ok(fixed!(claimed).execute(scope.connection())? == 1)
}

/// Stores the secret that is to follow the one in use; `false` when one is waiting already.
///
/// # Errors
/// [`StoreError`] when encryption or the query fails.
pub fn set_next_secret(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    registration_id: &RegistrationId,
    secret: &Secret,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let encrypted =
        ring.encrypt_column(NEXT_REGISTRATION_SECRET, registration_id.as_str(), secret.expose())?;
    let without = live!(scope, registration_id).filter(dsl::next_secret.is_null());
    let waiting = (dsl::next_secret.eq(Some(encrypted)), dsl::updated_at.eq(now.as_secs()));
    Ok(fixed!(diesel::update(without).set(waiting)).execute(scope.connection())? == 1)
}

/// Puts the secret that waits, which is valid until `expires_at`, in the place of the one in use; `false` when none
/// waits.
///
/// # Errors
/// [`StoreError::Conflict`] when the one that waits was promoted or encrypted again meanwhile; [`StoreError`] when encryption or a query fails, or the row does not open.
pub fn promote_next_secret(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    registration_id: &RegistrationId,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let id = registration_id.as_str();
    let waiting = live!(scope, registration_id).select(dsl::next_secret);
    let waiting = fixed!(waiting).get_result::<Option<String>>(scope.connection()).optional()?;
    let Some(waiting) = waiting.flatten() else { return Ok(false) };
    let secret = ring.open_column(NEXT_REGISTRATION_SECRET, id, &waiting)?;
    // Each column is encrypted for itself.
    let encrypted = ring.encrypt_column(REGISTRATION_SECRET, id, secret.expose())?;
    let current = live!(scope, registration_id).filter(dsl::next_secret.eq(waiting));
    let promoted = diesel::update(current).set((
        dsl::client_secret.eq(Some(encrypted)),
        dsl::next_secret.eq(None::<String>),
        dsl::expires_at.eq(expires_at.map(Timestamp::as_secs)),
        dsl::updated_at.eq(now.as_secs()),
    ));
    match fixed!(promoted).execute(scope.connection())? {
        1 => Ok(true),
        _ => Err(StoreError::Conflict("the waiting secret was replaced")),
    }
}

/// Finds a registration.
///
/// # Errors
/// [`StoreError`] when the query fails, or the row is corrupt or does not open.
pub fn find_registration(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    registration_id: &RegistrationId,
) -> Result<Option<Registration>, StoreError> {
    let found = live!(scope, registration_id).select(Row::as_select());
    let row = fixed!(found).get_result::<Row>(scope.connection()).optional()?;
    row.map(|row| row.into_domain(ring)).transpose()
}

/// Finds the newest registration at an issuer that new authorizations use, misconfigured or not.
///
/// # Errors
/// [`StoreError`] when the query fails, or the row is corrupt or does not open.
pub fn find_current_registration(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    provider: &str,
    issuer: &str,
) -> Result<Option<Registration>, StoreError> {
    let found = dsl::provider_registration
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::provider.eq(provider))
        .filter(dsl::issuer.eq(issuer))
        .filter(dsl::state.ne(RegistrationState::Superseded.as_str()))
        .filter(dsl::abandoned_at.is_null())
        .filter(dsl::deleted_at.is_null())
        // One that the provider takes goes first: `active` comes before `misconfigured`.
        .order((dsl::state.asc(), dsl::created_at.desc(), dsl::registration_id.desc()))
        .limit(1)
        .select(Row::as_select());
    let row = fixed!(found).get_result::<Row>(scope.connection()).optional()?;
    row.map(|row| row.into_domain(ring)).transpose()
}

/// A registration as it is shown: everything but its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationSummary {
    /// Its identifier.
    pub registration_id: RegistrationId,
    /// The name of the provider's definition.
    pub provider: String,
    /// The issuer.
    pub issuer: String,
    /// Our identifier there.
    pub client_id: UpstreamClientId,
    /// Its state.
    pub state: RegistrationState,
    /// Whether it has a secret of its own.
    pub has_secret: bool,
    /// Whether a secret waits to take the place of that one.
    pub has_next_secret: bool,
    /// How we authenticate.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// The redirect URI of its authorizations.
    pub redirect_uri: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Lists a page of the tenant's registrations, without their secrets, in the order of their identifiers.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_registrations(
    scope: &mut TenantScope<'_>,
    wanted: &PageRequest,
) -> Result<Page<RegistrationSummary>, StoreError> {
    let mut query = dsl::provider_registration
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str().to_owned()))
        .filter(dsl::deleted_at.is_null())
        .order(dsl::registration_id.asc())
        .limit(wanted.look_ahead())
        .select(Row::as_select())
        .into_boxed();
    if let Some(after) = &wanted.after {
        query = query.filter(dsl::registration_id.gt(after.clone()));
    }
    let rows = query.load::<Row>(scope.connection())?;
    let shown = rows.into_iter().map(Row::into_summary).collect::<Result<_, _>>()?;
    Ok(wanted.page(shown, |shown: &RegistrationSummary| shown.registration_id.as_str().to_owned()))
}

/// Lists the tenant's registrations that their providers do not accept, without their secrets, at most `limit`.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_misconfigured_registrations(
    scope: &mut TenantScope<'_>,
    limit: i64,
) -> Result<Vec<RegistrationSummary>, StoreError> {
    let rows: Vec<Row> = dsl::provider_registration
        .filter(dsl::tenant_id.eq(scope.tenant_id().as_str()))
        .filter(dsl::state.eq(RegistrationState::Misconfigured.as_str()))
        .filter(dsl::deleted_at.is_null())
        .order(dsl::registration_id.asc())
        .limit(limit)
        .select(Row::as_select())
        .load(scope.connection())?;
    rows.into_iter().map(Row::into_summary).collect()
}

impl Row {
    fn into_summary(self) -> Result<RegistrationSummary, StoreError> {
        let row = self;
        let method = TokenEndpointAuthMethod::parse(&row.token_endpoint_auth_method);
        Ok(RegistrationSummary {
            state: column("state").present(RegistrationState::parse(&row.state))?,
            token_endpoint_auth_method: column("token_endpoint_auth_method").present(method)?,
            has_secret: row.client_secret.is_some(),
            has_next_secret: row.next_secret.is_some(),
            registration_id: RegistrationId::new(row.registration_id),
            provider: row.provider,
            issuer: row.issuer,
            client_id: UpstreamClientId::new(row.client_id),
            redirect_uri: row.redirect_uri,
            created_at: Timestamp(row.created_at),
        })
    }
}

/// Replaces the secret that waits; `false` when none does.
///
/// # Errors
/// [`StoreError`] when encryption or the query fails.
pub fn replace_next_secret(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    registration_id: &RegistrationId,
    secret: &Secret,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let encrypted =
        ring.encrypt_column(NEXT_REGISTRATION_SECRET, registration_id.as_str(), secret.expose())?;
    let with = live!(scope, registration_id).filter(dsl::next_secret.is_not_null());
    let replaced = (dsl::next_secret.eq(Some(encrypted)), dsl::updated_at.eq(now.as_secs()));
    Ok(fixed!(diesel::update(with).set(replaced)).execute(scope.connection())? == 1)
}

/// Deletes a registration; `false` when the tenant has none of it. Its credentials are ended before.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn delete_registration(
    scope: &mut TenantScope<'_>,
    registration_id: &RegistrationId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let deleted = diesel::update(live!(scope, registration_id)).set(dsl::deleted_at.eq(Some(now.as_secs())));
    Ok(deleted.execute(scope.connection())? == 1)
}
