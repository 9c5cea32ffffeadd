//! `/admin`: the operator's API.

use serde_json::{Value, json};

use super::operation::{Operation, Path, Security};

pub(super) fn paths() -> Vec<Path> {
    let mut paths = clients();
    paths.extend(sessions());
    paths.extend(keys());
    paths.extend(tenants());
    paths
}

fn by_operator(id: &str, summary: &str) -> Operation {
    Operation::new("administration", id, summary).by(Security::Operator).errors(&[400, 401, 429, 503])
}

/// A filter or a bound in the query.
fn query(names: &[&str]) -> Value {
    let schema = |name: &str| match name {
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        "ended" => json!({ "type": "boolean" }),
        _ => json!({ "type": "string" }),
    };
    Value::Object(names.iter().map(|name| ((*name).to_owned(), schema(name))).collect())
}

fn tenants() -> Vec<Path> {
    let one = |id, summary| by_operator(id, summary).path("tenant_id", "the tenant").errors(&[404]);
    let of_user = |id, summary| {
        one(id, summary)
            .path("namespace", "the party whose name for the user it is")
            .path("user_id", "the user's name")
    };
    let of_connection = |id, summary| one(id, summary).path("connection_id", "the connection");
    let bounds = query(&["limit", "after"]);
    let filters = query(&["user_namespace", "user_id", "client", "provider", "state", "limit", "after"]);
    let list = by_operator("listAllTenants", "Lists the tenants").query(&bounds, &[]);
    let create = by_operator("makeTenant", "Makes a tenant").json("AdminNewTenant");
    let users = one("listTenantUsers", "Lists the users of a tenant").query(&bounds, &[]);
    let export = of_user("exportTenantUser", "Exports everything that is stored about a user");
    let connections = one("listTenantConnections", "Lists the connections of a tenant, newest first");
    let share = of_connection("shareConnection", "Lets another client of the tenant use a connection");
    vec![
        (
            "/admin/tenants",
            vec![
                ("get", list.answer(200, "the tenants", "Tenants")),
                ("post", create.answer(201, "the tenant", "Tenant").errors(&[408, 413, 415])),
            ],
        ),
        (
            "/admin/tenants/{tenant_id}",
            vec![
                ("get", one("showTenant", "Reads a tenant").answer(200, "the tenant", "Tenant")),
                (
                    "delete",
                    one("eraseTenant", "Deletes a tenant with everything in it")
                        .empty(204, "nobody acts in it any more; the rest is erased in the background"),
                ),
            ],
        ),
        ("/admin/tenants/{tenant_id}/users", vec![("get", users.answer(200, "the users", "Users"))]),
        (
            "/admin/tenants/{tenant_id}/users/{namespace}/{user_id}",
            vec![
                (
                    "get",
                    export.query(&bounds, &[]).answer(
                        200,
                        "the user with a page of connections",
                        "ExportedUser",
                    ),
                ),
                (
                    "delete",
                    of_user("eraseTenantUser", "Deletes a user, and ends and revokes their connections")
                        .empty(204, "the user is deleted"),
                ),
            ],
        ),
        (
            "/admin/tenants/{tenant_id}/connections",
            vec![("get", connections.query(&filters, &[]).answer(200, "the connections", "Connections"))],
        ),
        (
            "/admin/tenants/{tenant_id}/connections/{connection_id}",
            vec![
                (
                    "get",
                    of_connection("showConnection", "Reads a connection, without secrets").answer(
                        200,
                        "the connection",
                        "ConnectionDetail",
                    ),
                ),
                (
                    "delete",
                    of_connection("revokeConnection", "Ends a connection, and revokes it at the provider")
                        .empty(204, "it has ended"),
                ),
            ],
        ),
        (
            "/admin/tenants/{tenant_id}/connections/{connection_id}/share",
            vec![(
                "post",
                share.json("ShareWith").empty(204, "the client may use it").errors(&[408, 413, 415]),
            )],
        ),
    ]
}

fn clients() -> Vec<Path> {
    let one = |id, summary| by_operator(id, summary).path("client_id", "the client").errors(&[404]);
    vec![
        (
            "/admin/clients",
            vec![
                (
                    "get",
                    by_operator("listClients", "Lists clients, newest first")
                        .query(&query(&["limit", "after"]), &[])
                        .answer(200, "the clients", "AdminClients"),
                ),
                (
                    "post",
                    by_operator(
                        "createClient",
                        "Registers a client, with the settings that only the operator controls",
                    )
                    .json("AdminClientMetadata")
                    .answer(201, "the client, with its secret", "AdminClient")
                    .errors(&[408, 413, 415]),
                ),
            ],
        ),
        (
            "/admin/clients/{client_id}",
            vec![
                ("get", one("readClient", "Reads a client").answer(200, "the client", "AdminClient")),
                (
                    "put",
                    one(
                        "replaceClient",
                        "Replaces a client's metadata; operator settings that are omitted stay as they are",
                    )
                    .json("AdminClientMetadata")
                    .answer(200, "the client", "AdminClient")
                    .errors(&[408, 413, 415]),
                ),
                (
                    "delete",
                    one("removeClient", "Deletes a client and ends its sessions")
                        .empty(204, "the client was deleted"),
                ),
            ],
        ),
        (
            "/admin/clients/{client_id}/secret",
            vec![(
                "post",
                one("rotateClientSecret", "Replaces the client's secret; the old one stops working").answer(
                    200,
                    "the secret",
                    "AdminSecret",
                ),
            )],
        ),
    ]
}

fn sessions() -> Vec<Path> {
    let one = |id, summary| by_operator(id, summary).path("session_id", "the session").errors(&[404]);
    vec![
        (
            "/admin/sessions",
            vec![(
                "get",
                by_operator("listSessions", "Lists sessions, newest first")
                    .query(&query(&["user", "client", "ended", "limit", "after"]), &[])
                    .answer(200, "the sessions", "AdminSessions"),
            )],
        ),
        (
            "/admin/sessions/{session_id}",
            vec![
                ("get", one("readSession", "Reads a session").answer(200, "the session", "AdminSession")),
                (
                    "delete",
                    one("endSession", "Ends a session, at the user's PDS too")
                        .empty(204, "the session has ended"),
                ),
            ],
        ),
        (
            "/admin/tokens/revoke",
            vec![(
                "post",
                by_operator("revokeTokens", "Ends the sessions of a user, of a client, or of a user with a client, and revokes a client's own tokens")
                    .json("AdminWhose")
                    .answer(200, "how many were ended and revoked", "AdminRevoked")
                    .answer(202, "how many were ended and revoked so far: the rest follows in the background", "AdminRevoked")
                    .errors(&[408, 413, 415]),
            )],
        ),
    ]
}

fn keys() -> Vec<Path> {
    let retire = by_operator("retireKey", "Withdraws a rotated-out key at once")
        .path("kid", "the key")
        .empty(204, "the key is no longer published")
        .errors(&[404]);
    vec![
        (
            "/admin/keys",
            vec![
                (
                    "get",
                    by_operator("listKeys", "Lists the keys that sign this server's tokens").answer(
                        200,
                        "the keys",
                        "AdminKeys",
                    ),
                ),
                (
                    "post",
                    by_operator(
                        "rotateKey",
                        "Creates a new signing key; the old one stays published for a day",
                    )
                    .json("AdminNewKey")
                    .answer(201, "the key", "AdminMadeKey")
                    .errors(&[408, 413, 415]),
                ),
            ],
        ),
        ("/admin/keys/{kid}", vec![("delete", retire)]),
        (
            "/admin/audit",
            vec![(
                "get",
                by_operator("listActs", "Lists audit events, newest first")
                    .query(&query(&["user", "client", "session", "event", "limit", "after"]), &[])
                    .answer(200, "the audit events", "AdminAuditEvents"),
            )],
        ),
    ]
}
