//! The server in this process: the real router on port 0, with a clock that tests move.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::Result;
use causeway_api::ApiConfig;
use causeway_atproto::{AtprotoClient, AtprotoConfig};
use causeway_domain::resource::ResourceScopes;
use causeway_flow::client::registration::RegistrationPolicy;
use causeway_flow::operations::limits::RateLimits;
use causeway_flow::resource::access::{self, AccessError, AccessRequest, Bearer};
use causeway_flow::resource::dpop::ProofRequest;
use causeway_flow::upstream::keeper::RENEWAL_TIMEOUT;
use causeway_flow::upstream::traits::Upstream;
use causeway_flow::{ConfiguredRegistrations, Ctx, CtxParts, UpstreamClient, UpstreamProfile};
use causeway_outbound::{HttpClient, HttpConfig};
use causeway_providers::Catalog;
use causeway_store::Store;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::sessions::History;
use causeway_store::testing::{self, TestDatabase};
use causeway_types::{PlainToken, Scope, Secret, SystemRng, TokenType};
use url::Url;

use crate::bearer::{BEARER, BearerProvider};
use crate::clock::MockClock;

/// Where a server under test finds accounts.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The PLC directory.
    pub plc_url: String,
    /// The handle resolver.
    pub handle_resolver: String,
    /// Timeout for requests upstream.
    pub timeout: Duration,
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct TestApp {
    /// Its issuer: an origin.
    pub issuer: String,
    /// Its context, to inspect or change state directly.
    pub ctx: Ctx,
    /// Its clock.
    pub clock: MockClock,
    /// Its key ring.
    pub ring: Arc<EncryptionKeyRing>,
    /// The other kind of provider that it keeps sessions at.
    pub provider: Arc<BearerProvider>,
    handle: ServerHandle,
}

/// The HTTP client of a server outside development: https, to the public internet only.
///
/// # Errors
/// When the HTTP client does not start.
pub fn strict_outbound() -> Result<HttpClient> {
    Ok(HttpClient::new(&HttpConfig::default())?)
}

impl TestApp {
    /// The operator's token for `/admin`.
    pub const ADMIN_TOKEN: &str = "the-operators-own-token";

    /// Starts a server on a database.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start(database: &TestDatabase, environment: &Environment) -> Result<Self> {
        let ring = Arc::new(EncryptionKeyRing::parse(&EncryptionKeyRing::generate(&SystemRng))?);
        Self::start_with(database, environment, MockClock::now_or_never(), ring, None).await
    }

    /// Starts a server with `CtxParts` changed before they are assembled.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start_tuned(
        database: &TestDatabase,
        environment: &Environment,
        tune: impl FnOnce(&mut CtxParts),
    ) -> Result<Self> {
        let ring = Arc::new(EncryptionKeyRing::parse(&EncryptionKeyRing::generate(&SystemRng))?);
        let tune = async |parts: &mut CtxParts| {
            tune(parts);
            Ok(())
        };
        Self::run(database, environment, MockClock::now_or_never(), ring, None, tune).await
    }

    /// Starts a server that is a confidential client upstream, with the key stored in its database, or a new
    /// one.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start_confidential(
        database: &TestDatabase,
        environment: &Environment,
        clock: MockClock,
        ring: Arc<EncryptionKeyRing>,
    ) -> Result<Self> {
        let tune = async |parts: &mut CtxParts| {
            let CtxParts { issuer, max_scope, store, ring, clock, .. } = &*parts;
            let shared = UpstreamClient::Shared;
            let profile =
                UpstreamProfile::confidential(issuer, shared, max_scope, store, ring, &**clock).await?;
            parts.profile = Arc::new(profile);
            Ok(())
        };
        Self::run(database, environment, clock, ring, None, tune).await
    }

    /// Starts a server beside or after another one: same database, keys and clock, and the same
    /// address when `address` is given.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start_with(
        database: &TestDatabase,
        environment: &Environment,
        clock: MockClock,
        ring: Arc<EncryptionKeyRing>,
        address: Option<SocketAddr>,
    ) -> Result<Self> {
        Self::run(database, environment, clock, ring, address, async |_: &mut CtxParts| Ok(())).await
    }

    async fn run(
        database: &TestDatabase,
        environment: &Environment,
        clock: MockClock,
        ring: Arc<EncryptionKeyRing>,
        address: Option<SocketAddr>,
        tune: impl AsyncFnOnce(&mut CtxParts) -> Result<()>,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address.unwrap_or(([127, 0, 0, 1], 0).into()))?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let store = Store::open(database.url(), testing::options()).await?;
        let scope = Scope::parse("atproto transition:generic transition:email transition:chat.bsky")?;
        let random = Arc::new(SystemRng);
        let outbound = HttpClient::new(&HttpConfig {
            dev_mode: true,
            total_timeout: environment.timeout,
            idle_timeout: environment.timeout,
            ..HttpConfig::default()
        })?;
        let config = AtprotoConfig {
            plc_url: Url::parse(&environment.plc_url)?,
            handle_resolver: Some(Url::parse(&environment.handle_resolver)?),
        };
        let provider = BearerProvider::new(environment, clock.clone());
        let upstream: Arc<dyn Upstream> = provider.clone();
        let mut parts = CtxParts {
            store,
            ring: Arc::clone(&ring),
            outbound: outbound.clone(),
            atproto: AtprotoClient::new(outbound, config, Arc::new(clock.clone()), random.clone()),
            clock: Arc::new(clock.clone()),
            rng: random,
            issuer: issuer.clone(),
            profile: Arc::new(UpstreamProfile::loopback(&issuer)),
            providers: Catalog::default(),
            provider_registrations: ConfiguredRegistrations::new(),
            upstreams: vec![(BEARER.to_owned(), upstream)],
            renewal_timeout: RENEWAL_TIMEOUT,
            max_scope: scope,
            registration: RegistrationPolicy::Open,
            client_documents: true,
            resources: Vec::new(),
            mcp_allowed_origins: Vec::new(),
            trusted_email_issuers: Vec::new(),
            resource_scopes: ResourceScopes::default(),
            limits: RateLimits::default(),
            audit_seconds: Some(90 * 86_400),
            history: History::default(),
        };
        tune(&mut parts).await?;
        let ctx = Ctx::new(parts);
        let api = ApiConfig {
            page_origin: issuer.clone(),
            trusted_proxies: Vec::new(),
            demo: None,
            keep_alive: Duration::from_secs(75),
            workers: 2,
            admin_token: Some(Secret::new(Self::ADMIN_TOKEN)),
            stats: None,
        };
        let server = causeway_api::serve(listener, ctx.clone(), api)?;
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { issuer, ctx, clock, ring, provider, handle })
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        self.ctx.store()
    }

    /// Verifies an access token without HTTP.
    ///
    /// # Errors
    /// When it is not valid.
    pub async fn bearer(&self, token: &str) -> Result<Bearer, AccessError> {
        let token = PlainToken::presented(token);
        let request = AccessRequest { token, scheme: TokenType::Bearer, proof: ProofRequest::default() };
        access::verify(&self.ctx, &request).await
    }

    /// URL of a path on this server.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// Stops it after the requests in progress.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}
