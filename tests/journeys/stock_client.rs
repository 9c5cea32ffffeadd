//! A client that we did not write: npm `openid-client`, with `private_key_jwt` and DPoP, against the binary
//! and a real AT Protocol network.

use anyhow::{Result, ensure};
use causeway_testkit::{Account, Causeway, RealNet};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{on_each_network, serve};

/// Has a script of `tests/realnet` sign somebody in; what it found.
pub(super) async fn journey(
    script: &str,
    server: &Causeway,
    account: &Account,
    more: &[&str],
) -> Result<Value> {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/realnet/");
    let output = Command::new("node")
        .arg(format!("{scripts}{script}"))
        .args(["--issuer", &server.address, "--handle", &account.handle, "--password", &account.password])
        .args(more)
        .output()
        .await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let said: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| anyhow::anyhow!("{error}: {errors}"))?;
    ensure!(said["ok"] == true, "{said} {errors}\n{}", server.log()?);
    Ok(said)
}

on_each_network! {
    /// Registration, PAR, sign-in, id_token, userinfo, refresh, logout and revocation, with keys of every kind, and
    /// with nonces of the server and without.
    async fn openid_client(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let (_directory, server) = serve(database, &net.environment()).await?;
        for (name, more) in [
            ("alice", &["--alg", "ES256"][..]),
            ("bob", &["--alg", "ES256", "--nonce"]),
            ("carol", &["--alg", "PS256", "--nonce"]),
            ("alice", &["--alg", "RS256"]),
            ("bob", &["--alg", "Ed25519"]),
        ] {
            let account = net.account(name)?;
            let said = journey("client-journey.mjs", &server, account, more).await?;
            let who = json!({"sub": account.did, "preferred_username": account.handle});
            assert_eq!((&said["sub"], &said["userinfo"]), (&who["sub"], &who), "{more:?}");
            assert_eq!(said["token_type"].as_str().map(str::to_lowercase).as_deref(), Some("dpop"));
            assert_eq!(said["session"]["pds"], account.pds.as_str());
            assert_eq!((&said["stolen"], &said["over"]), (&json!(401), &json!("invalid_grant")));
            let out = "https://app.example/logged-out?state=a+b";
            assert_eq!(said["left"], json!({"first": out, "second": out, "stranger": 200}), "{more:?}");
        }
        Ok(())
    }
}
