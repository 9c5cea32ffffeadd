//! Device authorizations (RFC 8628): `device_authorization`.

use causeway_domain::authorization::device::{
    DeviceAuthorization, DeviceGrant, DeviceStage, POLL_INTERVAL_SECONDS, SLOW_DOWN_SECONDS,
};
use causeway_types::secret::DeviceCode;
use causeway_types::{AuthRequestId, ClientId, Jkt, TenantId, Timestamp, TokenHash, UpstreamSessionId};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::device_authorization::{self, dsl};

const PENDING: &str = "pending";
const CLAIMED: &str = "claimed";
const APPROVED: &str = "approved";
const DENIED: &str = "denied";
const USED: &str = "used";

#[derive(Queryable, Insertable)]
#[diesel(table_name = device_authorization)]
struct Row {
    device_code: String,
    user_code: String,
    tenant_id: String,
    client_id: String,
    scope: Option<String>,
    resource: Option<String>,
    dpop_jkt: Option<String>,
    created_at: i64,
    expires_at: i64,
    poll_interval: i64,
    polled_at: Option<i64>,
    stage: String,
    auth_request_id: Option<String>,
    user_id: Option<String>,
    session_id: Option<String>,
    session_iteration: Option<i64>,
    granted_scope: Option<String>,
}

const fn column(name: &'static str) -> Column {
    Column("device_authorization", name)
}

impl Row {
    fn into_domain(self) -> Result<DeviceAuthorization, StoreError> {
        let stage = match self.stage.as_str() {
            PENDING => DeviceStage::Pending,
            CLAIMED => DeviceStage::Claimed {
                auth_request_id: AuthRequestId::new(column("auth_request_id").present(self.auth_request_id)?),
            },
            APPROVED => DeviceStage::Approved(DeviceGrant {
                did: column("user_id").did(self.user_id.as_deref().unwrap_or_default())?,
                session_id: UpstreamSessionId::new(column("session_id").present(self.session_id)?),
                session_iteration: column("session_iteration").present(self.session_iteration)?,
                scope: column("granted_scope").scope(self.granted_scope.as_deref())?,
            }),
            DENIED => DeviceStage::Denied,
            USED => DeviceStage::Used,
            _ => return Err(column("stage").corrupt()),
        };
        Ok(DeviceAuthorization {
            device_code: TokenHash::from_stored(self.device_code),
            user_code: self.user_code,
            tenant_id: TenantId::new(self.tenant_id),
            client_id: ClientId::new(self.client_id),
            scope: column("scope").scope(self.scope.as_deref())?,
            resources: column("resource").resources(self.resource.as_deref())?,
            dpop_jkt: self.dpop_jkt.map(Jkt::new),
            stage,
            created_at: Timestamp(self.created_at),
            expires_at: Timestamp(self.expires_at),
        })
    }
}

/// Stores a device authorization, which no user has confirmed yet.
///
/// # Errors
/// [`StoreError::Constraint`] when its user code is taken or its client is deleted.
pub fn insert_device_code(c: &mut AnyConnection, device: &DeviceAuthorization) -> Result<(), StoreError> {
    let row = Row {
        device_code: device.device_code.as_str().to_owned(),
        user_code: device.user_code.clone(),
        tenant_id: device.tenant_id.as_str().to_owned(),
        client_id: device.client_id.as_str().to_owned(),
        scope: Some(device.scope.to_string()),
        resource: device.resources.to_stored(),
        dpop_jkt: device.dpop_jkt.as_ref().map(|jkt| jkt.as_str().to_owned()),
        created_at: device.created_at.as_secs(),
        expires_at: device.expires_at.as_secs(),
        poll_interval: POLL_INTERVAL_SECONDS,
        polled_at: None,
        stage: PENDING.to_owned(),
        auth_request_id: None,
        user_id: None,
        session_id: None,
        session_iteration: None,
        granted_scope: None,
    };
    diesel::insert_into(device_authorization::table).values(&row).execute(c)?;
    Ok(())
}

/// Finds the authorization behind a device code, in whatever state.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_device_code(
    c: &mut AnyConnection,
    code: &TokenHash<DeviceCode>,
) -> Result<Option<DeviceAuthorization>, StoreError> {
    let row = dsl::device_authorization.filter(dsl::device_code.eq(code.as_str()));
    row.get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// Finds the live authorization behind the user code that a user entered.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_user_code(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    user_code: &str,
    now: Timestamp,
) -> Result<Option<DeviceAuthorization>, StoreError> {
    let row = dsl::device_authorization
        .filter(dsl::user_code.eq(user_code))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::expires_at.gt(now.as_secs()));
    row.get_result::<Row>(c).optional()?.map(Row::into_domain).transpose()
}

/// Records a poll; `false` when it came too early: from then on the device has to wait longer, by
/// [`SLOW_DOWN_SECONDS`] (RFC 8628 section 3.5).
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn note_poll(
    c: &mut AnyConnection,
    code: &TokenHash<DeviceCode>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let own = || dsl::device_authorization.filter(dsl::device_code.eq(code.as_str()));
    let polled = dsl::polled_at.eq(Some(now.as_secs()));
    let first = dsl::polled_at.is_null();
    let late = (dsl::polled_at.assume_not_null() + dsl::poll_interval).le(now.as_secs());
    if diesel::update(own().filter(first)).set(polled).execute(c)? == 1
        || diesel::update(own().filter(dsl::polled_at.is_not_null()).filter(late)).set(polled).execute(c)?
            == 1
    {
        return Ok(true);
    }
    diesel::update(own())
        .set((polled, dsl::poll_interval.eq(dsl::poll_interval + SLOW_DOWN_SECONDS)))
        .execute(c)?;
    Ok(false)
}

/// Binds a confirmed code to the authorization request by which the user signs in; `false` when it was bound
/// before or has expired.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn claim_device_code(
    c: &mut AnyConnection,
    code: &TokenHash<DeviceCode>,
    auth_request_id: &AuthRequestId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let pending = dsl::device_authorization
        .filter(dsl::device_code.eq(code.as_str()))
        .filter(dsl::stage.eq(PENDING))
        .filter(dsl::expires_at.gt(now.as_secs()));
    let claimed = (dsl::stage.eq(CLAIMED), dsl::auth_request_id.eq(Some(auth_request_id.as_str())));
    Ok(diesel::update(pending).set(claimed).execute(c)? == 1)
}

/// Approves a code; `false` when it is not this request's, was decided before, or has expired.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn approve_device_code(
    c: &mut AnyConnection,
    code: &TokenHash<DeviceCode>,
    auth_request_id: &AuthRequestId,
    grant: &DeviceGrant,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let claimed = dsl::device_authorization
        .filter(dsl::device_code.eq(code.as_str()))
        .filter(dsl::stage.eq(CLAIMED))
        .filter(dsl::auth_request_id.eq(Some(auth_request_id.as_str())))
        .filter(dsl::expires_at.gt(now.as_secs()));
    let approved = (
        dsl::stage.eq(APPROVED),
        dsl::user_id.eq(Some(grant.did.as_str())),
        dsl::session_id.eq(Some(grant.session_id.as_str())),
        dsl::session_iteration.eq(Some(grant.session_iteration)),
        dsl::granted_scope.eq(Some(grant.scope.to_string())),
    );
    Ok(diesel::update(claimed).set(approved).execute(c)? == 1)
}

/// Denies a code: before the user signed in (`None`), or by this authorization request; `false` when it was
/// decided before.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn deny_device_code(
    c: &mut AnyConnection,
    code: &TokenHash<DeviceCode>,
    auth_request_id: Option<&AuthRequestId>,
) -> Result<bool, StoreError> {
    let own = dsl::device_authorization.filter(dsl::device_code.eq(code.as_str()));
    let denied = dsl::stage.eq(DENIED);
    let changed = match auth_request_id {
        None => diesel::update(own.filter(dsl::stage.eq(PENDING))).set(denied).execute(c)?,
        Some(id) => {
            let claimed =
                own.filter(dsl::stage.eq(CLAIMED)).filter(dsl::auth_request_id.eq(Some(id.as_str())));
            diesel::update(claimed).set(denied).execute(c)?
        }
    };
    Ok(changed == 1)
}

/// Consumes a code; `false` when it is not approved, has expired, or was used before. Of any number of racing
/// polls exactly one gets it.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn consume_device_code(
    c: &mut AnyConnection,
    code: &TokenHash<DeviceCode>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let approved = dsl::device_authorization
        .filter(dsl::device_code.eq(code.as_str()))
        .filter(dsl::stage.eq(APPROVED))
        .filter(dsl::expires_at.gt(now.as_secs()));
    Ok(diesel::update(approved).set(dsl::stage.eq(USED)).execute(c)? == 1)
}
