//! Work across tenants: what is due, by identifiers alone.

use causeway_types::{TenantId, Timestamp};

/// Kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// Renew a credential.
    Refresh,
    /// Revoke a credential at its provider.
    Revoke,
    /// Tell the client that only the user can renew a connection that ends soon.
    Expiring,
    /// Give back what a provider issued for an authorization that was not completed.
    GiveBack,
    /// Erase what belongs to a deleted tenant or user, step by step.
    Erase,
}

impl WorkKind {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::Expiring => "expiring",
            Self::GiveBack => "give_back",
            Self::Erase => "erase",
        }
    }
}

/// A piece of work. It names a row; everything else is read in a transaction of its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The kind.
    pub kind: WorkKind,
    /// The row.
    pub row_id: String,
    /// When it is due.
    pub due_at: Timestamp,
}
