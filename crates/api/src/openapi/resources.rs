//! Resource endpoints and the probes.

use serde_json::{Value, json};

use super::operation::{Operation, Path, Security};
use super::schemas;

pub(super) fn paths() -> Vec<Path> {
    let mut paths = vec![userinfo(), session(), refresh(), sign_in(), xrpc(), graphql()];
    paths.extend(sessions());
    paths.push(events());
    paths.extend(health());
    paths
}

fn by_token(id: &'static str, summary: &str) -> Operation {
    Operation::new("resources", id, summary)
        .by(Security::AccessToken)
        .proof()
        .errors(&[400, 401, 403, 429, 503])
}

fn userinfo() -> Path {
    let claims: Value = json!({
        "application/json": { "schema": super::operation::reference("UserInfo") },
        "application/jwt": { "schema": { "type": "string" } },
    });
    let op = |id, summary| by_token(id, summary).content(200, "the claims", &claims);
    let form = json!({
        "type": "object",
        "properties": { "access_token": { "type": "string", "description": "instead of the header" } },
    });
    (
        "/oauth/userinfo",
        vec![
            ("get", op("getUserInfo", "Who the person is (OpenID Connect Core section 5.3)")),
            (
                "post",
                op("postUserInfo", "The same by POST")
                    .body("application/x-www-form-urlencoded", &form, false)
                    .errors(&[408, 413, 415]),
            ),
        ],
    )
}

fn session() -> Path {
    let op = by_token("getSession", "The session behind the token").answer(200, "the session", "Session");
    ("/api/session", vec![("get", op)])
}

fn refresh() -> Path {
    let op = by_token("refreshSession", "Refreshes the session at the person's own server now").answer(
        200,
        "the session with its new head",
        "Session",
    );
    ("/api/session/refresh", vec![("post", op)])
}

fn sign_in() -> Path {
    let op = by_token("getSignInUrl", "Where the person signs in again, when they ask for it").answer(
        200,
        "the address",
        "Prompt",
    );
    ("/api/session/sign-in", vec![("post", op)])
}

/// Sessions for a client that authenticates as itself: by Basic, or in the body of a POST.
fn sessions() -> [Path; 3] {
    let by_client = |id, summary| {
        Operation::new("resources", id, summary)
            .by(Security::Client)
            .proof()
            .errors(&[400, 401, 403, 404, 429, 503])
    };
    let posted = |op: Operation, schema| op.form(schema).errors(&[408, 413, 415]);
    let find = |id, summary| by_client(id, summary).answer(200, "the session", "FoundSession");
    let show = |id, summary| {
        by_client(id, summary).path("session_id", "the session").answer(
            200,
            "its token at the person's own server",
            "ExportedSession",
        )
    };
    let proof = by_client("proveForSession", "Signs a DPoP proof with the session's key")
        .path("session_id", "the session")
        .answer(200, "the proof", "SessionProof");
    [
        (
            "/api/sessions",
            vec![
                (
                    "get",
                    find("findSession", "A session of this client, by person and kind")
                        .query(&schemas::session_question()["properties"], &[]),
                ),
                ("post", posted(find("findSessionByPost", "The same by POST"), "SessionQuestion")),
            ],
        ),
        (
            "/api/sessions/{session_id}",
            vec![
                ("get", show("exportSession", "The token of a session, for a client that may have it")),
                ("post", posted(show("exportSessionByPost", "The same by POST"), "Credentials")),
            ],
        ),
        ("/api/sessions/{session_id}/dpop-proof", vec![("post", posted(proof, "ProofRequest"))]),
    ]
}

fn events() -> Path {
    let stream = json!({ "text/event-stream": { "schema": { "type": "string" } } });
    let op = |id, summary| {
        Operation::new("resources", id, summary)
            .by(Security::Client)
            .header("Last-Event-ID", "the last event that was seen; 0 for all that are kept")
            .content(200, "server-sent events, as long as the connection lasts", &stream)
            .errors(&[400, 401, 403, 429, 503])
    };
    (
        "/api/events",
        vec![
            ("get", op("listen", "What happens to the client's sign-ins and sessions")),
            ("post", op("listenByPost", "The same by POST").form("EventsRequest").errors(&[408, 413, 415])),
        ],
    )
}

fn xrpc() -> Path {
    let anything = json!({ "*/*": { "schema": {} } });
    let op = |id, summary| {
        by_token(id, summary)
            .path("nsid", "the method, such as com.atproto.repo.createRecord")
            .header("atproto-proxy", "a service behind the person's server")
            .header("atproto-accept-labelers", "passed on")
            .content(
                200,
                "whatever the method answers; errors of the method arrive unchanged, too",
                &anything,
            )
            .errors(&[408, 413, 415, 502, 504])
    };
    (
        "/xrpc/{nsid}",
        vec![
            ("get", op("query", "Calls a query of the person's own server (atproto XRPC)")),
            (
                "post",
                op("procedure", "Calls a procedure of the person's own server").body(
                    "*/*",
                    &json!({}),
                    false,
                ),
            ),
        ],
    )
}

fn graphql() -> Path {
    let op = by_token("graphql", "The repository of whoever's token it is")
        .json("GraphQlRequest")
        .answer(200, "data, errors, or both (GraphQL over HTTP)", "GraphQlAnswer")
        .errors(&[408, 413, 415]);
    ("/graphql", vec![("post", op)])
}

fn health() -> [Path; 2] {
    let text = json!({ "text/plain": { "schema": { "type": "string" } } });
    let probe =
        |id, summary| Operation::new("health", id, summary).by(Security::Anybody).content(200, "yes", &text);
    [
        ("/healthz", vec![("get", probe("isAlive", "Whether the process serves"))]),
        ("/readyz", vec![("get", probe("isReady", "Whether the database answers, too").errors(&[503]))]),
    ]
}
