//! Live sessions by owner; and the session that a token names, live or not.

use causeway_domain::session::{ATPROTO, AccountSession, SessionHead};
use causeway_types::{BrowserSessionId, ClientId, Did, SessionKind, TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use super::{ACTIVE, HeadRow, REAUTH_REQUIRED, head};
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::schema::upstream_session::dsl;

/// Maximum number of sessions listed for an account or a browser.
pub const LIVE_LIMIT: i64 = 200;

/// Sessions of a tenant at AT Protocol servers that work, or would after a new sign-in, the most recently used first.
macro_rules! live {
    ($c:expr, $tenant_id:expr, $now:expr, $filter:expr) => {{
        let rows: Vec<(HeadRow, Option<String>)> = dsl::upstream_session
            .filter($filter)
            .filter(dsl::tenant_id.eq($tenant_id.as_str()))
            .filter(dsl::provider.eq(ATPROTO))
            .filter(dsl::state.eq(ACTIVE).or(dsl::state.eq(REAUTH_REQUIRED)))
            .filter(dsl::deleted_at.is_null())
            .order((dsl::last_used_at.desc(), dsl::created_at.desc(), dsl::session_id.asc()))
            .limit(LIVE_LIMIT)
            .select((HeadRow::as_select(), dsl::granted_scope))
            .load($c)?;
        into_live(rows, $now)
    }};
}

fn into_live(
    rows: Vec<(HeadRow, Option<String>)>,
    now: Timestamp,
) -> Result<Vec<AccountSession>, StoreError> {
    let mut live = Vec::with_capacity(rows.len());
    for (row, granted) in rows {
        let session = row.into_domain()?;
        // Sessions past their idle timeout that no sweep has ended yet are left out.
        if session.is_alive_at(now) {
            let granted = head("granted_scope").scope(granted.as_deref())?;
            live.push(AccountSession { head: session, granted });
        }
    }
    Ok(live)
}

/// Finds one session, if it is live.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_live_session(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<Option<AccountSession>, StoreError> {
    Ok(live!(c, tenant_id, now, dsl::session_id.eq(session_id.as_str()))?.pop())
}

/// Finds one session of a client, if it is live. Its identifier fixes its kind.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_live_session_of_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    session_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<Option<AccountSession>, StoreError> {
    let own = dsl::session_id.eq(session_id.as_str()).and(dsl::client_id.eq(client_id.as_str()));
    Ok(live!(c, tenant_id, now, own)?.pop())
}

/// Lists the live sessions of one kind that an account has at a client, at most [`LIVE_LIMIT`].
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_live_sessions_at_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    did: &Did,
    kind: SessionKind,
    now: Timestamp,
) -> Result<Vec<AccountSession>, StoreError> {
    let of_account = dsl::did.eq(did.as_str()).and(dsl::client_id.eq(client_id.as_str()));
    live!(c, tenant_id, now, of_account.and(dsl::session_kind.eq(kind.as_str())))
}

/// Finds the session that a token or a code of ours names, in whatever state. That fixes its kind: a grant of
/// a device session never leads to a background session, nor the reverse.
///
/// # Errors
/// [`StoreError`] when the query fails or the row is corrupt.
pub fn find_session_of_token(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    session_id: &UpstreamSessionId,
) -> Result<Option<SessionHead>, StoreError> {
    let session = dsl::upstream_session
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::tenant_id.eq(tenant_id.as_str()))
        .filter(dsl::deleted_at.is_null())
        .select(HeadRow::as_select());
    fixed!(session).get_result(c).optional()?.map(HeadRow::into_domain).transpose()
}

/// Lists the live sessions that began in this browser, at most [`LIVE_LIMIT`].
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_live_sessions_of_browser(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Vec<AccountSession>, StoreError> {
    live!(c, tenant_id, now, dsl::browser_id.eq(browser_id.as_str()))
}

/// Lists the live sessions of an account, in whatever browser they began, at most [`LIVE_LIMIT`].
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_live_sessions_of_account(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    did: &Did,
    now: Timestamp,
) -> Result<Vec<AccountSession>, StoreError> {
    live!(c, tenant_id, now, dsl::did.eq(did.as_str()))
}

/// Lists the live sessions of an account that began in this browser, at most [`LIVE_LIMIT`].
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_live_sessions_of_account_in_browser(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    did: &Did,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Vec<AccountSession>, StoreError> {
    live!(c, tenant_id, now, dsl::did.eq(did.as_str()).and(dsl::browser_id.eq(browser_id.as_str())))
}

/// Lists the live device sessions of a client that began in this browser, at most [`LIVE_LIMIT`].
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_live_sessions_of_client(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    client_id: &ClientId,
    browser_id: &BrowserSessionId,
    now: Timestamp,
) -> Result<Vec<AccountSession>, StoreError> {
    let device = dsl::session_kind.eq(SessionKind::Device.as_str());
    let of_client = dsl::client_id.eq(client_id.as_str()).and(dsl::browser_id.eq(browser_id.as_str()));
    live!(c, tenant_id, now, of_client.and(device))
}
