//! OpenTelemetry traces, as a collector gets them from the binary.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_testkit::{Agent, Causeway, Collector, OauthClient, ScriptedUpstream, SeenSpan};
use tempfile::{TempDir, tempdir};

use crate::support::{DID, HANDLE, database_arguments, on_each_database, upstream_arguments};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A server configured with a collector; on SQLite, in a separate directory.
struct Rig {
    server: Causeway,
    upstream: ScriptedUpstream,
    client: OauthClient,
    _directory: TempDir,
}

impl Rig {
    async fn start(environment: &[(&str, &str)]) -> Result<Self> {
        let directory = tempdir()?;
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let arguments = upstream_arguments(&upstream.environment());
        let server = Causeway::serve_with(directory.path(), &arguments, environment).await?;
        let client = OauthClient::register(&Agent::default(), &server.address).await?;
        Ok(Self { server, upstream, client, _directory: directory })
    }

    async fn sign_in(&self) -> Result<()> {
        self.client.sign_in(&Agent::default(), &self.upstream, HANDLE).await.map(drop)
    }
}

/// The spans from one up to the outermost that is ours.
fn line<'a>(spans: &'a [SeenSpan], from: &'a SeenSpan) -> Vec<&'a SeenSpan> {
    std::iter::successors(Some(from), |span| spans.iter().find(|one| one.id == span.parent)).collect()
}

fn by_name<'a>(spans: &'a [SeenSpan], name: &str) -> Option<&'a SeenSpan> {
    spans.iter().find(|span| span.name == name)
}

/// A read of userinfo that says it is part of a trace.
async fn ask_as_part(server: &Causeway, traceparent: &str) -> Result<()> {
    let agent = Agent::default();
    let request = agent.request("GET".parse()?, &format!("{}/oauth/userinfo", server.address));
    let answer = agent.send(request.header("traceparent", traceparent)).await?;
    anyhow::ensure!(answer.status == 401, "{answer:?}");
    Ok(())
}

on_each_database! {
    /// Each request is a trace whose spans lead to the requests that it makes; one name leads from one to the other.
    async fn a_sign_in_is_seen(database) {
        let collector = Collector::start()?;
        let directory = tempdir()?;
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        arguments.push("--trusted-proxies=127.0.0.0/8".to_owned());
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.origin.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=to%20get%20in"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("RUST_LOG", "debug"),
        ];
        let server = Causeway::serve_with(directory.path(), &arguments, &environment).await?;
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &server.address).await?;
        let tokens = client.sign_in(&agent, &upstream, HANDLE).await?;
        let relayed = format!("{}/xrpc/com.atproto.server.getSession", server.address);
        let relayed = agent.request("GET".parse()?, &relayed).bearer_auth(&tokens.access_token);
        let sampled = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(agent.send(relayed.header("traceparent", &sampled)).await?.status, 200);
        ask_as_part(&server, &format!("00-{}-{PARENT}-00", "9".repeat(32))).await?;
        assert_eq!(agent.get(&format!("{}/nobody/knows", server.address)).await?.status, 404);
        let spans = collector.until(|spans| {
            by_name(spans, "GET /xrpc/{nsid}").is_some()
                && by_name(spans, "POST /oauth/token").is_some()
                && by_name(spans, "GET").is_some_and(|_| spans.iter().any(|span| span.kind == 2 && span.name == "GET"))
        }).await?;

        let mut names = BTreeSet::new();
        for name in ["GET /oauth/authorize", "GET /oauth/atp/callback", "POST /oauth/consent", "POST /oauth/token"] {
            let span = by_name(&spans, name).with_context(|| format!("{name} in {spans:#?}"))?;
            assert_eq!((span.kind, span.status, span.parent.as_str()), (2, 0, ""), "{span:?}");
            let (method, route) = name.split_once(' ').unwrap();
            assert_eq!(span.attributes["http.request.method"], method);
            assert_eq!(span.attributes["http.route"], route);
            assert!(["200", "303"].contains(&span.attributes["http.response.status_code"].as_str()), "{span:?}");
            names.insert(span.attributes["causeway.correlation_id"].clone());
        }
        assert_eq!(names.len(), 1, "one sign-in: {names:?}");
        assert!(names.iter().all(|name| name.starts_with("c_")));

        let to_upstream = |way: &[&str]| {
            let names = |span| line(&spans, span).into_iter().map(|span| span.name.as_str()).collect::<Vec<_>>();
            spans.iter().find(|span| span.kind == 3 && names(span) == way)
        };
        let way = ["POST", "atproto.token.exchange", "flow.callback", "GET /oauth/atp/callback"];
        let redeemed = to_upstream(&way).with_context(|| format!("{spans:#?}"))?;
        assert_eq!(redeemed.attributes["server.address"], "localhost");
        assert_eq!(redeemed.attributes["http.response.status_code"], "200");
        assert!(redeemed.attributes["url.path"].ends_with("/token"), "{redeemed:?}");
        let traces: BTreeSet<_> = line(&spans, redeemed).iter().map(|span| span.trace_id.as_str()).collect();
        assert_eq!(traces.len(), 1);

        // This trace was begun by a trusted proxy. It is not propagated upstream.
        let relayed = by_name(&spans, "GET /xrpc/{nsid}").unwrap();
        assert_eq!((relayed.trace_id.as_str(), relayed.parent.as_str()), (TRACE, PARENT));
        assert!(to_upstream(&["GET", "flow.relay.exchange", "flow.relay", "GET /xrpc/{nsid}"]).is_some());
        let asked = upstream.calls();
        assert!(asked.iter().all(|seen| !seen.headers.contains_key("traceparent")), "{asked:?}");
        assert!(!asked.is_empty());
        // It did not want that one.
        assert!(by_name(&spans, "GET /oauth/userinfo").is_none());

        // Handles and DIDs, also unknown ones, are not exported.
        let text = String::from_utf8_lossy(&collector.bytes()).into_owned();
        assert!(!text.contains("nobody") && !text.contains(DID) && !text.contains(HANDLE), "{text}");
        let resource = &relayed.resource;
        assert_eq!((&*resource["service.name"], &*resource["deployment.environment.name"]), ("causeway", "test"));
        assert_eq!(collector.headers()[0]["x-api-key"], "to get in");
        assert_eq!(collector.headers()[0]["content-type"], "application/x-protobuf");
        let log = server.log()?;
        let token = by_name(&spans, "POST /oauth/token").unwrap();
        let found = log.lines().find(|line| line.contains("code exchanged for tokens")).unwrap();
        assert!(found.contains(&token.trace_id), "the log names the trace: {found}");
        Ok(())
    }
}

/// A client that is not a trusted proxy can neither put our spans into its trace nor prevent their export.
#[tokio::test]
async fn nobody_else_begins_a_trace() -> Result<()> {
    let collector = Collector::start()?;
    let environment =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.origin.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let rig = Rig::start(&environment).await?;
    for flags in ["00", "01"] {
        ask_as_part(&rig.server, &format!("00-{TRACE}-{PARENT}-{flags}")).await?;
    }
    let of_both =
        |spans: &[SeenSpan]| spans.iter().filter(|span| span.name == "GET /oauth/userinfo").count() == 2;
    let spans = collector.until(of_both).await?;
    assert!(spans.iter().all(|span| span.trace_id != TRACE && span.parent != PARENT), "{spans:#?}");
    Ok(())
}

/// Without an endpoint there are no traces; with one, they can still be turned off.
#[tokio::test]
async fn off_unless_asked_for() -> Result<()> {
    let collector = Collector::start()?;
    let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.origin.as_str());
    for environment in [
        &[("OTEL_SERVICE_NAME", "somebody"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..],
        &[address, ("OTEL_SDK_DISABLED", "true")],
        &[address, ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        let mut environment = environment.to_vec();
        environment.push(("RUST_LOG", "debug"));
        let rig = Rig::start(&environment).await?;
        rig.sign_in().await?;
        let log = rig.server.log()?;
        assert!(log.contains("code exchanged for tokens") && !log.contains("trace_id"), "{environment:?}");
        rig.server.stop().await?;
    }
    assert_eq!(collector.requests(), 0);
    Ok(())
}

/// Nobody waits for the next batch when the server stops.
#[tokio::test]
async fn the_last_spans_get_out() -> Result<()> {
    let collector = Collector::start()?;
    let endpoint = format!("{}/v1/traces", collector.origin);
    let environment =
        [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let rig = Rig::start(&environment).await?;
    rig.sign_in().await?;
    assert_eq!(collector.requests(), 0, "it waits for more");
    rig.server.stop().await?;
    assert!(by_name(&collector.spans()?, "POST /oauth/token").is_some());
    Ok(())
}

/// The collector refuses, is down, or never responds: users can sign in all the same, the log says so once,
/// and the server stops in time.
#[tokio::test]
async fn no_collector_no_harm() -> Result<()> {
    let refusing = Collector::start()?;
    refusing.answer(400);
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let gone = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let said = |rig: &Rig| anyhow::Ok(rig.server.log()?.matches("does not accept our traces").count());
    for address in
        [refusing.origin.clone(), format!("http://{gone}"), format!("http://{}", silent.local_addr()?)]
    {
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "120000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ];
        let rig = Rig::start(&environment).await?;
        let started = Instant::now();
        rig.sign_in().await?;
        assert!(started.elapsed() < Duration::from_secs(8), "{address}: {:?}", started.elapsed());
        if address == refusing.origin {
            while refusing.requests() < 4 {
                rig.sign_in().await?;
            }
            assert_eq!(said(&rig)?, 1, "{}", rig.server.log()?);
        }
        let started = Instant::now();
        rig.server.stop().await?;
        // Five seconds for the last spans, and what the server itself takes.
        assert!(started.elapsed() < Duration::from_secs(15), "{address}: {:?}", started.elapsed());
    }
    Ok(())
}

/// An unsupported setting is refused with one line that names the variable and contains no secret.
#[tokio::test]
async fn refuses_what_it_cannot_do() -> Result<()> {
    let directory = tempdir()?;
    let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "canary secret"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ] {
        let environment = [address, (variable, value)];
        let output =
            Causeway::command(directory.path())?.args(["config", "check"]).envs(environment).output().await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{variable}: {said}");
        assert!(said.trim_end().lines().count() == 1 && said.contains(variable), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
    Ok(())
}
