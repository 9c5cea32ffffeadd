//! `/admin`: the operator's API.

use serde_json::{Value, json};

use super::operation::{Operation, Path, Security};

pub(super) fn paths() -> Vec<Path> {
    let mut paths = clients();
    paths.extend(sessions());
    paths.extend(keys());
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

fn clients() -> Vec<Path> {
    let one = |id, summary| by_operator(id, summary).path("client_id", "the client").errors(&[404]);
    vec![
        (
            "/admin/clients",
            vec![
                (
                    "get",
                    by_operator("listClients", "Clients, the newest first")
                        .query(&query(&["limit", "after"]), &[])
                        .answer(200, "the clients", "AdminClients"),
                ),
                (
                    "post",
                    by_operator("createClient", "Registers a client, with what only the operator says of one")
                        .json("AdminClientMetadata")
                        .answer(201, "the client, with its secret", "AdminClient")
                        .errors(&[408, 413, 415]),
                ),
            ],
        ),
        (
            "/admin/clients/{client_id}",
            vec![
                ("get", one("readClient", "One client").answer(200, "the client", "AdminClient")),
                (
                    "put",
                    one("replaceClient", "Replaces what is known of a client; what only the operator says stays when it is left out")
                        .json("AdminClientMetadata")
                        .answer(200, "the client", "AdminClient")
                        .errors(&[408, 413, 415]),
                ),
                (
                    "delete",
                    one("removeClient", "Deletes a client and ends its sessions").empty(204, "it is gone"),
                ),
            ],
        ),
        (
            "/admin/clients/{client_id}/secret",
            vec![(
                "post",
                one("rotateClientSecret", "Another secret, and the old one works no more").answer(
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
                by_operator("listSessions", "Sessions, those that began last first")
                    .query(&query(&["user", "client", "ended", "limit", "after"]), &[])
                    .answer(200, "the sessions", "AdminSessions"),
            )],
        ),
        (
            "/admin/sessions/{session_id}",
            vec![
                ("get", one("readSession", "One session").answer(200, "the session", "AdminObject")),
                (
                    "delete",
                    one("endSession", "Ends a session, at the person's own server too")
                        .empty(204, "it is over"),
                ),
            ],
        ),
        (
            "/admin/tokens/revoke",
            vec![(
                "post",
                by_operator("revokeTokens", "Ends every session of a user, of a client, or of both, and revokes what a client has for itself")
                    .json("AdminWhose")
                    .answer(200, "how many there were", "AdminRevoked")
                    .answer(202, "how many there were so far: the rest ends in the background", "AdminRevoked")
                    .errors(&[408, 413, 415]),
            )],
        ),
    ]
}

fn keys() -> Vec<Path> {
    let retire = by_operator("retireKey", "Withdraws a key that was rotated out, at once")
        .path("kid", "the key")
        .empty(204, "it is not published any more")
        .errors(&[404]);
    vec![
        (
            "/admin/keys",
            vec![
                (
                    "get",
                    by_operator("listKeys", "The keys that our tokens are signed with").answer(
                        200,
                        "the keys",
                        "AdminKeys",
                    ),
                ),
                (
                    "post",
                    by_operator("rotateKey", "Makes a new key; the old one stays published for a day")
                        .json("AdminNewKey")
                        .answer(201, "the key", "AdminObject")
                        .errors(&[408, 413, 415]),
                ),
            ],
        ),
        ("/admin/keys/{kid}", vec![("delete", retire)]),
        (
            "/admin/audit",
            vec![(
                "get",
                by_operator("listActs", "The audit log, the newest first")
                    .query(&query(&["user", "client", "session", "event", "limit", "after"]), &[])
                    .answer(200, "the acts", "AdminAuditEvents"),
            )],
        ),
    ]
}
