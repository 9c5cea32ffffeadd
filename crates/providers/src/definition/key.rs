//! The kind `key`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::head::Head;
use super::lifetime::{Lifetime, RawLifetime};
use super::parameter::RawParameter;
use super::relay::{RawRelay, Relay, RelayFields};
use super::request::headers;
use crate::check::{Check, Step};
use crate::values::http::{HeaderName, Status};
use crate::values::name::FieldName;
use crate::values::pattern::Pattern;
use crate::values::pointer::JsonPointer;
use crate::values::template::Template;
use crate::values::url_template::UrlTemplate;

/// An API with keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Fields that users fill in. At least one is secret.
    pub fields: Vec<KeyField>,
    /// The call that tells whether a key is valid.
    pub verification: Option<Verification>,
    /// Lifetime of a key.
    pub lifetime: Lifetime,
    /// Calls that are relayed, and the place of the key in them.
    pub relay: Relay,
}

/// An input for a part of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyField {
    /// The field of templates that it fills.
    pub name: FieldName,
    /// The text beside the input.
    pub label: String,
    /// Pattern of valid values; `None`: anything.
    pub pattern: Option<Pattern>,
    /// Whether it is hidden as it is typed, and shown to nobody later.
    pub secret: bool,
}

/// A call that tells whether a key is valid, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// The address; the key goes where it goes in every call.
    pub url: UrlTemplate,
    /// Further headers.
    pub headers: BTreeMap<HeaderName, Template>,
    /// The statuses of a valid key.
    pub status: Vec<Status>,
    /// The place of the account's id.
    pub subject: Option<JsonPointer>,
    /// The place of the account's name.
    pub name: Option<JsonPointer>,
}

/// An API with keys: users enter them, one call verifies them.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKey {
    /// The name that users see
    #[schemars(required)]
    title: Option<String>,
    /// The page of the provider that the definition was written from
    documentation: Option<String>,
    /// Parameters that users enter before they connect and that are not secret
    #[serde(default)]
    parameters: Vec<RawParameter>,
    /// Fields of the key that users enter
    #[schemars(required)]
    fields: Option<Vec<RawKeyField>>,
    /// The call that tells whether a key is valid
    verify: Option<RawVerification>,
    #[serde(default)]
    lifetime: RawLifetime,
    #[schemars(required)]
    relay: Option<RawRelay>,
}

/// `[[fields]]`: an input for a part of a key.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyField")]
pub(crate) struct RawKeyField {
    /// The field of templates that it fills
    #[schemars(required)]
    name: Option<FieldName>,
    /// The text beside the input
    #[schemars(required)]
    label: Option<String>,
    /// Pattern of valid values [default: anything]
    pattern: Option<Pattern>,
    /// Whether it is hidden as it is typed, and shown to nobody later [default: true]
    secret: Option<bool>,
}

/// `[verify]`: the call that tells whether a key is valid, and whose it is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Verification")]
pub(crate) struct RawVerification {
    /// The address, which is read with GET; the key goes where it goes in every call
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// Further headers
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
    /// The statuses of a valid key [default: 200]
    #[serde(default)]
    status: Vec<Status>,
    /// The id of the account
    subject: Option<JsonPointer>,
    /// The name of the account
    name: Option<JsonPointer>,
}

impl RawKey {
    pub(crate) fn split(self) -> (Head, RestOfKey) {
        let (title, documentation, parameters) = (self.title, self.documentation, self.parameters);
        let rest = RestOfKey {
            fields: self.fields.unwrap_or_default(),
            verify: self.verify,
            lifetime: self.lifetime,
            relay: self.relay,
        };
        (Head { title, documentation, parameters }, rest)
    }
}

/// The keys of a `key` definition without those of every kind.
pub(crate) struct RestOfKey {
    fields: Vec<RawKeyField>,
    verify: Option<RawVerification>,
    lifetime: RawLifetime,
    relay: Option<RawRelay>,
}

impl RestOfKey {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Option<Key> {
        if self.fields.is_empty() {
            let fix = "add [[fields]] with name = \"api_key\" and a label";
            check.report("fields", "is missing", fix);
        }
        let fields: Vec<_> =
            self.fields.into_iter().enumerate().map(|(index, raw)| raw.check(index, check)).collect();
        let fields = fields.into_iter().collect::<Option<Vec<_>>>();
        let known = fields.as_deref().unwrap_or_default();
        if !known.is_empty() && !known.iter().any(|field| field.secret) {
            check.report(
                "fields",
                "contain no secret, so nothing is a key",
                "leave out secret = false of one",
            );
        }
        let (secret, plain): (Vec<&KeyField>, Vec<&KeyField>) = known.iter().partition(|field| field.secret);
        let names =
            |fields: &[&KeyField]| fields.iter().map(|field| field.name.to_string()).collect::<Vec<_>>();
        let (secret, plain) = (names(&secret), names(&plain));
        let secret: Vec<&str> = secret.iter().map(String::as_str).collect();
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        let verification = match self.verify {
            Some(raw) => raw.check(&plain, check).map(Some),
            None => Some(None),
        };
        let fix = "add the table, with origins and with inject, which says where the key goes";
        let is_clear = secret.len() == 1 || self.relay.as_ref().is_none_or(RawRelay::has_inject);
        if !is_clear && !secret.is_empty() {
            check.report(
                "relay.inject",
                "is missing, and there are several secrets",
                "say where each one goes",
            );
        }
        let relay = check.required("relay", self.relay, fix);
        // A key that could not be read is a field nevertheless.
        let relay = match &fields {
            Some(_) => relay.and_then(|relay| {
                relay.check(&RelayFields { credentials: &secret, others: &plain, has_session: false }, check)
            }),
            None => None,
        };
        let lifetime = self.lifetime.check(check);
        Some(Key { verification: verification?, lifetime, relay: relay?, fields: fields? })
    }
}

impl RawKeyField {
    fn check(self, index: usize, check: &mut Check<'_, '_>) -> Option<KeyField> {
        let key = format!("fields[{index}]");
        let fix = "name the field, such as name = \"api_key\"";
        let name = check.required(&format!("{key}.name"), self.name, fix);
        if let Some(name) = &name {
            // Only the places that say so may use it, so it is not declared for all of them.
            check.take(&format!("{key}.name"), name);
        }
        let fix = "write the text that users see beside the input";
        let label = check.required(&format!("{key}.label"), self.label, fix);
        Some(KeyField {
            name: name?,
            label: label?,
            pattern: self.pattern,
            secret: self.secret.unwrap_or(true),
        })
    }
}

impl RawVerification {
    fn check(self, plain: &[&str], check: &mut Check<'_, '_>) -> Option<Verification> {
        let fix = "name an address that answers only to a valid key";
        let url = check.required("verify.url", self.url, fix);
        if let Some(url) = &url {
            check.url_with("verify.url", url, Step::Later, plain);
        }
        headers("verify.headers", &self.headers, Step::Later, plain, check);
        Some(Verification {
            url: url?,
            headers: self.headers,
            status: if self.status.is_empty() { vec![Status::OK] } else { self.status },
            subject: self.subject,
            name: self.name,
        })
    }
}
