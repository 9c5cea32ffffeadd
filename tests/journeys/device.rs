//! A client on a device that we did not write: npm `openid-client`, against the binary and a real AT Protocol
//! network, while a person confirms its code.

use anyhow::Result;
use causeway_testkit::{Causeway, PdsRelease, RealNet};
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
    for more in [&["--width", "390", "--dark", "--locale", "de-DE"][..], &["--width", "1280"]] {
        let account = net.account("alice")?;
        let said =
            journey(SCRIPT, &server, account, &[more, &["--screenshots", &screenshots]].concat()).await?;
        assert_eq!(said["sub"], account.did.as_str(), "{said}");
        assert_eq!((&said["named"], &said["complaints"]), (&json!(true), &json!([])), "{said}");
    }
    Ok(())
}

on_each_network! {
    /// From the device's first request to its tokens, with opaque ones and with JWTs; and a person who says no.
    async fn openid_client(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let (_directory, server) = serve(database, &net.environment()).await?;
        for (name, more, parts) in [("alice", &[][..], 1), ("bob", &["--jwt"], 3)] {
            let account = net.account(name)?;
            let said = journey(SCRIPT, &server, account, more).await?;
            let who = json!({"sub": account.did, "preferred_username": account.handle});
            assert_eq!((&said["sub"], &said["userinfo"]), (&who["sub"], &who), "{more:?}");
            assert_eq!((&said["named"], &said["done"]), (&json!(true), &json!(200)), "{said}");
            assert_eq!(said["session"]["pds"], account.pds.as_str());
            assert_eq!((&said["spent"], &said["parts"]), (&json!("invalid_grant"), &json!(parts)), "{said}");
        }
        let said = journey(SCRIPT, &server, net.account("carol")?, &["--deny"]).await?;
        assert_eq!(said["refused"], "access_denied", "{said}");
        Ok(())
    }
}
