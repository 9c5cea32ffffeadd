//! The binary and its database: what it shares it with, and what stands between.

use anyhow::{Context as _, Result, ensure};
use causeway_store::testing::{PgBouncer, make_newer};
use causeway_testkit::{Agent, Causeway, OauthClient, ScriptedUpstream, TestDatabase};
use tempfile::tempdir;

use crate::support::{DID, HANDLE, database_arguments, on_each_database, upstream_arguments};

/// A second server on the same file does not start, by whatever name it opens it, and says who is there already.
/// Commands go on beside the first one, and when that has ended, however it ended, the next one starts.
#[tokio::test]
async fn one_server_to_a_sqlite_file() -> Result<()> {
    let directory = tempdir()?;
    let arguments = ["--listen=127.0.0.1:0", "--database-url=sqlite://causeway.db"];
    let first = Causeway::serve(directory.path(), &arguments).await?;
    std::os::unix::fs::symlink(directory.path().join("causeway.db"), directory.path().join("other.db"))?;
    for name in ["causeway.db", "./causeway.db", "other.db"] {
        let url = format!("--database-url=sqlite://{name}");
        let key = "--secret-key-file=causeway.key";
        let second = Causeway::run(directory.path(), &["--listen=127.0.0.1:0", &url, key]).await?;
        let said = String::from_utf8(second.stderr)?;
        assert_eq!(second.status.code(), Some(1), "{said}");
        let address = first.address.trim_start_matches("http://");
        let process = format!("process {}", first.id().context("it runs")?);
        ensure!(said.contains(address) && said.contains(&process), "{said}");
    }
    let output = Causeway::run(directory.path(), &["clients", "list"]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(Agent::default().get(&format!("{}/readyz", first.address)).await?.status, 200);
    first.kill().await?;
    // In another directory, a hard link has a lock of its own.
    let elsewhere = tempdir()?;
    std::fs::hard_link(directory.path().join("causeway.db"), elsewhere.path().join("causeway.db"))?;
    let linked = Causeway::run(directory.path(), &arguments).await?;
    let said = String::from_utf8(linked.stderr)?;
    ensure!(linked.status.code() == Some(1) && said.contains("hard links"), "{said}");
    elsewhere.close()?;
    Causeway::serve(directory.path(), &arguments).await?;
    Ok(())
}

on_each_database! {
    /// A newer version has migrated the database, by steps beside which this one may run: a server that runs stays
    /// ready, and another one starts. By steps beside which it may not: neither.
    async fn a_schema_that_is_newer(database) {
        let directory = tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.push("--listen=127.0.0.1:0".to_owned());
        let (agent, store) = (Agent::default(), database.store().await);
        let ready = async |server: &Causeway| {
            anyhow::Ok(agent.get(&format!("{}/readyz", server.address)).await?.status)
        };
        let server = Causeway::serve(directory.path(), &arguments).await?;
        store.write(|c| make_newer(c, true)).await?;
        assert_eq!(ready(&server).await?, 200);
        OauthClient::register(&agent, &server.address).await?;
        server.kill().await?;
        let server = Causeway::serve(directory.path(), &arguments).await?;
        assert_eq!(ready(&server).await?, 200);
        store.write(causeway_store::testing::raise_floor).await?;
        assert_eq!(ready(&server).await?, 503);
        server.kill().await?;
        let refused: Vec<_> = arguments.iter().map(String::as_str).collect();
        let refused = Causeway::run(directory.path(), &refused).await?;
        let said = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("20991231000000") && said.contains("run the newer version"), "{said}");
        Ok(())
    }
}

/// PgBouncer in transaction mode between the binary and PostgreSQL: migrations, commands and a whole sign-in.
#[tokio::test]
async fn behind_a_transaction_pooler() -> Result<()> {
    let Some(database) = TestDatabase::empty_postgres() else { return Ok(()) };
    let Some(pooler) = PgBouncer::before(&database) else { return Ok(()) };
    let directory = tempdir()?;
    let mut arguments = database_arguments(&database, directory.path())?;
    let causeway_store::DatabaseUrl::Postgres(url) = pooler.url() else { unreachable!() };
    arguments[0] = format!("--database-url={url}");
    arguments.push("--database-pooler=transaction".to_owned());
    for command in [&["migrate", "up"][..], &["migrate", "status"], &["clients", "list"]] {
        let all: Vec<&str> = command.iter().copied().chain(arguments.iter().map(String::as_str)).collect();
        let output = Causeway::run(directory.path(), &all).await?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let upstream = ScriptedUpstream::start(HANDLE, DID)?;
    arguments.extend(upstream_arguments(&upstream.environment()));
    let server = Causeway::serve(directory.path(), &arguments).await?;
    let agent = Agent::default();
    let client = OauthClient::register(&agent, &server.address).await?;
    for _ in 0..3 {
        let tokens = client.sign_in(&agent, &upstream, HANDLE).await?;
        let userinfo = format!("{}/oauth/userinfo", server.address);
        assert_eq!(agent.get_with(&userinfo, &tokens.access_token).await?.json()["sub"], DID);
    }
    assert_eq!(agent.get(&format!("{}/readyz", server.address)).await?.status, 200);
    Ok(())
}
