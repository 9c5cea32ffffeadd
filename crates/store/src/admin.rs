//! What an operator looks at and ends: sessions of whatever kind, whoever they belong to.

use causeway_domain::session::SessionHead;
use causeway_domain::{ClientId, Did, SessionKind, SessionState, TenantId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use crate::conn::AnyConnection;
use crate::error::StoreError;
use crate::schema::upstream_session::dsl;
use crate::sessions;

/// Which sessions are meant.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Those of this person.
    pub did: Option<Did>,
    /// Those of this client.
    pub client_id: Option<ClientId>,
    /// Those that are over, too.
    pub ended: bool,
}

/// At most `limit` sessions of a tenant, the most recently used first.
///
/// # Errors
/// [`StoreError`] when the query fails or a row is corrupt.
pub fn list_sessions(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    filter: &SessionFilter,
    limit: i64,
) -> Result<Vec<SessionHead>, StoreError> {
    let mut query = dsl::upstream_session
        .filter(dsl::tenant_id.eq(tenant_id.as_str().to_owned()))
        .order((dsl::last_used_at.desc(), dsl::session_id.asc()))
        .limit(limit)
        .select((dsl::session_id, dsl::session_kind))
        .into_boxed();
    if !filter.ended {
        query = query.filter(dsl::ended_at.is_null());
    }
    if let Some(did) = &filter.did {
        query = query.filter(dsl::did.eq(did.as_str().to_owned()));
    }
    if let Some(client_id) = &filter.client_id {
        query = query.filter(dsl::client_id.eq(client_id.as_str().to_owned()));
    }
    let found: Vec<(String, String)> = query.load(c)?;
    let mut heads = Vec::with_capacity(found.len());
    for (session_id, kind) in found {
        let Some(kind) = SessionKind::parse(&kind) else { continue };
        heads.extend(sessions::find_session(c, tenant_id, &UpstreamSessionId::new(session_id), kind)?);
    }
    Ok(heads)
}

/// How many live sessions there are, by kind and state, of all tenants.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub fn count_live_sessions(
    c: &mut AnyConnection,
) -> Result<Vec<(SessionKind, SessionState, i64)>, StoreError> {
    let rows: Vec<(String, String, i64)> = dsl::upstream_session
        .filter(dsl::ended_at.is_null())
        .group_by((dsl::session_kind, dsl::state))
        .select((dsl::session_kind, dsl::state, diesel::dsl::count_star()))
        .order((dsl::session_kind, dsl::state))
        .load(c)?;
    let known = |(kind, state, count): (String, String, i64)| {
        Some((SessionKind::parse(&kind)?, SessionState::parse(&state)?, count))
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

/// One session of a tenant, of whatever kind.
///
/// # Errors
/// [`StoreError`] when a query fails or the row is corrupt.
pub fn find_session(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    session_id: &UpstreamSessionId,
) -> Result<Option<SessionHead>, StoreError> {
    sessions::find_session_of_token(c, tenant_id, session_id)
}

/// Ends every live session that is meant, at most `limit` at a time: their tokens are dead at once, and
/// their revocation at the people's own servers is due. Says which; call it again until it says none.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn end_sessions(
    c: &mut AnyConnection,
    tenant_id: &TenantId,
    filter: &SessionFilter,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<SessionHead>, StoreError> {
    let live = SessionFilter { ended: false, ..filter.clone() };
    let mut ended = Vec::new();
    for session in list_sessions(c, tenant_id, &live, limit)? {
        if sessions::end_session(c, &session.session_id, now)? {
            ended.push(session);
        }
    }
    Ok(ended)
}
