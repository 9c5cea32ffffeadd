//! The second step: what was read is checked as a whole.

use crate::nearest::suggest;
use crate::read::Document;
use crate::values::name::FieldName;
use crate::values::template::Template;
use crate::values::url_template::{Open, UrlTemplate};

/// Steps at which templates are filled. A later step knows what the earlier ones know, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Before the browser leaves: what the user entered.
    Authorization,
    /// At the exchange of the code: also what came with the callback.
    Token,
    /// Afterwards: also what the token endpoint answered.
    Later,
}

/// Meaning of a field, which decides where it may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// Part of a path, a query, a header or a body.
    Text,
    /// A host that is restricted, or that the guard checks.
    Host,
    /// An https address whose host is restricted, or that the guard checks.
    Address,
}

/// A field that the definition itself declares.
struct Field {
    name: FieldName,
    kind: FieldKind,
    known_from: Step,
}

/// The document, and the fields that its templates may use.
pub(crate) struct Check<'a, 'd> {
    document: &'d mut Document<'a>,
    fields: Vec<Field>,
    taken: Vec<FieldName>,
}

impl<'a, 'd> Check<'a, 'd> {
    pub(crate) fn new(document: &'d mut Document<'a>) -> Self {
        Self { document, fields: Vec::new(), taken: Vec::new() }
    }

    pub(crate) fn report(&mut self, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        self.document.report(key, problem, fix);
    }

    /// A value that has to be there.
    pub(crate) fn required<T>(&mut self, key: &str, value: Option<T>, fix: &str) -> Option<T> {
        if value.is_none() {
            self.report(key, "is missing", fix);
        }
        value
    }

    /// A value that means something only with another one.
    pub(crate) fn only_with<T>(&mut self, key: &str, value: Option<&T>, condition: bool, with: &str) {
        if value.is_some() && !condition {
            self.report(key, format!("applies only {with}"), "remove it");
        }
    }

    /// Declares a field that every template may use from a step on.
    pub(crate) fn declare(&mut self, key: &str, name: &FieldName, kind: FieldKind, known_from: Step) {
        if self.take(key, name) {
            self.fields.push(Field { name: name.clone(), kind, known_from });
        }
    }

    /// Takes the name of a field that only some places may use. Answers whether it was free.
    pub(crate) fn take(&mut self, key: &str, name: &FieldName) -> bool {
        if RESERVED.contains(&name.as_str()) {
            self.report(key, format!("{name} is a field that Causeway fills itself"), "choose another name");
            return false;
        }
        if self.taken.contains(name) {
            self.report(key, format!("{name} is declared twice"), "rename one of the two");
            return false;
        }
        self.taken.push(name.clone());
        true
    }

    /// Checks the fields of a template; `own` are those that this place has besides the declared ones.
    pub(crate) fn template(&mut self, key: &str, template: &Template, step: Step, own: &[&str]) {
        let problems: Vec<_> = template.fields().filter_map(|name| self.unusable(name, step, own)).collect();
        for (problem, fix) in problems {
            self.report(key, problem, fix);
        }
    }

    /// Checks the fields of an address.
    pub(crate) fn url(&mut self, key: &str, url: &UrlTemplate, step: Step) {
        self.url_with(key, url, step, &[]);
    }

    /// Checks the fields of an address that has fields of its own.
    pub(crate) fn url_with(&mut self, key: &str, url: &UrlTemplate, step: Step, own: &[&str]) {
        self.template(key, url.template(), step, own);
        let (name, kind, fix) = match url.open() {
            None => return,
            Some(Open::Host(name)) => {
                (name, FieldKind::Host, "use a parameter with allowed_suffix or type = \"host\"")
            }
            Some(Open::Origin(name)) => {
                let fix = "use a parameter of type = \"url\", or a capture with allow = [\"*.example.com\"]";
                (name, FieldKind::Address, fix)
            }
        };
        let field = self.fields.iter().find(|field| field.name == *name);
        let is_known = field.is_some() || own.contains(&name.as_str());
        // One that is not known is reported already.
        if is_known && field.is_none_or(|field| field.kind != kind) {
            self.report(key, format!("{{{name}}} would choose the host, and nothing restricts it"), fix);
        }
    }

    fn unusable(&self, name: &FieldName, step: Step, own: &[&str]) -> Option<(String, String)> {
        if own.contains(&name.as_str()) {
            return None;
        }
        let Some(field) = self.fields.iter().find(|field| field.name == *name) else {
            let usable = self.fields.iter().filter(|field| field.known_from <= step);
            let known: Vec<&str> =
                usable.map(|field| field.name.as_str()).chain(own.iter().copied()).collect();
            let fix = if known.is_empty() {
                "declare it under parameters, or write the value".to_owned()
            } else {
                suggest(name.as_str(), known)
            };
            return Some((format!("unknown field {{{name}}}"), fix));
        };
        (field.known_from > step).then(|| {
            let problem = format!("{{{name}}} is not known yet at this step");
            (problem, "use a parameter, or a value that is captured earlier".to_owned())
        })
    }
}

/// The fields that Causeway fills, each where it says so.
const RESERVED: [&str; 12] = [
    "access_token",
    "account",
    "client_id",
    "client_secret",
    "code",
    "fingerprint",
    "redirect_uri",
    "refresh_token",
    "scope",
    "state",
    "token",
    "user",
];
