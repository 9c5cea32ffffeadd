//! A database that does not respond: requests that need it are refused in time, all others are served.

use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_store::{Store, StoreOptions};
use causeway_testkit::{Agent, OauthClient, ScriptedUpstream, TestApp, TestDatabase};
use futures_util::future::try_join_all;

use crate::support::{DID, HANDLE, on_each_database};

/// Shorter than anybody would set it.
const TIMEOUT: Duration = Duration::from_secs(1);

async fn app(database: &TestDatabase, upstream: &ScriptedUpstream) -> Result<TestApp> {
    let options = StoreOptions { timeout: TIMEOUT, postgres_connections: 3, ..StoreOptions::default() };
    let store = Store::open(database.url(), options).await?;
    TestApp::start_tuned(database, &upstream.environment(), |parts| parts.store = store).await
}

on_each_database! {
    /// Another connection holds a lock: 503 with `Retry-After` for each request that needs it, however many
    /// there are, while `/healthz` answers at once and `/readyz` within two seconds. Once the lock is
    /// released, everything works as before.
    async fn locked_by_somebody_else(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let app = app(database, &upstream).await?;
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &app.issuer).await?;
        client.sign_in(&agent, &upstream, HANDLE).await?;
        let lock = database.locked();
        // The clients that were looked up a moment ago are known for half a second.
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(600)).await;
        let authorization = client.authorization(None);
        let form = authorization.form();
        let began = Instant::now();
        let pushes = try_join_all((0..60).map(|_| async {
            let answer = agent.post(&app.at("/oauth/par"), &form).await?;
            anyhow::Ok((answer.refusal(), answer.header("retry-after").parse::<u64>().is_ok()))
        }));
        let probes = async {
            for _ in 0..5 {
                let asked = Instant::now();
                assert_eq!(agent.get(&app.at("/healthz")).await?.status, 200);
                assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
            }
            let asked = Instant::now();
            // The result depends on what is locked: on PostgreSQL, a table that no probe reads.
            let ready = agent.get(&app.at("/readyz")).await?;
            assert!(ready.status == 503 || database.kind() == "postgres", "{ready:?}");
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
            anyhow::Ok(())
        };
        let (pushes, probes) = tokio::join!(pushes, probes);
        probes?;
        for (refusal, says_when) in pushes? {
            assert_eq!((refusal.as_str(), says_when), ("503 temporarily_unavailable", true));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        drop(lock);
        while agent.get(&app.at("/readyz")).await?.status != 200 {}
        client.sign_in(&agent, &upstream, HANDLE).await?;
        Ok(())
    }
}
