//! Connect sessions, and the confirmation of what they made.

use super::operation::{Operation, Path, Security};

pub(super) fn paths() -> Vec<Path> {
    vec![
        (
            "/api/connect-sessions",
            vec![(
                "post",
                by_client("createConnectSession", "Lets a user connect an account in a browser")
                    .json("ConnectSessionRequest")
                    .answer(201, "made", "NewConnectSession")
                    .errors(&[403, 404, 408, 413, 415]),
            )],
        ),
        (
            "/api/connect-sessions/{connect_session_id}",
            vec![(
                "get",
                by_client("getConnectSession", "Tells what became of a connect session")
                    .path("connect_session_id", "the connect session")
                    .answer(200, "the connect session", "ShownConnectSession"),
            )],
        ),
        (
            "/api/connections/confirm",
            vec![(
                "post",
                by_client(
                    "confirmConnection",
                    "Confirms that it was the client's user who connected an account",
                )
                .json("ConfirmRequest")
                .answer(200, "the connection, which can be used from now on", "ConfirmedConnections")
                .errors(&[404, 408, 413, 415]),
            )],
        ),
    ]
}

/// An operation for a client that authenticates as itself, in one of its tenants.
fn by_client(id: &'static str, summary: &str) -> Operation {
    Operation::new("connections", id, summary)
        .by(Security::Confidential)
        .proof()
        .header("Causeway-Tenant", "the tenant; a client that manages tenants has to name one")
        .errors(&[400, 401, 429, 503])
}
