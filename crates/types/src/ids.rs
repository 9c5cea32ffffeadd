//! A type for every kind of identifier: mixing two up does not compile.

use std::convert::Infallible;

use crate::rng::Rng;
use crate::secret::{Browser, DeviceCode, PlainToken, TokenHash};
use crate::time::UnixMillis;
use crate::time_prefix;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes an identifier that was checked or made before, or one of which nothing is known.
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The identifier as an owned string.
            pub fn into_string(self) -> String {
                self.0
            }
        }
    };
}

/// An identifier that may be any text.
macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        id!($(#[$doc])* $name);
        as_text!($name);
        text_schema!($name);

        impl std::str::FromStr for $name {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self::new(text))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(Self)
            }
        }
    };
}

/// An identifier that we make ourselves for a row of its own, sortable by time: `prefix`, the creation time
/// and 16 random bytes in base64url. Rows that are created together are adjacent in an index.
macro_rules! time_prefixed_id {
    ($name:ident, $prefix:literal) => {
        impl $name {
            /// A fresh random identifier (128 bits) behind its creation time.
            pub fn issued(rng: &dyn Rng, at: UnixMillis) -> Self {
                Self(format!(concat!($prefix, "{}{}"), time_prefix::of(at), rng.base64url::<16>()))
            }
        }
    };
}

/// An identifier that we make ourselves: `prefix` and 16 random bytes in base64url.
macro_rules! random_id {
    ($name:ident, $prefix:literal) => {
        impl $name {
            /// A fresh random identifier (128 bits).
            pub fn random(rng: &dyn Rng) -> Self {
                Self(format!(concat!($prefix, "{}"), rng.base64url::<16>()))
            }
        }
    };
}

opaque_id! {
    /// A client's identifier *with us* (RFC 6749 section 2.2).
    ClientId
}
random_id!(ClientId, "cw_client_");

opaque_id! {
    /// Our own identifier *with an upstream server*: never sent to a client of ours.
    UpstreamClientId
}

opaque_id! {
    /// One authorization request of a client, from `/oauth/authorize` to the decision.
    AuthRequestId
}
time_prefixed_id!(AuthRequestId, "ar_");

opaque_id! {
    /// One sign-in from the request that began it to the last token of its session, in log lines: it grants
    /// no access.
    CorrelationId
}
random_id!(CorrelationId, "c_");

opaque_id! {
    /// One server process on a database that it may share with others.
    NodeId
}
random_id!(NodeId, "node_");

opaque_id! {
    /// One proof that a browser's user owns an account.
    AccountProofId
}
random_id!(AccountProofId, "ap_");

opaque_id! {
    /// One session at a user's PDS: a chain of token sets.
    UpstreamSessionId
}
time_prefixed_id!(UpstreamSessionId, "us_");

opaque_id! {
    /// A registration of ours at one issuer.
    RegistrationId
}
random_id!(RegistrationId, "pr_");

opaque_id! {
    /// An account at a provider, as one user connected it.
    IdentityId
}
time_prefixed_id!(IdentityId, "si_");

opaque_id! {
    /// An account that the user of an identity manages at the provider, such as a page or a bot.
    ManagedAccountId
}
time_prefixed_id!(ManagedAccountId, "ma_");

opaque_id! {
    /// One credential of a connection: the user's own, or that of a managed account.
    CredentialId
}
time_prefixed_id!(CredentialId, "uc_");

impl CredentialId {
    /// The identifier of the credential that a session begins with: the session's own.
    pub fn first_of(session_id: &UpstreamSessionId) -> Self {
        Self(session_id.as_str().to_owned())
    }
}

opaque_id! {
    /// One permit of a client that lets a user connect accounts in a browser.
    ConnectSessionId
}
time_prefixed_id!(ConnectSessionId, "cs_");

opaque_id! {
    /// One browser: the hash of the secret in our own cookie, so that it may be stored and logged. Of a session
    /// on a device without one, the hash of the code that it began with.
    BrowserSessionId
}

impl BrowserSessionId {
    /// The identifier of the browser that presented this cookie.
    pub fn of(cookie: &PlainToken<Browser>) -> Self {
        Self(cookie.hash().as_str().to_owned())
    }

    /// The stand-in for a browser of a session that began with a device code: no cookie hashes to it.
    pub fn of_device(code: &TokenHash<DeviceCode>) -> Self {
        Self(format!("device:{}", code.as_str()))
    }
}

opaque_id! {
    /// The boundary that clients, sessions and tokens never cross.
    TenantId
}
random_id!(TenantId, "tn_");

impl TenantId {
    /// The tenant of a deployment that has one.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }
}

opaque_id! {
    /// The `state` that we send to an upstream authorization server (RFC 6749 section 4.1.1).
    OauthState
}
random_id!(OauthState, "");

id! {
    /// A pushed request's reference (RFC 9126 section 2.2).
    RequestUri
}
text_type!(RequestUri: "a request_uri of this server");

impl RequestUri {
    /// The prefix of every request URI that we hand out.
    pub const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

    /// Reads the parameter of a request; `None`: it is none of ours, whether pushed or not.
    pub fn parse(text: &str) -> Option<Self> {
        text.starts_with(Self::PREFIX).then(|| Self(text.to_owned()))
    }

    /// A fresh request URI with 256 random bits behind its creation time: requests that are pushed together
    /// are adjacent in an index.
    pub fn issued(rng: &dyn Rng, at: UnixMillis) -> Self {
        Self(format!("{}{}{}", Self::PREFIX, time_prefix::of(at), rng.base64url::<32>()))
    }
}

id! {
    /// The thumbprint of a key whose possession was proved (RFC 7638): the `jkt` of DPoP.
    Jkt
}
text_type!(Jkt: "the 43 characters of base64url(SHA-256)");

impl Jkt {
    /// Reads the thumbprint of a request: the 43 characters of base64url(SHA-256).
    pub fn parse(text: &str) -> Option<Self> {
        let shaped =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        shaped.then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRng;
    use crate::wire::tests::assert_text_type;

    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    #[test]
    fn conversions_of_opaque_ids() {
        let any = ["", "a", " \u{e9}\0"];
        assert_text_type::<ClientId>(&any, &[]);
        assert_text_type::<TenantId>(&any, &[]);
        assert_eq!(
            (ClientId::from("a"), ClientId::from("b".to_owned())),
            (ClientId::new("a"), ClientId::new("b"))
        );
        assert_eq!((ClientId::new("a").as_str(), ClientId::new("b").into_string().as_str()), ("a", "b"));
        assert_eq!(TenantId::default_tenant().as_str(), "default");
    }

    #[test]
    fn conversions_of_checked_ids() {
        let bad = [&JKT[1..], &JKT.replace('-', "+"), &format!("{JKT}A")];
        assert_text_type::<Jkt>(&[JKT, &JKT.replace('-', "_")], &bad);
        let uri = format!("{}x", RequestUri::PREFIX);
        assert_text_type::<RequestUri>(
            &[&uri, RequestUri::PREFIX],
            &["", "https://app.example/request", &uri[1..]],
        );
    }

    #[test]
    fn ids_that_we_make() {
        let at = UnixMillis::from_millis(1_700_000_000_000);
        let random = |id: &str, prefix: &str| id.strip_prefix(prefix).map(str::len);
        assert_eq!(random(ClientId::random(&SystemRng).as_str(), "cw_client_"), Some(22));
        assert_eq!(random(CorrelationId::random(&SystemRng).as_str(), "c_"), Some(22));
        assert_eq!(random(NodeId::random(&SystemRng).as_str(), "node_"), Some(22));
        assert_eq!(random(AccountProofId::random(&SystemRng).as_str(), "ap_"), Some(22));
        assert_eq!(random(OauthState::random(&SystemRng).as_str(), ""), Some(22));
        assert_eq!(random(AuthRequestId::issued(&SystemRng, at).as_str(), "ar_18bcfe56800"), Some(22));
        let session = UpstreamSessionId::issued(&SystemRng, at);
        assert_eq!(random(session.as_str(), "us_18bcfe56800"), Some(22));
        assert_eq!(CredentialId::first_of(&session).as_str(), session.as_str());
        assert_eq!(random(RegistrationId::random(&SystemRng).as_str(), "pr_"), Some(22));
        assert_eq!(random(IdentityId::issued(&SystemRng, at).as_str(), "si_18bcfe56800"), Some(22));
        assert_eq!(random(ManagedAccountId::issued(&SystemRng, at).as_str(), "ma_18bcfe56800"), Some(22));
        assert_eq!(random(CredentialId::issued(&SystemRng, at).as_str(), "uc_18bcfe56800"), Some(22));
        assert_eq!(random(ConnectSessionId::issued(&SystemRng, at).as_str(), "cs_18bcfe56800"), Some(22));
        let uri = RequestUri::issued(&SystemRng, at);
        assert_eq!(random(uri.as_str(), "urn:ietf:params:oauth:request_uri:18bcfe56800"), Some(43));
        assert_ne!(uri, RequestUri::issued(&SystemRng, at));
    }

    #[test]
    fn devices_are_no_browsers() {
        let code = PlainToken::<DeviceCode>::presented("c").hash();
        let browser = PlainToken::<Browser>::presented("c");
        assert_eq!(BrowserSessionId::of(&browser).as_str(), browser.hash().as_str());
        assert_eq!(BrowserSessionId::of_device(&code).as_str(), format!("device:{}", code.as_str()));
    }
}
