//! Values that are known only after the user has agreed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::{Check, FieldKind, Step};
use crate::values::host::HostPattern;
use crate::values::name::FieldName;
use crate::values::pointer::JsonPointer;

/// A value from an answer of the provider that later addresses and headers contain.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// The field of templates that it fills.
    pub name: FieldName,
    /// Source of the value.
    pub source: CaptureSource,
    /// The hosts that it may name if it is an address; empty: it is no address, but one segment of a path. A sign-in
    /// with another value fails.
    pub allow: Vec<HostPattern>,
}

/// Sources of a captured value.
#[derive(Clone, Debug, PartialEq)]
pub enum CaptureSource {
    /// The answer of the token endpoint; the newest answer that has it counts.
    Token(JsonPointer),
    /// A parameter of the callback.
    Callback(String),
}

/// `[capture.NAME]`: a value from an answer that later addresses and headers contain as `{NAME}`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Capture")]
pub(crate) struct RawCapture {
    /// The place in the answer of the token endpoint
    json: Option<JsonPointer>,
    /// The parameter of the callback
    callback: Option<String>,
    /// The hosts that the value may name if it is an https address; left out: it is one segment of a path
    #[serde(default)]
    allow: Vec<HostPattern>,
}

pub(crate) fn check(raw: BTreeMap<FieldName, RawCapture>, check: &mut Check<'_, '_>) -> Option<Vec<Capture>> {
    let checked: Vec<_> = raw.into_iter().map(|(name, raw)| raw.check(name, check)).collect();
    checked.into_iter().collect()
}

impl RawCapture {
    fn check(self, name: FieldName, check: &mut Check<'_, '_>) -> Option<Capture> {
        let key = format!("capture.{name}");
        let source = match (self.json, self.callback) {
            (Some(json), None) => CaptureSource::Token(json),
            (None, Some(callback)) => CaptureSource::Callback(callback),
            (Some(_), Some(_)) => {
                check.report(&key, "has both json and callback", "keep one of the two");
                return None;
            }
            (None, None) => {
                let fix = "write json = \"/…\" for the token endpoint's answer, or callback = \"…\"";
                check.report(&key, "does not say where the value comes from", fix);
                return None;
            }
        };
        let kind = if self.allow.is_empty() { FieldKind::Text } else { FieldKind::Address };
        let step = match source {
            CaptureSource::Token(_) => Step::Later,
            CaptureSource::Callback(_) => Step::Token,
        };
        check.declare(&key, &name, kind, step);
        Some(Capture { name, source, allow: self.allow })
    }
}
