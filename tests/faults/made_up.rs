//! Made-up requests: whatever is sent, the server does what its OpenAPI document says, and nothing breaks. They
//! are made by schemathesis, which `cargo xtask test --fuzz` installs; without it this is left out.
//!
//! By default there are few, and the same ones each time. With `CAUSEWAY_FUZZ_SECONDS` each database is tried for that
//! long, with others each time; what schemathesis prints on a failure has the seed.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use causeway_testkit::{Agent, Causeway, OauthClient, ScriptedUpstream};
use causeway_types::GrantType;
use serde_json::json;
use tokio::process::Command;

use crate::support::{DID, HANDLE, on_each_database, serve_with};

/// The number of parts of a run.
const PARTS: u64 = 5;

/// How much is made up, in the words of schemathesis.
fn effort() -> Vec<String> {
    let seconds = std::env::var("CAUSEWAY_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let arguments = match seconds.unwrap_or(0_u64) {
        0 => "--max-examples 6 --seed 1".to_owned(),
        seconds => format!("--max-examples 40 --max-time {}", (seconds / PARTS).max(1)),
    };
    arguments.split(' ').map(str::to_owned).collect()
}

/// Checks for each response. That all well-formed data is accepted and everything else refused is no promise
/// of OAuth: much of it depends on codes and tokens that a client would need to have.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance,response_headers_conformance,unsupported_method,allow_header_conformance,\
    ignored_auth,use_after_free";

/// The program, unless these tests were left out.
#[expect(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
fn schemathesis() -> Option<PathBuf> {
    let program = std::env::var_os("CAUSEWAY_TEST_SCHEMATHESIS");
    if program.is_none() {
        eprintln!("SKIPPED: made-up requests need schemathesis: cargo xtask test --fuzz");
    }
    program.map(PathBuf::from)
}

/// Runs schemathesis on the endpoints whose path matches, with a caller's credentials.
async fn attack(
    (program, directory): (&Path, &Path),
    server: &Causeway,
    paths: &str,
    shown: &[&str],
) -> Result<()> {
    let output = Command::new(program)
        .current_dir(directory)
        .args(["--no-color", "run", &format!("{}/openapi.json", server.address)])
        .args(["--checks", CHECKS, "--include-path-regex", paths])
        .args(effort())
        .args(["--workers", "2", "--generation-database", "none", "--max-redirects", "0"])
        .args(["--request-timeout", "30", "--continue-on-failure"])
        .args(shown)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{paths}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    let log = server.log()?;
    // Errors of the HTTP library about requests that it cannot parse are not ours.
    let ours = |line: &&str| line.contains("\"level\":\"ERROR\"") && line.contains("\"target\":\"causeway");
    let bad = log.lines().find(|line| ours(line) || line.contains("panicked at"));
    ensure!(bad.is_none(), "{paths}: {bad:?}");
    Ok(())
}

on_each_database! {
    /// Without credentials, as the operator, as a client that authenticates, and as a user with an access
    /// token.
    async fn the_document_holds(database) {
        let Some(program) = schemathesis() else { return Ok(()) };
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let file = tempfile::NamedTempFile::new()?;
        let operator = "the-operators-own-token";
        std::fs::write(file.path(), operator)?;
        let mut more: Vec<String> =
            ["sign-in", "registration", "failed-authentication"].map(|limit| format!("--{limit}-limit=off")).into();
        more.push(format!("--admin-token-file={}", file.path().display()));
        let (directory, server) = serve_with(database, &upstream.environment(), &more).await?;

        let agent = Agent::default();
        let url = format!("{}/admin/clients", server.address);
        let metadata = json!({
            "redirect_uris": ["http://127.0.0.1/callback"],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": GrantType::NAMES,
            "allow_background_access": true,
        });
        let request = agent.request("POST".parse()?, &url).bearer_auth(operator);
        let request = request.header("content-type", "application/json").body(metadata.to_string());
        let made = agent.send(request).await?.json();
        let client = [&made["client_id"], &made["client_secret"]].map(|text| text.as_str().unwrap());
        let user = OauthClient::register(&agent, &server.address).await?;
        let tokens = user.sign_in(&agent, &upstream, HANDLE).await?;

        let fuzzer = (program.as_path(), directory.path());
        let bearer = |token: &str| format!("Authorization: Bearer {token}");
        attack(fuzzer, &server, "^/", &[]).await?;
        let clients = "^/(oauth/(par|device_authorization|token|revoke|introspect)|api/sessions)";
        attack(fuzzer, &server, clients, &["--auth", &client.join(":")]).await?;
        let people = "^/(oauth/userinfo|api/session(/|$)|xrpc/|graphql)";
        // A header that is no credential at all is answered by 400 there (RFC 6750 section 3.1), not by 401.
        let shown = ["--header", &bearer(&tokens.access_token), "--exclude-checks", "ignored_auth"];
        attack(fuzzer, &server, people, &shown).await?;
        // Last, since they delete what they can. A session that the operator has ended remains visible, as `ended`.
        let ended = ["--header", &bearer(operator), "--exclude-checks", "use_after_free"];
        attack(fuzzer, &server, "^/admin/sessions", &ended).await?;
        attack(fuzzer, &server, "^/admin/(?!sessions)", &["--header", &bearer(operator)]).await?;
        assert_eq!(agent.get(&format!("{}/readyz", server.address)).await?.status, 200);
        Ok(())
    }
}
