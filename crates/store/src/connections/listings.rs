//! Listings of managed accounts that an authorization brought. Until its connection is confirmed, they change nothing: an
//! unconfirmed authorization may be somebody else's.

use causeway_domain::connection::ManagedAccount;
use causeway_types::{IdentityId, ManagedAccountId, Timestamp, UpstreamSessionId};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{identities, managed_accounts, page_credentials};
use crate::engine::column::Column;
use crate::engine::error::StoreError;
use crate::engine::fixed::fixed;
use crate::engine::tenancy::TenantScope;
use crate::events::{self, EventKind};
use crate::schema::upstream_session::dsl;

const COLUMN: Column = Column("upstream_session", "unconfirmed_listing");

/// A listing of the accounts that the user of an identity manages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The name of the user's account.
    pub display_name: Option<String>,
    /// The accounts.
    pub accounts: Vec<ListedAccount>,
    /// Whether the provider listed all of them.
    pub is_complete: bool,
    /// When they were listed, in Unix seconds.
    pub listed_at: i64,
}

/// An account of a [`Listing`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAccount {
    /// The identifier that it has here, or has from its first confirmation on.
    pub managed_account_id: String,
    /// The provider's identifier.
    pub subject: String,
    /// Its name.
    pub name: Option<String>,
    /// Its category.
    pub category: Option<String>,
    /// The tasks that the user may do there.
    pub tasks: Vec<String>,
}

impl ListedAccount {
    fn account(&self, identity_id: &IdentityId, listed_at: Timestamp) -> ManagedAccount {
        ManagedAccount {
            managed_account_id: ManagedAccountId::new(self.managed_account_id.clone()),
            identity_id: identity_id.clone(),
            subject: self.subject.clone(),
            name: self.name.clone(),
            category: self.category.clone(),
            tasks: self.tasks.clone(),
            unavailable_at: None,
            created_at: listed_at,
            updated_at: listed_at,
        }
    }
}

/// The head of a connection of this scope's tenant.
macro_rules! row {
    ($scope:expr, $session_id:expr) => {
        dsl::upstream_session
            .filter(dsl::tenant_id.eq($scope.tenant_id().as_str()))
            .filter(dsl::namespace.is_not_null())
            .filter(dsl::session_id.eq($session_id.as_str()))
    };
}

/// Stores the listing of an unconfirmed connection.
///
/// # Errors
/// [`StoreError::Corrupt`] when there is no such connection; [`StoreError`] when the query fails.
pub fn put_listing(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
    listing: &Listing,
) -> Result<(), StoreError> {
    let text = COLUMN.to_json(listing)?;
    let stored = diesel::update(row!(scope, session_id)).set(dsl::unconfirmed_listing.eq(Some(text)));
    COLUMN.one(fixed!(stored).execute(scope.connection())?)
}

/// Removes the listing of a connection.
///
/// # Errors
/// [`StoreError`] when the query fails.
pub(crate) fn forget_listing(
    scope: &mut TenantScope<'_>,
    session_id: &UpstreamSessionId,
) -> Result<(), StoreError> {
    let listed = row!(scope, session_id).filter(dsl::unconfirmed_listing.is_not_null());
    let forgotten = diesel::update(listed).set(dsl::unconfirmed_listing.eq(None::<String>));
    Ok(fixed!(forgotten).execute(scope.connection()).map(drop)?)
}

/// Brings the accounts of a user up to date with what the authorization of `unconfirmed_id` listed, which is being
/// confirmed as `connection_id`. Accounts that a complete listing has missed become unavailable, each with an event;
/// a partial one leaves those that it has missed as they are.
///
/// # Errors
/// [`StoreError::Corrupt`] when the listing cannot be read; [`StoreError`] when a query fails.
pub fn apply_listing(
    scope: &mut TenantScope<'_>,
    unconfirmed_id: &UpstreamSessionId,
    connection_id: &UpstreamSessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let found = row!(scope, unconfirmed_id).select((dsl::unconfirmed_listing, dsl::social_identity_id));
    let found =
        fixed!(found).get_result::<(Option<String>, Option<String>)>(scope.connection()).optional()?;
    let Some((Some(text), Some(identity))) = found else { return Ok(()) };
    let (listing, identity_id): (Listing, _) = (COLUMN.json(&text)?, IdentityId::new(identity));
    let listed_at = Timestamp(listing.listed_at);
    identities::set_display_name(scope, &identity_id, listing.display_name.as_deref(), listed_at)?;
    for listed in &listing.accounts {
        let account = listed.account(&identity_id, listed_at);
        let id = managed_accounts::put_managed_account(scope, &account)?;
        if id != account.managed_account_id {
            page_credentials::set_managed_account(scope, unconfirmed_id, &account.managed_account_id, &id)?;
        }
    }
    if listing.is_complete {
        for missed in managed_accounts::note_unlisted(scope, &identity_id, listed_at)? {
            let unavailable = EventKind::AccountUnavailable;
            events::note_account(scope.connection(), connection_id, &missed, unavailable, now)?;
        }
    }
    forget_listing(scope, unconfirmed_id)
}
