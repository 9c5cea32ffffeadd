//! The kind `form`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use super::form_field::FormFieldType;
use super::head::Head;
use super::lifetime::{Lifetime, RawLifetime};
use super::parameter::RawParameter;
use super::relay::{RawRelay, Relay, RelayFields};
use super::request::{RequestBody, headers};
use super::rule::{RawRule, Rule};
use crate::check::{Check, FieldKind, Step};
use crate::values::http::{HeaderName, Method};
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
    /// The place of the account's identifier.
    pub account: FormAccount,
    /// Renewal of a session; `None`: nothing renews it.
    pub refresh: Option<FormRefresh>,
    /// The request that ends a session; `None`: the site has none.
    pub logout: Option<FormLogout>,
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
    /// The answer that signs the user in. Beside it the token has to be there, if there is a place for it, and the cookie.
    /// `None`, and neither token nor cookie: an answer that is no error and does not lead back to the form.
    pub success: Option<Rule>,
    /// The cookie that a sign-in sets.
    pub cookie: Option<String>,
}

/// The place of the identifier of the account that signed in.
#[derive(Clone, Debug, PartialEq)]
pub enum FormAccount {
    /// The text that the user typed into this field.
    Field(String),
    /// In the answer that signs the user in.
    Json(JsonPointer),
    /// Nowhere: the connection itself stands for the account.
    Nowhere,
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

/// Renewal of a session of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct FormRefresh {
    /// The address.
    pub url: UrlTemplate,
    /// Values that are sent.
    pub body: BTreeMap<String, Template>,
    /// Encoding of those.
    pub encoding: RequestBody,
    /// Further headers.
    pub headers: BTreeMap<HeaderName, Template>,
    /// The place of the new token; `None`: cookies alone.
    pub token: Option<JsonPointer>,
    /// The answer that renews; `None`: every success with a new token. There is this or a place for the token.
    pub success: Option<Rule>,
    /// The answer by which the site has ended the session.
    pub logout: Option<Rule>,
    /// The age at which a session is renewed before use although it lives.
    pub max_age: Option<Seconds>,
    /// The age at which a background session is renewed although nobody uses it.
    pub keep_alive: Option<Seconds>,
}

/// The end of a session at a site.
#[derive(Clone, Debug, PartialEq)]
pub struct FormLogout {
    /// The address.
    pub url: UrlTemplate,
    /// The method.
    pub method: Method,
    /// Values that are sent.
    pub body: BTreeMap<String, Template>,
    /// Encoding of those.
    pub encoding: RequestBody,
    /// Further headers.
    pub headers: BTreeMap<HeaderName, Template>,
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
    logout: Option<RawFormLogout>,
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
    /// The answer that signs the user in [default: one that is no error and does not lead back to the form]
    success: Option<RawRule>,
    /// The name of a cookie that a sign-in sets
    cookie: Option<String>,
    /// The identifier of the account in the answer [default: what was typed into the first field that is no password]
    account: Option<RawPlace>,
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
    /// The answer that signs the user in [default: one that is no error and does not lead back to the form]
    success: Option<RawRule>,
    /// The name of a cookie that the step sets
    cookie: Option<String>,
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
    /// Values that are sent; fields: token, fingerprint
    #[serde(default)]
    body: BTreeMap<String, Template>,
    /// Encoding of those [default: json]
    encoding: Option<RequestBody>,
    /// Further headers; fields: token, fingerprint
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
    /// The new token in the answer [default: cookies alone]
    token: Option<RawPlace>,
    /// The answer that renews; needed without token [default: a success with a token]
    success: Option<RawRule>,
    /// The answer by which the site has ended the session
    logout: Option<RawRule>,
    /// The age at which a session is renewed before use although it lives; one that was never renewed counts as older
    max_age: Option<Seconds>,
    /// The age at which a background session is renewed although nobody uses it [default: max_age]
    keep_alive: Option<Seconds>,
}

/// `[logout]` of a form: how a session is ended at the site.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FormLogout")]
pub(crate) struct RawFormLogout {
    /// The address
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// The method [default: POST]
    method: Option<Method>,
    /// Values that are sent; fields: token, fingerprint
    #[serde(default)]
    body: BTreeMap<String, Template>,
    /// Encoding of those [default: json]
    encoding: Option<RequestBody>,
    /// Further headers; fields: token, fingerprint
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
}

impl RawForm {
    pub(crate) fn split(self) -> (Head, RestOfForm) {
        let (title, documentation, parameters) = (self.title, self.documentation, self.parameters);
        let rest = RestOfForm {
            login: self.login,
            refresh: self.refresh,
            logout: self.logout,
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
    logout: Option<RawFormLogout>,
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
        let logout = match self.logout {
            Some(logout) => logout.check(check).map(Some),
            None => Some(None),
        };
        let lifetime = self.lifetime.check(check);
        let relay = check.required("relay", self.relay, "add the table, with origins");
        let has_token = login.as_ref().is_none_or(|login| {
            std::iter::once(&login.first).chain(&login.next).any(|step| step.token.is_some())
        });
        let credentials: &[&str] = if has_token { &["token"] } else { &[] };
        let fields = RelayFields { credentials, others: &["fingerprint"], has_session: true };
        let relay = relay.and_then(|relay| relay.check(&fields, check));
        let CheckedLogin { prepare, first: login, next, account } = login?;
        let (refresh, logout, relay) = (refresh?, logout?, relay?);
        Some(Form { prepare, login, next, account, refresh, logout, lifetime, relay })
    }
}

/// `[login]`, checked.
struct CheckedLogin {
    prepare: Vec<Prepare>,
    first: SignInStep,
    next: Vec<SignInStep>,
    account: FormAccount,
}

impl RawLogin {
    fn check(self, check: &mut Check<'_, '_>) -> Option<CheckedLogin> {
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
            success: self.success,
            cookie: self.cookie,
        };
        let login = step.check("login", check);
        let account = match self.account {
            Some(place) => place.json("login.account", check).map(FormAccount::Json),
            None => login.as_ref().map(typed_account),
        };
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
        let next = next.into_iter().collect::<Option<_>>();
        Some(CheckedLogin { prepare: prepare?, first: login?, next: next?, account: account? })
    }
}

/// The first field that is no password: it names the account.
fn typed_account(login: &SignInStep) -> FormAccount {
    let names = |field: &&FormField| matches!(field.kind, FormFieldType::Text | FormFieldType::Email);
    let field = login.fields.iter().find(names);
    field.map_or(FormAccount::Nowhere, |field| FormAccount::Field(field.name.clone()))
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
        let success = match self.success {
            Some(rule) => rule.check(&format!("{key}.success"), check).map(Some),
            None => Some(None),
        };
        if self.cookie.as_ref().is_some_and(String::is_empty) {
            check.report(&format!("{key}.cookie"), "is empty", "write the name of a cookie");
        }
        Some(SignInStep {
            url: url?,
            fields: fields.into_iter().collect::<Option<_>>()?,
            body: self.body.unwrap_or_default(),
            values: self.values,
            headers: self.headers,
            when: None,
            token: token?,
            success: success?,
            cookie: self.cookie,
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
        let key = "refresh";
        check_sent(key, &self.body, &self.headers, check);
        let token = match self.token {
            Some(place) => place.json("refresh.token", check).map(Some),
            None => Some(None),
        };
        let success = match self.success {
            Some(rule) => rule.check("refresh.success", check).map(Some),
            None => Some(None),
        };
        if let (Some(None), Some(None)) = (&token, &success) {
            let fix = "name the place of the new token, such as token = { json = \"/token\" }, or the answer: success";
            check.report("refresh.token", "is missing", fix);
        }
        let logout = match self.logout {
            Some(rule) => rule.check("refresh.logout", check).map(Some),
            None => Some(None),
        };
        Some(FormRefresh {
            url: url?,
            body: self.body,
            encoding: self.encoding.unwrap_or(RequestBody::Json),
            headers: self.headers,
            token: token?,
            success: success?,
            logout: logout?,
            max_age: self.max_age,
            keep_alive: self.keep_alive,
        })
    }
}

impl RawFormLogout {
    fn check(self, check: &mut Check<'_, '_>) -> Option<FormLogout> {
        let url = check.required("logout.url", self.url, "write the address that ends a session");
        if let Some(url) = &url {
            check.url("logout.url", url, Step::Later);
        }
        check_sent("logout", &self.body, &self.headers, check);
        Some(FormLogout {
            url: url?,
            method: self.method.unwrap_or(Method::Post),
            body: self.body,
            encoding: self.encoding.unwrap_or(RequestBody::Json),
            headers: self.headers,
        })
    }
}

/// Checks the values that are sent with a session.
fn check_sent(
    key: &str,
    body: &BTreeMap<String, Template>,
    sent: &BTreeMap<HeaderName, Template>,
    check: &mut Check<'_, '_>,
) {
    for (name, template) in body {
        check.template(&format!("{key}.body.{name}"), template, Step::Later, &FIELDS);
    }
    headers(&format!("{key}.headers"), sent, Step::Later, &FIELDS, check);
}
