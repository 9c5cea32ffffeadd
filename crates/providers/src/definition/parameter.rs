//! Parameters that users enter before they connect.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::{Check, FieldKind, Step};
use crate::values::host::{HostSuffix, is_host};
use crate::values::name::FieldName;
use crate::values::pattern::Pattern;
use crate::values::url_template::parse_address;

/// A value that users enter before they connect, such as the host of their instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The field of templates that it fills.
    pub name: FieldName,
    /// The text beside the input.
    pub label: String,
    /// An example of a value, shown in the empty input.
    pub example: Option<String>,
    /// The value when the user enters none.
    pub default: Option<String>,
    /// Values that may be entered.
    pub value: ParameterValue,
}

/// Values that may be entered for a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// One segment of a path that matches a pattern.
    Segment(Pattern),
    /// Labels under a fixed domain.
    HostUnder(HostSuffix),
    /// A whole host, which passes the guard and the operator's allowlist.
    Host,
    /// A whole https address, whose host passes the guard and the operator's allowlist.
    Url,
}

impl Parameter {
    /// The value that an entry means: the default for an empty one. `None`: it is not one that may be entered, or it is
    /// missing.
    pub fn value_of(&self, entry: Option<&str>) -> Option<String> {
        let entry = entry.map(str::trim).filter(|entry| !entry.is_empty());
        let Some(entry) = entry else { return self.default.clone() };
        match &self.value {
            ParameterValue::Segment(pattern) => pattern.matches(entry).then(|| entry.to_owned()),
            ParameterValue::HostUnder(suffix) => suffix.host_of(entry),
            ParameterValue::Host => Some(entry.to_ascii_lowercase()).filter(|host| is_host(host)),
            ParameterValue::Url => parse_address(entry).map(String::from),
        }
    }
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(pattern) => write!(f, "a text that matches {pattern}"),
            Self::HostUnder(suffix) => write!(f, "a host that ends with {suffix}"),
            Self::Host => f.write_str("a host, such as example.com"),
            Self::Url => f.write_str("an https address, such as https://example.com"),
        }
    }
}

/// `[[parameters]]`: parameters that users enter before they connect. Exactly one of `pattern`, `allowed_suffix` and
/// `type`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Parameter")]
pub(crate) struct RawParameter {
    /// The field of templates that it fills: lower-case letters, digits and underscores
    #[schemars(required)]
    name: Option<FieldName>,
    /// The text beside the input
    #[schemars(required)]
    label: Option<String>,
    /// An example of a value, shown in the empty input
    example: Option<String>,
    /// The value when the user enters none
    default: Option<String>,
    /// A pattern for one segment of a path: characters and classes with ?, *, +, {n} or {n,m}
    pattern: Option<Pattern>,
    /// The domain under which users enter labels, such as .example.com
    allowed_suffix: Option<HostSuffix>,
    /// A whole host, or a whole https address: it has to be public, and on the operator's allowlist if there is one
    #[serde(rename = "type")]
    kind: Option<RawParameterType>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawParameterType {
    Host,
    Url,
}

pub(crate) fn check(parameters: Vec<RawParameter>, check: &mut Check<'_, '_>) -> Option<Vec<Parameter>> {
    let checked: Vec<_> = parameters
        .into_iter()
        .enumerate()
        .map(|(index, raw)| raw.check(&format!("parameters[{index}]"), check))
        .collect();
    checked.into_iter().collect()
}

impl ParameterValue {
    /// Checks a default: the problem with it, and the fix.
    fn check_default(&self, default: &str) -> Result<(), (String, String)> {
        let (is_good, problem, fix) = match self {
            Self::Segment(pattern) => {
                let problem = format!("does not match the pattern {pattern}");
                (pattern.matches(default), problem, "change one of the two".to_owned())
            }
            Self::HostUnder(suffix) => {
                let problem = format!("is not a host that ends with {suffix}");
                (suffix.contains(default), problem, format!("write the whole host, such as www{suffix}"))
            }
            Self::Host => {
                (is_host(default), "is not a host".to_owned(), "write a host, such as example.com".to_owned())
            }
            Self::Url => {
                let fix = "write an address, such as https://example.com".to_owned();
                (parse_address(default).is_some(), "is not an https address".to_owned(), fix)
            }
        };
        if is_good { Ok(()) } else { Err((problem, fix)) }
    }
}

impl RawParameter {
    fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<Parameter> {
        let value = match (self.pattern, self.allowed_suffix, self.kind) {
            (Some(pattern), None, None) => Some(ParameterValue::Segment(pattern)),
            (None, Some(suffix), None) => Some(ParameterValue::HostUnder(suffix)),
            (None, None, Some(RawParameterType::Host)) => Some(ParameterValue::Host),
            (None, None, Some(RawParameterType::Url)) => Some(ParameterValue::Url),
            (None, None, None) => {
                let fix = "add pattern, allowed_suffix, or type = \"host\" or \"url\"";
                check.report(key, "does not say what may be entered", fix);
                None
            }
            _ => {
                check.report(key, "has more than one of pattern, allowed_suffix and type", "keep one");
                None
            }
        };
        let kind = match &value {
            Some(ParameterValue::HostUnder(_) | ParameterValue::Host) => FieldKind::Host,
            Some(ParameterValue::Url) => FieldKind::Address,
            Some(ParameterValue::Segment(_)) | None => FieldKind::Text,
        };
        let name =
            check.required(&format!("{key}.name"), self.name, "name the field, such as name = \"host\"");
        if let Some(name) = &name {
            check.declare(&format!("{key}.name"), name, kind, Step::Authorization);
        }
        let label = check.required(
            &format!("{key}.label"),
            self.label,
            "write the text that users see beside the input",
        );
        if let Some(ParameterValue::Segment(pattern)) = &value
            && [".", ".."].iter().any(|dots| pattern.matches(dots))
        {
            let fix = "let it begin with a letter or digit, such as [A-Za-z0-9][A-Za-z0-9.-]*";
            check.report(&format!("{key}.pattern"), "matches . or .., which lead to another path", fix);
        }
        if let (Some(default), Some(value)) = (&self.default, &value)
            && let Err((problem, fix)) = value.check_default(default)
        {
            check.report(&format!("{key}.default"), format!("{default:?} {problem}"), fix);
        }
        Some(Parameter {
            name: name?,
            label: label?,
            example: self.example,
            default: self.default,
            value: value?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::text::Text as _;

    /// Whatever a client enters, it chooses a value of the definition's kind and nothing else of an address.
    #[test]
    fn entries_are_what_the_definition_allows() {
        let parameter = |value, default: Option<&str>| Parameter {
            name: FieldName::parse("p").unwrap(),
            label: String::new(),
            example: None,
            default: default.map(str::to_owned),
            value,
        };
        let segment = parameter(ParameterValue::Segment(Pattern::parse("[a-z]+").unwrap()), None);
        let under = parameter(ParameterValue::HostUnder(HostSuffix::parse(".shop.example").unwrap()), None);
        let host = parameter(ParameterValue::Host, Some("gitlab.com"));
        let url = parameter(ParameterValue::Url, None);
        for (parameter, entry, value) in [
            (&segment, Some("abc"), Some("abc")),
            (&segment, Some("a/b"), None),
            (&segment, Some(""), None),
            (&segment, None, None),
            (&under, Some("Acme"), Some("acme.shop.example")),
            (&under, Some("acme.evil.example"), Some("acme.evil.example.shop.example")),
            (&under, Some("evil.example/"), None),
            (&host, None, Some("gitlab.com")),
            (&host, Some(" Git.Example.com "), Some("git.example.com")),
            (&host, Some("127.0.0.1"), None),
            (&host, Some("git.example.com:8443"), None),
            (&host, Some("a@git.example.com"), None),
            (&url, Some("https://a.example"), Some("https://a.example/")),
            (&url, Some("http://a.example"), None),
            (&url, Some("https://user@a.example"), None),
        ] {
            assert_eq!(parameter.value_of(entry).as_deref(), value, "{entry:?} {}", parameter.value);
        }
    }
}
