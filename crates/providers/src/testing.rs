//! Definitions for the tests of other files.

use std::collections::BTreeMap;

use url::form_urlencoded;

use crate::catalog::Catalog;
use crate::definition::Definition;
use crate::definition::oauth::OauthClient;
use crate::definition::relay::Relay;
use crate::request::ProviderRequest;

/// The client of a built-in definition.
pub(crate) fn built_in(name: &str) -> OauthClient {
    let catalog = Catalog::load(None).unwrap();
    catalog.find(name).unwrap().definition.kind.oauth().unwrap().clone()
}

/// The client of a definition with these lines, which begin with those outside of tables.
pub(crate) fn client(lines: &str) -> OauthClient {
    let text = format!(
        "kind = \"oauth2\"\ntitle = \"Test\"\nauthorization_url = \"https://a.example/authorize\"\n\
         token_url = \"https://a.example/token\"\n{lines}"
    );
    let definition = Definition::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    definition.kind.oauth().unwrap().clone()
}

/// The same where only the lines of other tables than `refresh` and `identity` count: nothing is renewed, and no account
/// is named.
pub(crate) fn plain_client(lines: &str) -> OauthClient {
    client(&format!("{lines}\n[refresh]\npolicy = \"none\"\n[identity]\nfrom = \"none\"\n"))
}

/// A relay with these lines.
pub(crate) fn relay(lines: &str) -> Relay {
    plain_client(&format!("[relay]\norigins = [\"https://api.example\"]\n{lines}")).relay.unwrap()
}

/// The parameters of a request: those of its address, and those of its body.
pub(crate) fn parameters(request: &ProviderRequest) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let body = request.body.clone().unwrap_or_default();
    let is_json = request.headers.get("content-type").is_some_and(|value| value == "application/json");
    let body = if is_json {
        serde_json::from_slice(&body).unwrap()
    } else {
        form_urlencoded::parse(&body).into_owned().collect()
    };
    (request.url.query_pairs().into_owned().collect(), body)
}

/// Pairs as a map.
pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
