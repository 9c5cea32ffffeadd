//! Trace settings from the environment variables that OpenTelemetry defines (General SDK Configuration and
//! OTLP Exporter Configuration). An empty variable counts as unset.

use std::time::Duration;

use causeway_config::ConfigError;
use opentelemetry_sdk::trace::Sampler;
use reqwest::header::HeaderName;
use url::Url;

/// Default timeout for a response of the collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces are sent, and which.
#[derive(Debug)]
pub(crate) struct Telemetry {
    /// URL that accepts spans.
    pub(super) endpoint: Url,
    /// Timeout for a response.
    pub(super) timeout: Duration,
    /// Sampler that decides which traces are recorded.
    pub(super) sampler: Sampler,
    /// Whether the environment sets the service name.
    pub(super) has_name: bool,
}

impl Telemetry {
    /// Reads the environment; `None` when it asks for no traces.
    ///
    /// # Errors
    /// When a variable asks for something unsupported; the error names the variable.
    pub(crate) fn from_environment() -> Result<Option<Self>, ConfigError> {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, ConfigError> {
        let variable = |name: &str| {
            let value = variable(name)?;
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let either = |end: &str| {
            let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{end}"), format!("OTEL_EXPORTER_OTLP_{end}")];
            names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)))
        };
        let Some((named_by, address)) = either("ENDPOINT") else { return Ok(None) };
        let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exporter = variable("OTEL_TRACES_EXPORTER");
        if disabled || exporter.as_deref() == Some("none") {
            return Ok(None);
        }
        if let Some(other) = exporter.filter(|name| name != "otlp") {
            return Err(refuse(
                "OTEL_TRACES_EXPORTER",
                format!("{other} is not supported"),
                "use otlp or none",
            ));
        }
        if let Some((name, other)) = either("PROTOCOL").filter(|(_, value)| value != "http/protobuf") {
            let fix = "use http/protobuf (collectors accept it on port 4318)";
            return Err(refuse(name, format!("{other} is not supported"), fix));
        }
        if let Some((name, other)) = either("COMPRESSION").filter(|(_, value)| value != "none") {
            return Err(refuse(name, format!("{other} is not supported"), "use none, or unset it"));
        }
        if let Some((name, headers)) = either("HEADERS") {
            check_headers(&name, &headers)?;
        }
        Ok(Some(Self {
            endpoint: endpoint(&named_by, &address)?,
            timeout: either("TIMEOUT").map_or(Ok(TIMEOUT), |(name, value)| timeout(&name, &value))?,
            sampler: sampler(
                variable("OTEL_TRACES_SAMPLER").as_deref(),
                variable("OTEL_TRACES_SAMPLER_ARG"),
            )?,
            has_name: variable("OTEL_SERVICE_NAME").is_some()
                || variable("OTEL_RESOURCE_ATTRIBUTES")
                    .is_some_and(|all| all.split(',').any(|pair| pair.trim().starts_with("service.name="))),
        }))
    }
}

fn refuse(setting: impl Into<String>, problem: impl Into<String>, fix: &str) -> ConfigError {
    ConfigError { setting: setting.into(), problem: problem.into(), fix: fix.to_owned() }
}

/// URL for spans: the variable for all signals holds the collector's base URL, the one for traces the exact
/// URL.
fn endpoint(named_by: &str, address: &str) -> Result<Url, ConfigError> {
    let fix = "for example http://127.0.0.1:4318";
    let Ok(mut url) = Url::parse(address) else { return Err(refuse(named_by, "not an address", fix)) };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refuse(named_by, "not an http or https address", fix));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            named_by,
            "the address holds credentials",
            "move them to OTEL_EXPORTER_OTLP_HEADERS",
        ));
    }
    if named_by == "OTEL_EXPORTER_OTLP_ENDPOINT" {
        url.set_path(&format!("{}/v1/traces", url.path().trim_end_matches('/')));
    }
    Ok(url)
}

fn timeout(name: &str, value: &str) -> Result<Duration, ConfigError> {
    let milliseconds = value.parse().ok().filter(|milliseconds| *milliseconds > 0);
    let wrong = || refuse(name, format!("{value} is not a duration"), "use milliseconds, for example 10000");
    milliseconds.map(Duration::from_millis).ok_or_else(wrong)
}

/// Validates headers, which the exporter reads by itself, ignoring those that it cannot parse. They are
/// secret: no message contains a value.
fn check_headers(name: &str, headers: &str) -> Result<(), ConfigError> {
    let holds = |pair: &str| {
        pair.split_once('=').is_some_and(|(key, value)| {
            HeaderName::from_bytes(key.trim().as_bytes()).is_ok() && !value.trim().is_empty()
        })
    };
    if headers.split(',').map(str::trim).filter(|pair| !pair.is_empty()).all(holds) {
        return Ok(());
    }
    Err(refuse(name, "not a list of headers", "write NAME=VALUE, separated by commas"))
}

fn sampler(name: Option<&str>, argument: Option<String>) -> Result<Sampler, ConfigError> {
    let ratio = || {
        let Some(argument) = argument else { return Ok(Sampler::TraceIdRatioBased(1.0)) };
        let ratio = argument.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        let wrong = || {
            refuse(
                "OTEL_TRACES_SAMPLER_ARG",
                format!("{argument} is not a ratio"),
                "use 0 to 1, for example 0.1",
            )
        };
        ratio.map(Sampler::TraceIdRatioBased).ok_or_else(wrong)
    };
    let by_parent = |root| Sampler::ParentBased(Box::new(root));
    Ok(match name.unwrap_or("parentbased_always_on") {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => ratio()?,
        "parentbased_always_on" => by_parent(Sampler::AlwaysOn),
        "parentbased_always_off" => by_parent(Sampler::AlwaysOff),
        "parentbased_traceidratio" => by_parent(ratio()?),
        other => {
            let fix = "use always_on, always_off, traceidratio, or one of them with the prefix parentbased_";
            return Err(refuse("OTEL_TRACES_SAMPLER", format!("{other} is not supported"), fix));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    fn read(variables: &[(&str, &str)]) -> Result<Option<Telemetry>, ConfigError> {
        let of = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Telemetry::read(of)
    }

    #[test]
    fn off_without_an_address() {
        for variables in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector:4318")],
            &[ADDRESS, ("OTEL_SDK_DISABLED", "True"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            &[ADDRESS, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(variables).unwrap().is_none(), "{variables:?}");
        }
    }

    #[test]
    fn the_address_for_traces_is_taken_as_it_is() {
        let of = |variables: &[(&str, &str)]| read(variables).unwrap().unwrap().endpoint.to_string();
        assert_eq!(of(&[ADDRESS]), "http://collector:4318/v1/traces");
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp")]), "https://c/otlp/v1/traces");
        assert_eq!(of(&[ADDRESS, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/in")]), "https://c/in");
    }

    #[test]
    fn what_else_is_asked_for() {
        let plain = read(&[ADDRESS]).unwrap().unwrap();
        assert_eq!((plain.timeout, plain.has_name), (Duration::from_secs(10), false));
        assert_eq!(format!("{:?}", plain.sampler), "ParentBased(AlwaysOn)");
        let more = [
            ADDRESS,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b, c=d%20e,"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=us"),
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ];
        let more = read(&more).unwrap().unwrap();
        assert_eq!((more.timeout, more.has_name), (Duration::from_millis(2500), true));
        assert_eq!(format!("{:?}", more.sampler), "ParentBased(TraceIdRatioBased(0.25))");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (name, value) in [
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not an address"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://canary:canary@collector"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "canary"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "in valid=canary"),
            ("OTEL_TRACES_SAMPLER", "xray"),
        ] {
            let refused = read(&[ADDRESS, (name, value)]).unwrap_err();
            assert_eq!(refused.setting, name, "{value}");
            assert!(!refused.to_string().contains("canary"), "{refused}");
        }
        for ratio in ["2", "-0.1", "many", "NaN"] {
            let variables =
                [ADDRESS, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", ratio)];
            assert_eq!(read(&variables).unwrap_err().setting, "OTEL_TRACES_SAMPLER_ARG", "{ratio}");
        }
    }
}
