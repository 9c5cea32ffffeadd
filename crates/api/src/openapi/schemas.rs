//! The component schemas: those of bodies that no type describes are written here; all others come from their types.

mod admin;
mod derived;
pub(super) mod forms;

use serde_json::{Map, Value, json};

use crate::bodies::client_metadata;
use crate::bodies::schema::{object, text};

pub(super) fn security() -> Value {
    json!({
        "clientBasic": {
            "type": "http", "scheme": "basic",
            "description": "client_id and client_secret, each form-encoded (RFC 6749 section 2.3.1)",
        },
        "bearer": { "type": "http", "scheme": "bearer", "description": "an access token bound to no key (RFC 6750)" },
        "dpop": { "type": "http", "scheme": "dpop", "description": "an access token bound to a key (RFC 9449)" },
        "registrationToken": {
            "type": "http", "scheme": "bearer", "description": "the registration access token (RFC 7592)",
        },
        "operatorToken": {
            "type": "http", "scheme": "bearer", "description": "the token in the file of --admin-token-file",
        },
    })
}

/// The error responses, one for each status.
pub(super) fn errors() -> Value {
    let known = [
        (400, "the request is invalid: error_description says how to fix it"),
        (401, "the client or the token is not accepted"),
        (403, "not allowed"),
        (404, "not found, or it belongs to another client"),
        (408, "the body stopped arriving"),
        (413, "the body is too large"),
        (415, "this endpoint does not accept the body's media type"),
        (429, "too many requests: Retry-After says when to try again"),
        (502, "the provider gave no response that can be passed on"),
        (503, "temporarily unavailable: Retry-After says when to try again"),
        (504, "the provider took too long to respond"),
    ];
    let one = |(status, description): (u16, &str)| {
        let schema = super::operation::reference("Error");
        let response = json!({
            "description": description, "content": { "application/json": { "schema": schema } },
        });
        (format!("Error{status}"), response)
    };
    Value::Object(known.into_iter().map(one).collect())
}

/// Every schema by its name.
pub(super) fn all() -> Value {
    let written = [
        ("ServerMetadata", document(&["issuer", "token_endpoint", "jwks_uri"])),
        ("ResourceMetadata", document(&["resource", "authorization_servers"])),
        ("JwkSet", document(&["keys"])),
        ("OpenApi", document(&["openapi", "paths"])),
        ("ClientMetadata", object(&client_metadata::members(), &["redirect_uris"])),
        ("GraphQlRequest", graphql_request()),
        (
            "GraphQlAnswer",
            json!({ "type": "object", "properties": { "data": {}, "errors": { "type": "array" } } }),
        ),
    ];
    let written = written.into_iter().chain(admin::all()).chain(forms::all());
    let written = written.map(|(name, schema)| (name.to_owned(), schema));
    Value::Object(written.chain(derived::all()).collect::<Map<_, _>>())
}

fn document(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

fn graphql_request() -> Value {
    object(
        &json!({
            "query": text("the GraphQL document"),
            "operationName": { "type": ["string", "null"] },
            "variables": { "type": ["object", "null"] },
        }),
        &["query"],
    )
}

#[cfg(test)]
mod tests {
    use causeway_domain::client::{ClientMetadata, ClientTerms};
    use causeway_types::{ClientId, TenantId, Timestamp};

    use super::*;

    /// Bodies that no type describes have the members that the server reads.
    #[test]
    fn written_bodies_have_the_members_that_are_read() {
        let all = all();
        let members = |name: &str| all[name]["properties"].as_object().unwrap().clone();
        let text = || Some("x".to_owned());
        let sent = ClientMetadata {
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            token_endpoint_auth_method: text(),
            grant_types: Some(Vec::new()),
            response_types: Some(Vec::new()),
            client_name: text(),
            client_uri: text(),
            scope: text(),
            other: Map::new(),
        };
        let read = serde_json::to_value(&sent).unwrap();
        let described = members("ClientMetadata");
        for name in read.as_object().unwrap().keys() {
            assert!(described.contains_key(name), "{name}");
        }
        let metadata = ClientMetadata { redirect_uris: sent.redirect_uris, ..ClientMetadata::default() };
        let (id, tenant) = (ClientId::new("c"), TenantId::default_tenant());
        let client = metadata.validate().unwrap().into_client(id, tenant, None, Timestamp(0));
        for name in ClientTerms::shown(&client).keys() {
            for schema in ["AdminClientMetadata", "AdminClient"] {
                assert!(members(schema).contains_key(name), "{schema}: {name}");
            }
        }
        let sent = json!({ "query": "{ x }", "operationName": "x", "variables": { "y": 1 } });
        let read: async_graphql::Request = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!((read.query.as_str(), read.operation_name.as_deref()), ("{ x }", Some("x")));
        assert_eq!(read.variables.len(), 1);
        assert!(sent.as_object().unwrap().keys().eq(members("GraphQlRequest").keys()));
    }
}
