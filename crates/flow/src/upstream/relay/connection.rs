//! The connection that a call is made with: our registration, and the managed account that the call is for.

use causeway_domain::connection::Registration;
use causeway_types::{CredentialId, ManagedAccountId};

/// A connection that is called.
#[derive(Clone, Debug)]
pub struct CalledConnection {
    /// Our registration at its issuer.
    pub registration: Option<Registration>,
    /// The managed account that the call is for; `None`: the user's own.
    pub account: Option<CalledAccount>,
}

/// A managed account that a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledAccount {
    /// The account.
    pub managed_account_id: ManagedAccountId,
    /// The account, by the provider's own identifier.
    pub subject: String,
    /// Its own credential; `None`: calls for it are made with the user's.
    pub credential: Option<AccountCredential>,
}

/// The credential of a managed account, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountCredential {
    /// The credential.
    pub credential_id: CredentialId,
    /// The iteration that is presented.
    pub iteration: i64,
}
