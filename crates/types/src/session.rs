//! Kinds and states of upstream sessions.

use serde::{Deserialize, Serialize};

use crate::scope::{OwnScope, Scope, ScopeValue};

/// Kind of a session: interactive or automation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// A sign-in in a browser or app: ends on logout, after 7 idle days, or when revoked.
    Device,
    /// Automation: ends by explicit revocation only.
    Background,
}

impl SessionKind {
    /// The form on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Background => "background",
        }
    }

    /// Reads the form of tables.
    pub fn parse(value: &str) -> Option<Self> {
        [Self::Device, Self::Background].into_iter().find(|kind| kind.as_str() == value)
    }

    /// The kind that an authorization for this scope creates: automation if it asks for `background_access`.
    pub fn asked_by(scope: &Scope) -> Self {
        if scope.has(&ScopeValue::Own(OwnScope::BackgroundAccess)) { Self::Background } else { Self::Device }
    }

    /// Seconds without use after which a session of this kind ends; `None`: never.
    pub const fn idle_seconds(self) -> Option<i64> {
        match self {
            Self::Device => Some(7 * 86_400),
            Self::Background => None,
        }
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Signed in upstream; the user has not consented to the client yet.
    Pending,
    /// In use.
    Active,
    /// The upstream ended it: the user has to sign in again.
    ReauthRequired,
    /// Ended. Its upstream tokens are revoked or about to be.
    Ended,
}

impl SessionState {
    /// The form on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::ReauthRequired => "reauth_required",
            Self::Ended => "ended",
        }
    }

    /// Reads the form of tables.
    pub fn parse(value: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::ReauthRequired, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == value)
    }
}
