//! Secrets: no `Display`, a redacted `Debug`, wiped on drop. They are read from the wire, and written to it by `expose`
//! only: there is no `Serialize`.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::rng::Rng;
use crate::time::UnixMillis;
use crate::time_prefix;

/// A secret that we hold: an upstream token, a PKCE verifier, a private key.
///
/// ```
/// use causeway_types::Secret;
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of the secret text.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The secret itself: for the wire and for encrypted storage, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A short, one-way name of the secret for logs: 8 hexadecimal digits of its SHA-256.
    pub fn log_name(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        digest.iter().take(4).fold(String::new(), |mut out, byte| {
            use fmt::Write as _;
            let _ = write!(out, "{byte:02x}");
            out
        })
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// Purpose of a bearer secret of ours; its prefix lets secret scanners recognize a leaked one.
pub trait TokenKind: Send + Sync + 'static {
    /// The fixed start of every token of this kind.
    const PREFIX: &'static str;
}

macro_rules! token_kind {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {}

        impl TokenKind for $name {
            const PREFIX: &'static str = $prefix;
        }
    };
}

token_kind! {
    /// An authorization code (RFC 6749 section 1.3.1).
    Code, "cw_ac_"
}
token_kind! {
    /// An access token (RFC 6749 section 1.4).
    Access, "cw_at_"
}
token_kind! {
    /// A refresh token (RFC 6749 section 1.5).
    Refresh, "cw_rt_"
}
token_kind! {
    /// A client secret (RFC 6749 section 2.3.1).
    ClientSecret, "cw_cs_"
}
token_kind! {
    /// The code that a device polls with (RFC 8628 section 3.2).
    DeviceCode, "cw_dc_"
}
token_kind! {
    /// The secret in the cookie by which we know a browser again.
    Browser, "cw_bs_"
}
token_kind! {
    /// A registration access token (RFC 7592 section 3).
    Registration, "cw_rg_"
}
token_kind! {
    /// The permit in the address at which a user connects accounts.
    Connect, "cw_cn_"
}
token_kind! {
    /// The code by which a client confirms that its user finished a connect session, in the browser that did.
    ConnectCode, "cw_cc_"
}
token_kind! {
    /// The `state` of an authorization at a provider (RFC 6749 section 4.1.1).
    ProviderState, "cw_st_"
}

/// A bearer secret that we issue, in the clear: it exists once, in the response.
///
/// ```
/// use causeway_types::secret::{Access, PlainToken};
/// use causeway_types::{SystemRng, Timestamp};
/// let token = PlainToken::<Access>::issued(&SystemRng, Timestamp(1_700_000_000).into());
/// assert!(token.expose().starts_with("cw_at_"));
/// assert!(token.hash().matches(&token));
/// assert_eq!(format!("{token:?}"), "PlainToken(cw_at_…)");
/// ```
pub struct PlainToken<K>(Zeroizing<String>, PhantomData<K>);

impl<K: TokenKind> PlainToken<K> {
    /// A fresh token with 256 random bits.
    pub fn random(rng: &dyn Rng) -> Self {
        Self(Zeroizing::new(format!("{}{}", K::PREFIX, rng.base64url::<32>())), PhantomData)
    }

    /// A fresh token with 256 random bits behind its creation time.
    ///
    /// Tokens created together are adjacent in an index: rows of one commit share a page or two, however many
    /// rows there are. The time is not secret: `expires_in` reveals the second as well.
    pub fn issued(rng: &dyn Rng, at: UnixMillis) -> Self {
        let text = format!("{}{}{}", K::PREFIX, time_prefix::of(at), rng.base64url::<32>());
        Self(Zeroizing::new(text), PhantomData)
    }

    /// Takes a token as a client presented it.
    pub fn presented(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()), PhantomData)
    }

    /// The token itself: for the response body, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The form to store: the hash of the whole token, behind its creation time if the token has one.
    pub fn hash(&self) -> TokenHash<K> {
        let time_prefix = self.0.strip_prefix(K::PREFIX).and_then(time_prefix::leading).unwrap_or_default();
        let digest = Sha256::digest(self.0.as_bytes());
        TokenHash(format!("{time_prefix}{}", URL_SAFE_NO_PAD.encode(digest)), PhantomData)
    }
}

impl PlainToken<Browser> {
    /// The value that a form of ours carries as proof that it was made for this browser. It is derived
    /// one-way from the secret in the cookie, which no script and no other site can read.
    ///
    /// ```
    /// use causeway_types::secret::{Browser, PlainToken};
    /// use causeway_types::{BrowserSessionId, SystemRng};
    /// let cookie = PlainToken::<Browser>::random(&SystemRng);
    /// assert!(cookie.accepts_form_token(&cookie.form_token()));
    /// assert!(!cookie.accepts_form_token(&PlainToken::<Browser>::random(&SystemRng).form_token()));
    /// assert_ne!(cookie.form_token(), BrowserSessionId::of(&cookie).as_str());
    /// ```
    pub fn form_token(&self) -> String {
        let digest = Sha256::new().chain_update("causeway form token 1\0").chain_update(self.0.as_bytes());
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }

    /// Whether a form that carries this was made for this browser; constant time.
    pub fn accepts_form_token(&self, presented: &str) -> bool {
        self.form_token().as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl<K> From<String> for PlainToken<K> {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text), PhantomData)
    }
}

impl<K> From<&str> for PlainToken<K> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl<'de, K> Deserialize<'de> for PlainToken<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl<K> Clone for PlainToken<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K: TokenKind> fmt::Debug for PlainToken<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainToken({}…)", K::PREFIX)
    }
}

/// SHA-256 of a bearer secret in unpadded base64url: the only form that a table ever holds. A token that was
/// [issued](PlainToken::issued) has its creation time in front, which keeps an index in order of time.
///
/// A plain hash is enough because the secrets have 256 random bits: there is nothing to guess.
pub struct TokenHash<K>(String, PhantomData<K>);

impl<K> TokenHash<K> {
    /// Takes a hash as it stands in a table.
    pub fn from_stored(value: impl Into<String>) -> Self {
        Self(value.into(), PhantomData)
    }

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<K: TokenKind> TokenHash<K> {
    /// Whether `token` is the one that was hashed; constant time.
    pub fn matches(&self, token: &PlainToken<K>) -> bool {
        self.0.as_bytes().ct_eq(token.hash().0.as_bytes()).into()
    }
}

impl<K> Clone for TokenHash<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K> PartialEq for TokenHash<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl<K> Eq for TokenHash<K> {}

impl<K> fmt::Debug for TokenHash<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRng;
    use crate::time::Timestamp;

    /// RFC 6749 section 10.10: nothing to guess.
    #[test]
    fn a_secret_has_256_random_bits() {
        fn random_part<K: TokenKind>() -> String {
            let (plain, issued) = (
                PlainToken::<K>::random(&SystemRng),
                PlainToken::<K>::issued(&SystemRng, Timestamp(1_700_000_000).into()),
            );
            let [plain, issued] =
                [&plain, &issued].map(|token| token.expose().strip_prefix(K::PREFIX).unwrap().to_owned());
            for random in [&plain, issued.strip_prefix("18bcfe56800").unwrap()] {
                assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 32, "{}", K::PREFIX);
            }
            assert!(!issued.ends_with(&plain));
            issued
        }
        assert_ne!(random_part::<Access>(), random_part::<Access>());
        for one in [random_part::<Code>(), random_part::<Refresh>(), random_part::<ClientSecret>()] {
            assert_ne!(one, random_part::<Registration>());
        }
        random_part::<Browser>();
        random_part::<DeviceCode>();
    }

    #[test]
    fn conversions() {
        let (new, json) = (Secret::new("hunter2"), serde_json::from_str::<Secret>("\"hunter2\"").unwrap());
        for secret in [new, json, Secret::from("hunter2"), Secret::from("hunter2".to_owned())] {
            assert_eq!((secret.expose(), &*format!("{secret:?}")), ("hunter2", "Secret(redacted)"));
            assert_eq!(secret.log_name(), "f52fbd32");
        }
        let presented = PlainToken::<Access>::presented("cw_at_x");
        let json = serde_json::from_str::<PlainToken<Access>>("\"cw_at_x\"").unwrap();
        for token in [presented.clone(), presented, json, "cw_at_x".into(), "cw_at_x".to_owned().into()] {
            assert_eq!((token.expose(), &*format!("{token:?}")), ("cw_at_x", "PlainToken(cw_at_…)"));
        }
    }

    #[test]
    fn equal_when_all_of_it_is() {
        assert_eq!(Secret::new("hunter2"), Secret::new("hunter2"));
        for other in ["hunter3", "Hunter2", "hunter22", "hunter", ""] {
            assert_ne!(Secret::new("hunter2"), Secret::new(other));
        }
        let hash = PlainToken::<Access>::presented("a").hash();
        let stored = TokenHash::<Access>::from_stored(hash.as_str());
        assert_eq!((&stored, stored.as_str()), (&hash.clone(), hash.as_str()));
        assert_eq!(format!("{stored:?}"), "TokenHash(…)");
        assert!(stored.matches(&PlainToken::presented("a")) && !stored.matches(&PlainToken::presented("b")));
        assert_ne!(stored, PlainToken::presented("b").hash());
        assert_ne!(stored, TokenHash::from_stored(""));
    }

    #[test]
    fn forms_are_made_for_one_browser() {
        let [own, other] = [1, 2].map(|_| PlainToken::<Browser>::random(&SystemRng));
        assert!(own.accepts_form_token(&own.form_token()) && !own.accepts_form_token(&other.form_token()));
        assert!(!own.accepts_form_token("") && own.form_token().len() == 43);
    }
    #[test]
    fn hashes_of_issued_tokens_are_in_the_order_of_time() {
        let hash = |now| PlainToken::<Access>::issued(&SystemRng, Timestamp(now).into()).hash();
        let hashes: Vec<String> =
            (0..50).map(|minute| hash(1_700_000_000 + 60 * minute).as_str().to_owned()).collect();
        assert!(hashes.is_sorted(), "{hashes:?}");
    }

    /// Tokens of releases without a time_prefix are found as they were stored.
    #[test]
    fn a_token_without_a_time_prefix_has_the_plain_hash() {
        let token = PlainToken::<Access>::presented("cw_at_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY");
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(token.expose().as_bytes()));
        assert_eq!(token.hash().as_str(), digest);
        let other =
            PlainToken::<Access>::presented("cw_at_18bcfe56800MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY");
        assert!(!token.hash().matches(&other));
    }
}
