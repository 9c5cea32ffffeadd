//! The context that every flow needs, composed once.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_atproto::AtprotoClient;
use causeway_domain::session::ATPROTO;
use causeway_jose::DpopNonces;
use causeway_outbound::budget::Budgets;
use causeway_outbound::{HttpClient, OutboundStats};
use causeway_providers::Catalog;
use causeway_store::Store;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::sessions::History;
use causeway_types::{Resource, Rng, TenantId, Timestamp, UnixMillis};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::authorization::device::user_code_limit::UserCodeLimit;
use crate::authorization::scopes::ScopePolicy;
use crate::client::cache::ClientCache;
use crate::client::document_fetch::ClientDocuments;
use crate::client::fetch_turns::FetchTurns;
use crate::client::keys::ClientKeys;
use crate::client::registration::RegistrationPolicy;
use crate::error::Internal;
use crate::operations::complaints::Complaints;
use crate::operations::deliveries::Queues;
use crate::operations::events::Hub;
use crate::operations::issuer_keys::IssuerKeys;
use crate::operations::lifecycle::Lifecycle;
use crate::operations::limits::Limits;
use crate::operations::node::Node;
use crate::operations::stats::Stats;
use crate::operations::trace;
use crate::parts::{ConfiguredRegistrations, CtxParts};
use crate::resource::proof_replay::RecentProofs;
use crate::ring::RingInUse;
use crate::upstream::atproto::adapter::Atproto;
use crate::upstream::atproto::handles::HandleChecks;
use crate::upstream::atproto::profile::UpstreamProfile;
use crate::upstream::keeper::RENEWAL_TIMEOUT;
use crate::upstream::keeper::single_flight::SingleFlight;
use crate::upstream::oauth2::registrations::Registrations;
use crate::upstream::registry::Upstreams;
use crate::upstream::traits::Upstream;
use crate::upstream::{form, mcp, oauth2};

/// How long a caller waits for work that continues without it.
const CALLER_TIMEOUT: Duration = Duration::from_secs(45);

/// Long texts parsed at the same time: other work needs the processor, too.
const PARSING: usize = 2;

/// The context of every flow. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Ctx(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: CtxParts,
    tenant: TenantId,
    scopes: Arc<ScopePolicy>,
    clients: ClientCache,
    client_keys: ClientKeys,
    client_documents: ClientDocuments,
    ring: RingInUse,
    fetch_turns: FetchTurns,
    parsing: Semaphore,
    recent_proofs: RecentProofs,
    user_code_limit: UserCodeLimit,
    single_flight: SingleFlight,
    limits: Limits,
    stats: Stats,
    issuer_keys: IssuerKeys,
    hub: Hub,
    webhooks: Queues,
    logout_notices: Queues,
    lifecycle: Lifecycle,
    handle_checks: HandleChecks,
    /// The tenant whose deleted rows were swept last.
    swept_tenant: Mutex<String>,
    /// AT Protocol servers, with the name under which sessions are kept there.
    atproto: (String, Arc<dyn Upstream>),
    registrations: Registrations,
    upstreams: Upstreams,
    node: Node,
    runtime: Handle,
    tasks: TaskTracker,
}

impl Ctx {
    /// Composes a context. The runtime that this is called on carries the work that outlives requests.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(parts: CtxParts) -> Self {
        let scopes = Arc::new(ScopePolicy::new(
            parts.max_scope.clone(),
            parts.profile.declares(),
            parts.resource_scopes.clone(),
        ));
        let limits = Limits::new(parts.limits);
        let ring = RingInUse::new(Arc::clone(&parts.ring));
        let node = Node::new(&*parts.rng);
        let atproto: Arc<dyn Upstream> = Arc::new(Atproto {
            client: parts.atproto.clone(),
            profile: Arc::clone(&parts.profile),
            scopes: Arc::clone(&scopes),
            clock: Arc::clone(&parts.clock),
            rng: Arc::clone(&parts.rng),
            complaints: Complaints::default(),
        });
        let catalog = Arc::new(parts.providers.clone());
        let registrations = Registrations::new(&parts, ring.clone(), Arc::clone(&catalog));
        let built_in = (ATPROTO.to_owned(), atproto);
        let upstreams = Upstreams::new(implementations(&parts, &catalog, &registrations, built_in.clone()));
        Self(Arc::new(Inner {
            parts,
            tenant: TenantId::default_tenant(),
            scopes,
            clients: ClientCache::default(),
            client_keys: ClientKeys::default(),
            client_documents: ClientDocuments::default(),
            ring,
            fetch_turns: FetchTurns::default(),
            parsing: Semaphore::new(PARSING),
            recent_proofs: RecentProofs::default(),
            user_code_limit: UserCodeLimit::default(),
            single_flight: SingleFlight::default(),
            limits,
            stats: Stats::default(),
            issuer_keys: IssuerKeys::default(),
            hub: Hub::default(),
            webhooks: Queues::default(),
            logout_notices: Queues::default(),
            lifecycle: Lifecycle::default(),
            handle_checks: HandleChecks::default(),
            swept_tenant: Mutex::default(),
            atproto: built_in,
            registrations,
            upstreams,
            node,
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Starts work that continues when the requester disconnects, and that [`Ctx::settle`] waits for. It runs
    /// on the runtime of the process, never on that of an HTTP worker, which may stop earlier.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.tasks.spawn_on(trace::carry(work).in_current_span(), &self.0.runtime)
    }

    /// Starts such work apart from the request in which it begins: its log lines name none.
    pub(crate) fn start_apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.tasks.spawn_on(work, &self.0.runtime)
    }

    /// Starts work that lasts as long as the server runs; its end is not awaited.
    pub(crate) fn start_for_good(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.runtime.spawn(work);
    }

    /// Starts such work and waits for its result, for as long as a caller can be kept waiting. The work is
    /// not part of the caller's future, which stays small.
    pub(crate) fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Internal>> {
        wait_for(self.start(work))
    }

    /// Waits until all such work has ended.
    pub async fn settle(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.tasks.reopen();
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// Our issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.0.parts.issuer
    }

    /// Our client identity at authorization servers.
    pub fn profile(&self) -> &UpstreamProfile {
        &self.0.parts.profile
    }

    /// The providers that sessions are kept at.
    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.0.upstreams
    }

    /// The definitions of providers in use.
    pub fn providers(&self) -> Arc<Catalog> {
        self.0.registrations.catalog()
    }

    /// Our registrations at providers.
    pub(crate) fn registrations(&self) -> &Registrations {
        &self.0.registrations
    }

    /// Replaces the definitions of providers and our registrations there that the settings name. Connections at a provider
    /// that has no definition any more stay, and cannot be used.
    pub fn replace_providers(&self, catalog: Catalog, registrations: ConfiguredRegistrations) {
        let catalog = Arc::new(catalog);
        self.0.registrations.replace(Arc::clone(&catalog), registrations);
        let Inner { parts, atproto, registrations, upstreams, .. } = &*self.0;
        upstreams.replace(implementations(parts, &catalog, registrations, atproto.clone()));
    }

    /// How long a provider may take to renew credentials.
    pub(crate) fn renewal_timeout(&self) -> Duration {
        self.0.parts.renewal_timeout.min(RENEWAL_TIMEOUT)
    }

    /// The policy for requested scopes.
    pub fn scopes(&self) -> &ScopePolicy {
        &self.0.scopes
    }

    /// The policy for client registration.
    pub fn registration(&self) -> &RegistrationPolicy {
        &self.0.parts.registration
    }

    /// Whether unregistered clients are accepted.
    pub fn accepts_client_documents(&self) -> bool {
        self.0.parts.client_documents
    }

    /// Whether this issuer's confirmation of an email address is passed on.
    pub(crate) fn trusts_email_of(&self, issuer: &str) -> bool {
        self.0.parts.trusted_email_issuers.iter().any(|trusted| trusted == issuer)
    }

    /// Third-party resources that every client may request tokens for.
    pub(crate) fn resources(&self) -> &[Resource] {
        &self.0.parts.resources
    }

    /// Origins whose scripts may call the MCP endpoints, beside those of each client's redirect URIs.
    pub(crate) fn mcp_allowed_origins(&self) -> &[String] {
        &self.0.parts.mcp_allowed_origins
    }

    /// The rate limits and their counters.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Seconds for which audit events are retained; `None`: forever.
    pub(crate) fn audit_seconds(&self) -> Option<i64> {
        self.0.parts.audit_seconds
    }

    /// The past session iterations that are retained.
    pub(crate) fn history(&self) -> History {
        self.0.parts.history
    }

    /// The counters of this process.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// The counters of requests to other servers.
    pub fn upstream_stats(&self) -> OutboundStats {
        self.outbound().stats()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    /// The time, for names that are in the order of their making.
    pub(crate) fn unix_millis(&self) -> UnixMillis {
        self.0.parts.clock.unix_millis()
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    pub(crate) fn ring(&self) -> Arc<EncryptionKeyRing> {
        self.0.ring.ring()
    }

    /// Replaces the key ring in use. The new one has to decrypt whatever the old one encrypted.
    pub fn replace_ring(&self, ring: Arc<EncryptionKeyRing>) {
        self.0.ring.replace(ring);
    }

    /// The streams of events.
    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Streams of events that are open in this process.
    pub fn open_streams(&self) -> usize {
        self.0.hub.open()
    }

    /// The queues of webhook requests.
    pub fn webhooks(&self) -> &Queues {
        &self.0.webhooks
    }

    /// The queues of logout tokens (OpenID Connect Back-Channel Logout 1.0).
    pub fn logout_notices(&self) -> &Queues {
        &self.0.logout_notices
    }

    /// Whether the server runs, is about to stop, or stops.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.0.lifecycle
    }

    /// The client for requests to servers of clients: their documents, keys and webhooks.
    pub(crate) fn outbound(&self) -> &HttpClient {
        &self.0.parts.outbound
    }

    pub(crate) fn atproto(&self) -> &AtprotoClient {
        &self.0.parts.atproto
    }

    /// Parses a long text on a thread where it does not delay other requests.
    ///
    /// # Errors
    /// When the work ended without a result.
    pub async fn parse<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Internal> {
        let _turn = self.0.parsing.acquire().await;
        Ok(tokio::task::spawn_blocking(work).await?)
    }

    /// The memory budgets of this process.
    pub fn budgets(&self) -> &Budgets {
        self.outbound().budgets()
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        &*self.0.parts.rng
    }

    /// A random byte, for jitter.
    pub(crate) fn jitter(&self) -> u8 {
        let mut jitter = [0];
        self.rng().fill(&mut jitter);
        jitter[0]
    }

    pub(crate) fn clients(&self) -> &ClientCache {
        &self.0.clients
    }

    pub(crate) fn issuer_keys(&self) -> &IssuerKeys {
        &self.0.issuer_keys
    }

    pub(crate) fn client_documents(&self) -> &ClientDocuments {
        &self.0.client_documents
    }

    /// The turns in which client documents and keys are fetched.
    pub(crate) fn fetch_turns(&self) -> &FetchTurns {
        &self.0.fetch_turns
    }

    pub(crate) fn client_keys(&self) -> &ClientKeys {
        &self.0.client_keys
    }

    /// The DPoP proofs that resources of this process have accepted.
    pub(crate) fn recent_proofs(&self) -> &RecentProofs {
        &self.0.recent_proofs
    }

    /// The wrong user codes by browser and address.
    pub(crate) fn user_code_limit(&self) -> &UserCodeLimit {
        &self.0.user_code_limit
    }

    /// The nonces of this deployment: every process with the same key ring has the same.
    pub(crate) fn nonces(&self) -> Result<Arc<DpopNonces>, Internal> {
        self.0.ring.nonces()
    }

    pub(crate) fn single_flight(&self) -> &SingleFlight {
        &self.0.single_flight
    }

    /// The handles that are looked up again.
    pub(crate) fn handle_checks(&self) -> &HandleChecks {
        &self.0.handle_checks
    }

    /// The tenant whose deleted rows were swept last; empty: none yet in this round.
    pub(crate) fn swept_tenant(&self) -> String {
        self.0.swept_tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the tenant whose deleted rows were swept last.
    pub(crate) fn set_swept_tenant(&self, tenant_id: String) {
        *self.0.swept_tenant.lock().unwrap_or_else(PoisonError::into_inner) = tenant_id;
    }

    /// This server among those on the database.
    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }
}

/// The implementations of every provider, by name. A later one takes the place of an earlier one.
fn implementations(
    parts: &CtxParts,
    catalog: &Catalog,
    registrations: &Registrations,
    atproto: (String, Arc<dyn Upstream>),
) -> Vec<(String, Arc<dyn Upstream>)> {
    let mut all = oauth2::providers(parts, catalog, registrations);
    all.extend(mcp::providers(parts, catalog, registrations));
    all.extend(form::providers(parts, catalog, registrations));
    all.extend(parts.upstreams.iter().cloned());
    all.push(atproto);
    all
}

async fn wait_for<T>(task: JoinHandle<T>) -> Result<T, Internal> {
    Ok(timeout(CALLER_TIMEOUT, task).await.map_err(|_| Internal::Slow)??)
}
