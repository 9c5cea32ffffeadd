//! What a person sees of their own sessions, and how they prove whose they are.

use crate::clock::Timestamp;
use crate::identity::{Did, Handle};
use crate::ids::{AccountProofId, BrowserSessionId, TenantId};
use crate::scope::Scope;
use crate::session::SessionHead;

/// Seconds for which a browser may see and end every session of an account after the person has signed in
/// for that.
pub const ACCOUNT_PROOF_SECONDS: i64 = 600;

/// A person proved in a browser that an account is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// Its identifier.
    pub id: AccountProofId,
    /// The tenant whose sessions it opens.
    pub tenant_id: TenantId,
    /// The browser in which they did.
    pub browser_id: BrowserSessionId,
    /// The account.
    pub did: Did,
    /// Its handle, verified in both directions; `None` when it did not verify.
    pub handle: Option<Handle>,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A session that lives, and what its person agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// The session.
    pub head: SessionHead,
    /// What was granted; empty in sessions that are older than the record of it.
    pub granted: Scope,
}
