//! Kinds and states of upstream sessions.

use crate::scope::{OwnScope, Scope, ScopeValue};

wire_names! {
    /// Kind of a session: interactive or automation.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum SessionKind {
        /// A sign-in in a browser or app: ends on logout, after 7 idle days, or when revoked.
        Device = "device",
        /// Automation: ends by explicit revocation only.
        Background = "background",
    }
}

impl SessionKind {
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

wire_names! {
    /// Where a session stands.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum SessionState {
        /// Signed in upstream; the user has not consented to the client yet.
        Pending = "pending",
        /// In use.
        Active = "active",
        /// The upstream ended it: the user has to sign in again.
        ReauthRequired = "reauth_required",
        /// Ended. Its upstream tokens are revoked or about to be.
        Ended = "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::assert_names;

    #[test]
    fn names_of_kinds_and_states() {
        assert_names!(SessionKind: "device", "background");
        assert_names!(SessionState: "pending", "active", "reauth_required", "ended");
    }

    #[test]
    fn background_access_is_asked_for() {
        let asked = |scope| SessionKind::asked_by(&Scope::parse(scope).unwrap());
        assert_eq!(asked("atproto background_access"), SessionKind::Background);
        assert_eq!(asked("atproto offline_access"), SessionKind::Device);
        assert_eq!(SessionKind::Device.idle_seconds(), Some(604_800));
        assert_eq!(SessionKind::Background.idle_seconds(), None);
    }
}
