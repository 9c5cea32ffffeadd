//! The client that the rest of Causeway talks to.

use std::fmt;
use std::sync::Arc;

use causeway_domain::Clock;
use causeway_outbound::{HttpClient, TtlCache};
use causeway_types::{Did, Rng, SignInInput};
use url::Url;

use crate::authorization::nonce::NonceMemory;
use crate::error::ResolveError;
use crate::identity::{Freshness, Identity, IdentityResolver};
use crate::metadata::{AuthorizationServer, MetadataResolver};

/// Where identities are looked up.
#[derive(Clone, Debug)]
pub struct AtprotoConfig {
    /// The directory of `did:plc`.
    pub plc_url: Url,
    /// A service that resolves handles (`com.atproto.identity.resolveHandle`); `None`: DNS, then the handle's
    /// own domain.
    pub handle_resolver: Option<Url>,
}

/// Where a sign-in has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The account that is expected to sign in; `None` when only a server was named.
    pub identity: Option<Identity>,
    /// The authorization server to send the user to.
    pub server: AuthorizationServer,
}

/// The AT Protocol OAuth client. Clones share caches, nonces and connections.
///
/// # Cancellation
/// A request that carries a code or a refresh token must not be dropped half-way: run it detached from the
/// request that needs it.
#[derive(Clone)]
pub struct AtprotoClient(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) http: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) nonces: NonceMemory,
    identities: IdentityResolver,
    metadata: MetadataResolver,
    /// The issuers that know the transition scopes only.
    coarse: TtlCache<String, ()>,
}

impl fmt::Debug for AtprotoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtprotoClient").field("http", &self.0.http).finish_non_exhaustive()
    }
}

impl AtprotoClient {
    /// Builds the client, whose requests go through `http`; sends nothing.
    pub fn new(http: HttpClient, config: AtprotoConfig, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        let identities =
            IdentityResolver::new(http.clone(), clock.clone(), config.plc_url, config.handle_resolver);
        let metadata = MetadataResolver::new(http.clone(), clock.clone());
        let nonces = NonceMemory::default();
        let coarse = TtlCache::new();
        Self(Arc::new(Inner { http, clock, rng, nonces, identities, metadata, coarse }))
    }

    /// Resolves a user's sign-in input to the authorization server that can sign them in. The account's
    /// document is always fetched, so that an account that has just moved signs in at its new server.
    ///
    /// A handle has to verify in both directions. A server may be a PDS or an authorization server; an
    /// account that signs in through one named directly has to be checked with [`AtprotoClient::resolve_did`]
    /// and [`AtprotoClient::server_of_pds`].
    ///
    /// # Errors
    /// Any [`ResolveError`]; [`ResolveError::HandleMismatch`] when the handle's account uses another handle.
    #[tracing::instrument(name = "atproto.resolve", skip_all)]
    pub async fn resolve(&self, input: &SignInInput) -> Result<Target, ResolveError> {
        let identity = match input {
            SignInInput::Handle(handle) => {
                match self.0.identities.by_handle(handle, Freshness::Cached).await {
                    // The cached DID of the handle may be outdated.
                    Err(ResolveError::HandleMismatch) => {
                        self.0.identities.by_handle(handle, Freshness::Fresh).await?
                    }
                    outcome => outcome?,
                }
            }
            SignInInput::Did(did) => self.resolve_did_fresh(did).await?,
            SignInInput::Server(url) => {
                return Ok(Target { identity: None, server: self.0.metadata.of_server(url).await? });
            }
        };
        let server = self.server_of_pds(&identity.pds).await?;
        Ok(Target { identity: Some(identity), server })
    }

    /// Resolves an account's PDS and handle; at most 5 minutes old.
    ///
    /// # Errors
    /// Any [`ResolveError`] but those of handles: a handle that does not verify is left out.
    #[tracing::instrument(name = "atproto.resolve_did", skip_all, fields(%did))]
    pub async fn resolve_did(&self, did: &Did) -> Result<Identity, ResolveError> {
        self.0.identities.by_did(did, Freshness::Cached).await
    }

    /// Same as [`AtprotoClient::resolve_did`], for an account that may have moved: less than a minute old.
    ///
    /// # Errors
    /// As [`AtprotoClient::resolve_did`].
    #[tracing::instrument(name = "atproto.resolve_did_lately", skip_all, fields(%did))]
    pub async fn resolve_did_lately(&self, did: &Did) -> Result<Identity, ResolveError> {
        self.0.identities.by_did(did, Freshness::Younger(60)).await
    }

    /// Drops what is cached about an account, its PDS and its authorization server: something there did not match, or
    /// refused a credential.
    pub fn forget(&self, did: &Did) {
        if let Some(identity) = self.0.identities.forget(did) {
            self.0.metadata.forget(&identity.pds);
        }
    }

    /// Same as [`AtprotoClient::resolve_did`], bypassing the cache.
    ///
    /// # Errors
    /// As [`AtprotoClient::resolve_did`].
    #[tracing::instrument(name = "atproto.resolve_did_fresh", skip_all, fields(%did))]
    pub async fn resolve_did_fresh(&self, did: &Did) -> Result<Identity, ResolveError> {
        self.0.identities.by_did(did, Freshness::Fresh).await
    }

    /// The authorization server of a PDS; at most 5 minutes old.
    ///
    /// # Errors
    /// [`ResolveError::Http`] and [`ResolveError::ServerMetadata`].
    #[tracing::instrument(name = "atproto.server_of_pds", skip_all, fields(%pds))]
    pub async fn server_of_pds(&self, pds: &Url) -> Result<AuthorizationServer, ResolveError> {
        self.0.metadata.of_pds(pds).await
    }

    /// Whether an authorization server has shown in the last 5 minutes that it knows no scopes but the
    /// transition scopes.
    pub fn knows_transition_scopes_only(&self, issuer: &str) -> bool {
        self.0.coarse.get(&issuer.to_owned(), self.0.clock.now()).is_some()
    }

    /// Remembers that an authorization server refused a request for its scopes, and took the transition scopes.
    pub fn note_transition_scopes_only(&self, issuer: &str) {
        self.0.coarse.put(issuer.to_owned(), (), self.0.clock.now());
    }

    /// The authorization server with this issuer; at most 5 minutes old.
    ///
    /// # Errors
    /// [`ResolveError::Http`] and [`ResolveError::ServerMetadata`].
    #[tracing::instrument(name = "atproto.server_by_issuer", skip_all, fields(%issuer))]
    pub async fn server_by_issuer(&self, issuer: &str) -> Result<AuthorizationServer, ResolveError> {
        self.0.metadata.of_issuer(issuer).await
    }

    /// Same as [`AtprotoClient::server_by_issuer`], bypassing the cache.
    ///
    /// # Errors
    /// As [`AtprotoClient::server_by_issuer`].
    #[tracing::instrument(name = "atproto.server_by_issuer_fresh", skip_all, fields(%issuer))]
    pub async fn server_by_issuer_fresh(&self, issuer: &str) -> Result<AuthorizationServer, ResolveError> {
        self.0.metadata.of_issuer_fresh(issuer).await
    }
}
