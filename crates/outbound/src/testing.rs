//! A scripted HTTP/1.1 server on loopback, for tests: every fault that a server can have.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test stops where its script does not hold"
)]

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::{Url, form_urlencoded};

/// A scripted response.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    delay: Duration,
    fault: Fault,
    /// Sent before the answer.
    interim: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// A response with this status, media type and body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
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

    /// A JSON response.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    /// A page.
    pub fn html(status: u16) -> Self {
        Self::new(status, "text/html", "<h1>hello</h1>")
    }

    /// With a further header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With an interim answer before it (RFC 9110 section 15.2).
    #[must_use]
    pub fn after(mut self, interim: u16) -> Self {
        let _ = write!(self.interim, "HTTP/1.1 {interim} Whatever\r\nlink: </x>\r\n\r\n");
        self
    }

    /// With a delay before it.
    #[must_use]
    pub fn late(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Without a length: the body ends with the connection.
    #[must_use]
    pub fn unannounced(mut self) -> Self {
        self.fault = Fault::Unannounced;
        self
    }

    /// Half of the body, then nothing more.
    #[must_use]
    pub fn stalled(mut self) -> Self {
        self.fault = Fault::Stall;
        self
    }

    /// Half of the body, then the connection closes.
    #[must_use]
    pub fn broken(mut self) -> Self {
        self.fault = Fault::Break;
        self
    }

    /// The connection closes before any answer.
    pub fn hang_up() -> Self {
        Self { fault: Fault::HangUp, ..Self::html(200) }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its path.
    pub path: String,
    /// The path with its query.
    pub target: String,
    /// Its body.
    pub body: Vec<u8>,
    /// Its body as a form.
    pub form: HashMap<String, String>,
    /// Its headers; the names are in lower case.
    pub headers: HashMap<String, String>,
}

#[derive(Debug, Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    connections: usize,
}

/// The server.
#[derive(Debug)]
pub struct Upstream {
    /// Its address.
    pub origin: String,
    script: Arc<Mutex<Script>>,
}

impl Upstream {
    /// A server that answers 404 to everything.
    pub async fn empty() -> Self {
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

    /// Answers 200 with this JSON from now on.
    pub fn on(&self, path: &str, body: &Value) {
        self.script_path(path, [Reply::json(200, body)]);
    }

    /// Answers with these, one after the other; the last one stays.
    pub fn script_path(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().replies.insert(path.to_owned(), replies.into_iter().collect());
    }

    /// The requests to `path` so far.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.script.lock().unwrap().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// The connections so far.
    pub fn connections(&self) -> usize {
        self.script.lock().unwrap().connections
    }

    /// Its address as a URL.
    pub fn url(&self) -> Url {
        Url::parse(&self.origin).unwrap()
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
