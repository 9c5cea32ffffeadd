//! The settings, once: names, kinds and defaults. The meaning of each is its help text in [`crate::Settings`].

use crate::error::{ConfigError, Fault};

/// How a setting is written in the TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    List,
    Switch,
}

impl Kind {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::List => "a list of strings",
            Self::Switch => "true or false",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The name on the command line (after `--`) and in the file.
    pub(crate) name: &'static str,
    /// The environment variable.
    pub(crate) env: &'static str,
    pub(crate) kind: Kind,
    /// The value when no layer gives one.
    pub(crate) default: Option<&'static str>,
    /// The behavior when there is no value and no default, in words.
    pub(crate) absent: &'static str,
}

impl Setting {
    /// An error about this setting wherever its value came from.
    pub(crate) fn refuse(&self, fault: Fault) -> ConfigError {
        let setting = format!("{} ({})", self.name, self.env);
        ConfigError { setting, problem: fault.problem, fix: fault.fix }
    }

    /// The default in readable form: a literal, or words.
    pub(crate) fn default_in_words(&self) -> String {
        self.default.map_or_else(|| self.absent.to_owned(), |value| format!("`{value}`"))
    }
}

macro_rules! settings {
    ($($constant:ident = $name:literal, $env:literal, $kind:ident, $default:expr, $absent:literal;)*) => {
        $(pub(crate) static $constant: Setting =
            Setting { name: $name, env: $env, kind: Kind::$kind, default: $default, absent: $absent };)*

        /// Every setting, in the order of the reference.
        pub(crate) static ALL: &[&Setting] = &[$(&$constant),*];
    };
}

settings! {
    LISTEN = "listen", "CAUSEWAY_LISTEN", Text, Some("127.0.0.1:8080"), "";
    EXTERNAL_URL = "external-url", "CAUSEWAY_EXTERNAL_URL", Text, None, "`http://<bound address>` on loopback, required otherwise";
    TRUSTED_PROXIES = "trusted-proxies", "CAUSEWAY_TRUSTED_PROXIES", List, None, "none";
    ATP_SCOPES = "atp-scopes", "CAUSEWAY_ATP_SCOPES", Text, Some("atproto transition:generic transition:email transition:chat.bsky"), "";
    UPSTREAM_CLIENT = "upstream-client", "CAUSEWAY_UPSTREAM_CLIENT", Text, Some("shared"), "";
    DATABASE_URL = "database-url", "CAUSEWAY_DATABASE_URL", Text, Some("sqlite://causeway.db"), "";
    DATABASE_CONNECTIONS = "database-connections", "CAUSEWAY_DATABASE_CONNECTIONS", Text, None, "`10`, on SQLite `4`";
    DATABASE_TIMEOUT = "database-timeout", "CAUSEWAY_DATABASE_TIMEOUT", Text, Some("4"), "";
    DATABASE_POOLER = "database-pooler", "CAUSEWAY_DATABASE_POOLER", Text, Some("none"), "";
    SECRET_KEY_FILE = "secret-key-file", "CAUSEWAY_SECRET_KEY_FILE", Text, None, "created beside the database on loopback, required otherwise";
    DEV_MODE = "dev-mode", "CAUSEWAY_DEV_MODE", Switch, Some("false"), "";
    PLC_URL = "plc-url", "CAUSEWAY_PLC_URL", Text, Some("https://plc.directory"), "";
    HANDLE_RESOLVER = "handle-resolver", "CAUSEWAY_HANDLE_RESOLVER", Text, None, "unset: DNS TXT, then https well-known";
    EXTRA_CA = "extra-ca", "CAUSEWAY_EXTRA_CA", Text, None, "unset";
    RESOLVE = "resolve", "CAUSEWAY_RESOLVE", List, None, "unset";
    DEMO = "demo", "CAUSEWAY_DEMO", Switch, None, "on for loopback, off otherwise";
    REGISTRATION = "registration", "CAUSEWAY_REGISTRATION", Text, Some("open"), "";
    REGISTRATION_TOKEN_FILE = "registration-token-file", "CAUSEWAY_REGISTRATION_TOKEN_FILE", Text, None, "unset; required for `token`";
    CLIENT_ID_DOCUMENTS = "client-id-documents", "CAUSEWAY_CLIENT_ID_DOCUMENTS", Switch, Some("true"), "";
    RESOURCES = "resources", "CAUSEWAY_RESOURCES", List, None, "none";
    MCP_ALLOWED_ORIGINS = "mcp-allowed-origins", "CAUSEWAY_MCP_ALLOWED_ORIGINS", List, None, "none";
    TRUSTED_EMAIL_ISSUERS = "trusted-email-issuers", "CAUSEWAY_TRUSTED_EMAIL_ISSUERS", List, Some("https://bsky.social"), "";
    RESOURCE_SCOPE = "resource-scope", "CAUSEWAY_RESOURCE_SCOPE", List, None, "none";
    SIGN_IN_LIMIT = "sign-in-limit", "CAUSEWAY_SIGN_IN_LIMIT", Text, Some("100/minute"), "";
    REGISTRATION_LIMIT = "registration-limit", "CAUSEWAY_REGISTRATION_LIMIT", Text, Some("1000/hour"), "";
    FAILED_AUTHENTICATION_LIMIT = "failed-authentication-limit", "CAUSEWAY_FAILED_AUTHENTICATION_LIMIT", Text, Some("100/minute"), "";
    AUTHORIZATION_LIMIT = "authorization-limit", "CAUSEWAY_AUTHORIZATION_LIMIT", Text, Some("120/minute"), "";
    DEVICE_LIMIT = "device-limit", "CAUSEWAY_DEVICE_LIMIT", Text, Some("600/minute"), "";
    BODY_MEMORY = "body-memory", "CAUSEWAY_BODY_MEMORY", Text, Some("128"), "";
    METRICS_LISTEN = "metrics-listen", "CAUSEWAY_METRICS_LISTEN", Text, None, "unset: no metrics";
    AUDIT_RETENTION_DAYS = "audit-retention-days", "CAUSEWAY_AUDIT_RETENTION_DAYS", Text, Some("90"), "";
    KEEP_ALIVE_SECONDS = "keep-alive-seconds", "CAUSEWAY_KEEP_ALIVE_SECONDS", Text, Some("75"), "";
    DRAIN_SECONDS = "drain-seconds", "CAUSEWAY_DRAIN_SECONDS", Text, Some("0"), "";
    SESSION_HISTORY_COUNT = "session-history-count", "CAUSEWAY_SESSION_HISTORY_COUNT", Text, Some("100"), "";
    SESSION_HISTORY_DAYS = "session-history-days", "CAUSEWAY_SESSION_HISTORY_DAYS", Text, Some("30"), "";
    ADMIN_TOKEN_FILE = "admin-token-file", "CAUSEWAY_ADMIN_TOKEN_FILE", Text, None, "unset: no /admin";
    PROVIDERS_DIR = "providers-dir", "CAUSEWAY_PROVIDERS_DIR", Text, None, "unset: the built-in ones";
    LOG_FORMAT = "log-format", "CAUSEWAY_LOG_FORMAT", Text, None, "`pretty` on a terminal, else `json`";
    LOG_LEVEL = "log-level", "CAUSEWAY_LOG_LEVEL", Text, Some("info"), "";
    CONFIG = "config", "CAUSEWAY_CONFIG", Text, None, "unset";
}

/// The variable that carries the encryption key ring itself. There is no flag and no file key for it: both
/// are readable by more users than an environment is.
pub(crate) const SECRET_KEY_ENV: &str = "CAUSEWAY_SECRET_KEY";

/// The setting a file key means; `external_url` is `external-url`.
pub(crate) fn find_file_key(key: &str) -> Option<&'static Setting> {
    let kebab = key.replace('_', "-");
    file_settings().find(|setting| setting.name == kebab)
}

/// The settings a file may hold: all but the path of the file.
pub(crate) fn file_settings() -> impl Iterator<Item = &'static Setting> {
    ALL.iter().copied().filter(|setting| setting.name != CONFIG.name)
}
