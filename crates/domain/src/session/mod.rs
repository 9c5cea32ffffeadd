//! Upstream sessions: those that we hold at a user's PDS on a client's behalf.

mod account;
mod atproto;
mod cooldown;
mod credentials;
mod pending;
mod policy;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::{
    BrowserSessionId, ClientId, CorrelationId, CredentialKind, SessionKind, SessionState, TenantId,
    Timestamp, UpstreamSessionId,
};
use sha2::{Digest as _, Sha256};

pub use self::account::{ACCOUNT_PROOF_SECONDS, AccountProof, AccountSession};
pub use self::atproto::{
    ATPROTO, AtprotoBinding, AtprotoPending, HANDLE_SECONDS, HandleCheck, UpstreamAuth, UpstreamBinding,
    VERIFIED_SECONDS,
};
pub use self::cooldown::{Cooldown, REFUSED_SECONDS, keep_alive_again_at};
pub use self::credentials::{Credentials, DpopBound, UpstreamAccess};
pub use self::pending::{Pending, UpstreamRequest};
pub use self::policy::{Due, Policy, Renewable, Renewal};

/// The account that a session is for, and what is needed to keep it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// At AT Protocol servers.
    Atproto(AtprotoBinding),
    /// At any other provider.
    Other(OtherBinding),
}

/// An account at a provider whose code alone reads the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherBinding {
    /// The name of the provider.
    pub provider: String,
    /// The account, by the provider's own identifier.
    pub subject: String,
    /// Data that the provider's code needs to renew and to revoke, in its own form. No secret.
    pub data: String,
    /// Seconds without use after which the session ends by itself; `None`: it does not.
    pub idle_seconds: Option<i64>,
}

/// A session or credentials of another kind than the code at hand is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is of another kind than this operation is for")]
pub struct OtherKind;

/// The head of a session: who, which kind, which state, and the iteration that is current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHead {
    /// The session.
    pub session_id: UpstreamSessionId,
    /// The tenant that it belongs to.
    pub tenant_id: TenantId,
    /// The client that it serves.
    pub client_id: ClientId,
    /// Its kind.
    pub kind: SessionKind,
    /// Where it stands.
    pub state: SessionState,
    /// The browser in which it began.
    pub browser_id: BrowserSessionId,
    /// The number of the credentials that are in use, from 1 up.
    pub iteration: i64,
    /// The account at its provider, and what the provider's own code needs to know.
    pub binding: Binding,
    /// When it began.
    pub created_at: Timestamp,
    /// When a token of it was last used or refreshed.
    pub last_used_at: Timestamp,
    /// The pause after refreshes that failed.
    pub cooldown: Cooldown,
    /// The sign-in that it came of, in log lines; `None` in rows older than the name.
    pub correlation_id: Option<CorrelationId>,
}

impl SessionHead {
    /// The name of the provider: it picks the code that keeps, connects and calls.
    pub fn provider(&self) -> &str {
        match &self.binding {
            Binding::Atproto(_) => ATPROTO,
            Binding::Other(other) => &other.provider,
        }
    }

    /// The account, by the provider's own identifier.
    pub fn subject(&self) -> &str {
        match &self.binding {
            Binding::Atproto(account) => account.did.as_str(),
            Binding::Other(other) => &other.subject,
        }
    }

    /// The owner of the access: the user.
    pub const fn credential_kind(&self) -> CredentialKind {
        CredentialKind::User
    }

    /// The account at an AT Protocol server.
    ///
    /// # Errors
    /// [`OtherKind`]: the session is at another provider.
    pub const fn atproto(&self) -> Result<&AtprotoBinding, OtherKind> {
        match &self.binding {
            Binding::Atproto(account) => Ok(account),
            Binding::Other(_) => Err(OtherKind),
        }
    }

    /// The account at any other provider.
    ///
    /// # Errors
    /// [`OtherKind`]: the session is at an AT Protocol server.
    pub const fn other(&self) -> Result<&OtherBinding, OtherKind> {
        match &self.binding {
            Binding::Other(other) => Ok(other),
            Binding::Atproto(_) => Err(OtherKind),
        }
    }

    /// When it ends unless it is used before; `None`: it has no idle end. Of sessions at other providers than AT Protocol
    /// servers, only those at sites that know a device have one: all others are bound to no browser, and kept alive until
    /// somebody ends them.
    pub fn idle_end(&self) -> Option<Timestamp> {
        let seconds = match &self.binding {
            Binding::Atproto(_) => self.kind.idle_seconds(),
            Binding::Other(other) => other.idle_seconds,
        };
        seconds.map(|seconds| self.last_used_at.plus(seconds))
    }

    /// The browser or app that a device session belongs to, by a name that only its client sees: the hash of
    /// client and browser, so that two clients cannot find out that they see the same browser.
    pub fn fingerprint(&self) -> Option<String> {
        (self.kind == SessionKind::Device).then(|| Self::fingerprint_of(&self.client_id, &self.browser_id))
    }

    /// The fingerprint of a browser at a client.
    pub fn fingerprint_of(client_id: &ClientId, browser_id: &BrowserSessionId) -> String {
        let parts = ["causeway device fingerprint", client_id.as_str(), browser_id.as_str()];
        URL_SAFE_NO_PAD.encode(Sha256::digest(parts.join("\0")))
    }

    /// The state at `now`: an idle session has ended whether or not a sweep has noticed.
    pub fn state_at(&self, now: Timestamp) -> SessionState {
        match self.idle_end() {
            Some(end) if end <= now => SessionState::Ended,
            _ => self.state,
        }
    }

    /// Whether grants of this session still hold: it serves, or would after a new sign-in.
    pub fn is_alive_at(&self, now: Timestamp) -> bool {
        matches!(self.state_at(now), SessionState::Active | SessionState::ReauthRequired)
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::{Did, UpstreamClientId};

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn head(binding: Binding) -> SessionHead {
        SessionHead {
            session_id: UpstreamSessionId::new("s"),
            tenant_id: TenantId::default_tenant(),
            client_id: ClientId::new("c"),
            kind: SessionKind::Device,
            state: SessionState::Active,
            browser_id: BrowserSessionId::new("b"),
            iteration: 1,
            binding,
            created_at: NOW,
            last_used_at: NOW,
            cooldown: Cooldown { failures: 0, not_before: None },
            correlation_id: None,
        }
    }

    fn atproto() -> AtprotoBinding {
        AtprotoBinding {
            did: Did::parse("did:web:alice.example.com").unwrap(),
            handle: None,
            verified_at: NOW,
            upstream: UpstreamBinding {
                issuer: "https://as.example".to_owned(),
                pds: "https://pds.example".to_owned(),
                client_id: UpstreamClientId::new("https://app.example/client.json"),
                auth: UpstreamAuth::None,
                redirect_uri: "https://app.example/cb".to_owned(),
            },
        }
    }

    fn elsewhere() -> SessionHead {
        let (provider, subject, data) = ("elsewhere".to_owned(), "17".to_owned(), String::new());
        head(Binding::Other(OtherBinding { provider, subject, data, idle_seconds: None }))
    }

    #[test]
    fn whose_account_where() {
        let (ours, other) = (head(Binding::Atproto(atproto())), elsewhere());
        assert_eq!((ours.provider(), ours.subject()), (ATPROTO, "did:web:alice.example.com"));
        assert_eq!((other.provider(), other.subject()), ("elsewhere", "17"));
        assert_eq!((ours.atproto(), other.atproto()), (Ok(&atproto()), Err(OtherKind)));
        assert_eq!(other.other().map(|other| &*other.subject), Ok("17"));
        assert_eq!(ours.other(), Err(OtherKind));
        assert_eq!(ours.credential_kind(), CredentialKind::User);
    }

    /// It names a browser to its client, and to no other.
    #[test]
    fn a_fingerprint_is_of_one_client_and_one_browser() {
        let print = |client: &str, browser: &str, kind| {
            let (client_id, browser_id) = (ClientId::new(client), BrowserSessionId::new(browser));
            SessionHead { client_id, kind, browser_id, ..elsewhere() }.fingerprint()
        };
        let device = SessionKind::Device;
        let own = print("c", "b", device).unwrap();
        assert_eq!(own.len(), 43);
        assert_eq!(print("c", "b", device).as_ref(), Some(&own));
        for (client, browser) in [("d", "b"), ("c", "a"), ("cb", ""), ("b", "c")] {
            assert_ne!(print(client, browser, device).as_ref(), Some(&own), "{client} {browser}");
        }
        assert_eq!(print("c", "b", SessionKind::Background), None);
    }

    #[test]
    fn an_idle_device_session_has_ended() {
        use SessionState::{Active, Ended, Pending, ReauthRequired};
        let device = head(Binding::Atproto(atproto()));
        let end = device.idle_end().unwrap();
        let at = |state, now| {
            let head = SessionHead { state, ..device.clone() };
            (head.state_at(now), head.is_alive_at(now))
        };
        for (state, alive) in [(Active, true), (ReauthRequired, true), (Pending, false), (Ended, false)] {
            assert_eq!(at(state, end.plus(-1)), (state, alive));
            assert_eq!(at(state, end), (Ended, false), "{state:?}");
        }
        let background = SessionHead { kind: SessionKind::Background, ..device };
        assert_eq!((background.idle_end(), background.is_alive_at(Timestamp(i64::MAX))), (None, true));
        let other = elsewhere();
        assert_eq!((other.idle_end(), other.is_alive_at(Timestamp(i64::MAX))), (None, true));
    }
}
