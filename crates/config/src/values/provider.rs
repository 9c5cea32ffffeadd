//! Registrations of Causeway at providers: `[providers.NAME]` in the file, `CAUSEWAY_PROVIDER_<NAME>_...` in the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::ConfigError;
use crate::settings::file::FileProvider;
use crate::settings::parse;
use crate::values::exposed::is_exposed;
use crate::values::secret::InlineSecret;

/// The beginning of the variables of providers.
const PREFIX: &str = "CAUSEWAY_PROVIDER_";
/// The ends of the variables of providers. The longer one of two that fit comes first.
const CLIENT_SECRET_FILE: &str = "_CLIENT_SECRET_FILE";
const CLIENT_SECRET: &str = "_CLIENT_SECRET";
const CLIENT_ID: &str = "_CLIENT_ID";

/// The registration of Causeway at one provider, which serves every tenant without one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The name of the provider.
    pub name: String,
    /// The identifier that the provider gave.
    pub client_id: String,
    /// The secret that it gave; `None`: the client is public.
    pub client_secret: Option<ProviderSecret>,
    /// Where the identifier is set, for refusals.
    pub setting: String,
}

/// Where the secret of a registration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderSecret {
    /// In a file.
    File(PathBuf),
    /// In the environment.
    Inline(InlineSecret),
}

impl ProviderSecret {
    /// The file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) => None,
        }
    }
}

/// The variables of one provider.
#[derive(Default)]
struct Variables {
    client_id: Option<String>,
    client_secret: Option<String>,
    client_secret_file: Option<String>,
}

/// Whether a variable is one of a provider.
pub(crate) fn is_variable(name: &str) -> bool {
    split(name).is_some()
}

/// The provider and the end of a variable's name.
fn split(variable: &str) -> Option<(String, &'static str)> {
    let rest = variable.strip_prefix(PREFIX)?;
    let ends = [CLIENT_SECRET_FILE, CLIENT_SECRET, CLIENT_ID];
    let (name, end) = ends.into_iter().find_map(|end| Some((rest.strip_suffix(end)?, end)))?;
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_name = !name.is_empty() && name.chars().all(legal);
    is_name.then(|| (name.to_ascii_lowercase().replace('_', "-"), end))
}

fn variable(name: &str, end: &str) -> String {
    format!("{PREFIX}{}{end}", name.to_ascii_uppercase().replace('-', "_"))
}

fn refuse(setting: String, problem: impl Into<String>, fix: impl Into<String>) -> ConfigError {
    ConfigError { setting, problem: problem.into(), fix: fix.into() }
}

/// Merges the variables with the file. `variables` are those of the environment that belong to providers.
pub(crate) fn read(
    variables: impl Iterator<Item = (String, String)>,
    file: BTreeMap<String, FileProvider>,
    file_path: Option<&Path>,
) -> Result<Vec<ProviderConfig>, ConfigError> {
    let mut of_environment = BTreeMap::<String, Variables>::new();
    for (name, value) in variables.filter(|(_, value)| !value.is_empty()) {
        let Some((provider, end)) = split(&name) else { continue };
        let of_provider = of_environment.entry(provider).or_default();
        match end {
            CLIENT_ID => of_provider.client_id = Some(value),
            CLIENT_SECRET => of_provider.client_secret = Some(value),
            _ => of_provider.client_secret_file = Some(value),
        }
    }
    let mut names: Vec<String> = of_environment.keys().chain(file.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    let mut file = file;
    let merge = |name: String| {
        let variables = of_environment.remove(&name).unwrap_or_default();
        merge(name.clone(), variables, file.remove(&name).unwrap_or_default(), file_path)
    };
    names.into_iter().map(merge).collect()
}

fn merge(
    name: String,
    variables: Variables,
    file: FileProvider,
    file_path: Option<&Path>,
) -> Result<ProviderConfig, ConfigError> {
    let path = file_path.map(|path| path.display().to_string()).unwrap_or_default();
    let in_file = format!("providers.{name}.client-id ({path})");
    let in_environment = variable(&name, CLIENT_ID);
    let (client_id, setting) = match (variables.client_id, file.client_id) {
        (Some(client_id), _) => (client_id, in_environment),
        (None, Some(client_id)) => (client_id, in_file),
        (None, None) => {
            let fix = format!("set {in_environment}, or client-id in [providers.{name}]");
            return Err(refuse(in_environment, "has no value, and the provider has a secret", fix));
        }
    };
    if client_id.trim().is_empty() || client_id.chars().any(char::is_control) {
        return Err(refuse(setting, "is not an identifier", "write the one that the provider gave"));
    }
    let client_secret = match (variables.client_secret, variables.client_secret_file) {
        (Some(_), Some(_)) => {
            let setting = variable(&name, CLIENT_SECRET);
            let problem = format!("given together with {}", variable(&name, CLIENT_SECRET_FILE));
            return Err(refuse(setting, problem, "keep one of the two"));
        }
        (Some(secret), None) => Some(ProviderSecret::Inline(InlineSecret::new(secret))),
        (None, Some(file)) => Some(secret_file(&file, variable(&name, CLIENT_SECRET_FILE))?),
        (None, None) => {
            let setting = format!("providers.{name}.client-secret-file ({path})");
            file.client_secret_file.map(|file| secret_file(&file, setting)).transpose()?
        }
    };
    Ok(ProviderConfig { name, client_id, client_secret, setting })
}

fn secret_file(path: &str, setting: String) -> Result<ProviderSecret, ConfigError> {
    match parse::readable(path) {
        Ok(path) => Ok(ProviderSecret::File(path)),
        Err(fault) => Err(refuse(setting, fault.problem, fault.fix)),
    }
}

/// The files with secrets that every user of the machine can read or change; refused unless the issuer is on this machine
/// only.
pub(crate) fn exposed(providers: &[ProviderConfig], loopback: bool) -> Result<Vec<PathBuf>, ConfigError> {
    let files = providers.iter().filter_map(|provider| {
        let file = provider.client_secret.as_ref().and_then(ProviderSecret::file)?;
        is_exposed(file).then_some((&provider.name, file))
    });
    let exposed: Vec<_> = files.collect();
    match exposed.first() {
        Some((name, path)) if !loopback => {
            let path = path.display();
            let problem = format!("every user of this machine can read or change {path}");
            let fix = format!("run chmod o= {path}; for a container secret, set its mode to 0400");
            Err(refuse(format!("providers.{name}.client-secret-file"), problem, fix))
        }
        _ => Ok(exposed.into_iter().map(|(_, path)| path.to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)], file: &str) -> Result<Vec<ProviderConfig>, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let file: BTreeMap<String, FileProvider> = toml::from_str(file).unwrap();
        read(variables, file, Some(Path::new("causeway.toml"))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_is_over_the_file() {
        let file =
            "[my-crm]\nclient-id = \"of-file\"\nclient-secret-file = \"/dev/null\"\n[x]\nclient_id = \"x\"";
        let found = environment(&[("CAUSEWAY_PROVIDER_MY_CRM_CLIENT_ID", "of-environment")], file).unwrap();
        let shown: Vec<_> =
            found.iter().map(|it| (&*it.name, &*it.client_id, it.client_secret.is_some())).collect();
        assert_eq!(shown, [("my-crm", "of-environment", true), ("x", "x", false)]);
        let secret =
            [("CAUSEWAY_PROVIDER_MY_CRM_CLIENT_SECRET", "shh"), ("CAUSEWAY_PROVIDER_X_CLIENT_SECRET", "")];
        let found = environment(&secret, file).unwrap();
        assert_eq!(found[0].client_secret, Some(ProviderSecret::Inline(InlineSecret::new("shh".to_owned()))));
        assert_eq!((found[0].client_id.as_str(), &found[1].client_secret), ("of-file", &None));
        assert!(!format!("{found:?}").contains("shh"));
    }

    #[test]
    fn refusals_name_the_setting() {
        let twice = [
            ("CAUSEWAY_PROVIDER_X_CLIENT_ID", "x"),
            ("CAUSEWAY_PROVIDER_X_CLIENT_SECRET", "shh"),
            ("CAUSEWAY_PROVIDER_X_CLIENT_SECRET_FILE", "/dev/null"),
        ];
        for (variables, file, named) in [
            (&twice[..], "", "CAUSEWAY_PROVIDER_X_CLIENT_SECRET: given together"),
            (
                &[("CAUSEWAY_PROVIDER_X_CLIENT_SECRET", "shh")],
                "",
                "CAUSEWAY_PROVIDER_X_CLIENT_ID: has no value",
            ),
            (&[], "[x]\nclient-id = \" \"", "providers.x.client-id (causeway.toml): is not an identifier"),
            (
                &[],
                "[x]\nclient-id = \"x\"\nclient-secret-file = \"/nowhere\"",
                "providers.x.client-secret-file",
            ),
        ] {
            let refused = environment(variables, file).unwrap_err();
            assert!(refused.starts_with(named) && !refused.contains("shh"), "{refused}");
        }
    }

    #[test]
    fn names_of_variables() {
        for (variable, expected) in [
            ("CAUSEWAY_PROVIDER_MY_CRM_CLIENT_ID", Some("my-crm")),
            ("CAUSEWAY_PROVIDER_X_CLIENT_SECRET_FILE", Some("x")),
            ("CAUSEWAY_PROVIDER_CLIENT_ID", None),
            ("CAUSEWAY_PROVIDER_x_CLIENT_ID", None),
            ("CAUSEWAY_PROVIDER_X_CLIENT", None),
            ("CAUSEWAY_PROVIDERS_DIR", None),
        ] {
            assert_eq!(split(variable).map(|(name, _)| name).as_deref(), expected, "{variable}");
        }
    }
}
