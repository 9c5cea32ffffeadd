//! A user's view of their own sessions, and the proof that an account is theirs.

use causeway_types::{AccountProofId, BrowserSessionId, Did, Handle, Scope, TenantId, Timestamp};

use super::SessionHead;

/// Seconds for which a browser may list and end every session of an account after the user has signed in
/// for that.
pub const ACCOUNT_PROOF_SECONDS: i64 = 600;

/// A user's proof in a browser that an account is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// Its identifier.
    pub id: AccountProofId,
    /// The tenant whose sessions it opens.
    pub tenant_id: TenantId,
    /// The browser in which the user gave the proof.
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

/// A live session, and the scope that its user consented to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSession {
    /// The session.
    pub head: SessionHead,
    /// The granted scope; empty in sessions that are older than this record.
    pub granted: Scope,
}
