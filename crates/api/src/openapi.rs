//! The OpenAPI document (OpenAPI Specification 3.1): requests of programs and their answers. The pages that
//! users see are not in it, apart from the addresses to which a client sends a browser.
//!
//! A test compares it with the route table, so that no endpoint is forgotten or invented.

mod admin;
mod connect;
mod connections;
mod mcp;
mod oauth;
mod operation;
mod resources;
mod schemas;
mod tenants;

use serde_json::{Map, Value, json};

use self::operation::Path;

/// The document of a server at `issuer`.
pub fn document(issuer: &str) -> Value {
    let mut paths = Map::new();
    for (path, operations) in all() {
        let operations = operations.into_iter().map(|(method, op)| (method.to_owned(), op.into_value()));
        paths.insert(path.to_owned(), Value::Object(operations.collect()));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Causeway",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "OAuth 2.1 and OpenID Connect for AT Protocol accounts",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": issuer }],
        "tags": [
            { "name": "documents", "description": "Metadata, keys and this document" },
            { "name": "authorization", "description": "Requests for authorization, and logout" },
            { "name": "tokens", "description": "Issuance, revocation and introspection" },
            { "name": "clients", "description": "Client registration and its management" },
            { "name": "resources", "description": "Resources for access tokens, and a client's sessions and events" },
            { "name": "connections", "description": "Accounts at other providers that clients connect for their users" },
            { "name": "tenants", "description": "Tenants, users and their connections at providers, for clients that authenticate" },
            { "name": "administration", "description": "The operator's API: only with --admin-token-file" },
            { "name": "health", "description": "Probes" },
        ],
        "paths": paths,
        "components": {
            "securitySchemes": schemas::security(),
            "schemas": schemas::all(),
            "responses": schemas::errors(),
        },
    })
}

fn all() -> Vec<Path> {
    let mut paths = oauth::paths();
    paths.extend(connect::paths());
    paths.extend(resources::paths());
    paths.extend(tenants::paths());
    paths.extend(connections::paths());
    paths.extend(mcp::paths());
    paths.extend(admin::paths());
    paths
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes;

    /// Our own pages, their forms and assets, and the addresses that the authorization server uses.
    const OF_PAGES: [&str; 22] = [
        "/oauth/continue",
        "/connect/clients/{document}",
        "/connect/{provider}/{registration_id}/data-deletion/{confirmation_code}",
        "/",
        "/assets/{name}",
        "/device",
        "/device/confirm",
        "/device/done",
        "/account",
        "/account/sign-in",
        "/account/revoke",
        "/account/revoke-all",
        "/account/leave",
        "/connect/{token}",
        "/connect/callback/{registration_id}",
        "/connect/{provider}/callback",
        "/oauth/sign-in",
        "/oauth/consent",
        "/oauth/logout/confirm",
        "/oauth/atp/callback",
        "/oauth/atp/jwks",
        "/oauth-client-metadata.json",
    ];

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described: BTreeSet<(String, String)> = all()
            .iter()
            .flat_map(|(path, operations)| {
                operations.iter().map(|(method, _)| ((*path).to_owned(), method.to_ascii_uppercase()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = routes::table()
            .into_iter()
            .filter(|(path, _)| !OF_PAGES.contains(path) && !path.starts_with("/oauth-client-metadata/"))
            .flat_map(|(path, allow)| {
                allow.split(", ").filter(|method| *method != "HEAD").map(move |method| (path, method))
            })
            // A parameter that takes the rest of a path has a pattern in the table.
            .map(|(path, method)| (path.replace(":.*}", "}"), method.to_owned()))
            .collect();
        assert_eq!(described, served);
        let known: BTreeSet<_> = routes::table().into_iter().map(|(path, _)| path).collect();
        assert!(OF_PAGES.iter().all(|path| known.contains(path)), "a page is missing");
    }

    /// Every reference resolves, and every operation has a name of its own.
    #[test]
    fn references_lead_somewhere() {
        let document = document("https://causeway.example");
        let mut references = BTreeSet::new();
        collect(&document, &mut references);
        for reference in &references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for (kind, known) in ["schemas", "responses"].map(|kind| (kind, &document["components"][kind])) {
            for name in known.as_object().unwrap().keys() {
                assert!(references.contains(&format!("#/components/{kind}/{name}")), "{name} is not used");
            }
        }
        let names: Vec<_> =
            all().into_iter().flat_map(|(_, operations)| operations).map(|(_, op)| op.id()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }

    fn collect(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    into.insert(reference.clone());
                }
                members.values().for_each(|value| collect(value, into));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
}
