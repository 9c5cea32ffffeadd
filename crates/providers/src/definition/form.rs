//! The kind `form`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::head::Head;
use super::lifetime::{Lifetime, RawLifetime};
use super::parameter::RawParameter;
use super::relay::{RawRelay, Relay, RelayFields};
use super::request::{RequestBody, headers};
use super::rule::{RawRule, Rule};
use crate::check::{Check, FieldKind, Step};
use crate::values::http::HeaderName;
use crate::values::name::FieldName;
use crate::values::pointer::JsonPointer;
use crate::values::seconds::Seconds;
use crate::values::template::Template;
use crate::values::url_template::UrlTemplate;

/// A website that knows cookies and a sign-in form.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Requests before the sign-in.
    pub prepare: Vec<Prepare>,
    /// The sign-in.
    pub login: SignInStep,
    /// Steps after it, each if the site asks for it, such as a one-time password.
    pub next: Vec<SignInStep>,
    /// Renewal of a token; `None`: only by its cookies.
    pub refresh: Option<FormRefresh>,
    /// Lifetime of a session.
    pub lifetime: Lifetime,
    /// Calls that are relayed.
    pub relay: Relay,
}

/// A request with GET before the sign-in, for its cookies and for values that the sign-in has to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    /// The address.
    pub url: UrlTemplate,
    /// The values, by the name of their field.
    pub values: BTreeMap<FieldName, PrepareValue>,
}

/// Places in a page of a value that the sign-in has to send.
#[derive(Clone, Debug, PartialEq)]
pub enum PrepareValue {
    /// In an input of a form, by the input's name.
    Input(String),
    /// In a JSON document.
    Json(JsonPointer),
}

/// A step of a sign-in: a form that is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SignInStep {
    /// The address.
    pub url: UrlTemplate,
    /// Fields that users fill in.
    pub fields: Vec<FormField>,
    /// Encoding in which it is sent.
    pub body: RequestBody,
    /// Values that are sent beside the fields.
    pub values: BTreeMap<String, Template>,
    /// Further headers.
    pub headers: BTreeMap<HeaderName, Template>,
    /// The answer by which the site asks for this step; `None` for the first one.
    pub when: Option<Rule>,
    /// The place of the token in the answer; `None`: cookies alone.
    pub token: Option<JsonPointer>,
}

/// A field that users fill in.
#[derive(Clone, Debug, PartialEq)]
pub struct FormField {
    /// The name that the site has for it.
    pub name: String,
    /// The text beside the input; `None`: that of its type.
    pub label: Option<String>,
    /// Its type.
    pub kind: FormFieldType,
}

/// The type of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum FormFieldType {
    /// A text.
    #[default]
    Text,
    /// An email address.
    Email,
    /// A password, which is used once and stored nowhere.
    Password,
    /// A one-time password.
    Otp,
}

/// Renewal of a token of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct FormRefresh {
    /// The address.
    pub url: UrlTemplate,
    /// Values that are sent, as JSON.
    pub body: BTreeMap<String, Template>,
    /// The place of the new token.
    pub token: JsonPointer,
    /// The answer by which the site has ended the session.
    pub logout: Option<Rule>,
    /// The age at which a token is renewed before use although it lives.
    pub max_age: Option<Seconds>,
}

/// A website that knows cookies and a sign-in form.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawForm {
    /// The name that users see
    #[schemars(required)]
    title: Option<String>,
    /// The page of the provider that the definition was written from
    documentation: Option<String>,
    /// Parameters that users enter before they connect
    #[serde(default)]
    parameters: Vec<RawParameter>,
    #[schemars(required)]
    login: Option<RawLogin>,
    refresh: Option<RawFormRefresh>,
    #[serde(default)]
    lifetime: RawLifetime,
    #[schemars(required)]
    relay: Option<RawRelay>,
}

/// `[login]`: the sign-in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Login")]
pub(crate) struct RawLogin {
    /// Requests before it
    #[serde(default)]
    prepare: Vec<RawPrepare>,
    /// Steps after it, each if the site asks for it
    #[serde(default)]
    next: Vec<RawStep>,
    /// The address of the form
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// Fields that users fill in
    #[schemars(required)]
    fields: Option<Vec<RawFormField>>,
    /// Encoding of the form [default: form]
    body: Option<RequestBody>,
    /// Values that are sent beside the fields; fields: fingerprint and the values of prepare
    #[serde(default)]
    values: BTreeMap<String, Template>,
    /// Further headers
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
    /// The token in the answer [default: cookies alone]
    token: Option<RawPlace>,
}

/// `[[login.prepare]]`: a request before the sign-in, for its cookies and for values that the sign-in has to send.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Prepare")]
pub(crate) struct RawPrepare {
    /// The address, which is read with GET
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// Values of the page that the sign-in has to send, by the name of their field
    #[serde(default)]
    values: BTreeMap<FieldName, RawPlace>,
}

/// `[[login.next]]`: a further step of the sign-in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Step")]
pub(crate) struct RawStep {
    /// The answer by which the site asks for this step
    #[schemars(required)]
    when: Option<RawRule>,
    /// The address of the form
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// Fields that users fill in
    #[schemars(required)]
    fields: Option<Vec<RawFormField>>,
    /// Encoding of the form [default: form]
    body: Option<RequestBody>,
    /// Values that are sent beside the fields
    #[serde(default)]
    values: BTreeMap<String, Template>,
    /// Further headers
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
    /// The token in the answer
    token: Option<RawPlace>,
}

/// A field that users fill in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FormField")]
pub(crate) struct RawFormField {
    /// The name that the site has for it
    #[schemars(required)]
    name: Option<String>,
    /// The text beside the input
    label: Option<String>,
    /// Its type [default: text]
    #[serde(rename = "type")]
    kind: Option<FormFieldType>,
}

/// A place in an answer: `json`, or in a page the name of an `input`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Place")]
pub(crate) struct RawPlace {
    /// The place in a JSON document
    json: Option<JsonPointer>,
    /// The name of an input of a page
    input: Option<String>,
}

/// `[refresh]` of a form: how a token is renewed.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FormRefresh")]
pub(crate) struct RawFormRefresh {
    /// The address
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// Values that are sent, as JSON; fields: token, fingerprint
    #[serde(default)]
    body: BTreeMap<String, Template>,
    /// The new token in the answer
    #[schemars(required)]
    token: Option<RawPlace>,
    /// The answer by which the site has ended the session
    logout: Option<RawRule>,
    /// The age at which a token is renewed before use although it lives
    max_age: Option<Seconds>,
}

impl RawForm {
    pub(crate) fn split(self) -> (Head, RestOfForm) {
        let (title, documentation, parameters) = (self.title, self.documentation, self.parameters);
        let rest = RestOfForm {
            login: self.login,
            refresh: self.refresh,
            lifetime: self.lifetime,
            relay: self.relay,
        };
        (Head { title, documentation, parameters }, rest)
    }
}

/// The keys of a `form` definition without those of every kind.
pub(crate) struct RestOfForm {
    login: Option<RawLogin>,
    refresh: Option<RawFormRefresh>,
    lifetime: RawLifetime,
    relay: Option<RawRelay>,
}

/// Fields of requests with a session.
const FIELDS: [&str; 2] = ["token", "fingerprint"];

impl RestOfForm {
    pub(crate) fn check(self, check: &mut Check<'_, '_>) -> Option<Form> {
        let login = check
            .required("login", self.login, "add the table, with url and fields")
            .and_then(|it| it.check(check));
        let refresh = match self.refresh {
            Some(refresh) => refresh.check(check).map(Some),
            None => Some(None),
        };
        let lifetime = self.lifetime.check(check);
        let relay = check.required("relay", self.relay, "add the table, with origins");
        let has_token = login.as_ref().is_none_or(|(_, login, next)| {
            std::iter::once(login).chain(next).any(|step| step.token.is_some())
        });
        let credentials: &[&str] = if has_token { &["token"] } else { &[] };
        let fields = RelayFields { credentials, others: &["fingerprint"] };
        let relay = relay.and_then(|relay| relay.check(&fields, check));
        let (prepare, login, next) = login?;
        Some(Form { prepare, login, next, refresh: refresh?, lifetime, relay: relay? })
    }
}

impl RawLogin {
    fn check(self, check: &mut Check<'_, '_>) -> Option<(Vec<Prepare>, SignInStep, Vec<SignInStep>)> {
        let prepare: Vec<_> =
            self.prepare.into_iter().enumerate().map(|(index, raw)| raw.check(index, check)).collect();
        let step = RawStep {
            when: None,
            url: self.url,
            fields: self.fields,
            body: self.body,
            values: self.values,
            headers: self.headers,
            token: self.token,
        };
        let login = step.check("login", check);
        let next: Vec<_> = self
            .next
            .into_iter()
            .enumerate()
            .map(|(index, mut raw)| {
                let key = format!("login.next[{index}]");
                let fix = "describe the answer that asks for this step, such as when = { json = \"/otp\", present = true }";
                let when = check.required(&format!("{key}.when"), raw.when.take(), fix);
                let when = when.and_then(|when| when.check(&format!("{key}.when"), check));
                let step = raw.check(&key, check);
                Some(SignInStep { when: Some(when?), ..step? })
            })
            .collect();
        let prepare = prepare.into_iter().collect::<Option<_>>();
        Some((prepare?, login?, next.into_iter().collect::<Option<_>>()?))
    }
}

impl RawPrepare {
    fn check(self, index: usize, check: &mut Check<'_, '_>) -> Option<Prepare> {
        let key = format!("login.prepare[{index}]");
        let url = check.required(&format!("{key}.url"), self.url, "write the address of the page");
        if let Some(url) = &url {
            check.url(&format!("{key}.url"), url, Step::Token);
        }
        let mut values = BTreeMap::new();
        for (name, place) in self.values {
            let key = format!("{key}.values.{name}");
            check.declare(&key, &name, FieldKind::Text, Step::Token);
            let value = match (place.input, place.json) {
                (Some(input), None) => PrepareValue::Input(input),
                (None, Some(json)) => PrepareValue::Json(json),
                _ => {
                    check.report(
                        &key,
                        "does not say where the page has it",
                        "write input = \"…\" or json = \"/…\"",
                    );
                    continue;
                }
            };
            values.insert(name, value);
        }
        Some(Prepare { url: url?, values })
    }
}

impl RawStep {
    /// Checks a step without `when`.
    fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<SignInStep> {
        let url = check.required(&format!("{key}.url"), self.url, "write the address of the form");
        if let Some(url) = &url {
            check.url(&format!("{key}.url"), url, Step::Token);
        }
        let fields = self.fields.unwrap_or_default();
        if fields.is_empty() {
            check.report(&format!("{key}.fields"), "is missing", "name what users enter");
        }
        if self.body == Some(RequestBody::Query) {
            let fix = "use form or json";
            check.report(
                &format!("{key}.body"),
                "would put passwords into addresses, which servers log",
                fix,
            );
        }
        for (name, template) in &self.values {
            check.template(&format!("{key}.values.{name}"), template, Step::Token, &["fingerprint"]);
        }
        headers(&format!("{key}.headers"), &self.headers, Step::Token, &["fingerprint"], check);
        let fields: Vec<_> = fields
            .into_iter()
            .enumerate()
            .map(|(index, raw)| {
                let fix = "write the name that the site has for it, such as name = \"email\"";
                let name = check.required(&format!("{key}.fields[{index}].name"), raw.name, fix)?;
                Some(FormField { name, label: raw.label, kind: raw.kind.unwrap_or_default() })
            })
            .collect();
        let token = match self.token {
            Some(place) => place.json(&format!("{key}.token"), check).map(Some),
            None => Some(None),
        };
        Some(SignInStep {
            url: url?,
            fields: fields.into_iter().collect::<Option<_>>()?,
            body: self.body.unwrap_or_default(),
            values: self.values,
            headers: self.headers,
            when: None,
            token: token?,
        })
    }
}

impl RawPlace {
    /// The place in a JSON document, where there is no page.
    fn json(self, key: &str, check: &mut Check<'_, '_>) -> Option<JsonPointer> {
        check.only_with(&format!("{key}.input"), self.input.as_ref(), false, "in pages before the sign-in");
        check.required(&format!("{key}.json"), self.json, "name its place, such as json = \"/token\"")
    }
}

impl RawFormRefresh {
    fn check(self, check: &mut Check<'_, '_>) -> Option<FormRefresh> {
        let url = check.required("refresh.url", self.url, "write the address that renews a token");
        if let Some(url) = &url {
            check.url("refresh.url", url, Step::Later);
        }
        for (name, template) in &self.body {
            check.template(&format!("refresh.body.{name}"), template, Step::Later, &FIELDS);
        }
        let fix = "name the place of the new token, such as token = { json = \"/token\" }";
        let token = check.required("refresh.token", self.token, fix);
        let token = token.and_then(|place| place.json("refresh.token", check));
        let logout = match self.logout {
            Some(rule) => rule.check("refresh.logout", check).map(Some),
            None => Some(None),
        };
        Some(FormRefresh {
            url: url?,
            body: self.body,
            token: token?,
            logout: logout?,
            max_age: self.max_age,
        })
    }
}
