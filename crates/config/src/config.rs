//! The configuration as the server uses it.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use crate::error::{ConfigError, Fault};
use crate::settings::Settings;
use crate::settings::file::FileConfig;
use crate::settings::layers::{Layers, Source};
use crate::settings::parse;
use crate::settings::table;
use crate::settings::variables;
use crate::values::choices::{LogFormat, RateLimitValue, Registration, UpstreamClientMode};
use crate::values::database::DatabaseConfig;
use crate::values::exposed;
use crate::values::external_url::ExternalUrl;
use crate::values::provider::{self, ProviderConfig, is_variable};
use crate::values::secret::{InlineSecret, SecretKeySource};

/// Every setting, merged and checked. `Debug` shows what [`Config::render`] shows: no secret.
#[derive(Clone)]
pub struct Config {
    /// The address to bind; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The issuer as configured; see [`Config::issuer`] for the one in force.
    pub external_url: Option<ExternalUrl>,
    /// Networks of proxies whose forwarded address, request id and traceparent are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The maximum scope declared to PDSes, separated by single spaces; always contains `atproto`.
    pub atp_scopes: String,
    /// Our client identity at upstream authorization servers.
    pub upstream_client: UpstreamClientMode,
    /// `sqlite://...` or `postgres://...`; may carry a password.
    pub database_url: String,
    /// The use of the database: connections, timeout and pooler.
    pub database: DatabaseConfig,
    /// Where the encryption key ring is. `None` only on loopback: the server makes one beside the database.
    pub secret_key: Option<SecretKeySource>,
    /// Whether http and private addresses are allowed upstream.
    pub dev_mode: bool,
    /// The PLC directory.
    pub plc_url: Url,
    /// A service that resolves handles; `None` = DNS TXT, then https well-known.
    pub handle_resolver: Option<Url>,
    /// PEM file with further trusted roots for upstream connections.
    pub extra_ca: Option<PathBuf>,
    /// Fixed addresses for upstream names; a name may occur more than once.
    pub resolve: Vec<(String, IpAddr)>,
    /// Whether the page at `/` is served; `None` = on loopback only, see [`Config::demo_enabled`].
    pub demo: Option<bool>,
    /// Access to client registration over HTTP.
    pub registration: Registration,
    /// The file with the initial access token; there whenever [`Registration::Token`] is in force.
    pub registration_token_file: Option<PathBuf>,
    /// Whether clients are taken by the document at their `client_id`.
    pub client_id_documents: bool,
    /// Third-party resources that every client may request tokens for: absolute URIs without a fragment.
    pub resources: Vec<String>,
    /// Origins whose scripts may call the MCP endpoints, beside those of each client's redirect URIs.
    pub mcp_allowed_origins: Vec<String>,
    /// Issuers whose statement that an email address is confirmed is passed on.
    pub trusted_email_issuers: Vec<String>,
    /// Scopes of resources: each a URI, a name and a text, with spaces between them.
    pub resource_scope: Vec<String>,
    /// Sign-ins that are begun, by client and address; `None` = no limit.
    pub sign_in_limit: Option<RateLimitValue>,
    /// Registrations without a token, by address; `None` = no limit.
    pub registration_limit: Option<RateLimitValue>,
    /// Failed client authentications, by client and address; `None` = no limit.
    pub failed_authentication_limit: Option<RateLimitValue>,
    /// Authorization requests, by client and address; `None` = no limit.
    pub authorization_limit: Option<RateLimitValue>,
    /// Requests of devices whose client does not authenticate, by client and address; `None` = no limit.
    pub device_limit: Option<RateLimitValue>,
    /// Memory for bodies that are held whole, in MiB.
    pub body_memory: u32,
    /// The address to serve metrics on; `None` = nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Days for which an audit event stays in the audit log; `None` = forever.
    pub audit_retention_days: Option<u32>,
    /// Seconds for which an idle connection stays open.
    pub keep_alive_seconds: u32,
    /// Seconds between the signal to stop and the end of the listener.
    pub drain_seconds: u32,
    /// The last iterations of a session whose record stays; at least 1.
    pub session_history_count: u32,
    /// Days for which the record of the others stays.
    pub session_history_days: u32,
    /// The file with the operator's token; `None` = there is no `/admin`.
    pub admin_token_file: Option<PathBuf>,
    /// The directory with definitions of providers; `None` = the built-in ones alone.
    pub providers_dir: Option<PathBuf>,
    /// Our registrations at providers, in the order of the names, for every tenant that has none of its own.
    pub providers: Vec<ProviderConfig>,
    /// The form of log lines; `None` = pretty on a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// The level of log lines, where `RUST_LOG` does not say another one.
    pub log_level: String,
    /// Files of keys and tokens that every user of the machine can read or change. Refused unless the issuer is on this
    /// machine only.
    pub exposed_files: Vec<PathBuf>,
    pub(crate) file_path: Option<PathBuf>,
    pub(crate) sources: Vec<(&'static str, Source)>,
}

impl Config {
    /// Merges the flags with the process environment, the file and the defaults, and checks everything.
    ///
    /// # Errors
    /// The first setting that is refused, or a variable named like one that is none.
    pub fn load(settings: Settings) -> Result<Self, ConfigError> {
        variables::check(std::env::vars_os())?;
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::merge(
            settings,
            &|name| std::env::var_os(name),
            texts.filter(|(name, _)| is_variable(name)).collect(),
        )
    }

    /// As [`Config::load`], with another source of environment variables, which has none of providers.
    ///
    /// # Errors
    /// The first setting that is refused.
    pub fn load_from(
        settings: Settings,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        Self::merge(settings, environment, Vec::new())
    }

    fn merge(
        mut settings: Settings,
        environment: &dyn Fn(&str) -> Option<OsString>,
        of_providers: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::open(settings.config.take(), environment)?;
        let mut file = std::mem::take(&mut layers.file);
        let of_file = std::mem::take(&mut file.providers);
        let providers = provider::read(of_providers.into_iter(), of_file, layers.file_path.as_deref())?;
        let clients = Clients::read(&mut layers, &mut settings, &mut file)?;
        let operation = Operation::read(&mut layers, &mut settings, &mut file)?;
        let database = DatabaseConfig::read(&mut layers, &mut settings, &mut file)?;

        // Settings with a default always have a value; the fallbacks below are never taken.
        let listen = layers.text(&table::LISTEN, settings.listen, file.listen, parse::listen)?;
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let external_url = layers.text(
            &table::EXTERNAL_URL,
            settings.external_url,
            file.external_url,
            ExternalUrl::parse,
        )?;
        check_reachable(&layers, listen, external_url.as_ref())?;
        let trusted_proxies = layers.list(
            &table::TRUSTED_PROXIES,
            settings.trusted_proxies,
            file.trusted_proxies,
            parse::network,
        )?;
        let atp_scopes =
            layers.text(&table::ATP_SCOPES, settings.atp_scopes, file.atp_scopes, parse::scopes)?;
        let upstream_client = layers.text(
            &table::UPSTREAM_CLIENT,
            settings.upstream_client,
            file.upstream_client,
            parse::upstream_client,
        )?;
        let database_url = layers.text(
            &table::DATABASE_URL,
            settings.database_url,
            file.database_url,
            parse::database_url,
        )?;
        let loopback = on_loopback(listen, external_url.as_ref());
        let secret_key = secret_key(&mut layers, settings.secret_key_file, file.secret_key_file, loopback)?;
        let dev_mode = layers.switch(&table::DEV_MODE, settings.dev_mode, file.dev_mode)?.unwrap_or_default();
        let upstream = |text: &str| parse::upstream(text, dev_mode);
        let plc_url = layers.text(&table::PLC_URL, settings.plc_url, file.plc_url, upstream)?;
        let handle_resolver =
            layers.text(&table::HANDLE_RESOLVER, settings.handle_resolver, file.handle_resolver, upstream)?;
        let extra_ca =
            layers.text(&table::EXTRA_CA, settings.extra_ca, file.extra_ca, parse::certificates)?;
        let resolve = layers.list(&table::RESOLVE, settings.resolve, file.resolve, parse::resolve)?;
        let demo = layers.switch(&table::DEMO, settings.demo, file.demo)?;
        let log_format =
            layers.text(&table::LOG_FORMAT, settings.log_format, file.log_format, parse::log_format)?;
        let log_level =
            layers.text(&table::LOG_LEVEL, settings.log_level, file.log_level, parse::log_level)?;
        let exposed_files =
            exposed_files(&layers, loopback, secret_key.as_ref(), (&clients, &operation, &*providers))?;

        Ok(Self {
            listen,
            external_url,
            trusted_proxies,
            atp_scopes: required(atp_scopes, &table::ATP_SCOPES)?,
            upstream_client: required(upstream_client, &table::UPSTREAM_CLIENT)?,
            database_url: required(database_url, &table::DATABASE_URL)?,
            database,
            secret_key,
            dev_mode,
            plc_url: required(plc_url, &table::PLC_URL)?,
            handle_resolver,
            extra_ca,
            resolve,
            demo,
            registration: clients.registration,
            registration_token_file: clients.registration_token_file,
            client_id_documents: clients.client_id_documents,
            resources: clients.resources,
            mcp_allowed_origins: clients.mcp_allowed_origins,
            trusted_email_issuers: clients.trusted_email_issuers,
            resource_scope: clients.resource_scope,
            sign_in_limit: operation.sign_in_limit,
            registration_limit: operation.registration_limit,
            failed_authentication_limit: operation.failed_authentication_limit,
            authorization_limit: operation.authorization_limit,
            device_limit: operation.device_limit,
            body_memory: operation.body_memory,
            metrics_listen: operation.metrics_listen,
            audit_retention_days: operation.audit_retention_days,
            keep_alive_seconds: operation.keep_alive_seconds,
            drain_seconds: operation.drain_seconds,
            session_history_count: operation.session_history_count,
            session_history_days: operation.session_history_days,
            admin_token_file: operation.admin_token_file,
            providers_dir: operation.providers_dir,
            providers,
            log_format,
            log_level: required(log_level, &table::LOG_LEVEL)?,
            exposed_files,
            file_path: layers.file_path,
            sources: layers.sources,
        })
    }

    /// The issuer in force once the server is bound: the external URL, or `http://<bound>` on loopback.
    ///
    /// # Errors
    /// When no external URL is set and `bound` is not a loopback address.
    pub fn issuer(&self, bound: SocketAddr) -> Result<ExternalUrl, ConfigError> {
        if let Some(url) = &self.external_url {
            return Ok(url.clone());
        }
        if !bound.ip().to_canonical().is_loopback() {
            return Err(table::EXTERNAL_URL.refuse(unreachable_fault(bound)));
        }
        ExternalUrl::of_loopback(bound).map_err(|fault| table::EXTERNAL_URL.refuse(fault))
    }

    /// Whether the issuer is on this machine only: the external URL's host, or without one the address
    /// listened on.
    pub fn is_loopback(&self) -> bool {
        on_loopback(self.listen, self.external_url.as_ref())
    }

    /// Whether the page at `/` is served.
    pub fn demo_enabled(&self) -> bool {
        self.demo.unwrap_or_else(|| self.is_loopback())
    }
}

/// Settings for client registration, and for what every client may use.
struct Clients {
    registration: Registration,
    registration_token_file: Option<PathBuf>,
    client_id_documents: bool,
    resources: Vec<String>,
    mcp_allowed_origins: Vec<String>,
    trusted_email_issuers: Vec<String>,
    resource_scope: Vec<String>,
}

impl Clients {
    fn read(
        layers: &mut Layers<'_>,
        settings: &mut Settings,
        file: &mut FileConfig,
    ) -> Result<Self, ConfigError> {
        let (flag, line) = (settings.registration.take(), file.registration.take());
        let registration = layers.text(&table::REGISTRATION, flag, line, parse::registration)?;
        let registration = required(registration, &table::REGISTRATION)?;
        let (flag, line) = (settings.registration_token_file.take(), file.registration_token_file.take());
        let registration_token_file =
            layers.text(&table::REGISTRATION_TOKEN_FILE, flag, line, parse::readable)?;
        if registration == Registration::Token && registration_token_file.is_none() {
            let fault = Fault::new(
                "required for the registration policy token",
                "name a file that holds the initial access token",
            );
            return Err(table::REGISTRATION_TOKEN_FILE.refuse(fault));
        }
        let (flag, line) = (settings.client_id_documents.take(), file.client_id_documents.take());
        let client_id_documents = layers.switch(&table::CLIENT_ID_DOCUMENTS, flag, line)?;
        let (flag, line) = (settings.resources.take(), file.resources.take());
        let resources = layers.list(&table::RESOURCES, flag, line, parse::resource)?;
        let (flag, line) = (settings.mcp_allowed_origins.take(), file.mcp_allowed_origins.take());
        let mcp_allowed_origins = layers.list(&table::MCP_ALLOWED_ORIGINS, flag, line, parse::origin)?;
        let (flag, line) = (settings.trusted_email_issuers.take(), file.trusted_email_issuers.take());
        let trusted_email_issuers =
            layers.list(&table::TRUSTED_EMAIL_ISSUERS, flag, line, parse::upstream_issuer)?;
        let (flag, line) = (settings.resource_scope.take(), file.resource_scope.take());
        let resource_scope = layers.texts(&table::RESOURCE_SCOPE, flag, line, parse::resource_scope)?;
        Ok(Self {
            registration,
            registration_token_file,
            client_id_documents: required(client_id_documents, &table::CLIENT_ID_DOCUMENTS)?,
            resources,
            mcp_allowed_origins,
            trusted_email_issuers,
            resource_scope,
        })
    }
}

/// Operational settings: limits, metrics, the audit log, start and stop, the operator's token, providers.
struct Operation {
    sign_in_limit: Option<RateLimitValue>,
    registration_limit: Option<RateLimitValue>,
    failed_authentication_limit: Option<RateLimitValue>,
    authorization_limit: Option<RateLimitValue>,
    device_limit: Option<RateLimitValue>,
    body_memory: u32,
    metrics_listen: Option<SocketAddr>,
    audit_retention_days: Option<u32>,
    keep_alive_seconds: u32,
    drain_seconds: u32,
    session_history_count: u32,
    session_history_days: u32,
    admin_token_file: Option<PathBuf>,
    providers_dir: Option<PathBuf>,
}

impl Operation {
    fn read(
        layers: &mut Layers<'_>,
        settings: &mut Settings,
        file: &mut FileConfig,
    ) -> Result<Self, ConfigError> {
        let mut limit = |setting, flag: &mut Option<String>, file: &mut Option<String>| {
            Ok::<_, ConfigError>(layers.text(setting, flag.take(), file.take(), parse::limit)?.flatten())
        };
        let sign_in_limit =
            limit(&table::SIGN_IN_LIMIT, &mut settings.sign_in_limit, &mut file.sign_in_limit)?;
        let registration_limit = limit(
            &table::REGISTRATION_LIMIT,
            &mut settings.registration_limit,
            &mut file.registration_limit,
        )?;
        let failed_authentication_limit = limit(
            &table::FAILED_AUTHENTICATION_LIMIT,
            &mut settings.failed_authentication_limit,
            &mut file.failed_authentication_limit,
        )?;
        let authorization_limit = limit(
            &table::AUTHORIZATION_LIMIT,
            &mut settings.authorization_limit,
            &mut file.authorization_limit,
        )?;
        let device_limit = limit(&table::DEVICE_LIMIT, &mut settings.device_limit, &mut file.device_limit)?;
        let (flag, line) = (settings.body_memory.take(), file.body_memory.take());
        let body_memory = layers.text(&table::BODY_MEMORY, flag, line, parse::mebibytes)?;
        let (flag, line) = (settings.metrics_listen.take(), file.metrics_listen.take());
        let metrics_listen = layers.text(&table::METRICS_LISTEN, flag, line, parse::listen)?;
        let (flag, line) = (settings.audit_retention_days.take(), file.audit_retention_days.take());
        let days = layers.text(&table::AUDIT_RETENTION_DAYS, flag, line, parse::days)?;
        let (flag, line) = (settings.keep_alive_seconds.take(), file.keep_alive_seconds.take());
        let keep_alive = layers.text(&table::KEEP_ALIVE_SECONDS, flag, line, parse::keep_alive)?;
        let (flag, line) = (settings.drain_seconds.take(), file.drain_seconds.take());
        let drain = layers.text(&table::DRAIN_SECONDS, flag, line, parse::drain)?;
        let (flag, line) = (settings.session_history_count.take(), file.session_history_count.take());
        let kept = layers.text(&table::SESSION_HISTORY_COUNT, flag, line, parse::count)?;
        let (flag, line) = (settings.session_history_days.take(), file.session_history_days.take());
        let kept_days = layers.text(&table::SESSION_HISTORY_DAYS, flag, line, parse::age)?;
        let (flag, line) = (settings.admin_token_file.take(), file.admin_token_file.take());
        let admin_token_file = layers.text(&table::ADMIN_TOKEN_FILE, flag, line, parse::readable)?;
        let (flag, line) = (settings.providers_dir.take(), file.providers_dir.take());
        let providers_dir = layers.text(&table::PROVIDERS_DIR, flag, line, parse::directory)?;
        Ok(Self {
            sign_in_limit,
            registration_limit,
            failed_authentication_limit,
            authorization_limit,
            device_limit,
            body_memory: required(body_memory, &table::BODY_MEMORY)?,
            metrics_listen,
            audit_retention_days: days.filter(|days| *days > 0),
            keep_alive_seconds: required(keep_alive, &table::KEEP_ALIVE_SECONDS)?,
            drain_seconds: required(drain, &table::DRAIN_SECONDS)?,
            session_history_count: kept.unwrap_or(100),
            session_history_days: kept_days.unwrap_or(30),
            admin_token_file,
            providers_dir,
        })
    }
}

/// The files of keys, tokens and secrets that every user of the machine can read or change.
fn exposed_files(
    layers: &Layers<'_>,
    loopback: bool,
    secret_key: Option<&SecretKeySource>,
    (clients, operation, providers): (&Clients, &Operation, &[ProviderConfig]),
) -> Result<Vec<PathBuf>, ConfigError> {
    let files = [
        (&table::SECRET_KEY_FILE, secret_key.and_then(SecretKeySource::file)),
        (&table::REGISTRATION_TOKEN_FILE, clients.registration_token_file.as_deref()),
        (&table::ADMIN_TOKEN_FILE, operation.admin_token_file.as_deref()),
    ];
    let mut exposed = exposed::check(layers, loopback, files)?;
    exposed.extend(provider::exposed(providers, loopback)?);
    Ok(exposed)
}

fn on_loopback(listen: SocketAddr, external_url: Option<&ExternalUrl>) -> bool {
    external_url.map_or_else(|| listen.ip().to_canonical().is_loopback(), ExternalUrl::is_loopback)
}

/// Without an external URL only a loopback address says how clients reach us.
fn check_reachable(
    layers: &Layers<'_>,
    listen: SocketAddr,
    external_url: Option<&ExternalUrl>,
) -> Result<(), ConfigError> {
    if external_url.is_some() || on_loopback(listen, None) {
        return Ok(());
    }
    Err(layers.refuse(&table::EXTERNAL_URL, unreachable_fault(listen)))
}

fn unreachable_fault(listen: SocketAddr) -> Fault {
    let why = if listen.ip().is_unspecified() { "every address of the machine" } else { "not loopback" };
    Fault::new(
        format!("required because the server listens on {listen}, which is {why}"),
        "set the https origin that clients use, such as https://auth.example.com",
    )
}

fn secret_key(
    layers: &mut Layers<'_>,
    flag: Option<String>,
    file: Option<String>,
    loopback: bool,
) -> Result<Option<SecretKeySource>, ConfigError> {
    let setting = &table::SECRET_KEY_FILE;
    let env = table::SECRET_KEY_ENV;
    let inline = layers.variable(env).map_err(|fault| ConfigError {
        setting: env.to_owned(),
        problem: fault.problem,
        fix: fault.fix,
    })?;
    // Check whether both were given before opening the file: that is the more direct fix.
    let path = layers.text(setting, flag, file, |text| Ok(text.to_owned()))?;
    match (path, inline) {
        (Some(_), Some(_)) => {
            Err(layers
                .refuse(setting, Fault::new(format!("given together with {env}"), "keep one of the two")))
        }
        (Some(path), None) => match parse::readable(&path) {
            Ok(path) => Ok(Some(SecretKeySource::File(path))),
            Err(fault) => Err(layers.refuse(setting, fault)),
        },
        (None, Some(text)) => Ok(Some(SecretKeySource::Inline(InlineSecret::new(text)))),
        (None, None) if loopback => Ok(None),
        (None, None) => Err(setting.refuse(Fault::new(
            "required because the external URL is not loopback",
            format!("name a file of lines KID:BASE64URL-OF-32-BYTES, or set {env} to such a line"),
        ))),
    }
}

fn required<T>(value: Option<T>, setting: &table::Setting) -> Result<T, ConfigError> {
    value.ok_or_else(|| setting.refuse(Fault::new("has no value", "set it")))
}
