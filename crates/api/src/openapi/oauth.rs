//! Documents, authorization, tokens, clients.

use causeway_flow::authorization::parameters::AuthorizeParams;
use causeway_flow::logout::rp_initiated::LogoutParams;
use serde_json::{Value, json};

use super::operation::{Operation, Path, Security};
use super::schemas::forms::members;

pub(super) fn paths() -> Vec<Path> {
    let mut paths = documents();
    paths.extend(authorization());
    paths.extend(tokens());
    paths.extend(clients());
    paths
}

/// Error statuses of every endpoint that uses the database.
const TROUBLE: [u16; 2] = [429, 503];

fn documents() -> Vec<Path> {
    let document = |id, summary, schema| {
        let answer = "the document; it may be cached for 300 seconds";
        vec![(
            "get",
            Operation::new("documents", id, summary).by(Security::Anybody).answer(200, answer, schema),
        )]
    };
    vec![
        (
            "/.well-known/oauth-authorization-server",
            document(
                "getServerMetadata",
                "Metadata of the authorization server (RFC 8414)",
                "ServerMetadata",
            ),
        ),
        (
            "/.well-known/openid-configuration",
            document(
                "getOpenIdConfiguration",
                "The same document (OpenID Connect Discovery)",
                "ServerMetadata",
            ),
        ),
        (
            "/.well-known/oauth-protected-resource",
            document(
                "getResourceMetadata",
                "Metadata of this server as a protected resource (RFC 9728)",
                "ResourceMetadata",
            ),
        ),
        (
            "/oauth/jwks",
            document("getKeys", "The public keys that verify this server's signatures (RFC 7517)", "JwkSet"),
        ),
        ("/openapi.json", document("getOpenApi", "This document", "OpenApi")),
    ]
}

fn authorization() -> Vec<Path> {
    let authorize = |id, summary| Operation::new("authorization", id, summary).by(Security::Anybody);
    let browser = "the sign-in page, the consent page, or a form_post response";
    vec![
        (
            "/oauth/par",
            vec![(
                "post",
                Operation::new("authorization", "pushRequest", "Pushes an authorization request (RFC 9126)")
                    .by(Security::Client)
                    .proof()
                    .form("PushedRequest")
                    .answer(201, "the request_uri of the pushed request", "PushedAnswer")
                    .errors(&[400, 401, 408, 413, 415])
                    .errors(&TROUBLE),
            )],
        ),
        (
            "/oauth/device_authorization",
            vec![(
                "post",
                Operation::new("authorization", "authorizeDevice", "Requests codes for a device (RFC 8628)")
                    .by(Security::Client)
                    .proof()
                    .form("DeviceRequest")
                    .answer(
                        200,
                        "the code that the device shows, and the one that it polls with",
                        "DeviceAnswer",
                    )
                    .errors(&[400, 401, 408, 413, 415])
                    .errors(&TROUBLE),
            )],
        ),
        (
            "/oauth/authorize",
            vec![
                (
                    "get",
                    authorize("authorize", "Begins an authorization, in a browser (RFC 6749 section 4.1.1)")
                        .query(&members::<AuthorizeParams>(), &[])
                        .page(browser)
                        .error_pages(&[429, 502, 503]),
                ),
                (
                    "post",
                    authorize(
                        "authorizeByPost",
                        "Begins an authorization with a form POST (OpenID Connect Core section 3.1.2.1)",
                    )
                    .form("AuthorizationRequest")
                    .page(browser)
                    .error_pages(&[408, 413, 415, 429, 502, 503]),
                ),
            ],
        ),
        (
            "/oauth/logout",
            vec![
                (
                    "get",
                    authorize("logOut", "Ends a session, in a browser (OpenID Connect RP-Initiated Logout)")
                        .query(&members::<LogoutParams>(), &[])
                        .page("asks the user to confirm, or confirms that the session has ended")
                        .error_pages(&[503]),
                ),
                (
                    "post",
                    authorize("logOutByPost", "Ends a session with a form POST")
                        .form("LogoutRequest")
                        .page("asks the user to confirm, or confirms that the session has ended")
                        .error_pages(&[408, 413, 415, 503]),
                ),
            ],
        ),
    ]
}

fn tokens() -> Vec<Path> {
    let by_client = |id, summary| {
        Operation::new("tokens", id, summary)
            .by(Security::Client)
            .proof()
            .errors(&[400, 401, 408, 413, 415])
            .errors(&TROUBLE)
    };
    let nothing = json!({ "application/json": { "schema": { "type": "object" } } });
    let signed: Value = json!({
        "application/json": { "schema": super::operation::reference("Introspection") },
        "application/token-introspection+jwt": { "schema": { "type": "string" } },
    });
    vec![
        (
            "/oauth/token",
            vec![(
                "post",
                by_client("getTokens", "Exchanges a grant for tokens (RFC 6749 section 3.2)").form("TokenRequest").answer(
                    200,
                    "the tokens",
                    "TokenAnswer",
                ),
            )],
        ),
        (
            "/oauth/revoke",
            vec![(
                "post",
                by_client("revokeToken", "Revokes an access token, or a refresh token with its grant (RFC 7009)")
                    .form("TokenQuestion")
                    .content(200, "the token is not valid any more, if it ever was: {}", &nothing),
            )],
        ),
        (
            "/oauth/introspect",
            vec![(
                "post",
                by_client("introspectToken", "Introspects a token of the client's own, or one for a resource assigned to it (RFC 7662, RFC 9701)")
                    .form("TokenQuestion")
                    .content(200, "the token's state and claims", &signed),
            )],
        ),
    ]
}

fn clients() -> Vec<Path> {
    let managed = |id, summary| {
        Operation::new("clients", id, summary)
            .by(Security::RegistrationToken)
            .path("client_id", "the client")
            .errors(&[401])
            .errors(&TROUBLE)
    };
    vec![
        (
            "/oauth/register",
            vec![(
                "post",
                Operation::new("clients", "registerClient", "Registers a client (RFC 7591)")
                    .by(Security::Anybody)
                    .json("ClientMetadata")
                    .answer(201, "the client", "Client")
                    .errors(&[400, 401, 403, 408, 413, 415])
                    .errors(&TROUBLE),
            )],
        ),
        (
            "/oauth/register/{client_id}",
            vec![
                (
                    "get",
                    managed("getClient", "Reads a registration (RFC 7592 section 2.1)").answer(
                        200,
                        "the client",
                        "Client",
                    ),
                ),
                (
                    "put",
                    managed("updateClient", "Replaces a registration (RFC 7592 section 2.2)")
                        .json("ClientMetadata")
                        .answer(200, "the client", "Client")
                        .errors(&[400, 408, 413, 415]),
                ),
                (
                    "delete",
                    managed("deleteClient", "Deletes a client and ends its sessions (RFC 7592 section 2.3)")
                        .empty(204, "the client was deleted"),
                ),
            ],
        ),
    ]
}
