//! XRPC methods of the scripted upstream; token and proof are checked as by a PDS.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::body::BodyStream;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::{Bytes, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::{Clock as _, SystemClock};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{BEARER_API, Broken, Shared, State, TokenRefusal, fault, lock};

/// DPoP nonces that the methods accept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nonces {
    /// Any, and proofs without one.
    #[default]
    Any,
    /// The latest one; each response carries a new one.
    Newest,
    /// One, which each response carries until it changes.
    Current,
    /// None: each response asks for another one.
    Never,
}

/// Response of a method.
#[derive(Debug, Clone)]
pub struct XrpcReply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body, or its beginning.
    pub body: String,
    /// Bytes that follow.
    pub filler: usize,
    /// Whether the connection is closed after `body`.
    pub breaks: bool,
    /// How long the request's body is left unread.
    pub pause: Duration,
    /// Whether the response is sent without reading the request's body.
    pub early: bool,
}

impl Default for XrpcReply {
    fn default() -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: r#"{"ok":true}"#.to_owned(),
            filler: 0,
            breaks: false,
            pause: Duration::ZERO,
            early: false,
        }
    }
}

impl XrpcReply {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), ..Self::default() }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A call that passed the checks.
#[derive(Debug, Clone)]
pub struct XrpcSeen {
    /// The HTTP method.
    pub method: String,
    /// The NSID, or the name in the other API.
    pub nsid: String,
    /// The query, as it came.
    pub query: String,
    /// The headers; repeated ones are joined.
    pub headers: BTreeMap<String, String>,
    /// The beginning of the body; small bodies are complete.
    pub body: Vec<u8>,
    /// The length of the body, in bytes.
    pub body_length: usize,
    /// Its SHA-256, in base64url.
    pub body_hash: String,
}

/// How much of a call's body is stored, in bytes.
const BODY_KEPT: usize = 64 * 1024;
/// The chunk size of filler, in bytes.
const PART: usize = 64 * 1024;

pub(super) async fn call(
    req: HttpRequest,
    nsid: Path<String>,
    state: Shared,
    mut payload: Payload,
) -> HttpResponse {
    let is_bearer = req.path().starts_with(BEARER_API);
    let checked = if is_bearer { check_bearer } else { check }(&req, &mut lock(&state));
    if let Err(refusal) = checked {
        return refusal;
    }
    let reply = lock(&state).script.answer.clone().unwrap_or_default();
    tokio::time::sleep(reply.pause).await;
    if reply.early {
        return answer(reply);
    }
    let (mut body, mut body_length, mut hash) = (Vec::new(), 0, Sha256::new());
    while let Some(part) = payload.next().await {
        let Ok(part) = part else { return HttpResponse::BadRequest().finish() };
        body_length += part.len();
        hash.update(&part);
        body.extend(part.iter().take(BODY_KEPT.saturating_sub(body.len())));
    }
    lock(&state).calls.push(XrpcSeen {
        method: req.method().to_string(),
        nsid: nsid.into_inner(),
        query: req.query_string().to_owned(),
        headers: joined(req.headers()),
        body,
        body_length,
        body_hash: URL_SAFE_NO_PAD.encode(hash.finalize()),
    });
    if let Some(response) = fault(&state, "xrpc", |script| &script.xrpc).await {
        return response;
    }
    let mut response = answer(reply);
    if lock(&state).script.nonces == Nonces::Newest {
        let nonce = next_nonce(&mut lock(&state));
        insert(&mut response, "dpop-nonce", &nonce);
    }
    if lock(&state).script.nonces == Nonces::Current {
        let nonce = newest_nonce(&lock(&state));
        insert(&mut response, "dpop-nonce", &nonce);
    }
    response
}

fn answer(reply: XrpcReply) -> HttpResponse {
    let status = reply.status.try_into().unwrap_or_default();
    let mut builder = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        builder.append_header((*name, value.as_str()));
    }
    if !reply.breaks && reply.filler == 0 {
        return builder.body(reply.body);
    }
    let begin = stream::iter([Ok(Bytes::from(reply.body))]);
    if reply.breaks {
        // A pause, so that the beginning is sent.
        let end = stream::once(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Err(Broken)
        });
        return builder.body(BodyStream::new(Box::pin(begin.chain(end))));
    }
    let parts = (0..reply.filler.div_ceil(PART))
        .map(move |n| Ok::<_, Broken>(Bytes::from(vec![b'x'; PART.min(reply.filler - n * PART)])));
    builder.body(BodyStream::new(begin.chain(stream::iter(parts))))
}

/// Checks token, then proof, as a PDS does.
#[expect(clippy::result_large_err, reason = "the answer itself, once a request")]
fn check(req: &HttpRequest, state: &mut State) -> Result<(), HttpResponse> {
    let header =
        |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header("authorization").strip_prefix("DPoP ").unwrap_or_default();
    state.secrets.push(header("dpop").to_owned());
    let claims = header("dpop").split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Value = claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default();
    let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()));
    let htu = format!("{}{}", state.origin, req.path());
    let method = if *req.method() == Method::POST { "POST" } else { "GET" };
    let late = state.script.clock_offset.is_some_and(|offset| {
        let now = SystemClock.now().as_secs() + offset;
        claims["iat"].as_i64().is_none_or(|iat| (now - iat).abs() > 180)
    });
    if claims["ath"] != ath || claims["htu"] != htu || claims["htm"] != method || late {
        return Err(refuse("invalid_dpop_proof", None));
    }
    let newest = newest_nonce(state);
    let welcome = match state.script.nonces {
        Nonces::Any => true,
        Nonces::Newest | Nonces::Current => claims["nonce"] == newest.as_str(),
        Nonces::Never => false,
    };
    if !welcome {
        let given = if state.script.nonces == Nonces::Current { newest } else { next_nonce(state) };
        return Err(refuse("use_dpop_nonce", Some(&given)));
    }
    let is_good = state.script.takes_foreign_tokens || state.access.contains_key(token);
    if state.script.refuses_tokens || !is_good {
        return Err(refuse_token(state.script.token_refusal));
    }
    Ok(())
}

/// Checks a token that is bound to no key.
#[expect(clippy::result_large_err, reason = "the answer itself, once a request")]
fn check_bearer(req: &HttpRequest, state: &mut State) -> Result<(), HttpResponse> {
    let header = req.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if state.access.contains_key(token) && !state.script.refuses_tokens {
        return Ok(());
    }
    Err(HttpResponse::Unauthorized().json(json!({"error": "expired"})))
}

fn next_nonce(state: &mut State) -> String {
    state.nonces_given += 1;
    newest_nonce(state)
}

fn newest_nonce(state: &State) -> String {
    format!("nonce-{}", state.nonces_given)
}

fn refuse(error: &str, nonce: Option<&str>) -> HttpResponse {
    let mut response = HttpResponse::Unauthorized()
        .insert_header(("www-authenticate", format!(r#"DPoP algs="ES256", error="{error}""#)))
        .json(json!({"error": error, "message": "refused"}));
    if let Some(nonce) = nonce {
        insert(&mut response, "dpop-nonce", nonce);
    }
    response
}

pub(super) fn refuse_token(form: TokenRefusal) -> HttpResponse {
    let body = |error: &str| json!({"error": error, "message": "refused"});
    match form {
        TokenRefusal::Challenge => refuse("invalid_token", None),
        TokenRefusal::Unquoted => HttpResponse::Unauthorized()
            .insert_header(("www-authenticate", "DPoP error=invalid_token"))
            .json(body("InvalidToken")),
        TokenRefusal::Xrpc(error) => HttpResponse::BadRequest().json(body(error)),
    }
}

fn insert(response: &mut HttpResponse, name: &'static str, value: &str) {
    if let Ok(value) = value.parse() {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let entry = joined.entry(name.as_str().to_owned());
        entry.and_modify(|known| *known = format!("{known} | {value}")).or_insert(value);
    }
    joined
}
