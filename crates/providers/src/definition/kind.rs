//! Kinds of providers.

use std::fmt;

use super::form::Form;
use super::key::Key;
use super::mcp::Mcp;
use super::oauth::{Oauth2, OauthClient, Oidc};
use super::refresh::Refresh;
use super::registration::Registration;

/// Kind of a provider, and with it the way in which users connect.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// An OAuth 2.0 authorization server.
    Oauth2(Box<Oauth2>),
    /// An OpenID Connect provider.
    Oidc(Box<Oidc>),
    /// An MCP server, whose authorization server is found by discovery.
    Mcp(Box<Mcp>),
    /// A website that knows cookies and a sign-in form.
    Form(Box<Form>),
    /// An API with keys.
    Key(Box<Key>),
}

impl Kind {
    /// Its name.
    pub fn name(&self) -> KindName {
        match self {
            Self::Oauth2(_) => KindName::Oauth2,
            Self::Oidc(_) => KindName::Oidc,
            Self::Mcp(_) => KindName::Mcp,
            Self::Form(_) => KindName::Form,
            Self::Key(_) => KindName::Key,
        }
    }

    /// Registration of Causeway at the provider. `None`: the provider knows its users alone.
    pub fn registration(&self) -> Option<&Registration> {
        match self {
            Self::Mcp(_) | Self::Oauth2(_) | Self::Oidc(_) => self.oauth().map(|client| &client.registration),
            Self::Form(_) | Self::Key(_) => None,
        }
    }

    /// The part that `oauth2`, `oidc` and `mcp` have in common.
    pub fn oauth(&self) -> Option<&OauthClient> {
        match self {
            Self::Oauth2(oauth) => Some(&oauth.client),
            Self::Oidc(oidc) => Some(&oidc.client),
            Self::Mcp(mcp) => Some(&mcp.client),
            Self::Form(_) | Self::Key(_) => None,
        }
    }

    /// Renewal of credentials. `None`: not at all, or as a form does.
    pub fn refresh(&self) -> Option<&Refresh> {
        self.oauth()?.refresh.as_ref()
    }
}

/// The name of a kind, as the key `kind` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindName {
    /// `oauth2`.
    Oauth2,
    /// `oidc`.
    Oidc,
    /// `mcp`.
    Mcp,
    /// `form`.
    Form,
    /// `key`.
    Key,
}

impl KindName {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Oauth2, Self::Oidc, Self::Mcp, Self::Form, Self::Key];

    /// The name as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oauth2 => "oauth2",
            Self::Oidc => "oidc",
            Self::Mcp => "mcp",
            Self::Form => "form",
            Self::Key => "key",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
