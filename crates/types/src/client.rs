//! Kinds of clients, and how they authenticate.

use serde::{Deserialize, Serialize};

/// Whether a client can keep a secret (RFC 6749 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientType {
    /// It cannot: a browser or native application.
    Public,
    /// It can: a server.
    Confidential,
}

impl ClientType {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Confidential => "confidential",
        }
    }
}

/// How a client authenticates at the token endpoint (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// A public client: it has no secret.
    None,
    /// HTTP Basic with form-encoded credentials (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// Credentials in the form body (RFC 6749 section 2.3.1).
    ClientSecretPost,
    /// An assertion that the client signs with its private key (RFC 7523, OpenID Connect Core section 9).
    PrivateKeyJwt,
}

impl TokenEndpointAuthMethod {
    /// Every method that we serve, in the order of the metadata document.
    pub const ALL: [Self; 4] =
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// Reads the wire form.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == value)
    }

    /// Whether it is by a secret that both sides know.
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}
