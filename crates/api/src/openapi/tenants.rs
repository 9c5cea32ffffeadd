//! Tenants, users and connections, for clients that authenticate.

use serde_json::{Value, json};

use super::operation::{Operation, Path, Security};
use crate::bodies::schema::text;

pub(super) fn paths() -> Vec<Path> {
    let mut paths = Vec::from(tenants());
    paths.extend(users());
    paths.extend(connections());
    paths
}

fn by_client(id: &'static str, summary: &str) -> Operation {
    Operation::new("tenants", id, summary)
        .by(Security::Confidential)
        .proof()
        .errors(&[400, 401, 403, 429, 503])
}

/// In a tenant, which a client that manages several has to name.
pub(super) fn in_tenant(id: &'static str, summary: &str) -> Operation {
    by_client(id, summary)
        .header("Causeway-Tenant", "the tenant; required of a client that manages tenants")
        .errors(&[404])
}

/// Filters and bounds of a list.
fn list(filters: &[(&str, &str)]) -> Value {
    let filters = filters.iter().map(|(name, description)| {
        ((*name).to_owned(), json!({ "type": "string", "description": description }))
    });
    let bounds = [
        ("limit", json!({ "type": "integer", "minimum": 1, "maximum": 1000 })),
        ("cursor", json!({ "type": "string", "description": "the value of next on the previous page" })),
    ];
    let bounds = bounds.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    Value::Object(filters.chain(bounds).collect())
}

fn tenants() -> [Path; 2] {
    let one = |id, summary| by_client(id, summary).path("tenant_id", "the tenant");
    [
        (
            "/api/tenants",
            vec![
                (
                    "get",
                    by_client("listTenants", "Lists the tenants that the client acts in")
                        .query(&list(&[]), &[])
                        .answer(200, "the tenants", "Tenants"),
                ),
                (
                    "post",
                    by_client("createTenant", "Makes a tenant, in which the client acts")
                        .json("NewTenantBody")
                        .answer(201, "the tenant", "Tenant")
                        .errors(&[408, 413, 415]),
                ),
            ],
        ),
        (
            "/api/tenants/{tenant_id}",
            vec![
                ("get", one("readTenant", "Reads a tenant").answer(200, "the tenant", "Tenant")),
                (
                    "delete",
                    one("deleteTenant", "Deletes a tenant with everything in it")
                        .empty(204, "nobody acts in it any more; the rest is erased in the background"),
                ),
            ],
        ),
    ]
}

fn users() -> [Path; 3] {
    let one = |id, summary| in_tenant(id, summary).path("user_id", "the user, by the client's own name");
    [
        (
            "/api/users",
            vec![(
                "get",
                in_tenant("listUsers", "Lists the client's users in the tenant")
                    .query(&list(&[]), &[])
                    .answer(200, "the users", "Users"),
            )],
        ),
        (
            "/api/users/{user_id}",
            vec![(
                "delete",
                one("deleteUser", "Deletes a user, and ends and revokes their connections")
                    .empty(204, "the user is deleted"),
            )],
        ),
        (
            "/api/users/{user_id}/export",
            vec![(
                "get",
                one("exportUser", "Exports everything that is stored about a user, without secrets")
                    .query(&list(&[]), &[])
                    .answer(200, "the user with a page of connections", "ExportedUser"),
            )],
        ),
    ]
}

fn connections() -> [Path; 3] {
    let one = |id, summary| in_tenant(id, summary).path("connection_id", "the connection");
    let filters = [
        ("user_id", "connections of this user, by the client's own name"),
        ("provider", "connections at this provider"),
        ("state", "connections in this state; without it, ended ones are left out"),
    ];
    [
        (
            "/api/connections",
            vec![(
                "get",
                in_tenant("listConnections", "Lists the connections that the client may use, newest first")
                    .query(&list(&filters), &[])
                    .answer(200, "the connections", "Connections"),
            )],
        ),
        (
            "/api/connections/find",
            vec![(
                "get",
                in_tenant("findConnection", "Finds the connection of a user's device, or of the jobs for a user")
                    .query(
                        &json!({
                            "user_id": text("the user, by the client's own name"),
                            "provider": text("the provider"),
                            "session_kind": text("device or background"),
                            "fingerprint": text("that of the device; without it, the connection that was used last"),
                        }),
                        &["user_id", "provider", "session_kind"],
                    )
                    .answer(200, "the connection", "ConnectionSummary"),
            )],
        ),
        (
            "/api/connections/{connection_id}",
            vec![
                (
                    "get",
                    one("readConnection", "Reads a connection, without secrets").answer(
                        200,
                        "the connection",
                        "ConnectionDetail",
                    ),
                ),
                (
                    "delete",
                    one("endConnection", "Ends a connection, and revokes it at the provider")
                        .empty(204, "it has ended; the provider is told as soon as it answers"),
                ),
            ],
        ),
    ]
}
