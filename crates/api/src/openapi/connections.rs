//! Connections that a client uses.

use serde_json::json;

use super::operation::{Operation, Path, Security};

pub(super) fn paths() -> Vec<Path> {
    let mut paths = vec![relay()];
    paths.extend(used());
    paths.extend(signed());
    paths
}

fn by_client(id: &'static str, summary: &str) -> Operation {
    Operation::new("resources", id, summary)
        .by(Security::Client)
        .proof()
        .header("Causeway-Tenant", "the tenant, for a client that acts in several")
        .path("connection_id", "the connection")
        .errors(&[400, 401, 403, 404, 503])
}

/// Calls of the provider's API.
fn relay() -> Path {
    let anything = json!({ "*/*": { "schema": {} } });
    let op = |id, method: &str| {
        by_client(id, &format!("Calls the provider's API with the credential of a connection, by {method}"))
            .path("path", "the path at the provider, as it is sent there; the query is part of the call")
            .header("Causeway-Account", "a managed account that the call is for, by its id or the provider's")
            .header("Causeway-Origin", "one of the provider's origins; left out: the first")
            .content(200, "the provider's answer; its errors and redirects arrive unchanged, too", &anything)
            .errors(&[408, 413, 429, 502, 504])
    };
    let with_body = |id, method| {
        op(id, method)
            .header("Causeway-Retry", "unsafe: the call may be sent again once the credential is refreshed")
            .body("*/*", &json!({}), false)
    };
    (
        "/relay/{connection_id}/{path}",
        vec![
            ("get", op("relayGet", "GET")),
            ("post", with_body("relayPost", "POST")),
            ("put", with_body("relayPut", "PUT")),
            ("patch", with_body("relayPatch", "PATCH")),
            ("delete", with_body("relayDelete", "DELETE")),
        ],
    )
}

fn used() -> [Path; 3] {
    [
        (
            "/api/connections/{connection_id}/refresh",
            vec![(
                "post",
                by_client("refreshConnection", "Refreshes a connection's credentials now").answer(
                    200,
                    "the connection with its new iteration",
                    "RefreshedConnection",
                ),
            )],
        ),
        (
            "/api/connections/{connection_id}/verify",
            vec![(
                "post",
                by_client(
                    "verifyConnection",
                    "Asks the provider whether it takes a connection's credentials",
                )
                .answer(200, "what the provider says", "VerifiedConnection"),
            )],
        ),
        (
            "/api/connections/{connection_id}/credential",
            vec![(
                "post",
                by_client(
                    "exportConnection",
                    "Exports a connection's access token to a client that is allowed session export",
                )
                .header("Causeway-Account", "a managed account, by its id or the provider's")
                .answer(200, "the access token", "ConnectionCredential"),
            )],
        ),
    ]
}

/// Requests that the provider signs.
fn signed() -> [Path; 2] {
    let form = json!({
        "type": "object", "required": ["signed_request"], "properties": { "signed_request": { "type": "string" } },
    });
    let op = |id, summary| {
        Operation::new("resources", id, summary)
            .by(Security::Anybody)
            .path("provider", "the provider")
            .path("registration_id", "the registration whose secret signs")
            .body("application/x-www-form-urlencoded", &form, true)
            .errors(&[400, 408, 413, 415, 503])
    };
    [
        (
            "/connect/{provider}/{registration_id}/deauthorize",
            vec![(
                "post",
                op("deauthorize", "Ends the connections of a user who has removed the app at Facebook")
                    .empty(200, "they have ended"),
            )],
        ),
        (
            "/connect/{provider}/{registration_id}/data-deletion",
            vec![(
                "post",
                op("deleteData", "Ends the connections of a user who wants their data deleted at Facebook")
                    .answer(200, "the page about the outcome, and the code of the request", "DataDeletion"),
            )],
        ),
    ]
}
