//! Requests that the connections send.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use causeway_domain::{Clock as _, SystemClock};
use causeway_jose::{DpopClaims, EcKey, dpop_proof};
use causeway_types::{CodeVerifier, SystemRng};

use crate::http::Connection;
use crate::load::Traffic;
use crate::prepare::{PreparedCodes, REDIRECT_URI, SCOPE};

/// Sends the same request repeatedly.
pub(crate) struct Repeated(Vec<u8>);

impl Repeated {
    /// `GET path`.
    pub(crate) fn get(host: &str, path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes())
    }

    /// `GET path` with the access token of a code.
    ///
    /// # Errors
    /// When the server does not take the code.
    pub(crate) async fn with_token(host: &str, path: &str, codes: &Codes) -> Result<Self> {
        let answer = redeem(host, codes).await?;
        let token = member(&answer, "access_token")?;
        Ok(Self(
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n")
                .into_bytes(),
        ))
    }

    /// `POST /api/session/refresh` with the access token of a code: refreshes its session at the PDS.
    ///
    /// # Errors
    /// When the server does not take the code.
    pub(crate) async fn upstream_refresh(host: &str, codes: &Codes) -> Result<Self> {
        let answer = redeem(host, codes).await?;
        let token = member(&answer, "access_token")?;
        Ok(Self(
            format!(
                "POST /api/session/refresh HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: 0\r\n\r\n"
            )
            .into_bytes(),
        ))
    }

    /// `POST /oauth/introspect` about the access token of a code.
    ///
    /// # Errors
    /// When the server does not take the code.
    pub(crate) async fn introspection(host: &str, codes: &Codes) -> Result<Self> {
        let answer = redeem(host, codes).await?;
        let body = format!("token={}", member(&answer, "access_token")?);
        let mut request = Vec::new();
        let post = Post { host, authorization: codes.authorization(), path: "/oauth/introspect" };
        post.write(&mut request, body.as_bytes());
        Ok(Self(request))
    }

    /// `POST /oauth/par` of a stock client.
    pub(crate) fn par(host: &str, authorization: &str) -> Self {
        let challenge = CodeVerifier::random(&SystemRng).challenge();
        let body = format!(
            "response_type=code&redirect_uri={}&scope={}&state=af0ifjsldkj&login_hint=alice.example.com\
             &code_challenge={}&code_challenge_method=S256",
            REDIRECT_URI.replace(':', "%3A").replace('/', "%2F"),
            SCOPE.replace(':', "%3A").replace(' ', "+"),
            challenge.as_str(),
        );
        let mut request = Vec::new();
        Post { host, authorization, path: "/oauth/par" }.write(&mut request, body.as_bytes());
        Self(request)
    }
}

impl Traffic for Repeated {
    fn write_next(&mut self, request: &mut Vec<u8>) -> bool {
        request.extend_from_slice(&self.0);
        true
    }
}

/// Pool of codes that several connections share.
#[derive(Debug)]
pub(crate) struct Codes {
    authorization: String,
    verifier: CodeVerifier,
    codes: Vec<String>,
    next: AtomicUsize,
    end: AtomicUsize,
}

impl Codes {
    /// The pool of prepared codes. None is allotted yet.
    pub(crate) fn new(prepared: PreparedCodes) -> Self {
        let PreparedCodes { authorization, verifier, codes } = prepared;
        Self { authorization, verifier, codes, next: AtomicUsize::new(0), end: AtomicUsize::new(0) }
    }

    /// Allots codes to the next row of the report: one part in `parts` of the rest, after `kept` codes are
    /// set aside.
    pub(crate) fn allot(&self, parts: usize, kept: usize) {
        let end = self.end.load(Ordering::Relaxed);
        let used = self.next.load(Ordering::Relaxed).min(end);
        let left = self.codes.len().saturating_sub(used + kept);
        self.next.store(used, Ordering::Relaxed);
        self.end.store(used + left / parts.max(1), Ordering::Relaxed);
    }

    /// Allots this many codes to the next row of the report.
    pub(crate) fn allot_next(&self, count: usize) {
        let used = self.next.load(Ordering::Relaxed).min(self.end.load(Ordering::Relaxed));
        self.next.store(used, Ordering::Relaxed);
        self.end.store((used + count).min(self.codes.len()), Ordering::Relaxed);
    }

    /// The client's `Authorization` header.
    pub(crate) fn authorization(&self) -> &str {
        &self.authorization
    }

    /// Form that redeems an unused code; `None` when the row has used up its codes.
    fn take_body(&self) -> Option<String> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let code = self.codes.get(..self.end.load(Ordering::Relaxed))?.get(next)?;
        let verifier = self.verifier.expose();
        Some(format!("grant_type=authorization_code&code={code}&code_verifier={verifier}"))
    }
}

/// Redeems an unused code with each request.
pub(crate) struct Exchange {
    /// Where the codes come from.
    pub(crate) codes: Arc<Codes>,
    /// The `Host` header.
    pub(crate) host: String,
    /// The DPoP key (RFC 9449), if requests carry proofs.
    pub(crate) key: Option<EcKey>,
}

impl Traffic for Exchange {
    fn write_next(&mut self, request: &mut Vec<u8>) -> bool {
        let Some(body) = self.codes.take_body() else { return false };
        let post = token_request(&self.host, self.codes.authorization());
        if let Some(key) = &self.key {
            // Without a proof the request fails, and the run with it.
            let proof = new_proof(key, &self.host).unwrap_or_default();
            post.write_with(request, &format!("DPoP: {proof}\r\n"), body.as_bytes());
        } else {
            post.write(request, body.as_bytes());
        }
        true
    }
}

/// A proof for a token request.
fn new_proof(key: &EcKey, host: &str) -> Result<String> {
    let jti = CodeVerifier::random(&SystemRng);
    let htu = format!("http://{host}/oauth/token");
    let claims = DpopClaims {
        htm: "POST",
        htu: &htu,
        jti: jti.expose(),
        iat: SystemClock.now(),
        nonce: None,
        access_token: None,
    };
    Ok(dpop_proof(key, &claims)?)
}

/// Rotates one refresh token.
pub(crate) struct Rotation {
    authorization: String,
    host: String,
    refresh_token: String,
}

impl Rotation {
    /// Gets the first refresh token for a code.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) async fn begin(host: &str, codes: &Codes) -> Result<Self> {
        let answer = redeem(host, codes).await?;
        let refresh_token = member(&answer, "refresh_token")?.to_owned();
        Ok(Self { authorization: codes.authorization().to_owned(), host: host.to_owned(), refresh_token })
    }
}

impl Traffic for Rotation {
    fn write_next(&mut self, request: &mut Vec<u8>) -> bool {
        let body = format!("grant_type=refresh_token&refresh_token={}", self.refresh_token);
        token_request(&self.host, &self.authorization).write(request, body.as_bytes());
        true
    }

    fn answered(&mut self, body: &[u8]) -> Result<()> {
        self.refresh_token.clear();
        self.refresh_token.push_str(member(body, "refresh_token")?);
        Ok(())
    }
}

/// Redeems a code; returns the token response.
async fn redeem(host: &str, codes: &Codes) -> Result<Vec<u8>> {
    let body = codes.take_body().context("no code is left to begin with")?;
    let mut request = Vec::new();
    token_request(host, codes.authorization()).write(&mut request, body.as_bytes());
    let mut connection = Connection::open(host).await?;
    let response = connection.exchange(&request).await?;
    if !response.is_good() {
        bail!("POST /oauth/token: {}", response.describe());
    }
    Ok(response.body.to_vec())
}

/// The value of a member, without a full JSON parser: tokens contain no escapes.
fn member<'a>(body: &'a [u8], name: &str) -> Result<&'a str> {
    std::str::from_utf8(body)?
        .split_once(&format!(r#""{name}":""#))
        .and_then(|(_, rest)| rest.split('"').next())
        .with_context(|| format!("no {name} in the token answer"))
}

const fn token_request<'a>(host: &'a str, authorization: &'a str) -> Post<'a> {
    Post { host, authorization, path: "/oauth/token" }
}

/// A form POST by an authenticated client.
struct Post<'a> {
    host: &'a str,
    authorization: &'a str,
    path: &'static str,
}

impl Post<'_> {
    fn write(&self, request: &mut Vec<u8>, body: &[u8]) {
        self.write_with(request, "", body);
    }

    /// Writes the request with additional header lines, each with its line ending.
    fn write_with(&self, request: &mut Vec<u8>, headers: &str, body: &[u8]) {
        let Self { host, authorization, path } = self;
        // Writing to memory does not fail.
        let _ = write!(
            request,
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        request.extend_from_slice(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_are_found() {
        let body = br#"{"access_token":"a","refresh_token":"cw_rt_x","scope":"atproto"}"#;
        assert_eq!(member(body, "refresh_token").unwrap(), "cw_rt_x");
        assert_eq!(member(body, "access_token").unwrap(), "a");
        assert!(member(br#"{"access_token":"a"}"#, "refresh_token").is_err());
    }

    #[test]
    fn a_row_leaves_codes_to_the_next() {
        let codes = (0..11).map(|number| number.to_string()).collect();
        let verifier = CodeVerifier::random(&SystemRng);
        let codes = Codes::new(PreparedCodes { authorization: String::new(), verifier, codes });
        let take_all = || std::iter::from_fn(|| codes.take_body()).count();
        assert_eq!(take_all(), 0);
        let (mut taken, rows) = (Vec::new(), [(2, 3), (1, 3), (1, 0)]);
        for (parts, kept) in rows {
            codes.allot(parts, kept);
            taken.push(take_all());
        }
        assert_eq!(taken, [4, 4, 3]);
        codes.allot_next(1);
        assert_eq!(take_all(), 0);
    }

    #[test]
    fn a_pushed_request_is_a_form() {
        let Repeated(request) = Repeated::par("127.0.0.1:1", "Basic eDp5");
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        assert!(body.contains("&scope=atproto+transition%3Ageneric&"), "{body}");
    }
}
