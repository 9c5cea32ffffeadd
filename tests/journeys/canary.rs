//! No secret leaves through a side door: a whole sign-in at TRACE, and then every log line, every
//! error, everything that a collector of traces got and the database itself are searched for every secret that
//! there was.

use causeway_store::testing;
use causeway_testkit::{
    Agent, Causeway, Collector, OauthClient, Person as _, ScriptedUpstream, SeenSpan, Tokens, decide,
};
use tempfile::tempdir;

use crate::support::{DID, HANDLE, database_arguments, on_each_database, upstream_arguments};

on_each_database! {
    /// From the authorization request to the refresh upstream, with a wrong secret and a replay.
    async fn no_secret_in_logs_or_tables(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let directory = tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        let collector = Collector::start()?;
        let environment = [
            ("RUST_LOG", "trace"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.origin.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=canary-collector-key"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let server = Causeway::serve_with(directory.path(), &arguments, &environment).await?;
        let agent = Agent::default();
        let client = OauthClient::register_with(&agent, &server.address, "client_secret_post").await?;
        let authorization = client.authorization(Some(HANDLE));
        let to_upstream = agent.get(&authorization.url(&server.address)).await?.location()?;
        let callback = upstream.approve(&to_upstream).await?;
        let consent = agent.get(&callback).await?.location()?;
        let answer = decide(&agent, &consent, "allow").await?;
        let code = answer.redirect_param("code").unwrap();
        let wrong = agent
            .post(
                &format!("{}/oauth/token", server.address),
                &[
                    ("client_secret", "canary-wrong-secret"),
                    ("client_id", &*client.client_id),
                    ("grant_type", "refresh_token"),
                ],
            )
            .await?;
        let first = Tokens::read(&client.redeem(&agent, &code, &authorization.verifier).await?)?;
        let second = Tokens::read(&client.refresh(&agent, &first.refresh_token).await?)?;
        let request = agent.request("POST".parse()?, &format!("{}/api/session/refresh", server.address));
        let refreshed = agent.send(request.bearer_auth(&second.access_token)).await?;
        assert_eq!(refreshed.json()["head_iteration"], 2);
        let relayed = format!("{}/xrpc/com.atproto.server.getSession?canary-query", server.address);
        let relayed = agent.get_with(&relayed, &second.access_token).await?;
        assert_eq!(relayed.json()["ok"], true, "{relayed:?}");
        let replay = agent.get(&callback).await?;

        let param = |url: &str, name: &str| {
            let url = url::Url::parse(url).ok()?;
            url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let mut secrets = vec![
            ("client secret", client.client_secret.clone().unwrap()),
            ("wrong secret", "canary-wrong-secret".to_owned()),
            ("code", code),
            ("verifier", authorization.verifier.expose().to_owned()),
            ("access token", first.access_token),
            ("refresh token", first.refresh_token),
            ("next access token", second.access_token),
            ("next refresh token", second.refresh_token),
            ("upstream code", param(&callback, "code").unwrap()),
            ("query of a call", "canary-query".to_owned()),
            ("key of the collector", "canary-collector-key".to_owned()),
            ("browser cookie", agent.cookie("causeway").unwrap()),
        ];
        secrets.extend(upstream.secrets().into_iter().map(|secret| ("upstream secret", secret)));
        assert!(secrets.len() > 15, "every kind of secret was seen");

        let log = server.log()?;
        assert!(log.contains("TRACE") && log.contains("code redeemed"), "the log is whole");
        let dump = database.store().await.read(testing::dump_text).await?;
        assert!(dump.contains(&client.client_id), "the dump is whole");
        let relayed_too = |spans: &[SeenSpan]| spans.iter().any(|span| span.name == "GET /xrpc/{nsid}");
        collector.until(relayed_too).await?;
        let traces = String::from_utf8_lossy(&collector.bytes()).into_owned();
        assert!(traces.contains("atproto.token.exchange") && traces.contains("flow.redeem"), "the traces are whole");
        for account in [HANDLE, DID] {
            assert!(!traces.contains(account), "{account} in the traces");
        }
        for (name, secret) in &secrets {
            assert!(!traces.contains(secret.as_str()), "{name} in the traces");
            assert!(!log.contains(secret.as_str()), "{name} in the log: {}", line_with(&log, secret));
            assert!(!dump.contains(secret.as_str()), "{name} in the database");
            for page in [&wrong, &replay, &refreshed, &relayed] {
                assert!(!page.text.contains(secret.as_str()), "{name} in an answer");
            }
        }
        Ok(())
    }
}

fn line_with<'a>(log: &'a str, secret: &str) -> &'a str {
    log.lines().find(|line| line.contains(secret)).unwrap_or_default()
}
