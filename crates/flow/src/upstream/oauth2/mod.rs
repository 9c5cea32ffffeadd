//! Providers of the kinds `oauth2` and `oidc`: what their [definitions](causeway_providers) say, for the keeper, the relay
//! and the verbs that connect.

pub(crate) mod binding;
mod call;
pub(crate) mod client_document;
pub(crate) mod connect;
pub(crate) mod dynamic_registration;
pub(crate) mod kept;
mod managed;
mod registration_turns;
pub(crate) mod registrations;
pub(crate) mod relaying;
mod revoke;
pub(crate) mod servers;
pub(crate) mod stored;

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::Clock;
use causeway_providers::oauth::ProviderClient;
use causeway_providers::{Catalog, Definition, Kind, Provider};
use causeway_types::Rng;

pub(crate) use self::connect::offered_parameters;
use self::registrations::Registrations;
use crate::parts::CtxParts;
use crate::upstream::traits::Upstream;

/// How long a provider may take to answer one request.
const DEADLINE: Duration = Duration::from_secs(30);

/// A provider of the kind `oauth2` or `oidc`.
#[derive(Debug)]
pub(crate) struct OauthProvider {
    /// Its name.
    pub(crate) name: String,
    /// Its definition.
    pub(crate) definition: Definition,
    /// The client for its endpoints and its API.
    pub(crate) client: ProviderClient,
    /// Our registrations.
    pub(crate) registrations: Registrations,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
}

impl OauthProvider {
    /// The definition's part for OAuth.
    pub(crate) fn oauth(&self) -> Option<&causeway_providers::OauthClient> {
        self.definition.kind.oauth()
    }
}

impl OauthProvider {
    /// The implementation for a definition.
    pub(crate) fn new(
        parts: &CtxParts,
        client: &ProviderClient,
        provider: &Provider,
        registrations: &Registrations,
    ) -> Self {
        Self {
            name: provider.name.as_str().to_owned(),
            definition: provider.definition.clone(),
            client: client.clone(),
            registrations: registrations.clone(),
            clock: Arc::clone(&parts.clock),
            rng: Arc::clone(&parts.rng),
        }
    }
}

/// The client for the endpoints and the APIs of providers.
pub(crate) fn client(parts: &CtxParts) -> ProviderClient {
    ProviderClient::new(parts.outbound.clone(), Arc::clone(&parts.clock), Arc::clone(&parts.rng), DEADLINE)
}

/// The implementations of the catalog's providers of these kinds, by name.
pub(crate) fn providers(
    parts: &CtxParts,
    catalog: &Catalog,
    registrations: &Registrations,
) -> Vec<(String, Arc<dyn Upstream>)> {
    let client = client(parts);
    let of = |provider: &Provider| -> Option<(String, Arc<dyn Upstream>)> {
        let (Kind::Oauth2(_) | Kind::Oidc(_)) = &provider.definition.kind else { return None };
        let kept = OauthProvider::new(parts, &client, provider, registrations);
        Some((kept.name.clone(), Arc::new(kept)))
    };
    catalog.iter().filter_map(of).collect()
}
