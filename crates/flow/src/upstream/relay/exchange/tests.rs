//! Calls to a PDS: nonces, bodies that can be sent once and those that can be sent again, answers that stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use causeway_atproto::{AtprotoClient, AtprotoConfig};
use causeway_domain::Clock;
use causeway_domain::resource::ResourceScopes;
use causeway_domain::session::{
    AtprotoBinding, Binding, Cooldown, Credentials, DpopBound, SessionHead, UpstreamAccess, UpstreamAuth,
    UpstreamBinding,
};
use causeway_jose::EcKey;
use causeway_outbound::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderName};
use causeway_outbound::testing::{Reply, Seen, Upstream};
use causeway_outbound::{HttpClient, HttpConfig, HttpError, Method, UploadError};
use causeway_types::{
    BrowserSessionId, ClientId, Did, Nsid, Scope, Secret, SessionKind, SessionState, SystemRng, TenantId,
    Timestamp, UpstreamClientId, UpstreamSessionId,
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::Exchange;
use crate::authorization::scopes::ScopePolicy;
use crate::operations::complaints::Complaints;
use crate::upstream::atproto::adapter::Atproto;
use crate::upstream::atproto::profile::UpstreamProfile;
use crate::upstream::relay::{CallError, RelayAnswer, RelayBody, RelayRequest, RelayTarget, Repeats, Waits};
use crate::upstream::usable::UsableSession;

const ALICE: &str = "did:plc:z72i7hdynmk6r22z27h6tvur";
const PROBE: &str = "/xrpc/com.atproto.server.getSession";
const GET: &str = "/xrpc/a.b.get";
const PUT: &str = "/xrpc/a.b.put";

#[derive(Debug)]
struct TestClock(AtomicI64);

impl TestClock {
    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// The claims of a request's DPoP proof.
fn proof(seen: &Seen) -> Value {
    let payload = seen.headers["dpop"].split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

struct Us {
    upstream: Upstream,
    clock: Arc<TestClock>,
    http: HttpClient,
    atproto: Atproto,
    live: UsableSession,
}

impl Us {
    async fn new() -> Self {
        let http = HttpConfig {
            dev_mode: true,
            total_timeout: Duration::from_millis(1500),
            idle_timeout: Duration::from_millis(1500),
            ..HttpConfig::default()
        };
        Self::with(HttpClient::new(&http).unwrap()).await
    }

    async fn with(http: HttpClient) -> Self {
        let upstream = Upstream::empty().await;
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000)));
        let config = AtprotoConfig { plc_url: upstream.url(), handle_resolver: Some(upstream.url()) };
        let profile = UpstreamProfile::loopback("http://127.0.0.1");
        let scopes = ScopePolicy::new(Scope::atproto(), profile.declares(), ResourceScopes::default());
        let atproto = Atproto {
            client: AtprotoClient::new(http.clone(), config, clock.clone(), Arc::new(SystemRng)),
            profile: Arc::new(profile),
            scopes: Arc::new(scopes),
            clock: clock.clone(),
            rng: Arc::new(SystemRng),
            complaints: Complaints::default(),
        };
        let live = live_at(&upstream.origin, clock.now());
        Self { upstream, clock, http, atproto, live }
    }

    async fn call(&self, method: Method, body: &mut RelayBody) -> Result<RelayAnswer, CallError> {
        self.call_with(&[], method, body).await
    }

    async fn call_with(
        &self,
        further: &[(HeaderName, Vec<u8>)],
        method: Method,
        body: &mut RelayBody,
    ) -> Result<RelayAnswer, CallError> {
        let nsid = if method == Method::GET { "a.b.get" } else { "a.b.put" };
        let own = [(ACCEPT_LANGUAGE, b"de".to_vec()), (CONTENT_TYPE, b"text/x".to_vec())];
        let mut request = RelayRequest {
            method,
            target: RelayTarget::Xrpc(Nsid::parse(nsid).unwrap()),
            query: "q=%20+a&q=b".to_owned(),
            headers: [&own, further].concat(),
            body: std::mem::replace(body, RelayBody::Empty),
            repeats: Repeats::Any,
            waits: Waits::Usual,
        };
        let answer = self.send(&mut request).await;
        *body = request.body;
        answer
    }

    async fn send(&self, request: &mut RelayRequest) -> Result<RelayAnswer, CallError> {
        Exchange { ctx: None, http: &self.http, upstream: &self.atproto, live: &self.live, connection: None }
            .send(request)
            .await
    }

    async fn get(&self) -> Result<RelayAnswer, CallError> {
        self.call(Method::GET, &mut RelayBody::Empty).await
    }

    async fn put(&self, body: &mut RelayBody) -> Result<RelayAnswer, CallError> {
        self.call(Method::POST, body).await
    }
}

/// A session at this PDS.
fn live_at(pds: &str, now: Timestamp) -> UsableSession {
    let dpop = EcKey::generate().unwrap();
    let head = SessionHead {
        session_id: UpstreamSessionId::new("us"),
        tenant_id: TenantId::default_tenant(),
        client_id: ClientId::new("client"),
        kind: SessionKind::Device,
        state: SessionState::Active,
        browser_id: BrowserSessionId::new("browser"),
        iteration: 1,
        binding: Binding::Atproto(AtprotoBinding {
            did: Did::parse(ALICE).unwrap(),
            handle: None,
            verified_at: now,
            upstream: UpstreamBinding {
                issuer: pds.to_owned(),
                pds: pds.to_owned(),
                client_id: UpstreamClientId::new("http://localhost"),
                auth: UpstreamAuth::None,
                redirect_uri: "http://127.0.0.1/oauth/atp/callback".to_owned(),
            },
        }),
        created_at: now,
        last_used_at: now,
        cooldown: Cooldown::default(),
        correlation_id: None,
    };
    let (token, key, jkt) = (Secret::new("the-token"), dpop.private_jwk(), dpop.thumbprint().to_owned());
    let credentials = Credentials {
        access: UpstreamAccess::DpopBound(DpopBound { token, key, jkt }),
        refresh_token: None,
        created_at: now,
        expires_at: None,
        scope: "atproto".to_owned(),
    };
    UsableSession { head, credentials }
}

/// The error of a refusal of how the credentials are presented.
fn refused(outcome: Result<RelayAnswer, CallError>) -> String {
    match outcome {
        Err(CallError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

/// The error on the way to the PDS.
fn failed(outcome: Result<RelayAnswer, CallError>) -> HttpError {
    match outcome {
        Err(CallError::Http(error)) => error,
        other => panic!("not failed: {other:?}"),
    }
}

fn streamed(length: Option<u64>, parts: Vec<Result<&'static str, UploadError>>) -> RelayBody {
    let chunks = stream::iter(parts).map(|part| part.map(|text| Bytes::from_static(text.as_bytes())));
    RelayBody::Stream { length, chunks: chunks.boxed() }
}

async fn text(answer: RelayAnswer) -> Result<String, HttpError> {
    let mut parts = Box::pin(answer.into_stream());
    let mut whole = Vec::new();
    while let Some(part) = parts.next().await {
        whole.extend_from_slice(&part?);
    }
    Ok(String::from_utf8(whole).unwrap())
}

fn use_nonce(nonce: &str) -> Reply {
    Reply::json(401, &json!({ "error": "use_dpop_nonce", "message": "m" }))
        .header("www-authenticate", r#"DPoP algs="ES256", error="use_dpop_nonce", error_description="d""#)
        .header("dpop-nonce", nonce)
}

/// The proof covers the request, the query goes through as it is, and the nonce is kept.
#[tokio::test]
async fn a_call_with_a_nonce() {
    let us = Us::new().await;
    us.upstream.script_path(
        GET,
        [use_nonce("n1"), Reply::json(200, &json!({ "ok": 1 })).header("dpop-nonce", "n2")],
    );
    let answer = us.get().await.unwrap();
    assert_eq!((answer.status(), answer.header("dpop-nonce")), (200, Some("n2")));
    assert_eq!(text(answer).await.unwrap(), r#"{"ok":1}"#);
    let seen = us.upstream.seen(GET);
    let proofs: Vec<_> = seen.iter().map(proof).collect();
    assert_eq!(proofs[0].get("nonce"), None);
    assert_eq!(proofs[1]["nonce"], "n1");
    assert_eq!(proofs[1]["htu"], format!("{}{GET}", us.upstream.origin));
    assert_eq!(proofs[1]["htm"], "GET");
    assert!(proofs[1]["ath"].is_string());
    assert_ne!(proofs[0]["jti"], proofs[1]["jti"]);
    assert_eq!(seen[1].target, format!("{GET}?q=%20+a&q=b"));
    assert_eq!(seen[1].headers["authorization"], "DPoP the-token");
    assert_eq!(seen[1].headers["accept-language"], "de");
    us.get().await.unwrap();
    assert_eq!(proof(&us.upstream.seen(GET)[2])["nonce"], "n2");
}

#[tokio::test]
async fn a_nonce_storm_ends() {
    let us = Us::new().await;
    us.upstream.script_path(GET, [use_nonce("a"), use_nonce("b"), use_nonce("c")]);
    assert_eq!(refused(us.get().await), "use_dpop_nonce");
    assert_eq!(us.upstream.seen(GET).len(), 2);
    us.upstream.script_path(GET, [use_nonce("b")]);
    assert_eq!(refused(us.get().await), "use_dpop_nonce");
    assert_eq!(us.upstream.seen(GET).len(), 3, "the same nonce again: no use");
}

/// A refusal of our credentials is an error; an error of the method is not.
#[tokio::test]
async fn whose_refusal_it_is() {
    let us = Us::new().await;
    let json = |status, error: &str| Reply::json(status, &json!({ "error": error, "message": "m" }));
    let challenge = |error: &str| format!(r#"DPoP error="{error}""#);
    for reply in
        [json(401, "invalid_token"), Reply::html(401).header("www-authenticate", &challenge("invalid_token"))]
    {
        us.upstream.script_path(GET, [reply]);
        assert!(matches!(us.get().await, Err(CallError::CredentialsRefused)));
    }
    us.upstream.script_path(GET, [json(401, "invalid_dpop_proof")]);
    assert_eq!(refused(us.get().await), "invalid_dpop_proof");
    for (status, error) in
        [(401, "AccountTakedown"), (400, "invalid_token"), (403, "ScopeMissingError"), (500, "x")]
    {
        us.upstream.script_path(GET, [json(status, error)]);
        let answer = us.get().await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(text(answer).await.unwrap().contains(error), "{error}");
    }
}

/// The XRPC errors for an expired token; and a method that takes a token of its own.
#[tokio::test]
async fn a_refused_token_in_the_words_of_xrpc() {
    let us = Us::new().await;
    for error in ["ExpiredToken", "InvalidToken"] {
        for status in [400, 401] {
            us.upstream.script_path(GET, [Reply::json(status, &json!({ "error": error, "message": "m" }))]);
            assert!(matches!(us.get().await, Err(CallError::CredentialsRefused)), "{status} {error}");
        }
        for status in [403, 500] {
            us.upstream.script_path(GET, [Reply::json(status, &json!({ "error": error }))]);
            assert_eq!(us.get().await.unwrap().status(), status);
        }
        for method in [
            "com.atproto.server.confirmEmail",
            "com.atproto.SERVER.updateEmail",
            "com.atproto.identity.signPlcOperation",
        ] {
            let path = format!("/xrpc/{method}");
            us.upstream.script_path(&path, [Reply::json(400, &json!({ "error": error }))]);
            let nsid = Nsid::parse(method).unwrap();
            let mut request = RelayRequest { method: Method::POST, ..RelayRequest::query(nsid) };
            let answer = us.send(&mut request).await.unwrap();
            assert_eq!(answer.status(), 400, "about the token from the mail");
        }
    }
}

/// By the grammar of challenges, not by their usual look.
#[tokio::test]
async fn challenges_as_they_may_be() {
    let us = Us::new().await;
    for challenge in [
        "DPoP error=invalid_token",
        "Basic realm=a, dpop Error = \"invalid_token\"",
        "Negotiate YWI=, DPoP error=invalid_token",
    ] {
        us.upstream.script_path(GET, [Reply::html(401).header("www-authenticate", challenge)]);
        assert!(matches!(us.get().await, Err(CallError::CredentialsRefused)), "{challenge}");
    }
    let lines = Reply::html(401)
        .header("www-authenticate", "Bearer")
        .header("www-authenticate", "DPoP error=use_dpop_nonce");
    us.upstream.script_path(GET, [lines.header("dpop-nonce", "n1"), Reply::json(200, &json!({}))]);
    assert_eq!(us.get().await.unwrap().status(), 200);
    let other = Reply::html(401).header("www-authenticate", "DPoP error_description=\"error=invalid_token\"");
    us.upstream.script_path(GET, [other]);
    assert_eq!(us.get().await.unwrap().status(), 401);
}

/// A server that hints, or begins another protocol: hints are passed over, and the connection is not used again.
#[tokio::test]
async fn interim_answers_are_no_answers() {
    let us = Us::new().await;
    for interim in [100, 102, 103, 199] {
        us.upstream.script_path(GET, [Reply::json(200, &json!({})).after(interim).after(interim)]);
        let answer = us.get().await.unwrap();
        assert_eq!((answer.status(), answer.header("link")), (200, None), "{interim}");
    }
    for _ in 0..2 {
        let before = us.upstream.connections();
        us.upstream.script_path(
            GET,
            [Reply::new(101, "text/x", "").header("upgrade", "x").header("connection", "upgrade")],
        );
        assert_eq!(failed(us.get().await), HttpError::Status { status: 101, retry_after: None });
        us.upstream.script_path(
            GET,
            [Reply::json(200, &json!({})).header("connection", "etag").header("etag", "e")],
        );
        let answer = us.get().await.unwrap();
        assert_eq!(answer.header("connection"), Some("etag"), "the caller has to know it");
        assert_eq!(us.upstream.connections(), before + 1, "nothing is sent on that connection any more");
    }
    for status in [407, 408, 421, 425, 600, 999] {
        us.upstream.script_path(GET, [Reply::new(status, "text/x", "")]);
        assert!(matches!(failed(us.get().await), HttpError::Status { .. }), "{status}");
    }
}

/// A service behind the PDS may answer whatever it likes: only a challenge is the PDS's own word.
#[tokio::test]
async fn whose_refusal_it_is_when_another_service_answers() {
    let us = Us::new().await;
    let proxied = [(HeaderName::from_static("atproto-proxy"), b"did:web:a.example#service".to_vec())];
    let get = async || us.call_with(&proxied, Method::GET, &mut RelayBody::Empty).await;
    for error in ["invalid_token", "invalid_dpop_proof", "use_dpop_nonce"] {
        us.upstream.script_path(GET, [Reply::json(401, &json!({ "error": error }))]);
        let answer = get().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(text(answer).await.unwrap().contains(error), "{error}");
    }
    let challenge = r#"DPoP error="invalid_token""#;
    us.upstream.script_path(GET, [Reply::json(401, &json!({})).header("www-authenticate", challenge)]);
    assert!(matches!(get().await, Err(CallError::CredentialsRefused)));
}

/// A body that is kept is sent again; one that is not is held back until token and nonce are known to be good.
#[tokio::test]
async fn bodies() {
    let us = Us::new().await;
    us.upstream.script_path(PUT, [use_nonce("n1"), Reply::json(200, &json!({}))]);
    us.put(&mut RelayBody::Whole(Bytes::from_static(b"whole"))).await.unwrap();
    let seen = us.upstream.seen(PUT);
    assert_eq!((seen.len(), &*seen[0].body, &*seen[1].body), (2, &b"whole"[..], &b"whole"[..]));
    assert_eq!((&*seen[1].headers["content-length"], &*seen[1].headers["content-type"]), ("5", "text/x"));

    let mut body = streamed(Some(6), vec![Ok("one"), Ok("two")]);
    us.put(&mut body).await.unwrap();
    assert!(matches!(body, RelayBody::Spent));
    let seen = us.upstream.seen(PUT);
    assert_eq!((&*seen[2].body, &*seen[2].headers["content-length"]), (&b"onetwo"[..], "6"));
    assert_eq!(us.upstream.seen(PROBE).len(), 0, "the nonce was fresh");

    // The server repeats its nonce, which makes it no younger.
    us.clock.advance(40);
    us.upstream.script_path(GET, [Reply::json(200, &json!({})).header("dpop-nonce", "n1")]);
    us.get().await.unwrap();
    us.clock.advance(20);
    us.upstream.script_path(PROBE, [use_nonce("n2"), Reply::json(200, &json!({}))]);
    us.put(&mut streamed(None, vec![Ok("one"), Ok("two")])).await.unwrap();
    assert_eq!(us.upstream.seen(PROBE).len(), 2);
    let seen = us.upstream.seen(PUT);
    assert_eq!((&*seen[3].body, &proof(&seen[3])["nonce"]), (&b"onetwo"[..], &json!("n2")));
    assert_eq!(seen[3].headers.get("content-length"), None);
}

#[tokio::test]
async fn a_body_that_is_gone_is_not_sent_again() {
    let us = Us::new().await;
    us.upstream.script_path(PROBE, [Reply::json(401, &json!({ "error": "invalid_token" }))]);
    let mut body = streamed(None, vec![Ok("x")]);
    assert!(matches!(us.put(&mut body).await, Err(CallError::CredentialsRefused)));
    assert!(matches!(body, RelayBody::Stream { .. }), "not spent on a token that is over");
    us.upstream.script_path(PROBE, [Reply::json(200, &json!({})).header("dpop-nonce", "n1")]);
    us.upstream.script_path(PUT, [use_nonce("n2")]);
    assert!(matches!(us.put(&mut body).await, Err(CallError::BodySpent)));
    assert_eq!(us.upstream.seen(PUT).len(), 1);
}

/// A body that breaks off here must not look whole there.
#[tokio::test]
async fn a_broken_upload_is_not_completed() {
    let us = Us::new().await;
    us.upstream.script_path(PUT, [Reply::json(200, &json!({})).header("dpop-nonce", "n1")]);
    for length in [None, Some(100)] {
        let mut body = streamed(length, vec![Ok("one"), Err(UploadError::Broken)]);
        let broken = us.put(&mut body).await;
        assert!(matches!(broken, Err(CallError::Upload(UploadError::Broken))), "{broken:?}");
    }
    assert_eq!(us.upstream.seen(PUT).len(), 0);
}

/// As long as it moves it may take its time; then not.
#[tokio::test]
async fn only_idleness_ends_a_call() {
    let us = Us::new().await;
    us.upstream.script_path(PUT, [Reply::json(200, &json!({}))]);
    let slowly = stream::iter(0..12).then(|_| async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Ok(Bytes::from_static(b"part"))
    });
    let mut body = RelayBody::Stream { length: None, chunks: slowly.boxed() };
    us.put(&mut body).await.unwrap();
    assert_eq!(us.upstream.seen(PUT)[0].body.len(), 48);

    us.upstream.script_path(GET, [Reply::json(200, &json!({})).late(Duration::from_mins(1))]);
    assert_eq!(failed(us.get().await), HttpError::Timeout);
    us.upstream.script_path(GET, [Reply::new(200, "text/x", "x".repeat(100)).stalled()]);
    assert_eq!(failed(us.get().await), HttpError::Timeout, "whole or not at all");
    us.upstream.script_path(GET, [Reply::new(200, "text/x", "x".repeat(100)).broken()]);
    assert_eq!(failed(us.get().await), HttpError::Interrupted, "whole or not at all");
    us.upstream.script_path(GET, [Reply::new(200, "text/x", "x".repeat(20_000)).stalled()]);
    let answer = us.get().await.unwrap();
    assert_eq!(answer.length(), Some(20_000));
    assert_eq!(text(answer).await, Err(HttpError::Timeout));
    us.upstream.script_path(GET, [Reply::hang_up()]);
    assert_eq!(failed(us.get().await), HttpError::Interrupted);
    us.upstream.script_path(GET, [Reply::new(302, "text/x", "").header("location", "http://10.0.0.1/")]);
    assert_eq!(failed(us.get().await), HttpError::Redirected);
    us.upstream.script_path(GET, [Reply::new(304, "text/x", "").header("etag", "e")]);
    assert_eq!(us.get().await.unwrap().status(), 304);
}

/// A connection that dies: a query is asked again, a procedure is not.
#[tokio::test]
async fn a_connection_that_dies() {
    let us = Us::new().await;
    us.upstream.script_path(GET, [Reply::hang_up(), Reply::json(200, &json!({}))]);
    assert_eq!(us.get().await.unwrap().status(), 200);
    let seen = us.upstream.seen(GET);
    assert_ne!(proof(&seen[0])["jti"], proof(&seen[1])["jti"]);
    us.upstream.script_path(PUT, [Reply::hang_up(), Reply::json(200, &json!({}))]);
    let mut body = RelayBody::Whole(Bytes::from_static(b"once"));
    assert_eq!(failed(us.put(&mut body).await), HttpError::Interrupted);
    assert_eq!(us.upstream.seen(PUT).len(), 1);
}

#[tokio::test]
async fn a_pds_on_a_private_address_is_not_called() {
    let mut us = Us::with(HttpClient::new(&HttpConfig::default()).unwrap()).await;
    let port = us.upstream.url().port().unwrap();
    for address in ["127.0.0.1", "[::1]", "localhost"] {
        us.live = live_at(&format!("https://{address}:{port}"), us.clock.now());
        let blocked = HttpError::Blocked("the address is not on the public internet");
        assert_eq!(failed(us.get().await), blocked, "{address}");
    }
    assert_eq!(us.upstream.connections(), 0);
}

/// As HTTP workers have it: a runtime on one thread.
fn worker() -> Runtime {
    Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap()
}

/// Calls as that worker does.
fn call_at(worker: &Runtime, us: &Us) {
    let call = async {
        assert_eq!(text(us.get().await.unwrap()).await.unwrap(), "{}");
        // Lets the connection finish its remaining work.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    };
    std::thread::scope(|scope| scope.spawn(|| worker.block_on(call)).join().unwrap());
}

/// A connection lives and ends with the worker whose call opened it: nobody else waits for a worker that is
/// busy or has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_has_connections_of_its_own() {
    let us = Us::new().await;
    us.upstream.on(GET, &json!({}));
    let workers = [worker(), worker()];
    for (n, worker) in workers.iter().enumerate() {
        call_at(worker, &us);
        assert_eq!(us.upstream.connections(), n + 1);
    }
    // Nor are they those of the process.
    us.atproto.client.resolve_did(&Did::parse(ALICE).unwrap()).await.unwrap_err();
    assert_eq!(us.upstream.connections(), 3);
    let [one, other] = workers;
    one.shutdown_background();
    call_at(&other, &us);
    other.shutdown_background();
}

/// A worker has few threads for what may wait, and the database needs them.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn names_are_looked_up_by_the_process() {
    let mut us = Us::new().await;
    us.upstream.on(GET, &json!({}));
    let port = us.upstream.url().port().unwrap();
    us.live = live_at(&format!("http://localhost:{port}"), us.clock.now());
    let worker = worker();
    let (free, busy) = std::sync::mpsc::channel::<()>();
    worker.spawn_blocking(move || busy.recv());
    call_at(&worker, &us);
    drop(free);
    worker.shutdown_background();
}
