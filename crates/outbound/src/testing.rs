//! A scripted HTTP/1.1 server on loopback, and a client that trusts it.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_atproto::{AtprotoClient, AtprotoConfig, HttpConfig};
use causeway_domain::{Clock, SystemRng, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::{Url, form_urlencoded};

pub(crate) const ALICE: &str = "did:plc:z72i7hdynmk6r22z27h6tvur";
pub(crate) const BOB: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

/// A scripted response.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    delay: Duration,
    fault: Fault,
    /// Sent before the answer.
    interim: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// No content-length: the body ends with the connection.
    Unannounced,
    /// The connection closes before any answer.
    HangUp,
    /// Half of the body, then nothing more.
    Stall,
    /// Half of the body, then the connection closes.
    Break,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self {
            status,
            headers,
            body: body.into(),
            delay: Duration::ZERO,
            fault: Fault::None,
            interim: String::new(),
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn html(status: u16) -> Self {
        Self::new(status, "text/html", "<h1>hello</h1>")
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With an interim answer before it (RFC 9110 section 15.2).
    pub(crate) fn after(mut self, interim: u16) -> Self {
        let _ = write!(self.interim, "HTTP/1.1 {interim} Whatever\r\nlink: </x>\r\n\r\n");
        self
    }

    pub(crate) fn late(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn unannounced(mut self) -> Self {
        self.fault = Fault::Unannounced;
        self
    }

    pub(crate) fn stalled(mut self) -> Self {
        self.fault = Fault::Stall;
        self
    }

    pub(crate) fn broken(mut self) -> Self {
        self.fault = Fault::Break;
        self
    }

    pub(crate) fn hang_up() -> Self {
        Self { fault: Fault::HangUp, ..Self::html(200) }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    /// The path with its query.
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
    pub(crate) form: HashMap<String, String>,
    pub(crate) headers: HashMap<String, String>,
}

impl Seen {
    /// The claims of the DPoP proof.
    pub(crate) fn proof(&self) -> Value {
        claims(&self.headers["dpop"])
    }

    /// The claims of the client assertion.
    pub(crate) fn assertion(&self) -> Value {
        claims(&self.form["client_assertion"])
    }
}

fn claims(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    connections: usize,
}

/// The server.
pub(crate) struct Upstream {
    pub(crate) origin: String,
    script: Arc<Mutex<Script>>,
}

impl Upstream {
    /// A server that answers 404 to everything.
    pub(crate) async fn empty() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let own = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, own.clone()));
            }
        });
        Self { origin, script }
    }

    /// A directory, handle resolver, PDS and authorization server in one, with Alice's account.
    pub(crate) async fn good() -> Self {
        let upstream = Self::empty().await;
        let origin = upstream.origin.clone();
        upstream.on("/xrpc/com.atproto.identity.resolveHandle", &json!({ "did": ALICE }));
        upstream.on(&format!("/{ALICE}"), &did_document(ALICE, "alice.test", &origin));
        upstream.on(
            "/.well-known/oauth-protected-resource",
            &json!({ "resource": origin, "authorization_servers": [origin] }),
        );
        upstream.on("/.well-known/oauth-authorization-server", &server_document(&origin));
        upstream
    }

    /// Answers 200 with this JSON from now on.
    pub(crate) fn on(&self, path: &str, body: &Value) {
        self.script_path(path, [Reply::json(200, body)]);
    }

    /// Answers with these, one after the other; the last one stays.
    pub(crate) fn script_path(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().replies.insert(path.to_owned(), replies.into_iter().collect());
    }

    /// The requests to `path` so far.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.script.lock().unwrap().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// The connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.script.lock().unwrap().connections
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&self.origin).unwrap()
    }

    /// A client in development mode that looks everything up here.
    pub(crate) fn client(&self) -> AtprotoClient {
        self.client_at(&Arc::new(TestClock::default()))
    }

    pub(crate) fn client_at(&self, clock: &Arc<TestClock>) -> AtprotoClient {
        let http = HttpConfig {
            dev_mode: true,
            total_timeout: Duration::from_millis(1500),
            idle_timeout: Duration::from_millis(1500),
            ..HttpConfig::default()
        };
        let config = AtprotoConfig { http, plc_url: self.url(), handle_resolver: Some(self.url()) };
        AtprotoClient::new(config, clock.clone(), Arc::new(SystemRng)).unwrap()
    }
}

async fn serve(stream: TcpStream, script: Arc<Mutex<Script>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let target = line.split(' ').nth(1)?.to_owned();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let body = if headers.contains_key("transfer-encoding") {
            read_chunks(&mut stream).await?
        } else {
            let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            body
        };
        let form = form_urlencoded::parse(&body).into_owned().collect();
        let path = target.split('?').next()?.to_owned();
        let reply = {
            let mut script = script.lock().unwrap();
            script.seen.push(Seen { path: path.clone(), target, body, form, headers });
            match script.replies.get_mut(&path) {
                Some(replies) if replies.len() > 1 => replies.pop_front()?,
                Some(replies) => replies.front()?.clone(),
                None => Reply::json(404, &json!({ "error": "NotFound" })),
            }
        };
        tokio::time::sleep(reply.delay).await;
        if reply.fault == Fault::HangUp {
            return None;
        }
        let mut head = format!("{}HTTP/1.1 {} Whatever\r\n", reply.interim, reply.status);
        if reply.fault == Fault::Unannounced {
            head.push_str("connection: close\r\n");
        } else {
            let _ = write!(head, "content-length: {}\r\n", reply.body.len());
        }
        for (name, value) in &reply.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.ok()?;
        if matches!(reply.fault, Fault::Stall | Fault::Break) {
            stream.write_all(&reply.body[..reply.body.len() / 2]).await.ok()?;
            if reply.fault == Fault::Stall {
                tokio::time::sleep(Duration::from_mins(1)).await;
            }
            return None;
        }
        stream.write_all(&reply.body).await.ok()?;
        if reply.fault == Fault::Unannounced {
            return None;
        }
    }
}

/// A body in chunks (RFC 9112 section 7.1); `None` when it breaks off.
async fn read_chunks(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).await.ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

pub(crate) fn did_document(did: &str, handle: &str, pds: &str) -> Value {
    json!({
        "id": did,
        "alsoKnownAs": [format!("at://{handle}")],
        "service": [{ "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds }],
    })
}

pub(crate) fn server_document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "pushed_authorization_request_endpoint": format!("{issuer}/oauth/par"),
        "revocation_endpoint": format!("{issuer}/oauth/revoke"),
        "scopes_supported": ["atproto", "transition:generic"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "authorization_response_iss_parameter_supported": true,
        "require_pushed_authorization_requests": true,
        "client_id_metadata_document_supported": true,
    })
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000))
    }
}

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
