//! The account of the user, and the accounts that it manages.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::request::headers;
use crate::check::{Check, Step};
use crate::values::http::HeaderName;
use crate::values::pointer::{JsonPointer, JsonPointerPattern};
use crate::values::template::Template;
use crate::values::url_template::UrlTemplate;

/// Place that names the account of a user.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// At an address, which is asked with the new access token.
    Url {
        /// The address.
        url: UrlTemplate,
        /// Further headers.
        headers: BTreeMap<HeaderName, Template>,
        /// The place of the account's id.
        subject: JsonPointer,
        /// The place of its name.
        name: Option<JsonPointer>,
    },
    /// In the answer of the token endpoint.
    TokenAnswer {
        /// The place of the account's id.
        subject: JsonPointer,
        /// The place of its name.
        name: Option<JsonPointer>,
    },
    /// In the ID token: its `sub`.
    IdToken {
        /// The place of the name among the claims.
        name: Option<JsonPointer>,
    },
    /// Nowhere: the connection itself stands for it.
    None,
}

/// A list of accounts that a user's account manages: pages, organisations, sites.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedAccounts {
    /// The address of the list.
    pub url: UrlTemplate,
    /// Further headers.
    pub headers: BTreeMap<HeaderName, Template>,
    /// The places of lists of accounts in the answer; `None`: the answer is the list.
    pub items: Option<JsonPointerPattern>,
    /// Way to further pages.
    pub paging: Paging,
    /// The place of the id in an account.
    pub subject: JsonPointer,
    /// The place of the name in an account.
    pub name: Option<JsonPointer>,
    /// The place of the category in an account.
    pub category: Option<JsonPointer>,
    /// The place of what the user may do there.
    pub tasks: Option<JsonPointer>,
    /// The place of the account's own token; `None`: calls for it are made with the user's token.
    pub token: Option<JsonPointer>,
}

/// Ways to find the further pages of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Paging {
    /// There is one page.
    None,
    /// The answer has the address of the next page. Its origin is checked, and the credential set anew.
    Next(JsonPointer),
    /// The answer has a value for a parameter.
    Cursor(Cursor),
}

/// A value that asks for the next page.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// Its place in the answer.
    pub json: JsonPointer,
    /// The parameter that it is sent as.
    pub parameter: String,
}

/// `[identity]`: place that names the account of the user.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Identity")]
pub(crate) struct RawIdentity {
    /// Place that names it [default: url if there is one, else id_token for oidc]
    from: Option<RawFrom>,
    /// from = "url": the address, which is asked with the new access token; fields: token, client_id
    url: Option<UrlTemplate>,
    /// from = "url": further headers; fields: token, client_id
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
    /// The id of the account; not with from = "id_token", whose sub it is
    subject: Option<JsonPointer>,
    /// The name of the account
    name: Option<JsonPointer>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawFrom {
    Url,
    TokenAnswer,
    IdToken,
    None,
}

/// `[[managed_accounts]]`: a list of accounts that the user's account manages.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ManagedAccounts")]
pub(crate) struct RawManagedAccounts {
    /// The address of the list; fields: token, client_id
    #[schemars(required)]
    url: Option<UrlTemplate>,
    /// Further headers; fields: token, client_id
    #[serde(default)]
    headers: BTreeMap<HeaderName, Template>,
    /// The list of accounts in the answer, or several, with * for every item; left out: the answer is the list
    items: Option<JsonPointerPattern>,
    /// The address of the next page in the answer
    next: Option<JsonPointer>,
    /// The value that asks for the next page
    cursor: Option<RawCursor>,
    /// The id in an account [default: /id]
    subject: Option<JsonPointer>,
    /// The name in an account
    name: Option<JsonPointer>,
    /// The category in an account
    category: Option<JsonPointer>,
    /// Place of the tasks that the user may do there
    tasks: Option<JsonPointer>,
    /// The account's own token; left out: calls for it are made with the user's token
    token: Option<JsonPointer>,
}

/// The value that asks for the next page.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cursor")]
pub(crate) struct RawCursor {
    /// Its place in the answer
    #[schemars(required)]
    json: Option<JsonPointer>,
    /// The parameter that it is sent as
    #[schemars(required)]
    parameter: Option<String>,
}

/// Fields of requests that are made with a new access token.
const FIELDS: [&str; 2] = ["token", "client_id"];

impl RawIdentity {
    /// Checks the group. Only an OpenID Connect provider issues ID tokens.
    pub(crate) fn check(self, id_token: bool, check: &mut Check<'_, '_>) -> Option<Identity> {
        let default = if self.url.is_some() || !id_token { RawFrom::Url } else { RawFrom::IdToken };
        let from = self.from.unwrap_or(default);
        check.only_with("identity.url", self.url.as_ref(), from == RawFrom::Url, "with from = \"url\"");
        if !self.headers.is_empty() && from != RawFrom::Url {
            check.report("identity.headers", "apply only with from = \"url\"", "remove them");
        }
        if let Some(url) = &self.url {
            check.url_with("identity.url", url, Step::Later, &FIELDS);
        }
        headers("identity.headers", &self.headers, Step::Later, &FIELDS, check);
        if from == RawFrom::IdToken {
            if !id_token {
                check.report(
                    "identity.from",
                    "an oauth2 provider issues no ID token",
                    "use url, or kind = \"oidc\"",
                );
            }
            let with = "where the account is not that of the ID token";
            check.only_with("identity.subject", self.subject.as_ref(), false, with);
            return Some(Identity::IdToken { name: self.name });
        }
        if from == RawFrom::None {
            let with = "where the account is named";
            check.only_with("identity.subject", self.subject.as_ref(), false, with);
            check.only_with("identity.name", self.name.as_ref(), false, with);
            return Some(Identity::None);
        }
        let fix = "name the place of the account's id, such as subject = \"/id\"";
        let subject = check.required("identity.subject", self.subject, fix);
        if from == RawFrom::TokenAnswer {
            return Some(Identity::TokenAnswer { subject: subject?, name: self.name });
        }
        let fix =
            "name the address that tells whose token it is, or write from = \"token_answer\" or \"none\"";
        let url = check.required("identity.url", self.url, fix);
        Some(Identity::Url { url: url?, headers: self.headers, subject: subject?, name: self.name })
    }
}

pub(crate) fn managed(
    raw: Vec<RawManagedAccounts>,
    check: &mut Check<'_, '_>,
) -> Option<Vec<ManagedAccounts>> {
    let checked: Vec<_> = raw
        .into_iter()
        .enumerate()
        .map(|(index, raw)| raw.check(&format!("managed_accounts[{index}]"), check))
        .collect();
    checked.into_iter().collect()
}

impl RawManagedAccounts {
    fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<ManagedAccounts> {
        let url = check.required(&format!("{key}.url"), self.url, "name the address of the list");
        if let Some(url) = &url {
            check.url_with(&format!("{key}.url"), url, Step::Later, &FIELDS);
        }
        headers(&format!("{key}.headers"), &self.headers, Step::Later, &FIELDS, check);
        let paging = match (self.next, self.cursor) {
            (None, None) => Some(Paging::None),
            (Some(next), None) => Some(Paging::Next(next)),
            (None, Some(cursor)) => cursor.check(&format!("{key}.cursor"), check).map(Paging::Cursor),
            (Some(_), Some(_)) => {
                check.report(key, "finds the next page in two ways", "keep next or cursor");
                None
            }
        };
        Some(ManagedAccounts {
            url: url?,
            headers: self.headers,
            items: self.items,
            paging: paging?,
            subject: self.subject.unwrap_or_else(|| JsonPointer::member("id")),
            name: self.name,
            category: self.category,
            tasks: self.tasks,
            token: self.token,
        })
    }
}

impl RawCursor {
    fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<Cursor> {
        let json =
            check.required(&format!("{key}.json"), self.json, "name its place, such as json = \"/next\"");
        let fix = "name the parameter of the next request, such as parameter = \"cursor\"";
        let parameter = check.required(&format!("{key}.parameter"), self.parameter, fix);
        Some(Cursor { json: json?, parameter: parameter? })
    }
}
