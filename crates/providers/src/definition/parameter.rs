//! What users enter before they connect.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::{Check, FieldKind, Step};
use crate::values::host::HostSuffix;
use crate::values::name::FieldName;
use crate::values::pattern::Pattern;

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
    /// What may be entered.
    pub value: ParameterValue,
}

/// What may be entered for a parameter.
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

/// `[[parameters]]`: what users enter before they connect. Exactly one of `pattern`, `allowed_suffix` and `type`.
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
                check.report(
                    key,
                    "says twice what may be entered",
                    "keep one of pattern, allowed_suffix and type",
                );
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
        if let (Some(default), Some(ParameterValue::Segment(pattern))) = (&self.default, &value)
            && !pattern.matches(default)
        {
            let problem = format!("{default:?} does not match the pattern {pattern}");
            check.report(&format!("{key}.default"), problem, "change one of the two");
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
