//! The TOML file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Table, Value};

use crate::error::{ConfigError, Fault};
use crate::settings::nearest::nearest;
use crate::settings::table::{self, Kind};

/// The TOML file, under the names of the flags. Every key is optional.
///
/// The descriptions and defaults of the schema are filled in from the command line's own texts, see
/// [`crate::json_schema`].
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(title = "Causeway configuration")]
pub(crate) struct FileConfig {
    pub(crate) listen: Option<String>,
    pub(crate) external_url: Option<String>,
    pub(crate) trusted_proxies: Option<Vec<String>>,
    pub(crate) atp_scopes: Option<String>,
    pub(crate) upstream_client: Option<String>,
    pub(crate) database_url: Option<String>,
    pub(crate) database_connections: Option<String>,
    pub(crate) database_timeout: Option<String>,
    pub(crate) database_pooler: Option<String>,
    pub(crate) secret_key_file: Option<String>,
    pub(crate) dev_mode: Option<bool>,
    pub(crate) plc_url: Option<String>,
    pub(crate) handle_resolver: Option<String>,
    pub(crate) extra_ca: Option<String>,
    pub(crate) resolve: Option<Vec<String>>,
    pub(crate) demo: Option<bool>,
    pub(crate) registration: Option<String>,
    pub(crate) registration_token_file: Option<String>,
    pub(crate) client_id_documents: Option<bool>,
    pub(crate) resources: Option<Vec<String>>,
    pub(crate) mcp_allowed_origins: Option<Vec<String>>,
    pub(crate) trusted_email_issuers: Option<Vec<String>>,
    pub(crate) resource_scope: Option<Vec<String>>,
    pub(crate) sign_in_limit: Option<String>,
    pub(crate) registration_limit: Option<String>,
    pub(crate) failed_authentication_limit: Option<String>,
    pub(crate) authorization_limit: Option<String>,
    pub(crate) device_limit: Option<String>,
    pub(crate) body_memory: Option<String>,
    pub(crate) metrics_listen: Option<String>,
    pub(crate) audit_retention_days: Option<String>,
    pub(crate) keep_alive_seconds: Option<String>,
    pub(crate) drain_seconds: Option<String>,
    pub(crate) session_history_count: Option<String>,
    pub(crate) session_history_days: Option<String>,
    pub(crate) admin_token_file: Option<String>,
    pub(crate) providers_dir: Option<String>,
    pub(crate) log_format: Option<String>,
    pub(crate) log_level: Option<String>,
    /// Our registrations at providers, by the provider's name, for every tenant that has none of its own
    pub(crate) providers: BTreeMap<String, FileProvider>,
}

/// Our registration at a provider, for every tenant that has none of its own
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct FileProvider {
    /// The identifier that the provider gave
    #[serde(alias = "client_id")]
    pub(crate) client_id: Option<String>,
    /// File with the secret that the provider gave; none for a public client
    #[serde(alias = "client_secret_file")]
    pub(crate) client_secret_file: Option<String>,
}

impl FileConfig {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let problem = format!("cannot read {}: {error}", path.display());
            table::CONFIG.refuse(Fault::new(problem, "use the path of a readable TOML file"))
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let reason = error.message().replace('\n', ", ");
            let problem = format!("{} line {line} is not TOML: {reason}", path.display());
            table::CONFIG.refuse(Fault::new(problem, "write lines of the form name = \"value\""))
        })?;
        let known = check_keys(table, path)?;
        known.try_into().map_err(|error: toml::de::Error| {
            let problem = format!("{}: {}", path.display(), error.message().replace('\n', ", "));
            table::CONFIG.refuse(Fault::new(problem, "see the reference of settings"))
        })
    }
}

/// Refuses unknown keys, keys given twice (as `a-b` and as `a_b`) and values of the wrong type; answers the
/// table under the names of the flags.
fn check_keys(table: Table, path: &Path) -> Result<Table, ConfigError> {
    let refuse = |key: &str, problem: String, fix: String| ConfigError {
        setting: format!("{key} ({})", path.display()),
        problem,
        fix,
    };
    let mut known = Table::new();
    for (key, value) in table {
        if key == PROVIDERS {
            check_providers(&value).map_err(|problem| {
                let fix = "write [providers.NAME] with client-id and client-secret-file".to_owned();
                refuse(&key, problem, fix)
            })?;
            known.insert(key, value);
            continue;
        }
        let Some(setting) = table::find_file_key(&key) else {
            let fix = match key.replace('_', "-").as_str() {
                "secret-key" => {
                    format!("use secret-key-file, or {} in the environment", table::SECRET_KEY_ENV)
                }
                kebab => {
                    let known = table::file_settings().map(|setting| setting.name);
                    format!("did you mean {}?", nearest(kebab, known))
                }
            };
            return Err(refuse(&key, "unknown setting".to_owned(), fix));
        };
        if !is_of(setting.kind, &value) {
            let problem = format!("is {} where {} is expected", noun(&value), setting.kind.noun());
            return Err(refuse(&key, problem, format!("write {}", example(setting.name, setting.kind))));
        }
        if known.insert(setting.name.to_owned(), value).is_some() {
            let other = setting.name.replace('-', "_");
            let problem = format!("given twice, as {} and as {other}", setting.name);
            return Err(refuse(setting.name, problem, "keep one of the two".to_owned()));
        }
    }
    Ok(known)
}

/// The table of providers, which has tables of its own.
const PROVIDERS: &str = "providers";

/// Says what is wrong with the table of providers.
fn check_providers(value: &Value) -> Result<(), String> {
    let Value::Table(providers) = value else {
        return Err(format!("is {} where a table is expected", noun(value)));
    };
    for (name, provider) in providers {
        let Value::Table(keys) = provider else {
            return Err(format!("{name} is {} where a table is expected", noun(provider)));
        };
        for (key, value) in keys {
            if !["client-id", "client-secret-file"].contains(&&*key.replace('_', "-")) {
                return Err(format!("{name}.{key} is an unknown setting"));
            }
            if !value.is_str() {
                return Err(format!("{name}.{key} is {} where a string is expected", noun(value)));
            }
        }
        if keys.len() > keys.keys().map(|key| key.replace('_', "-")).collect::<BTreeSet<_>>().len() {
            return Err(format!("{name} has a setting twice"));
        }
    }
    Ok(())
}

fn is_of(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => value.is_str(),
        Kind::Switch => value.is_bool(),
        Kind::List => value.as_array().is_some_and(|items| items.iter().all(Value::is_str)),
    }
}

fn noun(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

fn example(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Text => format!("{name} = \"...\""),
        Kind::List => format!("{name} = [\"...\"]"),
        Kind::Switch => format!("{name} = true"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
