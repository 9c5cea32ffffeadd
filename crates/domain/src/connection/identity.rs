//! Accounts at a provider.

use causeway_types::{IdentityId, ManagedAccountId, TenantUser, Timestamp};

/// The account at a provider that a user connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocialIdentity {
    /// Its identifier.
    pub identity_id: IdentityId,
    /// The user.
    pub user: TenantUser,
    /// The name of the provider's definition.
    pub provider: String,
    /// The issuer that `subject` belongs to.
    pub issuer: String,
    /// The account, by the provider's own identifier.
    pub subject: String,
    /// Its name for users to read.
    pub display_name: Option<String>,
    /// When it was first connected.
    pub created_at: Timestamp,
    /// When it was last read.
    pub updated_at: Timestamp,
}

/// An account that the user of an identity manages, such as a page or a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedAccount {
    /// Its identifier.
    pub managed_account_id: ManagedAccountId,
    /// The identity whose user manages it.
    pub identity_id: IdentityId,
    /// The account, by the provider's own identifier.
    pub subject: String,
    /// Its name for users to read.
    pub name: Option<String>,
    /// The provider's category of it.
    pub category: Option<String>,
    /// The provider's names of what the user may do with it.
    pub tasks: Vec<String>,
    /// Since when a complete listing has missed it; `None`: it is available.
    pub unavailable_at: Option<Timestamp>,
    /// When it was first listed.
    pub created_at: Timestamp,
    /// When it was last listed.
    pub updated_at: Timestamp,
}
