//! Providers of the kind `mcp`: an MCP server that discovery finds the authorization server of. From there on it is a
//! provider of the kind [`oauth2`](super::oauth2), which keeps and completes what begins here.

mod call;
mod connect;
mod discovered;
mod kept;

use std::sync::Arc;

use causeway_providers::{Catalog, FieldValues, FillError, Kind, Provider, UrlTemplate};
use url::Url;

use self::discovered::Discovered;
use super::oauth2::{self, OauthProvider, registrations::Registrations};
use crate::parts::CtxParts;
use crate::upstream::traits::Upstream;

/// A provider of the kind `mcp`.
#[derive(Debug)]
pub(crate) struct McpProvider {
    /// The address of the server.
    url: UrlTemplate,
    /// The client of its authorization server.
    oauth: OauthProvider,
    /// The results of discovery.
    discovered: Discovered,
}

impl McpProvider {
    /// The address of the server.
    ///
    /// # Errors
    /// [`FillError`], for a value that is missing or leads elsewhere.
    fn url(&self, fields: &FieldValues) -> Result<Url, FillError> {
        self.url.fill(|name| fields.get(name.as_str()))
    }
}

/// The implementations of the catalog's providers of this kind, by name.
pub(crate) fn providers(
    parts: &CtxParts,
    catalog: &Catalog,
    registrations: &Registrations,
) -> Vec<(String, Arc<dyn Upstream>)> {
    let client = oauth2::client(parts);
    let of = |provider: &Provider| -> Option<(String, Arc<dyn Upstream>)> {
        let Kind::Mcp(mcp) = &provider.definition.kind else { return None };
        let provider = McpProvider {
            url: mcp.url.clone(),
            oauth: OauthProvider::new(parts, &client, provider, registrations),
            discovered: Discovered::default(),
        };
        Some((provider.oauth.name.clone(), Arc::new(provider)))
    };
    catalog.iter().filter_map(of).collect()
}
