//! Grants by users, as recorded in their sessions.

use causeway_domain::session::{ATPROTO, SessionHead};
use causeway_types::{BrowserSessionId, ClientId, Scope, SessionKind, SessionState, TenantId, Timestamp};
use diesel::dsl::exists;
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::upstream_session::dsl;
use crate::sessions::HeadRow;

/// A user's grant to a client.
#[derive(Debug)]
pub struct Grant {
    /// The session that the grant led to.
    pub session: SessionHead,
    /// The scope granted to the client.
    pub scope: Scope,
    /// The origin that received the response; `None`: unknown, or not specific to one party.
    pub redirect_origin: Option<String>,
}

/// Lists the grants made in this browser to this client: those of active sessions, the most recently used
/// first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_grants_of_browser(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Vec<Grant>, StoreError> {
    let rows: Vec<(HeadRow, Option<String>, Option<String>)> = dsl::upstream_session
        .filter(dsl::browser_id.eq(browser_id.as_str()))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::client_id.eq(client_id.as_str()))
        .filter(dsl::provider.eq(ATPROTO))
        .filter(dsl::session_kind.eq(SessionKind::Device.as_str()))
        .filter(dsl::state.eq(SessionState::Active.as_str()))
        .filter(dsl::deleted_at.is_null())
        .order((dsl::last_used_at.desc(), dsl::created_at.desc()))
        .select((HeadRow::as_select(), dsl::granted_scope, dsl::redirect_origin))
        .load(c)?;
    let mut grants = Vec::new();
    for (row, granted, redirect_origin) in rows {
        let session = row.into_domain()?;
        // Sessions that are older than the column have no recorded scope.
        if let (Some(granted), SessionState::Active) = (granted, session.state_at(now)) {
            let scope = Column("upstream_session", "granted_scope").scope(Some(&granted))?;
            grants.push(Grant { session, scope, redirect_origin });
        }
    }
    Ok(grants)
}

/// Whether a user has ever signed in to this client in this browser and consented, as long as the session's
/// row exists, even after it has ended.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn has_signed_in(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    browser_id: &BrowserSessionId,
) -> Result<bool, StoreError> {
    let agreed = dsl::upstream_session
        .filter(dsl::browser_id.eq(browser_id.as_str()))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::client_id.eq(client_id.as_str()))
        .filter(dsl::granted_scope.is_not_null());
    Ok(diesel::select(exists(agreed)).get_result(c)?)
}
