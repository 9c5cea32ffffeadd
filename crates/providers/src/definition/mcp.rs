//! The kind `mcp`.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::account::Identity;
use super::answer::RawAnswer;
use super::head::Head;
use super::lifetime::RawLifetime;
use super::oauth::{Accounts, OauthClient, Pkce, Scopes};
use super::parameter::RawParameter;
use super::refresh::RawRefresh;
use super::registration::{RawBy, RawRegistration};
use super::request::{ClientAuthentication, RawAuthorization, RawTokenRequest};
use super::revocation::RawRevocation;
use crate::check::{Check, Step};
use crate::values::url_template::UrlTemplate;

/// An MCP server. Its metadata names its authorization server, and the metadata of that one says the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Mcp {
    /// The server.
    pub url: UrlTemplate,
    /// Causeway as the client of its authorization server: everything but the endpoints, which discovery finds.
    pub client: OauthClient,
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
        let separator = " ".to_owned();
        let answer = RawAnswer::default().check(&separator, check);
        let client = OauthClient {
            lifetime: self.lifetime.check(check),
            revocation: self.revocation.check(check),
            registration: registration?,
            scopes: Scopes {
                default: self.scopes,
                required: Vec::new(),
                offline: self.offline_scope,
                separator,
            },
            pkce: Pkce::S256,
            resource: true,
            extras: None,
            accounts: self.accounts.unwrap_or_default(),
            grants_per_account: self.grants_per_account,
            authorization: RawAuthorization::default().check(check),
            token_request: RawTokenRequest::default().check(check),
            exchange: None,
            answer: answer?,
            credentials: Vec::new(),
            captures: Vec::new(),
            refresh: refresh?,
            identity: Identity::None,
            managed_accounts: Vec::new(),
            relay: None,
        };
        Some(Mcp { url: url?, client })
    }
}
