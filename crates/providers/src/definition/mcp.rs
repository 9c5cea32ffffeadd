//! The kind `mcp`.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::head::Head;
use super::lifetime::{Lifetime, RawLifetime};
use super::oauth::Accounts;
use super::parameter::RawParameter;
use super::refresh::{RawRefresh, Refresh};
use super::registration::{RawBy, RawRegistration, Registration};
use super::request::ClientAuthentication;
use super::revocation::{RawRevocation, Revocation};
use crate::check::{Check, Step};
use crate::values::url_template::UrlTemplate;

/// An MCP server. Its metadata, and that of its authorization server, says the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Mcp {
    /// The server: the resource that tokens are requested for.
    pub url: UrlTemplate,
    /// Registration at its authorization server.
    pub registration: Registration,
    /// The scopes that are requested; empty: those of the server's challenge or metadata.
    pub scopes: Vec<String>,
    /// The scope by which a refresh token is issued, where the server's metadata does not list it.
    pub offline_scope: Option<String>,
    /// Number of accounts that one user may connect.
    pub accounts: Accounts,
    /// The number of grants of one registration that an account may have; above it, the oldest one ends.
    pub grants_per_account: Option<NonZeroU32>,
    /// Lifetime of access where answers do not say it.
    pub lifetime: Lifetime,
    /// Renewal of credentials; `None`: not at all.
    pub refresh: Option<Refresh>,
    /// Revocation of access.
    pub revocation: Revocation,
}

/// An MCP server, whose authorization server is found by discovery.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMcp {
    /// The name that users see
    #[schemars(required)]
    title: Option<String>,
    /// The page of the provider that the definition was written from
    documentation: Option<String>,
    /// Parameters that users enter before they connect
    #[serde(default)]
    parameters: Vec<RawParameter>,
    /// The address of the server
    #[schemars(required)]
    mcp_url: Option<UrlTemplate>,
    #[serde(default)]
    registration: RawRegistration,
    /// The scopes that are requested [default: those of the server's challenge, else of its metadata]
    #[serde(default)]
    scopes: Vec<String>,
    /// The scope by which a refresh token is issued, where the server's metadata does not list it
    offline_scope: Option<String>,
    /// Number of accounts that one user may connect [default: one]
    accounts: Option<Accounts>,
    /// The number of grants that an account may have for one registration; above it the oldest one ends
    grants_per_account: Option<NonZeroU32>,
    #[serde(default)]
    lifetime: RawLifetime,
    /// Renewal of credentials [default: refresh_token, single_use]
    refresh: Option<RawRefresh>,
    #[serde(default)]
    revocation: RawRevocation,
}

impl RawMcp {
    pub(crate) fn split(self) -> (Head, RestOfMcp) {
        let (title, documentation, parameters) = (self.title, self.documentation, self.parameters);
        let rest = RestOfMcp {
            mcp_url: self.mcp_url,
            registration: self.registration,
            scopes: self.scopes,
            offline_scope: self.offline_scope,
            accounts: self.accounts,
            grants_per_account: self.grants_per_account,
            lifetime: self.lifetime,
            refresh: self.refresh,
            revocation: self.revocation,
        };
        (Head { title, documentation, parameters }, rest)
    }
}

/// The keys of an `mcp` definition without those of every kind.
pub(crate) struct RestOfMcp {
    mcp_url: Option<UrlTemplate>,
    registration: RawRegistration,
    scopes: Vec<String>,
    offline_scope: Option<String>,
    accounts: Option<Accounts>,
    grants_per_account: Option<NonZeroU32>,
    lifetime: RawLifetime,
    refresh: Option<RawRefresh>,
    revocation: RawRevocation,
}

impl RestOfMcp {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Option<Mcp> {
        let fix = "write the address of the server, such as mcp_url = \"https://mcp.example.com/mcp\"";
        let url = check.required("mcp_url", self.mcp_url, fix);
        if let Some(url) = &url {
            check.url("mcp_url", url, Step::Authorization);
        }
        let registration = self.registration.check(RawBy::Dynamic, ClientAuthentication::default(), check);
        // RFC 9700 section 2.2.2 wants rotation of public clients, and a token that works once is never shown twice.
        let refresh = self.refresh.unwrap_or_else(RawRefresh::single_use).check(check);
        Some(Mcp {
            lifetime: self.lifetime.check(check),
            revocation: self.revocation.check(check),
            url: url?,
            registration: registration?,
            scopes: self.scopes,
            offline_scope: self.offline_scope,
            accounts: self.accounts.unwrap_or_default(),
            grants_per_account: self.grants_per_account,
            refresh: refresh?,
        })
    }
}
