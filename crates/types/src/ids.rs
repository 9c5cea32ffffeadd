//! A type for every kind of identifier: mixing two up does not compile.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::secret::{Browser, DeviceCode, PlainToken, TokenHash};
use crate::time::UnixMillis;
use crate::time_prefix;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an identifier as it came from the wire or the database.
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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
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

id! {
    /// A client's identifier *with us* (RFC 6749 section 2.2).
    ClientId
}
random_id!(ClientId, "cw_client_");

id! {
    /// Our own identifier *with an upstream server*: never sent to a client of ours.
    UpstreamClientId
}

id! {
    /// One authorization request of a client, from `/oauth/authorize` to the decision.
    AuthRequestId
}
time_prefixed_id!(AuthRequestId, "ar_");

id! {
    /// One sign-in from the request that began it to the last token of its session, in log lines: it grants
    /// no access.
    CorrelationId
}
random_id!(CorrelationId, "c_");

id! {
    /// One server process on a database that it may share with others.
    NodeId
}
random_id!(NodeId, "node_");

id! {
    /// One proof that a browser's user owns an account.
    AccountProofId
}
random_id!(AccountProofId, "ap_");

id! {
    /// One session at a user's PDS: a chain of token sets.
    UpstreamSessionId
}
time_prefixed_id!(UpstreamSessionId, "us_");

id! {
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

id! {
    /// The boundary that clients, sessions and tokens never cross.
    TenantId
}

impl TenantId {
    /// The tenant of a deployment that has one.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }
}

id! {
    /// The `state` that we send to an upstream authorization server (RFC 6749 section 4.1.1).
    OauthState
}
random_id!(OauthState, "");

id! {
    /// A pushed request's reference (RFC 9126 section 2.2).
    RequestUri
}

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

impl Jkt {
    /// Reads the thumbprint of a request: the 43 characters of base64url(SHA-256).
    pub fn parse(text: &str) -> Option<Self> {
        let shaped =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        shaped.then(|| Self(text.to_owned()))
    }
}
