//! Credentials of connections, without their secrets.

use causeway_types::{
    CredentialId, CredentialKind, IdentityId, ManagedAccountId, SessionKind, SessionState, Timestamp,
    UpstreamSessionId,
};

use super::head::Slot;

/// Owner of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialOwner {
    /// The user.
    User,
    /// An account that the user manages.
    Page(ManagedAccountId),
}

impl CredentialOwner {
    /// The credential's kind.
    pub const fn kind(&self) -> CredentialKind {
        match self {
            Self::User => CredentialKind::User,
            Self::Page(_) => CredentialKind::Page,
        }
    }

    /// The managed account, if it is one's.
    pub const fn managed_account(&self) -> Option<&ManagedAccountId> {
        match self {
            Self::User => None,
            Self::Page(account) => Some(account),
        }
    }
}

/// A credential as it is shown: everything but its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Its identifier.
    pub credential_id: CredentialId,
    /// The connection.
    pub session_id: UpstreamSessionId,
    /// The number of its connection's iteration that it is of.
    pub iteration: i64,
    /// The connection's place.
    pub slot: Slot,
    /// The provider.
    pub provider: String,
    /// The connection's kind.
    pub session_kind: SessionKind,
    /// Its owner.
    pub owner: CredentialOwner,
    /// The account at the provider.
    pub identity_id: Option<IdentityId>,
    /// The provider's identifier of the user or page.
    pub account_ref: Option<String>,
    /// Where it stands: a page's credential outlives the refusal of its user's.
    pub state: SessionState,
    /// When the provider issued it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ends without a renewal; `None` when the provider did not say.
    pub expires_at: Option<Timestamp>,
    /// The scope that the provider granted, in the provider's own words.
    pub granted_scope: String,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}
