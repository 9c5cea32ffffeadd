//! The users' MCP servers.

use serde_json::json;

use super::operation::{Operation, Path, Security};

pub(super) fn paths() -> Vec<Path> {
    let of_provider = ("provider", "the provider of an MCP server");
    let of_connection = ("connection_id", "the user's connection");
    vec![
        (
            "/api/mcp",
            vec![(
                "get",
                Operation::new("resources", "listMcpServers", "Lists the MCP servers of the token's user")
                    .by(Security::AccessToken)
                    .proof()
                    .answer(200, "the servers", "McpServers")
                    .errors(&[400, 401, 403, 503]),
            )],
        ),
        ("/mcp/{provider}", endpoint("Mcp", of_provider)),
        ("/mcp/c/{connection_id}", endpoint("McpOfConnection", of_connection)),
        (
            "/.well-known/oauth-protected-resource/mcp/{provider}",
            vec![("get", metadata("mcpMetadata", of_provider))],
        ),
        (
            "/.well-known/oauth-protected-resource/mcp/c/{connection_id}",
            vec![("get", metadata("mcpMetadataOfConnection", of_connection))],
        ),
    ]
}

fn metadata(id: &'static str, (name, description): (&str, &str)) -> Operation {
    Operation::new("documents", id, "Describes an MCP endpoint as a protected resource (RFC 9728)")
        .by(Security::Anybody)
        .path(name, description)
        .answer(200, "the metadata", "ResourceMetadata")
}

fn endpoint(id: &str, (name, description): (&str, &str)) -> Vec<(&'static str, Operation)> {
    let answer = json!({ "application/json": { "schema": {} }, "text/event-stream": { "schema": { "type": "string" } } });
    let op = |verb: &str, summary: &str| {
        Operation::new("resources", &format!("{verb}{id}"), summary)
            .by(Security::AccessToken)
            .proof()
            .path(name, description)
            .header("Mcp-Session-Id", "the session that the server gave the client")
            .header("MCP-Protocol-Version", "the revision that client and server agreed on")
            .content(200, "the server's answer, or what the user has to do first", &answer)
            .errors(&[400, 401, 403, 404, 429, 502, 503, 504])
    };
    vec![
        ("get", op("listen", "Opens a stream of events of an MCP server (before revision 2026-07-28)")),
        (
            "post",
            op("call", "Sends messages to an MCP server (Model Context Protocol, Streamable HTTP)")
                .body("application/json", &json!({}), true)
                .errors(&[408, 413]),
        ),
        ("delete", op("end", "Ends a session of an MCP server (before revision 2026-07-28)")),
    ]
}
