//! `/metrics`, as Prometheus scrapes it from the binary.

use std::collections::BTreeSet;

use causeway_domain::{Clock as _, SystemClock};
use causeway_store::sessions;
use causeway_store::sessions::LeaseClaim;
use causeway_store::{DatabaseUrl, StoreError};
use causeway_testkit::{Agent, Causeway, Hook, OauthClient, ScriptedUpstream};
use causeway_types::UpstreamSessionId;

use crate::support::{DID, HANDLE, on_each_database, serve_with, within_a_second};

/// The value of a sample, by the whole text before it.
fn value(metrics: &str, sample: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

on_each_database! {
    /// A sign-in and an upstream refresh are seen, by route and never by what was sent; the public address has
    /// no metrics.
    async fn what_happened_is_counted(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let metrics = ["--metrics-listen=127.0.0.1:0".to_owned()];
        let (_directory, server) = serve_with(database, &upstream.environment(), &metrics).await?;
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &server.address).await?;
        let tokens = client.sign_in(&agent, &upstream, HANDLE).await?;
        let refresh = agent.request("POST".parse()?, &format!("{}/api/session/refresh", server.address));
        assert_eq!(agent.send(refresh.bearer_auth(&tokens.access_token)).await?.status, 200);
        let read = agent.request("BREW".parse()?, &format!("{}/xrpc/canary.in.path", server.address));
        assert_eq!(agent.send(read).await?.status, 405);
        assert_eq!(agent.get(&format!("{}/canary/path", server.address)).await?.status, 404);
        assert_eq!(agent.get(&format!("{}/metrics", server.address)).await?.status, 404);

        let answer = agent.get(&server.metrics_url()?).await?;
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let metrics = answer.text;
        let requests = |route: &str, method: &str, status: &str| {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            value(&metrics, &format!("causeway_http_requests_total{{{labels}}}"))
        };
        assert_eq!(requests("/oauth/token", "POST", "2xx"), Some(1.0), "{metrics}");
        assert_eq!(requests("/xrpc/{nsid}", "other", "4xx"), Some(1.0), "{metrics}");
        assert_eq!(requests("none", "GET", "4xx"), Some(2.0), "{metrics}");
        for (sample, wanted) in [
            ("causeway_http_request_duration_seconds_count{route=\"/oauth/token\"}", 1.0),
            ("causeway_sessions{kind=\"device\",state=\"active\"}", 1.0),
            ("causeway_upstream_refreshes_total{reason=\"asked\",outcome=\"refreshed\"}", 1.0),
            ("causeway_upstream_refresh_duration_seconds_count", 1.0),
            ("causeway_rate_limited_total{action=\"sign_in\"}", 0.0),
            ("causeway_lease_wait_seconds_count", 0.0),
            ("causeway_lease_takeovers_total", 0.0),
            ("causeway_store_queue_depth", 0.0),
            ("causeway_event_streams", 0.0),
        ] {
            assert_eq!(value(&metrics, sample), Some(wanted), "{sample} in {metrics}");
        }
        for at_least_one in ["causeway_upstream_requests_total{outcome=\"2xx\"}", "causeway_store_writes_total"] {
            assert!(value(&metrics, at_least_one) >= Some(1.0), "{at_least_one} in {metrics}");
        }
        for (sample, at_least) in [
            ("process_cpu_seconds_total", 0.01),
            ("process_resident_memory_bytes", 1e6),
            ("process_virtual_memory_bytes", 1e6),
            ("process_open_fds", 3.0),
            ("process_max_fds", 3.0),
            ("process_threads", 2.0),
            ("process_start_time_seconds", 1e9),
        ] {
            assert!(value(&metrics, sample) >= Some(at_least), "{sample} in {metrics}");
        }
        let reference = include_str!("../../docs/src/reference/metrics.md");
        let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let undocumented: Vec<_> = families.filter(|family| !reference.contains(&format!("`{family}`"))).collect();
        assert!(undocumented.is_empty(), "not in docs/src/reference/metrics.md: {undocumented:?}");
        assert!(!metrics.contains("canary"), "a label from what somebody sent: {metrics}");
        for secret in [&tokens.access_token, &tokens.refresh_token, &client.client_id] {
            assert!(!metrics.contains(secret.as_str()), "{metrics}");
        }
        Ok(())
    }

    /// Prometheus asks for OpenMetrics and gets it, with the same samples; the content type is that of the body.
    async fn prometheus_reads_open_metrics(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let metrics = ["--metrics-listen=127.0.0.1:0".to_owned()];
        let (_directory, server) = serve_with(database, &upstream.environment(), &metrics).await?;
        let agent = Agent::default();
        assert_eq!(agent.get(&format!("{}/nowhere", server.address)).await?.status, 404);
        let scrape = async |accept: &str| {
            let request = agent.request("GET".parse()?, &server.metrics_url()?).header("accept", accept);
            agent.send(request).await
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let open_metrics = scrape(prometheus).await?;
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!((open_metrics.header("content-type"), open_metrics.header("vary")), (content_type, "Accept"));
        let text = open_metrics.text;
        assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
        assert!(text.contains("\n# TYPE causeway_http_requests counter\n"), "{text}");
        let not_found = "causeway_http_requests_total{route=\"none\",method=\"GET\",status=\"4xx\"}";
        assert_eq!(value(&text, not_found), Some(1.0), "{text}");

        let plain = scrape("text/plain").await?;
        assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        assert!(!plain.text.contains("# EOF") && plain.text.contains("\n# TYPE causeway_http_requests_total counter\n"));
        let names = |text: &str| -> BTreeSet<String> {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            samples.filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned())).collect()
        };
        assert_eq!(names(&text), names(&plain.text));
        Ok(())
    }

    /// Pending webhooks of a receiver that refuses them, their age, and failures, by the client that the
    /// operator subscribed.
    async fn what_waits_is_counted_by_client(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let metrics = ["--metrics-listen=127.0.0.1:0".to_owned()];
        let (directory, server) = serve_with(database, &upstream.environment(), &metrics).await?;
        let agent = Agent::default();
        let client = OauthClient::register_with(&agent, &server.address, "client_secret_post").await?;
        let hook = Hook::start()?;
        hook.answer(500);
        let url = match database.url() {
            DatabaseUrl::Postgres(url) => url.clone(),
            file @ DatabaseUrl::Sqlite { .. } => file.to_string(),
        };
        let arguments = [
            "events", "subscribe", &client.client_id, "--webhook", &hook.url, "--dev-mode",
            &format!("--database-url={url}"), "--secret-key-file=ring.key",
        ];
        let subscribed = Causeway::run(directory.path(), &arguments).await?;
        assert!(subscribed.status.success(), "{subscribed:?}");
        client.sign_in(&agent, &upstream, HANDLE).await?;
        let sample = |name: &str, more: &str| format!("causeway_webhook_{name}{{client_id=\"{}\"{more}}}", client.client_id);
        let failed = sample("requests_total", ",outcome=\"failed\"");
        within_a_second(async || Ok(hook.told().len() >= 2)).await?;
        within_a_second(async || {
            let metrics = agent.get(&server.metrics_url()?).await?.text;
            Ok(value(&metrics, &failed) >= Some(2.0))
        })
        .await?;
        let metrics = agent.get(&server.metrics_url()?).await?.text;
        assert_eq!(value(&metrics, &sample("backlog", "")), Some(2.0), "{metrics}");
        assert!(value(&metrics, &sample("backlog_age_seconds", "")) >= Some(0.0), "{metrics}");
        Ok(())
    }

    /// A process that ended during a refresh left its lease behind: the next holder logs that, and which
    /// session may have lost its tokens.
    async fn a_lease_that_nobody_gave_back(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let metrics = ["--metrics-listen=127.0.0.1:0".to_owned()];
        let (_directory, server) = serve_with(database, &upstream.environment(), &metrics).await?;
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &server.address).await?;
        let tokens = client.sign_in(&agent, &upstream, HANDLE).await?;
        let session = agent.get_with(&format!("{}/api/session", server.address), &tokens.access_token).await?;
        let id = session.json()["session_id"].as_str().unwrap().to_owned();
        let (left, now) = (UpstreamSessionId::new(&*id), SystemClock.now());
        let lease = database
            .store()
            .await
            .write::<_, StoreError, _>(move |c| {
                let (before, until) = (now.plus(-200), now.plus(-80));
                let claim = LeaseClaim { holder: "killed", node: None, now: before, until };
                sessions::acquire_lease(c, &left, claim)
            })
            .await?;
        assert!(lease.is_some());
        for refreshed in 2..=3 {
            let refresh = agent.request("POST".parse()?, &format!("{}/api/session/refresh", server.address));
            let answer = agent.send(refresh.bearer_auth(&tokens.access_token)).await?;
            assert_eq!(answer.json()["head_iteration"], refreshed, "{answer:?}");
            let metrics = agent.get(&server.metrics_url()?).await?.text;
            assert_eq!(value(&metrics, "causeway_lease_takeovers_total"), Some(1.0), "{metrics}");
        }
        let log = server.log()?;
        let said: Vec<&str> = log.lines().filter(|line| line.contains("was taken over")).collect();
        assert!(said.len() == 1 && said[0].contains("\"WARN\"") && said[0].contains(&id), "{said:?}");
        Ok(())
    }
}
