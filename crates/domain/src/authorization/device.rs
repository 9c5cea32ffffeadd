//! The device authorization grant (RFC 8628): the records between the request of a device without a browser
//! and its tokens.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::secret::DeviceCode;
use causeway_types::{
    AuthRequestId, ClientId, Did, Jkt, Resources, Rng, Scope, TenantId, Timestamp, TokenHash,
    UpstreamSessionId,
};
use sha2::{Digest as _, Sha256};

/// Seconds that a user has to go to another screen, sign in and consent.
pub const DEVICE_CODE_SECONDS: i64 = 600;
/// Seconds between two polls of a device, to begin with (section 3.2).
pub const POLL_INTERVAL_SECONDS: i64 = 5;
/// Seconds by which the interval grows with each poll that comes too early (section 3.5).
pub const SLOW_DOWN_SECONDS: i64 = 5;

/// The code that a device shows and a user types: eight letters of an alphabet without vowels, so that it
/// spells nothing, and without letters that look like others (section 6.1). About 34 bits: safe for its
/// lifetime, as long as guesses are counted.
///
/// ```
/// use causeway_domain::authorization::device::UserCode;
/// let code = UserCode::parse("wdjb mjht").unwrap();
/// assert_eq!(code.to_string(), "WDJB-MJHT");
/// assert_eq!(UserCode::parse("WDJBMJHA"), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    const LENGTH: usize = 8;

    /// A fresh one; each letter is as likely as any other.
    pub fn random(rng: &dyn Rng) -> Self {
        let mut code = String::with_capacity(Self::LENGTH);
        while code.len() < Self::LENGTH {
            let mut bytes = [0_u8; 16];
            rng.fill(&mut bytes);
            // The largest multiple of 20 in a byte: values above it would favor the first letters.
            let fair = bytes.into_iter().filter(|byte| *byte < 240);
            let letters = fair.filter_map(|byte| Self::ALPHABET.get(usize::from(byte % 20)));
            code.extend(letters.take(Self::LENGTH - code.len()).map(|letter| char::from(*letter)));
        }
        Self(code)
    }

    /// Reads a code that a user typed: in upper or lower case, with dashes and spaces or without.
    pub fn parse(typed: &str) -> Option<Self> {
        let is_between = |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}');
        let letters = typed.chars().filter(|c| !is_between(*c)).take(Self::LENGTH + 1);
        let code: String = letters.map(|c| c.to_ascii_uppercase()).collect();
        let whole = code.len() == Self::LENGTH && code.bytes().all(|b| Self::ALPHABET.contains(&b));
        whole.then_some(Self(code))
    }

    /// The form of tables. It hides the code from a casual reader of the table; the code's real protection is
    /// its short lifetime.
    pub fn hash(&self) -> String {
        let digest = Sha256::new().chain_update("causeway user code 1\0").chain_update(self.0.as_bytes());
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

/// As a device shows it.
impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(Self::LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(…)")
    }
}

/// The grant to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGrant {
    /// The user's account.
    pub did: Did,
    /// The session that it gives use of.
    pub session_id: UpstreamSessionId,
    /// The session's iteration when the user consented.
    pub session_iteration: i64,
    /// The scope that the user consented to.
    pub scope: Scope,
}

/// How far a device's request has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceStage {
    /// No user has confirmed the code yet.
    Pending,
    /// A user has confirmed it in a browser, and signs in for it there.
    Claimed {
        /// The authorization request by which they do.
        auth_request_id: AuthRequestId,
    },
    /// The user consented; the device has not fetched its tokens yet.
    Approved(DeviceGrant),
    /// The user declined, or the sign-in failed permanently.
    Denied,
    /// The device has its tokens.
    Used,
}

/// A device's request (RFC 8628 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// The hash of the code that the device polls with.
    pub device_code: TokenHash<DeviceCode>,
    /// The hash of the code that the user types.
    pub user_code: String,
    /// The client's tenant.
    pub tenant_id: TenantId,
    /// The client.
    pub client_id: ClientId,
    /// The requested scope.
    pub scope: Scope,
    /// Where the tokens are to be used (RFC 8707).
    pub resources: Resources,
    /// The key that polls must prove to hold, if the device named one.
    pub dpop_jkt: Option<Jkt>,
    /// How far it has come.
    pub stage: DeviceStage,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use causeway_types::SystemRng;

    use super::*;

    #[test]
    fn codes_are_typed_in_many_ways() {
        let code = UserCode::random(&SystemRng);
        let shown = code.to_string();
        assert_eq!(shown.len(), 9);
        let plain = shown.replace('-', "");
        for typed in [
            shown.clone(),
            plain.clone(),
            plain.to_lowercase(),
            format!(" {} ", shown.replace('-', " \u{2013} ")),
        ] {
            assert_eq!(UserCode::parse(&typed).as_ref(), Some(&code), "{typed}");
        }
        for bad in ["", "WDJB-MJH", "WDJB-MJHTT", "WDJB-MJH0", "WDJB_MJHT", "ＷDJBMJHT", &"W".repeat(10_000)]
        {
            assert_eq!(UserCode::parse(bad), None);
        }
        assert_ne!(code.hash(), UserCode::random(&SystemRng).hash());
        assert!(!code.hash().contains(&plain));
        assert_eq!(format!("{code:?}"), "UserCode(…)");
    }

    #[test]
    fn every_letter_comes_up() {
        let letters: BTreeSet<char> =
            (0..200).flat_map(|_| UserCode::random(&SystemRng).0.chars().collect::<Vec<_>>()).collect();
        assert_eq!(letters.len(), 20);
    }
}
