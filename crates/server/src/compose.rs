//! Builds the parts of a server from its configuration.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use causeway_atproto::{AtprotoClient, AtprotoConfig};
use causeway_config::{
    Config, ConfigError, DatabasePooler, ExternalUrl, ProviderConfig, ProviderSecret, Registration,
};
use causeway_domain::resource::ResourceScopes;
use causeway_domain::{Clock, RateLimit, SystemClock};
use causeway_flow::client::registration::RegistrationPolicy;
use causeway_flow::operations::limits::RateLimits;
use causeway_flow::upstream::keeper::RENEWAL_TIMEOUT;
use causeway_flow::{
    ConfiguredRegistration, ConfiguredRegistrations, Ctx, CtxParts, UpstreamClient, UpstreamProfile,
};
use causeway_outbound::budget::Budgets;
use causeway_outbound::{HttpClient, HttpConfig};
use causeway_providers::Catalog;
use causeway_providers::oauth::RegistrationIssuer;
use causeway_store::engine::migrate::{self, SchemaState};
use causeway_store::sessions;
use causeway_store::sessions::History;
use causeway_store::{DatabaseUrl, Pooler, ServerLock, ServerLockError, Store, StoreOptions};
use causeway_types::resource::ResourceError;
use causeway_types::{Resource, Scope, Secret, SystemRng, UpstreamClientId};
use tokio::runtime::{Builder, Runtime};

use crate::secret_key;

/// Attempts to claim a database that another server holds, and the pause between them.
const CLAIM_TRIES: u32 = 10;
const CLAIM_PAUSE: Duration = Duration::from_millis(100);
/// How long a thread stuck in the database may delay the exit of the process.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The async runtime of this process.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("the async runtime")
}

/// Runs a command to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    end(runtime);
    done
}

/// Ends a runtime, whatever still hangs on it.
pub(crate) fn end(runtime: Runtime) {
    runtime.shutdown_timeout(EXIT_TIMEOUT);
}

/// The database's address, refused like any other setting.
pub(crate) fn database_url(config: &Config) -> Result<DatabaseUrl, ConfigError> {
    config.database_url.parse().map_err(|error: causeway_store::DatabaseUrlError| ConfigError {
        setting: "database-url (CAUSEWAY_DATABASE_URL)".to_owned(),
        problem: format!("the address {error}"),
        fix: "for example sqlite://causeway.db".to_owned(),
    })
}

/// The maximum scope, refused like any other setting.
pub(crate) fn max_scope(config: &Config) -> Result<Scope, ConfigError> {
    let refuse = |problem: String, fix: &str| ConfigError {
        setting: "atp-scopes (CAUSEWAY_ATP_SCOPES)".to_owned(),
        problem,
        fix: fix.to_owned(),
    };
    let max_scope = Scope::parse(&config.atp_scopes).map_err(|error| {
        refuse(error.to_string(), "use values such as transition:generic or repo:app.bsky.feed.post")
    })?;
    if let Some(own) = max_scope.iter().find(|value| !value.is_atproto()) {
        return Err(refuse(
            format!("{own} is not a scope of a PDS"),
            "omit it: the maximum scope needs only scopes of a PDS",
        ));
    }
    Ok(max_scope)
}

fn resources(config: &Config) -> Result<Vec<Resource>, ConfigError> {
    let refuse = |error: ResourceError| ConfigError {
        setting: "resources (CAUSEWAY_RESOURCES)".to_owned(),
        problem: error.to_string(),
        fix: "use URIs such as https://api.example.com/mcp".to_owned(),
    };
    config.resources.iter().map(|text| Resource::parse(text).map_err(refuse)).collect()
}

/// The scopes of resources, refused like any other setting.
pub(crate) fn resource_scopes(config: &Config) -> Result<ResourceScopes, ConfigError> {
    ResourceScopes::parse(&config.resource_scope).map_err(|error| ConfigError {
        setting: "resource-scope (CAUSEWAY_RESOURCE_SCOPE)".to_owned(),
        problem: error.to_string(),
        fix: "use for example \"https://api.example.com/mcp notes:read Read your notes\"".to_owned(),
    })
}

/// How long a command waits for the database; no client waits for its response.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens a database for a command; its schema must be one that this program supports.
pub(crate) async fn open_store(config: &Config, url: &DatabaseUrl) -> anyhow::Result<Store> {
    let options = store_options(config);
    open(url, StoreOptions { timeout: options.timeout.max(COMMAND_TIMEOUT), ..options }).await
}

/// The same for `serve`, which migrates the embedded database by itself; a shared one is migrated by
/// its operator.
pub(crate) async fn open_served_store(config: &Config, url: &DatabaseUrl) -> anyhow::Result<Store> {
    if let DatabaseUrl::Sqlite { .. } = url {
        let target = url.clone();
        tokio::task::spawn_blocking(move || migrate_embedded(&target)).await??;
    }
    open(url, store_options(config)).await
}

async fn open(url: &DatabaseUrl, options: StoreOptions) -> anyhow::Result<Store> {
    let target = url.clone();
    tokio::task::spawn_blocking(move || check_schema(&target)).await??;
    Store::open(url, options).await.with_context(|| format!("database {url}"))
}

fn store_options(config: &Config) -> StoreOptions {
    let database = &config.database;
    let mut options = StoreOptions {
        timeout: database.timeout,
        pooler: match database.pooler {
            DatabasePooler::None => Pooler::None,
            DatabasePooler::Transaction => Pooler::Transaction,
        },
        ..StoreOptions::default()
    };
    if let Some(connections) = database.connections {
        options.read_connections = connections.into();
        options.postgres_connections = connections.into();
    }
    options
}

/// Claims an embedded database for this server alone. A server that is shutting down gets a moment to release
/// it.
pub(crate) async fn claim_database(
    url: &DatabaseUrl,
    bound: SocketAddr,
) -> anyhow::Result<Option<ServerLock>> {
    for _ in 0..CLAIM_TRIES {
        match ServerLock::take(url, bound) {
            Err(ServerLockError::Held { .. }) => tokio::time::sleep(CLAIM_PAUSE).await,
            taken => return settle_claim(taken),
        }
    }
    settle_claim(ServerLock::take(url, bound))
}

fn settle_claim(taken: Result<Option<ServerLock>, ServerLockError>) -> anyhow::Result<Option<ServerLock>> {
    match taken {
        // Some file systems of networks have no locks.
        Err(error @ ServerLockError::Io { .. }) => {
            tracing::warn!(%error, "the database could not be locked against a second server");
            Ok(None)
        }
        taken => Ok(taken?),
    }
}

fn migrate_embedded(url: &DatabaseUrl) -> anyhow::Result<()> {
    let named = || format!("database-url (CAUSEWAY_DATABASE_URL): {url}");
    if let SchemaState::Empty | SchemaState::Behind { .. } = migrate::state(url).with_context(named)? {
        migrate::up(url).with_context(named)?;
    }
    Ok(())
}

fn check_schema(url: &DatabaseUrl) -> anyhow::Result<()> {
    let named = || format!("database-url (CAUSEWAY_DATABASE_URL): {url}");
    match migrate::state(url).with_context(named)? {
        SchemaState::Current => Ok(()),
        newer @ SchemaState::Compatible { .. } => {
            tracing::info!("{newer}");
            Ok(())
        }
        SchemaState::Ahead { unknown } => bail!(
            "database {url} was migrated by a newer version of causeway that this one cannot run beside ({}): run the newer \
             version",
            unknown.join(", ")
        ),
        SchemaState::Empty if is_missing(url) => bail!(
            "there is no database {url}: run this command in the server's working directory, or name the database with --database-url; \
             `causeway migrate up` creates a new one"
        ),
        SchemaState::Empty | SchemaState::Behind { .. } => {
            bail!("database {url} lacks migrations: run `causeway migrate up`")
        }
    }
}

fn is_missing(url: &DatabaseUrl) -> bool {
    matches!(url, DatabaseUrl::Sqlite { path } if !path.exists())
}

/// The origin at which browsers see the pages: PDSes redirect users to loopback addresses, never to
/// `localhost`.
pub(crate) fn page_origin(issuer: &ExternalUrl) -> String {
    match issuer.as_str().strip_prefix("http://localhost") {
        Some(port) if port.is_empty() || port.starts_with(':') => format!("http://127.0.0.1{port}"),
        _ => issuer.to_string(),
    }
}

/// Everything behind the HTTP API.
pub(crate) async fn context(
    config: &Config,
    issuer: &ExternalUrl,
    url: &DatabaseUrl,
    store: Store,
) -> anyhow::Result<Ctx> {
    let ring = Arc::new(secret_key::load(config, url, &store).await?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random = Arc::new(SystemRng);
    let max_scope = max_scope(config)?;
    let mode = match config.upstream_client {
        causeway_config::UpstreamClientMode::Shared => UpstreamClient::Shared,
        causeway_config::UpstreamClientMode::PerClient => UpstreamClient::PerClient,
    };
    let profile = if issuer.is_https() {
        UpstreamProfile::confidential(issuer.as_str(), mode, &max_scope, &store, &ring, &*clock).await?
    } else {
        if mode == UpstreamClient::PerClient {
            tracing::warn!(
                "upstream-client is per_client, which has no effect without an https external-url"
            );
        }
        UpstreamProfile::loopback(&page_origin(issuer))
    };
    warn_of_orphans(&store, &profile, issuer).await?;
    let outbound = outbound(config, issuer)?;
    let atproto =
        AtprotoConfig { plc_url: config.plc_url.clone(), handle_resolver: config.handle_resolver.clone() };
    let atproto = AtprotoClient::new(outbound.clone(), atproto, Arc::clone(&clock), random.clone());
    let issuer = issuer.to_string();
    let registration = registration(config)?;
    let catalog = providers(config)?;
    let provider_registrations = provider_registrations(config, &catalog)?;
    let limits = limits(config);
    Ok(Ctx::new(CtxParts {
        store,
        ring,
        outbound,
        atproto,
        clock,
        rng: random,
        issuer,
        profile: Arc::new(profile),
        providers: catalog,
        provider_registrations,
        upstreams: Vec::new(),
        renewal_timeout: RENEWAL_TIMEOUT,
        max_scope,
        registration,
        client_documents: config.client_id_documents,
        resources: resources(config)?,
        mcp_allowed_origins: config.mcp_allowed_origins.clone(),
        trusted_email_issuers: config.trusted_email_issuers.clone(),
        resource_scopes: resource_scopes(config)?,
        limits,
        audit_seconds: config.audit_retention_days.map(|days| i64::from(days) * 86_400),
        history: History {
            iterations: i64::from(config.session_history_count),
            seconds: i64::from(config.session_history_days) * 86_400,
        },
    }))
}

/// HTTP client for PDSes, authorization servers and the PLC directory, and for the servers of clients.
pub(crate) fn outbound(config: &Config, issuer: &ExternalUrl) -> anyhow::Result<HttpClient> {
    let extra_ca_pem = config.extra_ca.as_ref().map(std::fs::read).transpose().context("extra-ca")?;
    let http = HttpConfig {
        dev_mode: config.dev_mode,
        extra_ca_pem,
        resolve: config.resolve.clone(),
        budgets: Budgets::new(config.body_memory as usize * 1024 * 1024),
        user_agent: format!("causeway/{} (+{issuer})", env!("CARGO_PKG_VERSION")),
        ..HttpConfig::default()
    };
    Ok(HttpClient::new(&http)?)
}

/// The providers, refused like any other setting if a definition is not valid.
pub(crate) fn providers(config: &Config) -> Result<Catalog, ConfigError> {
    Catalog::load(config.providers_dir.as_deref()).map_err(|error| {
        let text = error.to_string();
        let (first, more) = (text.lines().next().unwrap_or_default(), text.lines().count() - 1);
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        ConfigError {
            setting: "providers-dir (CAUSEWAY_PROVIDERS_DIR)".to_owned(),
            problem: format!("{first}{more}"),
            fix: "`causeway providers check` prints every problem".to_owned(),
        }
    })
}

/// Registration policy; reads the initial access token once.
fn registration(config: &Config) -> anyhow::Result<RegistrationPolicy> {
    match (config.registration, &config.registration_token_file) {
        (Registration::Open, _) => Ok(RegistrationPolicy::Open),
        (Registration::Off, _) => Ok(RegistrationPolicy::Off),
        (Registration::Token, path) => {
            let path = path.as_ref().context("registration-token-file")?;
            let token = read_token(path, "registration-token-file (CAUSEWAY_REGISTRATION_TOKEN_FILE)")?;
            Ok(RegistrationPolicy::Token(token))
        }
    }
}

/// The operator's token for `/admin`, read once.
pub(crate) fn admin_token(config: &Config) -> Result<Option<Secret>, ConfigError> {
    let path = config.admin_token_file.as_deref();
    path.map(|path| read_token(path, "admin-token-file (CAUSEWAY_ADMIN_TOKEN_FILE)")).transpose()
}

fn read_token(path: &std::path::Path, setting: &'static str) -> Result<Secret, ConfigError> {
    let refuse = |problem: String, fix: &str| ConfigError {
        setting: setting.to_owned(),
        problem: format!("{}: {problem}", path.display()),
        fix: fix.to_owned(),
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| refuse(error.to_string(), "name a readable file"))?;
    let token = text.trim();
    if token.len() < 16 || token.contains(char::is_whitespace) {
        return Err(refuse("holds no token".to_owned(), "write one token of at least 16 characters into it"));
    }
    Ok(Secret::new(token))
}

/// Our registrations at providers, refused like any other setting. Each secret is read once.
pub(crate) fn provider_registrations(
    config: &Config,
    catalog: &Catalog,
) -> Result<ConfiguredRegistrations, ConfigError> {
    config.providers.iter().map(|provider| registration_of(provider, catalog)).collect()
}

fn registration_of(
    provider: &ProviderConfig,
    catalog: &Catalog,
) -> Result<(String, ConfiguredRegistration), ConfigError> {
    let refuse = |problem: String, fix: &str| ConfigError {
        setting: provider.setting.clone(),
        problem,
        fix: fix.to_owned(),
    };
    let name = &provider.name;
    let definition = catalog.find(name).map(|provider| &provider.definition).ok_or_else(|| {
        refuse(format!("there is no provider {name}"), "`causeway providers list` lists them")
    })?;
    if RegistrationIssuer::of(definition).is_none() {
        let problem =
            format!("{name} is of the kind {}, where nothing is registered", definition.kind.name());
        return Err(refuse(problem, "remove the setting"));
    }
    let client_secret = match &provider.client_secret {
        None => None,
        Some(ProviderSecret::Inline(secret)) => Some(Secret::new(secret.expose())),
        Some(ProviderSecret::File(path)) => Some(client_secret(path).map_err(|problem| {
            refuse(problem, "name a readable file that holds the secret and nothing else")
        })?),
    };
    let client_id = UpstreamClientId::new(provider.client_id.clone());
    Ok((name.clone(), ConfiguredRegistration { client_id, client_secret }))
}

/// Reads the secret that a provider gave, without the line's end.
pub(crate) fn client_secret(path: &std::path::Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match text.trim() {
        secret if secret.is_empty() || secret.contains(char::is_control) => {
            Err(format!("{} holds no secret", path.display()))
        }
        secret => Ok(Secret::new(secret)),
    }
}

fn limits(config: &Config) -> RateLimits {
    let limit = |limit: Option<causeway_config::RateLimitValue>| {
        limit.map(|limit| RateLimit { count: limit.count, seconds: limit.seconds })
    };
    RateLimits {
        sign_in: limit(config.sign_in_limit),
        registration: limit(config.registration_limit),
        failed_authentication: limit(config.failed_authentication_limit),
        authorization: limit(config.authorization_limit),
        device: limit(config.device_limit),
    }
}

/// Warns of sessions whose key or client document is no longer published: they cannot be refreshed, because
/// their PDS would delete them.
async fn warn_of_orphans(
    store: &Store,
    profile: &UpstreamProfile,
    issuer: &ExternalUrl,
) -> anyhow::Result<()> {
    let kids = store.read(sessions::live_upstream_kids).await?;
    let lost = kids.iter().filter(|kid| !profile.has_key(kid)).count();
    if lost > 0 {
        tracing::warn!(
            keys = lost,
            "live sessions use client keys that are no longer published: they cannot be \
             refreshed until those keys are published again"
        );
    }
    let (mut sessions, mut origins) = (0, BTreeSet::new());
    for (client, count) in store.read(sessions::count_by_upstream_client).await? {
        if let Some(origin) = document_origin(client.as_str()).filter(|origin| origin != issuer.as_str()) {
            sessions += count;
            origins.insert(origin);
        }
    }
    if sessions > 0 {
        let origins = origins.into_iter().collect::<Vec<_>>().join(" ");
        tracing::warn!(
            sessions,
            origins,
            external_url = %issuer,
            "live sessions began under another external URL: they cannot be refreshed unless their client \
             documents are still served there"
        );
    }
    Ok(())
}

/// Origin at which a client document of ours is fetched; `None` for the loopback client, whose `client_id` is
/// its document.
fn document_origin(client_id: &str) -> Option<String> {
    let url = url::Url::parse(client_id).ok()?;
    (url.path() != "/").then(|| url.origin().ascii_serialization())
}
