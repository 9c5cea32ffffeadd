//! Checks for problems that an authorization server would have with our client documents (atproto OAuth
//! specification, "Client ID Metadata Document"). The caller fetches the documents.

use causeway_domain::client::Client;
use causeway_domain::resource::ResourceScopes;
use causeway_types::Scope;
use serde_json::Value;

use crate::authorization::scopes::{Declares, ScopePolicy};
use crate::upstream::atproto::metadata::{self, Document};

/// The only media type that authorization servers accept, with any parameters.
const MEDIA_TYPE: &str = "application/json";

/// A client document as authorization servers should find it.
#[derive(Clone, Debug)]
pub struct Published {
    url: String,
    expected: Value,
}

impl Published {
    /// The document for all clients.
    pub fn shared(issuer: &str, max_scope: &Scope) -> Self {
        Self::new(issuer, &Document { client: None, coarse: None }, max_scope)
    }

    /// The document of one client.
    pub fn of_client(issuer: &str, client: &Client, max_scope: &Scope) -> Self {
        let scope = ScopePolicy::new(max_scope.clone(), Declares::Registered, ResourceScopes::default())
            .declared(Some(client));
        Self::new(issuer, &Document { client: Some(client.client_id.clone()), coarse: None }, &scope)
    }

    fn new(issuer: &str, document: &Document, scope: &Scope) -> Self {
        let client_id = document.client_id(issuer);
        let expected = metadata::document(issuer, &client_id, None, scope);
        Self { url: client_id.as_str().to_owned(), expected }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The problems of the document that was found there, and how to fix them: a line for each member.
    pub fn problems(&self, media_type: &str, found: &Value) -> Vec<String> {
        let mut problems: Vec<String> = wrong_type(media_type).into_iter().collect();
        for member in [
            "client_id",
            "application_type",
            "token_endpoint_auth_method",
            "token_endpoint_auth_signing_alg",
            "dpop_bound_access_tokens",
        ] {
            let (is, wanted) = (&found[member], &self.expected[member]);
            if is != wanted {
                problems.push(format!("{member} is {is} and must be {wanted}: {}", fix(member)));
            }
        }
        for member in ["redirect_uris", "grant_types", "response_types", "scope"] {
            let has = values(&found[member]);
            let missing: Vec<&str> =
                values(&self.expected[member]).into_iter().filter(|value| !has.contains(value)).collect();
            if !missing.is_empty() {
                problems.push(format!("{member} lacks {}: {}", missing.join(" "), fix(member)));
            }
        }
        if found["jwks"].is_null() == found["jwks_uri"].is_null() {
            problems.push(format!("exactly one of jwks and jwks_uri must be present: {}", fix("jwks")));
        }
        problems
    }
}

/// The problems of the key set that was found, and how to fix them. `kid`: the key in use, if known.
pub fn key_problems(media_type: &str, found: &Value, kid: Option<&str>) -> Vec<String> {
    let mut problems: Vec<String> = wrong_type(media_type).into_iter().collect();
    let keys = found["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    match kid {
        _ if keys.is_empty() => problems.push(format!("keys is empty: {}", fix("keys"))),
        Some(kid) if keys.iter().all(|key| key["kid"] != kid) => {
            problems.push(format!("keys lacks {kid}, which is in use: {}", fix("keys")));
        }
        _ => {}
    }
    problems
}

fn wrong_type(media_type: &str) -> Option<String> {
    (media_type != MEDIA_TYPE).then(|| {
        format!("content-type is {media_type:?} and must be {MEDIA_TYPE}: configure the proxy to pass it on unchanged")
    })
}

/// The values of a list, or of a text in which spaces separate them.
fn values(member: &Value) -> Vec<&str> {
    match member {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        member => member.as_str().unwrap_or_default().split(' ').collect(),
    }
}

fn fix(member: &str) -> &'static str {
    match member {
        "client_id" | "redirect_uris" => {
            "run the server with the same external-url as this command, and restart it"
        }
        "scope" => "run the server with the same atp-scopes as this command, and restart it",
        "keys" => {
            "check that the server uses this database, and that no cache in front of it serves old keys"
        }
        _ => "check whether another program, or a cache in front of the server, answers here",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_member_is_looked_at() {
        let max_scope = Scope::parse("atproto transition:generic").unwrap();
        let published = Published::shared("https://as.example", &max_scope);
        assert_eq!(published.url(), "https://as.example/oauth-client-metadata.json");
        let good = published.expected.clone();
        assert_eq!(published.problems("application/json", &good), [""; 0]);
        let wider = json!("atproto transition:generic transition:email");
        let changes = [
            ("client_id", json!("https://other.example/oauth-client-metadata.json")),
            ("client_id", Value::Null),
            ("application_type", json!("native")),
            ("redirect_uris", json!(["https://as.example/callback"])),
            ("grant_types", json!(["authorization_code"])),
            ("response_types", json!([])),
            ("scope", json!("atproto")),
            ("scope", Value::Null),
            ("token_endpoint_auth_method", json!("none")),
            ("token_endpoint_auth_signing_alg", Value::Null),
            ("dpop_bound_access_tokens", json!("true")),
            ("jwks_uri", Value::Null),
            ("jwks", json!({"keys": []})),
        ];
        for (member, value) in changes {
            let mut changed = good.clone();
            changed[member] = value;
            let problems = published.problems("application/json", &changed);
            assert!(problems.len() == 1 && problems[0].contains(member), "{member}: {problems:?}");
        }
        let mut changed = good.clone();
        changed["scope"] = wider;
        assert_eq!(published.problems("application/json", &changed), [""; 0], "more does no harm");
        for other in ["", "text/html", "application/ld+json"] {
            assert!(published.problems(other, &good)[0].starts_with("content-type"), "{other}");
        }
    }

    #[test]
    fn the_key_in_use_is_there() {
        let keys = json!({"keys": [{"kid": "a"}, {"kid": "b"}]});
        let problems = |found: &Value, kid| key_problems("application/json", found, kid);
        assert_eq!(problems(&keys, Some("b")), [""; 0]);
        assert_eq!(problems(&keys, None), [""; 0]);
        assert!(problems(&keys, Some("c"))[0].contains("keys lacks c"));
        for empty in [json!({}), json!([]), json!({"keys": []})] {
            assert!(problems(&empty, None)[0].contains("keys is empty"));
        }
        assert!(key_problems("text/plain", &keys, None)[0].contains("content-type"));
    }
}
