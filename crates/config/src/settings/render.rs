//! The configuration as readable TOML: every value, where it came from, no secret.

use std::fmt::{self, Write as _};

use url::Url;

use crate::config::Config;
use crate::settings::layers::Source;
use crate::settings::table::{self, Setting};
use crate::values::choices::{LogFormat, RateLimitValue};
use crate::values::provider::{ProviderConfig, ProviderSecret};
use crate::values::secret::SecretKeySource;

const REDACTED: &str = "REDACTED";

impl Config {
    /// TOML with the source of each value (flag, environment, file or default) as a comment. The encryption
    /// key and a password in the database URL are replaced by `REDACTED`; unset settings are comments.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for setting in table::file_settings() {
            let name = setting.name;
            let line = match self.value_of(setting) {
                _ if self.has_inline_key(setting) => {
                    format!("# {name}: {REDACTED}, the key ring is in environment {}", table::SECRET_KEY_ENV)
                }
                Some(value) => format!("{name} = {value}  # {}", self.origin(setting)),
                None => format!("# {name}: {}", setting.absent.replace('`', "")),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{line}");
        }
        for provider in &self.providers {
            let ProviderConfig { name, client_id, client_secret, setting } = provider;
            let _ = writeln!(out, "\n[providers.{name}]\nclient-id = {}  # {setting}", quote(client_id));
            let _ = match client_secret {
                Some(ProviderSecret::File(path)) => {
                    writeln!(out, "client-secret-file = {}", quote(&path.display().to_string()))
                }
                Some(ProviderSecret::Inline(_)) => {
                    writeln!(out, "# client-secret-file: {REDACTED}, the secret is in the environment")
                }
                None => writeln!(out, "# client-secret-file: none, the client is public"),
            };
        }
        out
    }

    fn value_of(&self, setting: &Setting) -> Option<String> {
        let text = |value: &dyn ToString| Some(quote(&value.to_string()));
        match setting.name {
            "listen" => text(&self.listen),
            "external-url" => self.external_url.as_ref().and_then(|url| text(url)),
            "trusted-proxies" => self.list(setting, self.trusted_proxies.iter().map(ToString::to_string)),
            "atp-scopes" => text(&self.atp_scopes),
            "upstream-client" => text(&self.upstream_client.as_str()),
            "database-url" => text(&redact_url(&self.database_url)),
            "database-connections" => self.database.connections.and_then(|number| text(&number)),
            "database-timeout" => text(&self.database.timeout.as_secs()),
            "database-pooler" => text(&self.database.pooler.as_str()),
            "secret-key-file" => match &self.secret_key {
                Some(SecretKeySource::File(path)) => text(&path.display()),
                Some(SecretKeySource::Inline(_)) => Some(quote(REDACTED)),
                None => None,
            },
            "dev-mode" => Some(self.dev_mode.to_string()),
            "plc-url" => text(&self.plc_url),
            "handle-resolver" => self.handle_resolver.as_ref().and_then(|url| text(url)),
            "extra-ca" => self.extra_ca.as_ref().and_then(|path| text(&path.display())),
            "resolve" => self.list(setting, self.resolve.iter().map(|(name, ip)| format!("{name}={ip}"))),
            "demo" => self.demo.map(|on| on.to_string()),
            "registration" => text(&self.registration.as_str()),
            "registration-token-file" => {
                self.registration_token_file.as_ref().and_then(|path| text(&path.display()))
            }
            "client-id-documents" => Some(self.client_id_documents.to_string()),
            "resources" => self.list(setting, self.resources.iter().cloned()),
            "mcp-allowed-origins" => self.list(setting, self.mcp_allowed_origins.iter().cloned()),
            "trusted-email-issuers" => self.list(setting, self.trusted_email_issuers.iter().cloned()),
            "resource-scope" => self.list(setting, self.resource_scope.iter().cloned()),
            "sign-in-limit" => text(&RateLimitValue::in_words(self.sign_in_limit)),
            "registration-limit" => text(&RateLimitValue::in_words(self.registration_limit)),
            "failed-authentication-limit" => {
                text(&RateLimitValue::in_words(self.failed_authentication_limit))
            }
            "authorization-limit" => text(&RateLimitValue::in_words(self.authorization_limit)),
            "body-memory" => text(&self.body_memory.to_string()),
            "device-limit" => text(&RateLimitValue::in_words(self.device_limit)),
            "metrics-listen" => self.metrics_listen.as_ref().and_then(|address| text(address)),
            "audit-retention-days" => text(&self.audit_retention_days.unwrap_or(0)),
            "keep-alive-seconds" => text(&self.keep_alive_seconds),
            "drain-seconds" => text(&self.drain_seconds),
            "session-history-count" => text(&self.session_history_count),
            "session-history-days" => text(&self.session_history_days),
            "admin-token-file" => self.admin_token_file.as_ref().and_then(|path| text(&path.display())),
            "providers-dir" => self.providers_dir.as_ref().and_then(|path| text(&path.display())),
            "log-format" => self.log_format.map(LogFormat::as_str).and_then(|format| text(&format)),
            "log-level" => text(&self.log_level),
            _ => None,
        }
    }

    /// An empty list is shown only when a layer asked for it.
    fn list(&self, setting: &Setting, items: impl Iterator<Item = String>) -> Option<String> {
        self.sources.iter().find(|(name, _)| *name == setting.name)?;
        let items: Vec<String> = items.map(|item| quote(&item)).collect();
        Some(format!("[{}]", items.join(", ")))
    }

    fn has_inline_key(&self, setting: &Setting) -> bool {
        setting.name == table::SECRET_KEY_FILE.name
            && matches!(self.secret_key, Some(SecretKeySource::Inline(_)))
    }

    fn origin(&self, setting: &Setting) -> String {
        let source = self.sources.iter().find(|(name, _)| *name == setting.name).map(|(_, source)| *source);
        match (source, &self.file_path) {
            (Some(source @ Source::Environment), _) => format!("{source} {}", setting.env),
            (Some(source @ Source::File), Some(path)) => format!("{source} {}", path.display()),
            (Some(source), _) => source.to_string(),
            (None, _) => "default".to_owned(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Config");
        for setting in table::file_settings() {
            shown.field(
                setting.name,
                &format_args!("{}", self.value_of(setting).as_deref().unwrap_or("unset")),
            );
        }
        shown.finish()
    }
}

/// A TOML basic string: JSON's escapes, and DEL, which TOML wants escaped too.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// The database URL without the passwords libpq may take from it.
fn redact_url(text: &str) -> String {
    if text.starts_with("sqlite:") {
        return text.to_owned();
    }
    let Ok(mut url) = Url::parse(text) else {
        // libpq takes URLs that the standard refuses (several hosts): then nothing behind the scheme is shown.
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        return format!("{scheme}://{REDACTED}");
    };
    if url.password().is_some() && url.set_password(Some(REDACTED)).is_err() {
        return format!("{}://{REDACTED}", url.scheme());
    }
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let value = if name.to_ascii_lowercase().contains("password") { REDACTED.into() } else { value };
            (name.into_owned(), value.into_owned())
        })
        .collect();
    if pairs.iter().any(|(_, value)| value == REDACTED) {
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}
