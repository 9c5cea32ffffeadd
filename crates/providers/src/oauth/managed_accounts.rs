//! Lists of accounts that a user's account manages.

use std::collections::HashSet;

use causeway_types::Secret;
use serde_json::Value;
use url::Url;

use super::api_call::{ApiError, api_call, with_credential};
use crate::definition::account::{ManagedAccounts, Paging};
use crate::definition::oauth::OauthClient;
use crate::json::{Document, find, is_null, text_of};
use crate::relay::{CallCredential, parameters};
use crate::request::{ProviderRequest, RequestError};
use crate::values::pointer::JsonPointerPattern;

/// An account that a user's account manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedAccount {
    /// Its id.
    pub subject: String,
    /// Its name.
    pub name: Option<String>,
    /// Its category.
    pub category: Option<String>,
    /// Tasks of the user there.
    pub tasks: Vec<String>,
    /// Its own token; `None`: calls for it are made with the user's token.
    pub token: Option<Secret>,
}

/// The accounts that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The accounts, each once.
    pub accounts: Vec<ManagedAccount>,
    /// Whether these are all of them. Only then is another one gone.
    pub extent: Extent,
    /// The ids of accounts whose tasks cannot be read.
    pub without_tasks: Vec<String>,
}

/// How much of a list was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Complete,
    /// A part, and why there is no more.
    Partial(ApiError),
}

/// Pages of one list that are read.
const MOST_PAGES: usize = 100;
/// Accounts that are read.
const MOST_ACCOUNTS: usize = 10_000;

/// One list, as it is read page by page.
pub(super) struct Pages<'a> {
    client: &'a OauthClient,
    list: &'a ManagedAccounts,
    credential: CallCredential<'a>,
    /// The address of the first page.
    first: ProviderRequest,
    /// The addresses of further pages, none of which is read twice.
    seen: HashSet<String>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        client: &'a OauthClient,
        list: &'a ManagedAccounts,
        credential: CallCredential<'a>,
    ) -> Result<Self, RequestError> {
        let first = api_call(client, &list.url, &list.headers, &credential)?;
        Ok(Self { client, list, credential, first, seen: HashSet::new() })
    }

    /// The request for the first page.
    pub(super) fn first(&self) -> ProviderRequest {
        self.first.clone()
    }

    /// Reads a page into the listing, and returns the request for the next one.
    pub(super) fn read(
        &mut self,
        document: &Document,
        listing: &mut Listing,
    ) -> Result<Option<ProviderRequest>, ApiError> {
        let lists = items(self.list.items.as_ref(), document)?;
        let mut known: HashSet<String> =
            listing.accounts.iter().map(|account| account.subject.clone()).collect();
        for item in lists.into_iter().flatten() {
            if listing.accounts.len() == MOST_ACCOUNTS {
                return Err(ApiError::Malformed("there are too many accounts"));
            }
            self.account(item, &mut known, listing);
        }
        // Neither the accounts behind the end are known, nor whether there is a next page.
        if document.is_truncated() {
            return Err(ApiError::Malformed("it ends early"));
        }
        let next = match &self.list.paging {
            Paging::None => None,
            Paging::Next(pointer) => match document.get(pointer).and_then(Value::as_str) {
                Some(next) if !next.is_empty() => Some(self.linked(next)?),
                _ => None,
            },
            Paging::Cursor(cursor) => document.text(&cursor.json).map(|value| {
                let mut request = self.first.clone();
                set_parameter(&mut request.url, &cursor.parameter, &value);
                request
            }),
        };
        let Some(request) = next else { return Ok(None) };
        if self.seen.len() == MOST_PAGES || !self.seen.insert(request.url.to_string()) {
            return Err(ApiError::Malformed("the list does not end"));
        }
        Ok(Some(request))
    }

    /// The request for the page at an address of the answer: at the same origin, and with the credential set anew.
    fn linked(&self, next: &str) -> Result<ProviderRequest, ApiError> {
        let origin = self.first.url.origin();
        let url =
            self.first.url.join(next).ok().filter(|url| {
                url.origin() == origin && url.username().is_empty() && url.password().is_none()
            });
        let mut url = url.ok_or(ApiError::Malformed("the next page is at another origin"))?;
        let relay = self.client.relay.as_ref();
        let ours = relay.map_or_else(|| vec!["access_token"], parameters::credentials);
        if let Some(kept) = url.query().and_then(|query| parameters::without(query, &ours)) {
            url.set_query(Some(&kept).filter(|kept| !kept.is_empty()).map(String::as_str));
        }
        url.set_fragment(None);
        // The template of the first page may have placed the token in its address, which this one has lost.
        Ok(with_credential(self.client, url, false, &self.list.headers, &self.credential)?)
    }

    /// Reads an account. One without an id may be any of those that are known, so the others are not all there are.
    fn account(&self, item: &Value, known: &mut HashSet<String>, listing: &mut Listing) {
        let text = |pointer| find(item, pointer).and_then(text_of);
        let Some(subject) = text(&self.list.subject) else {
            listing.extent = Extent::Partial(ApiError::Malformed("an account has no id"));
            return;
        };
        if !known.insert(subject.clone()) {
            return;
        }
        let place = self.list.tasks.as_ref().and_then(|tasks| find(item, tasks));
        let tasks = read_tasks(place).unwrap_or_else(|| {
            listing.without_tasks.push(subject.clone());
            Vec::new()
        });
        listing.accounts.push(ManagedAccount {
            subject,
            name: self.list.name.as_ref().and_then(text),
            category: self.list.category.as_ref().and_then(text),
            tasks,
            token: self.list.token.as_ref().and_then(text).map(Secret::new),
        });
    }
}

/// The lists of an answer. Where the definition says that there is one, an answer without it is not an empty list.
fn items<'a>(
    pattern: Option<&JsonPointerPattern>,
    document: &'a Document,
) -> Result<Vec<&'a Vec<Value>>, ApiError> {
    let places = pattern.map_or_else(|| vec![document.root()], |pattern| document.places(pattern));
    let lists: Vec<_> = places.into_iter().filter_map(Value::as_array).collect();
    let missing = ApiError::Malformed("there is no list of accounts");
    if !lists.is_empty() {
        return Ok(lists);
    }
    // A list within each item of another one: there may be none, if the other one is there.
    let outer = pattern.map(|pattern| pattern.tokens().map_while(|token| token).collect::<Vec<_>>());
    let is_nested = pattern.is_some_and(|pattern| pattern.tokens().any(|token| token.is_none()));
    let outer = outer.filter(|_| is_nested).ok_or(missing.clone())?;
    let outer = outer.into_iter().try_fold(document.root(), |value, token| value.get(token));
    if outer.is_some_and(|outer| outer.is_array() || outer.is_object()) { Ok(lists) } else { Err(missing) }
}

/// Tasks of a user: a list of texts, the same as JSON in a string, or nothing. `None` for anything else.
fn read_tasks(value: Option<&Value>) -> Option<Vec<String>> {
    if is_null(value) {
        return Some(Vec::new());
    }
    let texts = |items: &[Value]| items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    match value? {
        Value::Array(items) => texts(items),
        Value::String(text) => serde_json::from_str::<Vec<Value>>(text).ok().and_then(|items| texts(&items)),
        _ => None,
    }
}

/// Sets a parameter of an address, in the place of those with its name.
fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(own, _)| own != name)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fields::FieldValues;
    use crate::testing::{built_in, plain_client};

    /// Result of reading one page: the address of the next one, and the listing.
    fn read(client: &OauthClient, body: &Value) -> (Result<Option<String>, ApiError>, Listing) {
        read_text(client, &body.to_string())
    }

    fn read_text(client: &OauthClient, body: &str) -> (Result<Option<String>, ApiError>, Listing) {
        let (token, fields) = (Secret::new("user-token"), FieldValues::default());
        let credential = CallCredential {
            secrets: &[("token", &token)],
            account: None,
            client_id: None,
            extras: None,
            fields: &fields,
        };
        let mut pages = Pages::new(client, &client.managed_accounts[0], credential).unwrap();
        let mut listing = Listing { accounts: vec![], extent: Extent::Complete, without_tasks: vec![] };
        let document = Document::json(body.as_bytes()).unwrap();
        let next = pages.read(&document, &mut listing);
        let next = next.map(|next| {
            next.map(|request| {
                assert_eq!(request.headers["authorization"], "Bearer user-token");
                request.url.to_string()
            })
        });
        (next, listing)
    }

    #[test]
    fn accounts_have_what_the_definition_names() {
        let body = json!({"data": [
            {"id": "1", "name": "Cats", "category": "Pets", "tasks": ["MANAGE"], "access_token": "page-token"},
            {"id": 2},
            {"id": "1", "name": "again"},
        ]});
        let (next, listing) = read(&built_in("facebook"), &body);
        let second = ManagedAccount {
            subject: "2".to_owned(),
            name: None,
            category: None,
            tasks: vec![],
            token: None,
        };
        let first = ManagedAccount {
            subject: "1".to_owned(),
            name: Some("Cats".to_owned()),
            category: Some("Pets".to_owned()),
            tasks: vec!["MANAGE".to_owned()],
            token: Some(Secret::new("page-token")),
        };
        assert_eq!((next, listing.accounts), (Ok(None), vec![first, second]));
    }

    #[test]
    fn tasks_come_in_four_shapes() {
        for (tasks, expected, is_garbage) in [
            (json!(["A", "B"]), &["A", "B"][..], false),
            (json!("[\"A\",\"B\"]"), &["A", "B"], false),
            (json!([]), &[], false),
            (json!(null), &[], false),
            (json!("A,B"), &[], true),
            (json!(["A", 7]), &[], true),
            (json!({"A": true}), &[], true),
            (json!(7), &[], true),
            (json!("[1]"), &[], true),
        ] {
            let (next, listing) =
                read(&built_in("facebook"), &json!({"data": [{"id": "1", "tasks": tasks}]}));
            assert_eq!(
                (next, listing.accounts[0].tasks.as_slice()),
                (Ok(None), &expected.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()[..])
            );
            assert_eq!(listing.without_tasks.len(), usize::from(is_garbage), "{tasks}");
        }
        let (_, listing) = read(&built_in("facebook"), &json!({"data": [{"id": "1"}]}));
        assert!(listing.without_tasks.is_empty());
    }

    #[test]
    fn the_next_page_is_at_the_same_origin_and_has_the_credential_set_anew() {
        let next =
            |address: &str| read(&built_in("facebook"), &json!({"data": [], "paging": {"next": address}})).0;
        assert_eq!(
            next(
                "https://graph.facebook.com/v24.0/1/accounts?access_token=theirs&appsecret_proof=x&after=a%26b#f"
            ),
            Ok(Some("https://graph.facebook.com/v24.0/1/accounts?after=a%26b".to_owned()))
        );
        assert_eq!(next("/v24.0/x"), Ok(Some("https://graph.facebook.com/v24.0/x".to_owned())));
        for elsewhere in [
            "https://evil.example/v24.0/1",
            "http://graph.facebook.com/",
            "https://graph.facebook.com:8443/",
            "https://graph.facebook.com@evil.example/",
            "https://user@graph.facebook.com/",
            "//evil.example/",
        ] {
            assert_eq!(
                next(elsewhere),
                Err(ApiError::Malformed("the next page is at another origin")),
                "{elsewhere}"
            );
        }
        assert_eq!(next(""), Ok(None));
    }

    #[test]
    fn a_cursor_is_a_parameter() {
        let list = "[[managed_accounts]]\nurl = \"https://a.example/x?cursor=0&limit=5\"\nitems = \"/items\"\n\
                    cursor = { json = \"/meta/next\", parameter = \"cursor\" }";
        let client = plain_client(list);
        let next = |cursor: Value| read(&client, &json!({"items": [], "meta": {"next": cursor}})).0;
        assert_eq!(next(json!("a&b")), Ok(Some("https://a.example/x?limit=5&cursor=a%26b".to_owned())));
        assert_eq!(next(json!(7)), Ok(Some("https://a.example/x?limit=5&cursor=7".to_owned())));
        for end in [json!(""), json!(null), json!(false)] {
            assert_eq!(next(end), Ok(None));
        }
    }

    /// An empty list means that nothing is managed any more, so it has to be one.
    #[test]
    fn an_answer_without_the_list_is_not_an_empty_list() {
        let missing = Err(ApiError::Malformed("there is no list of accounts"));
        for body in
            [json!({}), json!({"error": {"code": 1}}), json!({"data": {}}), json!({"data": null}), json!([])]
        {
            assert_eq!(read(&built_in("facebook"), &body).0, missing, "{body}");
        }
        assert_eq!(read(&built_in("facebook"), &json!({"data": []})).0, Ok(None));
        assert_eq!(read(&built_in("atlassian"), &json!([{"id": "cloud"}])).1.accounts[0].subject, "cloud");
        assert_eq!(read(&built_in("atlassian"), &json!({})).0, missing);
        let nested =
            plain_client("[[managed_accounts]]\nurl = \"https://a.example\"\nitems = \"/data/*/pages/data\"");
        let body = json!({"data": [{"pages": {"data": [{"id": 1}]}}, {}, {"pages": {"data": [{"id": 2}]}}]});
        assert_eq!(read(&nested, &body).1.accounts.len(), 2);
        assert_eq!(read(&nested, &json!({"data": [{}]})).0, Ok(None), "none of them has pages");
        assert_eq!(read(&nested, &json!({"data": []})).0, Ok(None));
        assert_eq!(read(&nested, &json!({})).0, missing);
    }

    #[test]
    fn an_account_without_an_id_leaves_the_list_partial() {
        let body = json!({"data": [{"id": "1"}, {"name": "x"}, {"id": "3"}]});
        let (next, listing) = read(&built_in("facebook"), &body);
        assert_eq!((next, listing.accounts.len()), (Ok(None), 2));
        assert_eq!(listing.extent, Extent::Partial(ApiError::Malformed("an account has no id")));
    }

    /// Accounts read before the end are kept; nobody is told that the others are gone.
    #[test]
    fn a_list_that_ends_early_is_not_all_of_it() {
        let early = Err(ApiError::Malformed("it ends early"));
        for body in [
            r#"{"data":[{"id":"1"},{"id":"2"}"#,
            r#"{"data":[{"id":"1"},{"id":"2"}],"paging":{"next":"#,
            r#"{"paging":{"next":"/v24.0/x"},"data":[{"id":"1"},{"id":"2"},"#,
        ] {
            let (next, listing) = read_text(&built_in("facebook"), body);
            assert_eq!((next, listing.accounts.len()), (early.clone(), 2), "{body}");
        }
        let whole = r#"{"data":[{"id":"1","name":"\ud83d"},{"id":"2"}]}"#;
        let (next, listing) = read_text(&built_in("facebook"), whole);
        assert_eq!((next, listing.accounts.len(), listing.extent), (Ok(None), 2, Extent::Complete));
    }

    #[test]
    fn a_list_has_an_end() {
        let items: Vec<Value> = (0..=MOST_ACCOUNTS).map(|id| json!({ "id": id })).collect();
        let (next, listing) = read(&built_in("facebook"), &json!({ "data": items }));
        assert_eq!(next, Err(ApiError::Malformed("there are too many accounts")));
        assert_eq!(listing.accounts.len(), MOST_ACCOUNTS);
    }
}
