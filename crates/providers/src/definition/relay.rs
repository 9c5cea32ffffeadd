//! Calls that are relayed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::request::headers;
use super::rule::{RawRule, Rule, WaitRule, rules, wait_rules};
use crate::check::{Check, Step};
use crate::values::http::HeaderName;
use crate::values::name::FieldName;
use crate::values::path::PathTemplate;
use crate::values::pointer::{JsonPointer, JsonPointerPattern};
use crate::values::template::Template;
use crate::values::text::Text as _;
use crate::values::url_template::OriginTemplate;

/// Calls that are relayed, and the changes that are made to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// The origins that may be called; the first is the default. There is at least one.
    pub origins: Vec<OriginTemplate>,
    /// The beginnings of paths that may be called; empty: every path.
    pub prefixes: Vec<PathTemplate>,
    /// The beginnings of paths that may not.
    pub deny: Vec<PathTemplate>,
    /// Parameters that callers may not send.
    pub deny_parameters: Vec<DenyParameter>,
    /// Members of answers that are credentials: they are taken out.
    pub strip: Vec<JsonPointerPattern>,
    /// Names of members of answers that are credentials, at any depth: they are taken out.
    pub strip_members: Vec<String>,
    /// Addresses in answers that contain credentials: those parameters are taken out.
    pub strip_urls: Vec<StripUrl>,
    /// Headers of the caller that pass, beside the usual ones.
    pub request_headers: Vec<HeaderName>,
    /// Headers of the answer that pass, beside the usual ones.
    pub response_headers: Vec<HeaderName>,
    /// Headers of every call.
    pub set_headers: BTreeMap<HeaderName, Template>,
    /// Places of the credential.
    pub inject: Inject,
    /// Answers that refuse the credential.
    pub refused: Vec<Rule>,
    /// Answers by which the user has to do something at the provider; the credential stays.
    pub action_required: Vec<Rule>,
    /// Answers that ask to wait.
    pub wait: Vec<WaitRule>,
    /// Whether a segment of a path may contain `%2F`.
    pub encoded_slash: bool,
}

/// Places of the credential in a call. There is at least one, unless cookies are all there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inject {
    /// Headers.
    pub header: BTreeMap<HeaderName, Template>,
    /// Parameters of the address.
    pub query: BTreeMap<String, Template>,
    /// Cookies, beside those of the session.
    pub cookie: BTreeMap<String, Template>,
    /// Members of bodies in JSON, and fields of forms.
    pub body: BTreeMap<String, Template>,
}

impl Inject {
    /// All templates.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.header.values().chain(self.query.values()).chain(self.cookie.values()).chain(self.body.values())
    }
}

/// A parameter that callers may not send.
#[derive(Clone, Debug, PartialEq)]
pub struct DenyParameter {
    /// Its name. Letter case does not count.
    pub parameter: String,
    /// Texts of which a denied value contains one, in any letter case; empty: every value is denied.
    pub contains: Vec<String>,
}

impl DenyParameter {
    /// Whether a value is denied.
    pub(crate) fn is_value(&self, value: &str) -> bool {
        let value = value.to_lowercase();
        self.contains.is_empty() || self.contains.iter().any(|text| value.contains(&text.to_lowercase()))
    }
}

/// An address in answers that contains credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct StripUrl {
    /// Its place.
    pub place: UrlPlace,
    /// The parameters to take out.
    pub parameters: Vec<String>,
}

/// Places of an address in an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum UrlPlace {
    /// At this place.
    Json(JsonPointer),
    /// In every member of this name, at any depth.
    Member(String),
}

/// `[relay]`: calls that are relayed, and the changes that are made to them.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Relay")]
pub(crate) struct RawRelay {
    /// The origins that may be called; the first is the default
    #[schemars(required, length(min = 1))]
    origins: Option<Vec<OriginTemplate>>,
    /// The beginnings of paths that may be called, up to the end of a segment; one that ends with a slash means what is
    /// below it [default: every path]
    #[serde(default)]
    prefixes: Vec<PathTemplate>,
    /// The beginnings of paths that may not be called; the definition's own endpoints never may
    #[serde(default)]
    deny: Vec<PathTemplate>,
    /// Parameters that callers may not send, such as those that ask for credentials
    #[serde(default)]
    deny_parameters: Vec<RawDenyParameter>,
    /// Members of answers that are credentials, as JSON pointers in which * stands for every item: they are taken out
    #[serde(default)]
    strip: Vec<JsonPointerPattern>,
    /// Names of members that are credentials wherever they are in an answer: they are taken out
    #[serde(default)]
    strip_members: Vec<String>,
    /// Addresses in answers whose parameters contain credentials: those are taken out
    #[serde(default)]
    strip_urls: Vec<RawStripUrl>,
    /// Headers of the caller that pass, beside the usual ones
    #[serde(default)]
    request_headers: Vec<HeaderName>,
    /// Headers of the answer that pass, beside the usual ones
    #[serde(default)]
    response_headers: Vec<HeaderName>,
    /// Headers of every call
    #[serde(default)]
    set_headers: BTreeMap<HeaderName, Template>,
    /// Places of the credential [default: Authorization: Bearer {token}]
    inject: Option<RawInject>,
    /// Answers that refuse the credential
    #[serde(default)]
    refused: Vec<RawRule>,
    /// Answers by which the user has to do something at the provider; the credential stays
    #[serde(default)]
    action_required: Vec<RawRule>,
    /// Answers that ask to wait
    #[serde(default)]
    wait: Vec<RawRule>,
    /// Whether a segment of a path may contain %2F [default: false]
    encoded_slash: Option<bool>,
}

/// Places of the credential in a call.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Inject")]
pub(crate) struct RawInject {
    /// Headers; fields: token, account, client_id, or the fields of a key
    #[serde(default)]
    header: BTreeMap<HeaderName, Template>,
    /// Parameters of the address; the same fields
    #[serde(default)]
    query: BTreeMap<String, Template>,
    /// Cookies, beside those of the session: only for the kind form
    #[serde(default)]
    cookie: BTreeMap<String, Template>,
    /// Members of bodies in JSON, and fields of forms: only for the kind form
    #[serde(default)]
    body: BTreeMap<String, Template>,
}

/// A parameter that callers may not send.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DenyParameter")]
pub(crate) struct RawDenyParameter {
    /// Its name
    #[schemars(required)]
    parameter: Option<String>,
    /// Texts of which a denied value contains one [default: every value is denied]
    #[serde(default)]
    contains: Vec<String>,
}

/// An address in answers that contains credentials.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StripUrl")]
pub(crate) struct RawStripUrl {
    /// Its place
    json: Option<JsonPointer>,
    /// The name of members that have such an address wherever they are: instead of json
    member: Option<String>,
    /// The parameters to take out
    #[schemars(required)]
    parameters: Option<Vec<String>>,
}

/// Fields that the templates of a relay may use.
pub(crate) struct RelayFields<'a> {
    /// The fields that are credentials: one of them has to be injected. None: cookies are all there is.
    pub(crate) credentials: &'a [&'a str],
    /// Further fields.
    pub(crate) others: &'a [&'a str],
    /// Whether calls are made with a session of a site, which has more places for its token.
    pub(crate) has_session: bool,
}

const AUTHORIZATION: &str = "Authorization";

impl RawRelay {
    /// Returns whether it has a place for the credential.
    pub(crate) fn has_inject(&self) -> bool {
        self.inject.is_some()
    }

    pub(crate) fn check(self, fields: &RelayFields<'_>, check: &mut Check<'_, '_>) -> Option<Relay> {
        let own: Vec<&str> = fields.credentials.iter().chain(fields.others).copied().collect();
        let origins = self.origins.unwrap_or_default();
        if origins.is_empty() {
            let fix = "name the origins that may be called, such as origins = [\"https://api.example.com\"]";
            check.report("relay.origins", "is missing", fix);
        }
        for (index, origin) in origins.iter().enumerate() {
            check.url(&format!("relay.origins[{index}]"), origin.url(), Step::Later);
        }
        for (name, paths) in [("prefixes", &self.prefixes), ("deny", &self.deny)] {
            for (index, path) in paths.iter().enumerate() {
                check.template(
                    &format!("relay.{name}[{index}]"),
                    path.template(),
                    Step::Later,
                    fields.others,
                );
            }
        }
        headers("relay.set_headers", &self.set_headers, Step::Later, fields.others, check);
        let inject = self.inject.map_or_else(|| Inject::bearer(fields), |raw| raw.check(fields, &own, check));
        let set = self.set_headers.keys().chain(inject.iter().flat_map(|inject| inject.header.keys()));
        let set: Vec<&HeaderName> = set.collect();
        for (index, name) in self.request_headers.iter().enumerate() {
            if name.is(AUTHORIZATION) || set.iter().any(|set| set.is(name.as_str())) {
                let problem = format!("{name} of the caller would replace the one that is set here");
                check.report(&format!("relay.request_headers[{index}]"), problem, "remove it");
            }
        }
        if let Some(name) = self.set_headers.keys().find(|name| name.is(AUTHORIZATION)) {
            let fix = "use relay.inject for credentials";
            check.report(&format!("relay.set_headers.{name}"), format!("{name} carries a credential"), fix);
        }
        if self.strip_members.iter().any(String::is_empty) {
            check.report("relay.strip_members", "has an empty name", "remove it");
        }
        let deny_parameters: Vec<_> = self
            .deny_parameters
            .into_iter()
            .enumerate()
            .map(|(index, raw)| raw.check(index, check))
            .collect();
        let deny_parameters: Option<Vec<_>> = deny_parameters.into_iter().collect();
        let strip_urls: Vec<_> =
            self.strip_urls.into_iter().enumerate().map(|(index, raw)| raw.check(index, check)).collect();
        let strip_urls: Option<Vec<_>> = strip_urls.into_iter().collect();
        let refused = rules("relay.refused", self.refused, check);
        let action_required = rules("relay.action_required", self.action_required, check);
        let wait = wait_rules("relay.wait", self.wait, check);
        Some(Relay {
            origins,
            prefixes: self.prefixes,
            deny: self.deny,
            deny_parameters: deny_parameters?,
            strip: self.strip,
            strip_members: self.strip_members,
            strip_urls: strip_urls?,
            request_headers: self.request_headers,
            response_headers: self.response_headers,
            set_headers: self.set_headers,
            inject: inject?,
            refused: refused?,
            action_required: action_required?,
            wait: wait?,
            encoded_slash: self.encoded_slash.unwrap_or_default(),
        })
    }
}

impl Inject {
    /// RFC 6750 section 2.1, where there is one credential; `None` where it has to be said.
    fn bearer(fields: &RelayFields<'_>) -> Option<Self> {
        let credential = match fields.credentials {
            [] => return Some(Self::default()),
            [credential] => credential,
            _ => return None,
        };
        let name = HeaderName::parse(AUTHORIZATION).ok()?;
        let value = Template::parse(&format!("Bearer {{{credential}}}")).ok()?;
        Some(Self { header: BTreeMap::from([(name, value)]), ..Self::default() })
    }
}

impl RawInject {
    fn check(self, fields: &RelayFields<'_>, own: &[&str], check: &mut Check<'_, '_>) -> Option<Inject> {
        headers("relay.inject.header", &self.header, Step::Later, own, check);
        for (name, template) in &self.query {
            check.template(&format!("relay.inject.query.{name}"), template, Step::Later, own);
        }
        for (place, values) in [("cookie", &self.cookie), ("body", &self.body)] {
            let key = format!("relay.inject.{place}");
            check.only_with(&key, values.first_key_value().as_ref(), fields.has_session, "to the kind form");
            for (name, template) in values {
                check.template(&format!("{key}.{name}"), template, Step::Later, own);
            }
        }
        let inject = Inject { header: self.header, query: self.query, cookie: self.cookie, body: self.body };
        let is_credential = |name: &FieldName| fields.credentials.contains(&name.as_str());
        let is_there = inject.templates().any(|template| template.fields().any(is_credential));
        if !is_there && !fields.credentials.is_empty() {
            let fix = format!("use {{{}}} in a header or parameter", fields.credentials.join("} or {"));
            check.report("relay.inject", "does not contain the credential", fix);
            return None;
        }
        Some(inject)
    }
}

impl RawDenyParameter {
    fn check(self, index: usize, check: &mut Check<'_, '_>) -> Option<DenyParameter> {
        let key = format!("relay.deny_parameters[{index}]");
        if self.contains.iter().any(String::is_empty) {
            check.report(&format!("{key}.contains"), "has an empty text", "remove it");
        }
        let parameter = self.parameter.filter(|name| !name.is_empty());
        let fix = "name the parameter, such as parameter = \"fields\"";
        let parameter = check.required(&format!("{key}.parameter"), parameter, fix)?;
        Some(DenyParameter { parameter, contains: self.contains })
    }
}

impl RawStripUrl {
    fn check(self, index: usize, check: &mut Check<'_, '_>) -> Option<StripUrl> {
        let key = format!("relay.strip_urls[{index}]");
        let place = match (self.json, self.member.filter(|member| !member.is_empty())) {
            (Some(json), None) => Some(UrlPlace::Json(json)),
            (None, Some(member)) => Some(UrlPlace::Member(member)),
            (Some(_), Some(_)) => {
                check.report(&key, "has both json and member", "keep one of the two");
                None
            }
            (None, None) => {
                let fix =
                    "name its place, such as json = \"/paging/next\", or member = \"next\" for any depth";
                check.report(&format!("{key}.json"), "is missing", fix);
                None
            }
        };
        let parameters = self.parameters.unwrap_or_default();
        if parameters.is_empty() {
            let fix = "name the parameters to take out, such as parameters = [\"access_token\"]";
            check.report(&format!("{key}.parameters"), "is missing", fix);
        }
        Some(StripUrl { place: place?, parameters })
    }
}
