//! Background sessions of users who signed in: one is live for each tenant, client and account.

use causeway_domain::session::{ATPROTO, SessionHead};
use causeway_types::{SessionKind, Timestamp, UpstreamSessionId};
use diesel::prelude::*;

use super::{ACTIVE, REAUTH_REQUIRED, end_session};
use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;
use crate::schema::oauth_client;
use crate::schema::upstream_session::dsl;

/// Ends the background session that `session` replaces; in the transaction that activates the new one, and
/// before that. Returns the sessions that now have to be revoked at the authorization server.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn supersede_background(
    c: &mut AnyConnection,
    session: &SessionHead,
    now: Timestamp,
) -> Result<Vec<UpstreamSessionId>, StoreError> {
    // Locks the client's row: of two consents at once, the second sees the session that the first has
    // created.
    let client = oauth_client::table.filter(oauth_client::client_id.eq(session.client_id.as_str()));
    diesel::update(client).set(oauth_client::tenant_id.eq(oauth_client::tenant_id)).execute(c)?;
    let before: Vec<String> = dsl::upstream_session
        .filter(dsl::tenant_id.eq(session.tenant_id.as_str()))
        .filter(dsl::client_id.eq(session.client_id.as_str()))
        .filter(dsl::provider.eq(ATPROTO))
        .filter(dsl::did.eq(session.subject()))
        .filter(dsl::session_kind.eq(SessionKind::Background.as_str()))
        .filter(dsl::state.eq(ACTIVE).or(dsl::state.eq(REAUTH_REQUIRED)))
        .filter(dsl::deleted_at.is_null())
        .filter(dsl::session_id.ne(session.session_id.as_str()))
        .select(dsl::session_id)
        .load(c)?;
    let mut ended = Vec::new();
    for session_id in before.into_iter().map(UpstreamSessionId::new) {
        if end_session(c, &session_id, now)? {
            ended.push(session_id);
        }
    }
    Ok(ended)
}
