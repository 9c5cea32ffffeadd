//! Resource endpoints and the probes.

use causeway_flow::upstream::export::Question;
use serde_json::{Value, json};

use super::operation::{Operation, Path, Security};
use super::schemas::forms::members;

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
    (
        "/oauth/userinfo",
        vec![
            ("get", op("getUserInfo", "Claims about the user (OpenID Connect Core section 5.3)")),
            (
                "post",
                op("postUserInfo", "Claims about the user, by POST")
                    .optional_form("TokenInBody")
                    .errors(&[408, 413, 415]),
            ),
        ],
    )
}

fn session() -> Path {
    let op =
        by_token("getSession", "Reads the session behind the token").answer(200, "the session", "Session");
    ("/api/session", vec![("get", op)])
}

fn refresh() -> Path {
    let op = by_token("refreshSession", "Refreshes the session at the user's PDS now").answer(
        200,
        "the session with its new iteration",
        "Session",
    );
    ("/api/session/refresh", vec![("post", op)])
}

fn sign_in() -> Path {
    let op = by_token("getSignInUrl", "Creates an address where the user signs in again").answer(
        200,
        "the address for the user's browser",
        "Prompt",
    );
    ("/api/session/sign-in", vec![("post", op)])
}

/// Sessions, for a client that authenticates by HTTP Basic or in the body of a POST.
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
            "the session and its access token at the user's PDS",
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
                    find("findSession", "Finds a session of this client by user and kind")
                        .query(&members::<Question>(), &[]),
                ),
                (
                    "post",
                    posted(
                        find("findSessionByPost", "Finds a session of this client by user and kind, by POST"),
                        "SessionQuestion",
                    ),
                ),
            ],
        ),
        (
            "/api/sessions/{session_id}",
            vec![
                (
                    "get",
                    show(
                        "exportSession",
                        "Exports a session's access token to a client that is allowed session export",
                    ),
                ),
                (
                    "post",
                    posted(
                        show("exportSessionByPost", "Exports a session's access token, by POST"),
                        "Credentials",
                    ),
                ),
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
            .header("Last-Event-ID", "the id of the last event received; 0 for all stored events")
            .content(200, "server-sent events, for as long as the connection lasts", &stream)
            .errors(&[400, 401, 403, 429, 503])
    };
    (
        "/api/events",
        vec![
            ("get", op("listen", "Streams the events of the client's sign-ins and sessions")),
            (
                "post",
                op("listenByPost", "Streams the client's events, by POST")
                    .form("Credentials")
                    .errors(&[408, 413, 415]),
            ),
        ],
    )
}

fn xrpc() -> Path {
    let anything = json!({ "*/*": { "schema": {} } });
    let op = |id, summary| {
        by_token(id, summary)
            .path("nsid", "the method, such as com.atproto.repo.createRecord")
            .header("atproto-proxy", "a service that the PDS forwards the request to")
            .header("atproto-accept-labelers", "passed on to the PDS")
            .content(200, "the method's output; the method's errors arrive unchanged, too", &anything)
            .errors(&[408, 413, 415, 502, 504])
    };
    (
        "/xrpc/{nsid}",
        vec![
            ("get", op("query", "Calls a query at the user's PDS (atproto XRPC)")),
            (
                "post",
                op("procedure", "Calls a procedure at the user's PDS (atproto XRPC)").body(
                    "*/*",
                    &json!({}),
                    false,
                ),
            ),
        ],
    )
}

fn graphql() -> Path {
    let op = by_token("graphql", "Reads and writes the repository of the token's user")
        .json("GraphQlRequest")
        .answer(200, "data, errors, or both (GraphQL over HTTP)", "GraphQlAnswer")
        .errors(&[408, 413, 415]);
    ("/graphql", vec![("post", op)])
}

fn health() -> [Path; 2] {
    let text = json!({ "text/plain": { "schema": { "type": "string" } } });
    let probe = |id, summary| {
        Operation::new("health", id, summary).by(Security::Anybody).content(200, "it does", &text)
    };
    [
        ("/healthz", vec![("get", probe("isAlive", "Whether the process is alive"))]),
        (
            "/readyz",
            vec![(
                "get",
                probe("isReady", "Whether the process and its database can serve requests").errors(&[503]),
            )],
        ),
    ]
}
