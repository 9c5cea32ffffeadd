//! The page at `/` in real Chromium: a user signs in, refreshes and signs out, on a phone and on a desktop,
//! in light and in dark mode.

use anyhow::{Result, ensure};
use causeway_testkit::{Causeway, PdsRelease, RealNet};
use serde_json::Value;
use tokio::process::Command;

/// The browser, unless this machine has none.
#[expect(clippy::print_stderr, reason = "a test that did not run must not look like one that passed")]
pub(super) fn chromium() -> Option<String> {
    let path = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let found = std::path::Path::new(&path).exists();
    if !found {
        eprintln!("SKIPPED: no Chromium at {path}");
    }
    found.then_some(path)
}

async fn journey(
    net: &RealNet,
    base: &str,
    name: &str,
    screenshots: &std::path::Path,
    more: &[&str],
) -> Result<Value> {
    let account = net.account(name)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/realnet/browser-journey.mjs");
    let output = Command::new("node")
        .arg(script)
        .args(["--base", base, "--handle", &account.handle, "--password", &account.password])
        .arg("--screenshots")
        .arg(screenshots)
        .args(more)
        .output()
        .await?;
    let said: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(said["ok"] == true, "{said}");
    ensure!(said["problems"].as_array().is_some_and(Vec::is_empty), "the console is not clean: {said}");
    Ok(said)
}

#[tokio::test]
async fn sign_in_refresh_sign_out() -> Result<()> {
    at(PdsRelease::V0_4).await
}

mod extended {
    #[tokio::test]
    async fn sign_in_refresh_sign_out() -> anyhow::Result<()> {
        super::at(super::PdsRelease::V0_5).await
    }
}

async fn at(release: PdsRelease) -> Result<()> {
    let (Some(net), Some(_)) = (RealNet::start(release).await?, chromium()) else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let arguments = crate::support::upstream_arguments(&net.environment());
    let server = Causeway::serve(directory.path(), &arguments).await?;
    let screenshots = directory.path().join("screenshots");
    for (name, more) in [("alice", &["--width", "1280"][..]), ("bob", &["--width", "390", "--dark"])] {
        let said = journey(&net, &server.address, name, &screenshots, more).await?;
        let account = net.account(name)?;
        let before = &said["beforeRefresh"];
        assert_eq!(
            (&before["did"], &before["handle"]),
            (&account.did.as_str().into(), &account.handle.as_str().into())
        );
        assert_eq!((&before["iteration"], &said["afterRefresh"]["iteration"]), (&"1".into(), &"2".into()));
        assert_eq!(said["afterSignOut"]["did"], "");
    }
    let denied = journey(&net, &server.address, "carol", &screenshots, &["--deny"]).await?;
    assert!(denied["denied"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{denied}");
    Ok(())
}
