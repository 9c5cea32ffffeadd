//! The parts that the context is composed of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use causeway_atproto::AtprotoClient;
use causeway_domain::Clock;
use causeway_domain::resource::ResourceScopes;
use causeway_outbound::HttpClient;
use causeway_providers::Catalog;
use causeway_store::Store;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::sessions::History;
use causeway_types::{Resource, Rng, Scope, Secret, UpstreamClientId};

use crate::client::registration::RegistrationPolicy;
use crate::operations::limits::RateLimits;
use crate::upstream::atproto::profile::UpstreamProfile;
use crate::upstream::traits::Upstream;

/// Our registrations at providers for every tenant that has none of its own, by the provider's name: the operator's
/// settings.
pub type ConfiguredRegistrations = BTreeMap<String, ConfiguredRegistration>;

/// A registration in the operator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredRegistration {
    /// Our identifier at the provider.
    pub client_id: UpstreamClientId,
    /// Our secret there; `None` for a public client.
    pub client_secret: Option<Secret>,
}

/// The parts that a server is composed of.
#[derive(Debug)]
pub struct CtxParts {
    /// The database.
    pub store: Store,
    /// The keys that encrypt secrets at rest.
    pub ring: Arc<EncryptionKeyRing>,
    /// The client for all requests to other servers.
    pub outbound: HttpClient,
    /// The client for PDSes and authorization servers.
    pub atproto: AtprotoClient,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The random number generator.
    pub rng: Arc<dyn Rng>,
    /// Our issuer identifier: an origin.
    pub issuer: String,
    /// Our client identity at authorization servers.
    pub profile: Arc<UpstreamProfile>,
    /// The definitions of providers.
    pub providers: Catalog,
    /// Our registrations at providers that serve every tenant without one of its own.
    pub provider_registrations: ConfiguredRegistrations,
    /// Further kinds of providers that sessions are kept at, by name.
    pub upstreams: Vec<(String, Arc<dyn Upstream>)>,
    /// How long a provider may take to renew credentials: [`RENEWAL_TIMEOUT`](crate::upstream::keeper::RENEWAL_TIMEOUT) at
    /// most.
    pub renewal_timeout: Duration,
    /// The maximum scope that we declare to authorization servers.
    pub max_scope: Scope,
    /// The policy for client registration.
    pub registration: RegistrationPolicy,
    /// Whether unregistered clients are accepted, by the document at their `client_id`.
    pub client_documents: bool,
    /// Third-party resources that every client may request tokens for.
    pub resources: Vec<Resource>,
    /// The issuers whose confirmation of an email address is passed on.
    pub trusted_email_issuers: Vec<String>,
    /// Origins whose scripts may call the MCP endpoints, beside those of each client's redirect URIs.
    pub mcp_allowed_origins: Vec<String>,
    /// The scopes of resources, in addition to those that clients may request for PDSes.
    pub resource_scopes: ResourceScopes,
    /// The rate limits of expensive operations.
    pub limits: RateLimits,
    /// Seconds for which audit events are retained; `None`: forever.
    pub audit_seconds: Option<i64>,
    /// The past session iterations that are retained.
    pub history: History,
}
