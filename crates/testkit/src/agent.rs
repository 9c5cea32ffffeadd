//! An HTTP client that stores cookies and follows no redirects, so that tests can check each one.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::stream;
use native_tls::TlsConnector;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Body, Certificate, Client, Method, RequestBuilder, redirect};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

/// A browser, or any other HTTP client, as far as tests need one.
#[derive(Debug)]
pub struct Agent {
    client: Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The target of a redirect.
    ///
    /// # Errors
    /// When it is not a redirect.
    pub fn location(&self) -> Result<String> {
        let location = self.headers.get(LOCATION).with_context(|| format!("no redirect: {self:?}"))?;
        Ok(location.to_str()?.to_owned())
    }

    /// A query parameter of the redirect's target.
    pub fn redirect_param(&self, name: &str) -> Option<String> {
        let url = Url::parse(&self.location().ok()?).ok()?;
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// A header as text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// `status error`, as in `400 invalid_grant`; most tests of refusals compare this.
    pub fn refusal(&self) -> String {
        format!("{} {}", self.status, self.json()["error"].as_str().unwrap_or("-"))
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Agent {
    /// A browser without cookies. `ca` is an additional root certificate to trust; with it the names of the
    /// test networks resolve to loopback.
    ///
    /// # Panics
    /// When `ca` is not a certificate.
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "the only place where the tests' HTTP client is built"
    )]
    pub fn new(ca: Option<&[u8]>) -> Self {
        // Loading the system's roots takes 20 ms of CPU: 50 agents at once would starve the servers under
        // test.
        static SYSTEM_ROOTS: LazyLock<TlsConnector> =
            LazyLock::new(|| TlsConnector::new().expect("a TLS library"));
        let mut builder = Client::builder().redirect(redirect::Policy::none()).no_proxy();
        if let Some(pem) = ca {
            builder = builder.tls_certs_merge([Certificate::from_pem(pem).expect("a certificate")]);
            let realnet =
                ["causeway", "directory", "pds1", "pds2"].map(|name| format!("{name}.realnet.internal"));
            for name in realnet.iter().map(String::as_str).chain(["causeway.apps.internal"]) {
                builder = builder.resolve(name, ([127, 0, 0, 1], 0).into());
            }
        } else {
            builder = builder.tls_backend_preconfigured(SYSTEM_ROOTS.clone());
        }
        Self { client: builder.build().expect("an HTTP client"), cookies: Mutex::default() }
    }

    /// A request with this agent's cookies.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let header =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = self.client.request(method, url);
        if header.is_empty() { request } else { request.header(COOKIE, header) }
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Sends a request and stores the cookies of the response.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        self.keep_cookies(&headers)?;
        Ok(Answer { status, headers, text: response.text().await? })
    }

    fn keep_cookies(&self, headers: &HeaderMap) -> Result<()> {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for header in headers.get_all(SET_COOKIE) {
            let pair = header.to_str()?.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    /// GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, url: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, url)).await
    }

    /// GET of an authorization request with a login hint. If a page shows the host to which the user will be
    /// redirected, this presses its button.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn set_out(&self, url: &str) -> Result<Answer> {
        let page = self.get(url).await?;
        if !page.text.contains("data-testid=\"server-host\"") {
            return Ok(page);
        }
        let value = |name: &str| {
            let field = page.text.split(&format!("name=\"{name}\"")).nth(1)?;
            field.split("value=\"").nth(1)?.split('"').next()
        };
        let form = [("request", value("request")), ("identifier", value("identifier"))];
        let form = form.map(|(name, value)| (name, value.unwrap_or_default()));
        let action = Url::parse(url)?.join("/oauth/sign-in")?;
        self.post(action.as_str(), &form).await
    }

    /// GET with an access token.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get_with(&self, url: &str, token: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, url).bearer_auth(token)).await
    }

    /// POST of a form.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<Answer> {
        self.send(self.request(Method::POST, url).form(form)).await
    }

    /// Begins an upload of `bytes` and closes the connection half-way; `announced`: with a `Content-Length`.
    ///
    /// # Errors
    /// When the server does not accept the first half.
    pub async fn begin_upload(&self, url: &str, token: &str, bytes: usize, announced: bool) -> Result<()> {
        let url = Url::parse(url)?;
        let address = format!("{}:{}", url.host_str().context("host")?, url.port().context("port")?);
        let mut stream = TcpStream::connect(address).await?;
        let length = if announced {
            format!("content-length: {bytes}")
        } else {
            "transfer-encoding: chunked".to_owned()
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: image/png\r\n{length}\r\n\r\n",
            url.path(),
            url.authority(),
        );
        stream.write_all(head.as_bytes()).await?;
        let half = "x".repeat(bytes / 2);
        let part = if announced { half } else { format!("{:x}\r\n{half}\r\n", half.len()) };
        stream.write_all(part.as_bytes()).await?;
        stream.shutdown().await?;
        // Read to the end, whatever the response is: this returns when the connection has ended.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        Ok(())
    }

    /// POST of an image of `bytes` bytes, generated while it is sent.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn upload(&self, url: &str, token: &str, bytes: usize) -> Result<Answer> {
        const PART: usize = 64 * 1024;
        let parts = (0..bytes.div_ceil(PART))
            .map(move |n| Ok::<_, std::io::Error>(vec![b'x'; PART.min(bytes - n * PART)]));
        let request = self.request(Method::POST, url).bearer_auth(token).header("content-type", "image/png");
        self.send(request.body(Body::wrap_stream(stream::iter(parts)))).await
    }

    /// GET of a large body, reading only after `pause`; returns its length in bytes.
    ///
    /// # Errors
    /// When it is not 200, or breaks off.
    pub async fn download(&self, url: &str, token: &str, pause: Duration) -> Result<usize> {
        let mut response =
            self.request(Method::GET, url).bearer_auth(token).send().await?.error_for_status()?;
        tokio::time::sleep(pause).await;
        let mut bytes = 0;
        while let Some(part) = response.chunk().await? {
            bytes += part.len();
        }
        Ok(bytes)
    }

    /// POST of a body of any kind.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_body(&self, url: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Result<Answer> {
        let request = self.request(Method::POST, url).header("content-type", content_type);
        self.send(request.body(body.into())).await
    }

    /// GET with an access token that is bound to a key, and a proof.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get_with_proof(&self, url: &str, token: &str, proof: &str) -> Result<Answer> {
        let request = self.request(Method::GET, url).header("authorization", format!("DPoP {token}"));
        self.send(request.header("dpop", proof)).await
    }

    /// POST of a form with a DPoP proof.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_with_proof(&self, url: &str, form: &[(&str, &str)], proof: &str) -> Result<Answer> {
        self.send(self.request(Method::POST, url).form(form).header("dpop", proof)).await
    }
}
