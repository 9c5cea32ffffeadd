//! Environment variables that look like settings but are not.

use std::ffi::OsString;

use crate::error::ConfigError;
use crate::settings::nearest::nearest;
use crate::settings::table;
use crate::values::provider;

const PREFIX: &str = "CAUSEWAY_";

/// Refuses a variable that begins like a setting but is not one: a misspelled setting must not be silently
/// ignored. An empty one counts as unset, like every other.
pub(crate) fn check(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), ConfigError> {
    let unknown = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
        .find(|(name, value)| {
            let is_known = known().any(|known| known == name) || provider::is_variable(name);
            !is_known && !is_service_link(name, value)
        });
    unknown.map_or(Ok(()), |(name, _)| {
        let fix = format!("did you mean {}? Otherwise unset it", nearest(&name, known()));
        Err(ConfigError {
            setting: format!("{name} (environment)"),
            problem: "unknown setting".to_owned(),
            fix,
        })
    })
}

fn known() -> impl Iterator<Item = &'static str> {
    table::ALL.iter().map(|setting| setting.env).chain([table::SECRET_KEY_ENV])
}

/// Whether Kubernetes set it, for a service that is called `causeway` or `causeway-...`: it gives the pods of a
/// namespace `{SVC}_SERVICE_HOST`, `{SVC}_SERVICE_PORT` and `{SVC}_PORT` for each of its services.
fn is_service_link(name: &str, value: &OsString) -> bool {
    let address = || value.to_str().is_some_and(|value| value.contains("://"));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || (name.ends_with("_PORT") && address())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> Option<String> {
        let variables = [("PATH", "/bin"), ("CAUSEWAY_LISTEN", "127.0.0.1:0"), (name, value)];
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        check(variables).err().map(|error| error.to_string())
    }

    #[test]
    fn misspelled_settings_are_refused() {
        for (name, meant) in [
            ("CAUSEWAY_EXTERNAL_ULR", "CAUSEWAY_EXTERNAL_URL"),
            ("CAUSEWAY_ADMIN_TOKEN", "CAUSEWAY_ADMIN_TOKEN_FILE"),
            ("CAUSEWAY_SECRETKEY", "CAUSEWAY_SECRET_KEY"),
            ("CAUSEWAY_listen", "CAUSEWAY_LISTEN"),
            ("CAUSEWAY_PROVIDER_DIR", "CAUSEWAY_PROVIDERS_DIR"),
        ] {
            let wanted =
                format!("{name} (environment): unknown setting; did you mean {meant}? Otherwise unset it");
            assert_eq!(refusal(name, "x"), Some(wanted));
        }
        assert!(refusal("CAUSEWAY_PORT", "8080").is_some(), "nothing listens there");
        assert_eq!(refusal("CAUSEWAY_EXTERNAL_ULR", ""), None, "empty is unset");
    }

    #[test]
    fn what_others_set_is_let_be() {
        for name in known().chain([
            "CAUSEWAY_PROVIDER_MY_CRM_CLIENT_SECRET_FILE",
            "CAUSEWAYX",
            "OTHER_CAUSEWAY_LISTEN",
            "causeway_listen",
        ]) {
            assert_eq!(refusal(name, "x"), None, "{name}");
        }
        for (name, value) in [
            ("CAUSEWAY_SERVICE_HOST", "10.0.0.11"),
            ("CAUSEWAY_SERVICE_PORT", "80"),
            ("CAUSEWAY_METRICS_SERVICE_PORT_HTTP", "9090"),
            ("CAUSEWAY_PORT", "tcp://10.0.0.11:80"),
            ("CAUSEWAY_PORT_80_TCP", "tcp://10.0.0.11:80"),
            ("CAUSEWAY_PORT_80_TCP_PROTO", "tcp"),
            ("CAUSEWAY_METRICS_PORT_9090_TCP_ADDR", "10.0.0.11"),
        ] {
            assert_eq!(refusal(name, value), None, "{name}");
        }
    }
}
