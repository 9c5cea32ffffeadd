//! A client on a device that we did not write: npm `openid-client`, against the binary and a real AT Protocol
//! network, while a person confirms its code.

use anyhow::{Result, ensure};
use causeway_testkit::{Account, Causeway, RealNet};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{database_arguments, on_each_database, upstream_arguments};

async fn journey(server: &Causeway, account: &Account, more: &[&str]) -> Result<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/realnet/device-journey.mjs");
    let output = Command::new("node")
        .arg(script)
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

/// In Chromium, on a telephone in the dark and on a desktop: nothing that the browser complains about.
#[tokio::test]
async fn in_chromium() -> Result<()> {
    let (Some(net), Some(_)) = (RealNet::start().await?, super::browser::chromium()) else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let server = Causeway::serve(directory.path(), &upstream_arguments(&net.environment())).await?;
    let screenshots = directory.path().join("screenshots").display().to_string();
    for more in [&["--width", "390", "--dark", "--locale", "de-DE"][..], &["--width", "1280"]] {
        let account = net.account("alice")?;
        let said = journey(&server, account, &[more, &["--screenshots", &screenshots]].concat()).await?;
        assert_eq!(said["sub"], account.did.as_str(), "{said}");
        assert_eq!((&said["named"], &said["complaints"]), (&json!(true), &json!([])), "{said}");
    }
    Ok(())
}

on_each_database! {
    /// From the device's first request to its tokens, with opaque ones and with JWTs; and a person who says no.
    async fn openid_client(database) {
        let Some(net) = RealNet::start().await? else { return Ok(()) };
        let directory = tempfile::tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&net.environment()));
        let server = Causeway::serve(directory.path(), &arguments).await?;
        for (name, more, parts) in [("alice", &[][..], 1), ("bob", &["--jwt"], 3)] {
            let account = net.account(name)?;
            let said = journey(&server, account, more).await?;
            let who = json!({"sub": account.did, "preferred_username": account.handle});
            assert_eq!((&said["sub"], &said["userinfo"]), (&who["sub"], &who), "{more:?}");
            assert_eq!((&said["named"], &said["done"]), (&json!(true), &json!(200)), "{said}");
            assert_eq!(said["session"]["pds"], account.pds.as_str());
            assert_eq!((&said["spent"], &said["parts"]), (&json!("invalid_grant"), &json!(parts)), "{said}");
        }
        let said = journey(&server, net.account("carol")?, &["--deny"]).await?;
        assert_eq!(said["refused"], "access_denied", "{said}");
        Ok(())
    }
}
