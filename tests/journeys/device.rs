//! A third-party client on a device: npm `openid-client`, against the binary and a real AT Protocol network,
//! while a user confirms its code.

use anyhow::Result;
use causeway_testkit::{Causeway, PdsRelease, RealNet};
use futures_util::future::{try_join, try_join3};
use serde_json::json;

use super::stock_client::journey;
use crate::support::{on_each_network, serve, upstream_arguments};

const SCRIPT: &str = "device-journey.mjs";

/// In Chromium, on a telephone in the dark and on a desktop: nothing that the browser complains about.
#[tokio::test]
async fn in_chromium() -> Result<()> {
    let (Some(net), Some(_)) = (RealNet::start(PdsRelease::V0_4).await?, super::browser::chromium()) else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let server = Causeway::serve(directory.path(), &upstream_arguments(&net.environment())).await?;
    let screenshots = directory.path().join("screenshots").display().to_string();
    let account = net.account("alice")?;
    let telephone = ["--width", "390", "--dark", "--locale", "de-DE", "--screenshots", &screenshots];
    let desktop = ["--width", "1280", "--screenshots", &screenshots];
    // Devices ask every five seconds: together they take no longer than one.
    let (telephone, desktop) =
        try_join(journey(SCRIPT, &server, account, &telephone), journey(SCRIPT, &server, account, &desktop))
            .await?;
    for said in [telephone, desktop] {
        assert_eq!(said["sub"], account.did.as_str(), "{said}");
        assert_eq!((&said["named"], &said["complaints"]), (&json!(true), &json!([])), "{said}");
    }
    Ok(())
}

on_each_network! {
    /// From the device's first request to its tokens, opaque and JWT; and a user who denies.
    async fn openid_client(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let (_directory, server) = serve(database, &net.environment()).await?;
        let (alice, bob, carol) = (net.account("alice")?, net.account("bob")?, net.account("carol")?);
        let (opaque, jwt, denied) = try_join3(
            journey(SCRIPT, &server, alice, &[]),
            journey(SCRIPT, &server, bob, &["--jwt"]),
            journey(SCRIPT, &server, carol, &["--deny"]),
        )
        .await?;
        for (account, said, parts) in [(alice, opaque, 1), (bob, jwt, 3)] {
            let who = json!({"sub": account.did, "preferred_username": account.handle});
            assert_eq!((&said["sub"], &said["userinfo"]), (&who["sub"], &who), "{said}");
            assert_eq!((&said["named"], &said["done"]), (&json!(true), &json!(200)), "{said}");
            assert_eq!(said["session"]["pds"], account.pds.as_str());
            assert_eq!((&said["spent"], &said["parts"]), (&json!("invalid_grant"), &json!(parts)), "{said}");
        }
        assert_eq!(denied["refused"], "access_denied", "{denied}");
        Ok(())
    }
}
