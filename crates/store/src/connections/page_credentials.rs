//! Credentials of managed accounts, as they go from one connection to another.

use causeway_types::{
    CredentialId, CredentialKind, ManagedAccountId, SessionState, Timestamp, UpstreamSessionId,
};
use diesel::prelude::*;

use super::credentials::{row, rows};
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::schema::upstream_credential::dsl;

const ACTIVE: &str = SessionState::Active.as_str();
const ENDED: &str = SessionState::Ended.as_str();
const USER: &str = CredentialKind::User.as_str();

/// Moves the credentials of pages from an unconfirmed connection to the one that it connects again, where they take the
/// place of older ones of the same accounts, which are [due for revocation](super::credentials::list_deleted_pages). Credentials of accounts
/// that were not listed again stay.
pub(crate) fn take_pages(
    scope: &mut TenantScope<'_>,
    from: &UpstreamSessionId,
    to: &UpstreamSessionId,
    iteration: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let new: Vec<String> = rows!(scope)
        .filter(dsl::session_id.eq(from.as_str()))
        .filter(dsl::credential_kind.ne(USER))
        .filter(dsl::deleted_at.is_null())
        .select(dsl::managed_account_id.assume_not_null())
        .load(scope.connection())?;
    for account in new {
        let page = |session_id: &UpstreamSessionId| {
            rows!(scope)
                .filter(dsl::session_id.eq(session_id.as_str().to_owned()))
                .filter(dsl::managed_account_id.eq(account.clone()))
                .filter(dsl::deleted_at.is_null())
        };
        let (old, new) = (page(to), page(from));
        let replaced = (dsl::state.eq(ENDED), dsl::deleted_at.eq(Some(now.as_secs())));
        diesel::update(old).set(replaced).execute(scope.connection())?;
        let taken = (
            dsl::session_id.eq(to.as_str()),
            dsl::iteration.eq(iteration),
            dsl::state.eq(ACTIVE),
            dsl::updated_at.eq(now.as_secs()),
        );
        diesel::update(new).set(taken).execute(scope.connection())?;
    }
    Ok(())
}

/// Moves those credentials of pages from a connection to the one that takes its place whose accounts the latter has no
/// credential of: their accounts were not listed again.
///
/// # Errors
/// [`StoreError`] when a query fails.
pub fn inherit_pages(
    scope: &mut TenantScope<'_>,
    from: &UpstreamSessionId,
    to: &UpstreamSessionId,
    iteration: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let page = |session_id: &UpstreamSessionId| {
        rows!(scope)
            .filter(dsl::session_id.eq(session_id.as_str().to_owned()))
            .filter(dsl::credential_kind.ne(USER))
            .filter(dsl::deleted_at.is_null())
    };
    let (old, new) = (page(from), page(to));
    let account = dsl::managed_account_id.assume_not_null();
    let listed: Vec<String> = new.select(account).load(scope.connection())?;
    let missed = old.filter(account.ne_all(listed)).select(dsl::credential_id);
    for id in missed.load::<String>(scope.connection())?.into_iter().map(CredentialId::new) {
        let moved = (
            dsl::session_id.eq(to.as_str()),
            dsl::iteration.eq(iteration),
            dsl::updated_at.eq(now.as_secs()),
        );
        let moved = diesel::update(row!(scope, id)).set(moved);
        fixed!(moved).execute(scope.connection())?;
    }
    Ok(())
}

/// Has the credential of an unconfirmed connection belong to the live account of the same subject.
pub(crate) fn set_managed_account(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    held: &ManagedAccountId,
    live: &ManagedAccountId,
) -> Result<(), StoreError> {
    let own = rows!(scope)
        .filter(dsl::session_id.eq(session_id.as_str()))
        .filter(dsl::managed_account_id.eq(held.as_str()));
    let set = diesel::update(own).set(dsl::managed_account_id.eq(Some(live.as_str())));
    Ok(fixed!(set).execute(scope.connection()).map(drop)?)
}

/// Hands the deleted credentials of pages that are due for revocation from a connection that goes on to a session that has
/// ended, whose revocation includes them.
pub(crate) fn hand_over_deleted_pages(
    scope: &mut TenantScope<'_>,
    from: &UpstreamSessionId,
    to: &UpstreamSessionId,
) -> Result<(), StoreError> {
    let due = rows!(scope)
        .filter(dsl::session_id.eq(from.as_str()))
        .filter(dsl::credential_kind.ne(USER))
        .filter(dsl::deleted_at.is_not_null())
        .filter(dsl::payload.ne(""));
    fixed!(diesel::update(due).set(dsl::session_id.eq(to.as_str()))).execute(scope.connection())?;
    Ok(())
}
