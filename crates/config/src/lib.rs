//! Configuration of the Causeway server.
//!
//! A setting has one name everywhere: `--external-url` on the command line, `CAUSEWAY_EXTERNAL_URL` in the
//! environment, `external-url` (or `external_url`) in the TOML file. Flags win over the environment, the
//! environment over the file, the file over the default. An environment variable that is set but empty
//! counts as unset, and one that begins with `CAUSEWAY_` but is not a setting is refused.
//!
//! [`Settings`] is what clap parses, [`Config::load`] merges it with the other layers and checks every value,
//! and each refusal is a [`ConfigError`]: one line that names the setting and the fix.
//!
//! ```
//! use causeway_config::{Config, Settings};
//!
//! let settings = Settings { listen: Some("127.0.0.1:0".to_owned()), ..Settings::default() };
//! let config = Config::load_from(settings, &|_| None)?;
//! let issuer = config.issuer("127.0.0.1:49152".parse().unwrap())?;
//! assert_eq!(issuer.as_str(), "http://127.0.0.1:49152");
//! # Ok::<(), causeway_config::ConfigError>(())
//! ```

mod config;
mod error;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use config::Config;
pub use error::ConfigError;
pub use settings::Settings;
pub use settings::reference::{json_schema, reference_markdown};
pub use values::choices::{LogFormat, RateLimitValue, Registration, UpstreamClientMode};
pub use values::database::{DatabaseConfig, DatabasePooler};
pub use values::exposed::is_exposed;
pub use values::external_url::ExternalUrl;
pub use values::provider::{ProviderConfig, ProviderSecret};
pub use values::secret::{InlineSecret, SecretKeySource};
