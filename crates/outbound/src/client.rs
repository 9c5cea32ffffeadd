//! The only outbound client: every request to an address that others may choose goes through it.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use causeway_domain::Timestamp;
use native_tls::{Certificate, Protocol, TlsConnector};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use url::{Host, Url};

use crate::address::is_public;
use crate::budget::Budgets;
use crate::runtime::{PerRuntime, ProcessRuntime};
use crate::sent::{Sent, Shows};
use crate::stats::{UpstreamCounters, UpstreamStats};
use crate::times;

/// Configuration of the client.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Allows plain http and addresses that are not on the public internet: for development only.
    pub dev_mode: bool,
    /// Certificates to trust besides the system's: PEM, one or several.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Host names with a fixed address, which may be private: the operator vouches for them.
    pub resolve: Vec<(String, IpAddr)>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How long name lookup, TCP and TLS may take together.
    pub connect_timeout: Duration,
    /// How long a request may take, from the lookup to the last byte of the answer.
    pub total_timeout: Duration,
    /// How long a request without a total timeout may make no progress.
    pub idle_timeout: Duration,
    /// The memory budgets of the process.
    pub budgets: Budgets,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            dev_mode: false,
            extra_ca_pem: None,
            resolve: Vec::new(),
            user_agent: concat!("Causeway/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            budgets: Budgets::default(),
        }
    }
}

/// Why a request brought no usable response. The texts hold no bodies, queries or credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The client itself could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(&'static str),
    /// The address is not one that we connect to. Nothing was sent.
    #[error("refused to connect: {0}")]
    Blocked(&'static str),
    /// No connection (name lookup, TCP, TLS). Nothing was sent.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// No answer in time. The request may have been carried out.
    #[error("no response in time")]
    Timeout,
    /// The connection broke before the answer was complete. The request may have been carried out.
    #[error("the connection broke before the response was complete")]
    Interrupted,
    /// The answer is a redirect (3xx) that is not followed.
    #[error("responded with a redirect, which is not followed")]
    Redirected,
    /// The answer is longer than we read.
    #[error("the response is too large")]
    TooLarge,
    /// The memory budget is used up: there is no room for the response at the moment.
    #[error("there is not enough memory for the response at the moment")]
    NoRoom {
        /// Whether the request was sent.
        sent: bool,
    },
    /// The answer is not JSON of the form that was expected.
    #[error("the response is not the expected JSON")]
    NotJson,
    /// The answer's status is not the one that was expected.
    #[error("responded with status {status}")]
    Status {
        /// The status code.
        status: u16,
        /// Seconds to wait before another try, when the server said so (`Retry-After`).
        retry_after: Option<u64>,
    },
}

impl HttpError {
    /// Whether the server may have carried out the request although no response confirms it.
    ///
    /// A single-use credential that such a request carried may be spent.
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Blocked(_) | Self::Unreachable(_) => false,
            Self::NoRoom { sent } => *sent,
            Self::Timeout
            | Self::Interrupted
            | Self::Redirected
            | Self::TooLarge
            | Self::NotJson
            | Self::Status { .. } => true,
        }
    }

    /// Seconds to wait before another try, when the server said so.
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The hardened client: https only, no redirects, no proxies from the environment, addresses checked after
/// name lookup, bodies capped, everything timed.
#[derive(Clone)]
pub struct HttpClient {
    runtime: ProcessRuntime,
    clients: Arc<PerRuntime<Result<reqwest::Client, HttpError>>>,
    dev_mode: bool,
    idle_timeout: Duration,
    budgets: Budgets,
    counters: Arc<UpstreamCounters>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("dev_mode", &self.dev_mode).finish_non_exhaustive()
    }
}

/// A JSON document and how long its server allows it to be cached.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The content.
    pub json: serde_json::Value,
    /// Its media type, without parameters, in lower case.
    pub media_type: String,
    /// Seconds for which it may be cached; `None`: the server did not say.
    pub max_age: Option<u64>,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) accept: &'static str,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) shows: Shows,
}

impl<'a> Call<'a> {
    pub(crate) fn get(url: &'a Url, accept: &'static str) -> Self {
        Self {
            method: Method::GET,
            url,
            accept,
            headers: HeaderMap::new(),
            body: None,
            shows: Shows::Address,
        }
    }
}

impl HttpClient {
    /// Maximum size of a token response, in bytes.
    pub const TOKEN_CAP: usize = 256 * 1024;
    /// Maximum size of a metadata or DID document, in bytes.
    pub const DOCUMENT_CAP: usize = 64 * 1024;
    /// Seconds for which an idle connection is reused. Short, because a request on a connection that the
    /// server closes at that moment is lost without a trace, and a refresh token with it; Node.js servers
    /// close after 5.
    const IDLE_SECONDS: u64 = 3;

    /// Builds the client. The runtime that this is called on carries the connections of all requests but open
    /// ones, whichever runtime they are made from.
    ///
    /// # Errors
    /// [`HttpError::Setup`] outside of a runtime, for a certificate or user agent that cannot be read, or without a TLS library.
    pub fn new(config: &HttpConfig) -> Result<Self, HttpError> {
        let runtime = ProcessRuntime::current().ok_or(HttpError::Setup("there is no async runtime"))?;
        let (dev_mode, idle_timeout) = (config.dev_mode, config.idle_timeout);
        let (tls, names) = (tls(config)?, Arc::new(GuardedResolver::new(config, runtime.clone())));
        let (config, budgets) = (config.clone(), config.budgets.clone());
        let clients = PerRuntime::new(move || client(&config, tls.clone(), Arc::clone(&names)));
        clients.of(runtime.id())?;
        let (clients, counters) = (Arc::new(clients), Arc::default());
        Ok(Self { runtime, clients, dev_mode, idle_timeout, budgets, counters })
    }

    /// Whether plain http and private addresses are allowed.
    pub const fn dev_mode(&self) -> bool {
        self.dev_mode
    }

    /// The memory budgets of the process, shared by all users of this client.
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Where the connections of the process live.
    pub(crate) const fn runtime(&self) -> &ProcessRuntime {
        &self.runtime
    }

    /// The client whose connections live and end with the runtime that this is called on.
    pub(crate) fn here(&self) -> Result<reqwest::Client, HttpError> {
        self.clients.of(Handle::try_current().map_or(self.runtime.id(), |here| here.id()))
    }

    /// How long a request without a total timeout may make no progress.
    pub(crate) const fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Fetches a JSON document of at most `cap` bytes; anything but status 200 is an error.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url, cap: usize) -> Result<T, HttpError> {
        self.get_json_unseen(url, cap, Shows::Address).await
    }

    /// Same as [`HttpClient::get_json`]; `shows` limits what the log and traces show of the address.
    pub(crate) async fn get_json_unseen<T: DeserializeOwned>(
        &self,
        url: &Url,
        cap: usize,
        shows: Shows,
    ) -> Result<T, HttpError> {
        let response = self.send(Call { shows, ..Call::get(url, "application/json") }).await?;
        expect_ok(&response)?;
        if !is_json(response.headers()) {
            return Err(HttpError::NotJson);
        }
        let body = self.read(response, cap).await?;
        serde_json::from_slice(&body).map_err(|_| HttpError::NotJson)
    }

    /// Reads a server's clock from the `Date` header of its response (RFC 9110 section 6.6.1), whatever the
    /// status.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`; [`HttpError::NotJson`] when it does not say.
    pub async fn time_at(&self, url: &Url) -> Result<Timestamp, HttpError> {
        let response = self.send(Call::get(url, "*/*")).await?;
        let since = times::date(response.headers())
            .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
            .ok_or(HttpError::NotJson)?;
        Ok(Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Fetches a JSON document of at most `cap` bytes, with how long it may be cached; anything but status
    /// 200 is an error.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn get_document(&self, url: &Url, cap: usize) -> Result<Document, HttpError> {
        let response = self.send(Call::get(url, "application/json")).await?;
        expect_ok(&response)?;
        if !is_json(response.headers()) {
            return Err(HttpError::NotJson);
        }
        let (media_type, max_age) = (media_type(response.headers()), times::max_age(response.headers()));
        let body = self.read(response, cap).await?;
        let json = serde_json::from_slice(&body).map_err(|_| HttpError::NotJson)?;
        Ok(Document { json, media_type, max_age })
    }

    /// Posts a form; any status that is not a success is an error. The response body is not read.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn post_form(&self, url: &Url, form: String) -> Result<(), HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = Some(Bytes::from(form));
        let call = Call { method: Method::POST, url, accept: "*/*", headers, body, shows: Shows::Host };
        let response = self.send(call).await?;
        if response.status().is_success() { Ok(()) } else { Err(status_error(&response)) }
    }

    /// Fetches a text of at most `cap` bytes; any status that is not a success is an error. Up to `redirects` redirects
    /// are followed, each to an address that this client may connect to ([`HttpClient::check`], and the addresses of
    /// its host).
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`; [`HttpError::Redirected`] for one redirect too many, or one that leads nowhere.
    pub async fn get_text(&self, url: &Url, cap: usize, redirects: u8) -> Result<String, HttpError> {
        let mut url = url.clone();
        for _ in 0..=redirects {
            let response = self
                .send_once(Call { shows: Shows::Nobody, ..Call::get(&url, "text/plain, */*;q=0.5") })
                .await?;
            if let Some(next) = redirect(&url, &response)? {
                url = next;
                continue;
            }
            if !response.status().is_success() {
                return Err(status_error(&response));
            }
            let body = self.read(response, cap).await?;
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        Err(HttpError::Redirected)
    }

    /// Posts JSON to a server that answers with a status; the response body is not read.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn post_json(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<u16, HttpError> {
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value =
                HeaderValue::from_str(value).map_err(|_| HttpError::Blocked("a header is malformed"))?;
            all.insert(*name, value);
        }
        let call = Call {
            method: Method::POST,
            url,
            accept: "*/*",
            headers: all,
            body: Some(Bytes::from(body)),
            shows: Shows::Host,
        };
        Ok(self.send(call).await?.status().as_u16())
    }

    /// Sends a request and returns the response before its body. Redirects are errors; any other status is
    /// not.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Response, HttpError> {
        match final_answer(self.send_once(call).await?)? {
            response if response.status().is_redirection() => Err(HttpError::Redirected),
            response => Ok(response),
        }
    }

    /// Sends a request and returns the response before its body.
    async fn send_once(&self, call: Call<'_>) -> Result<Response, HttpError> {
        self.check(call.url)?;
        let sent = Sent::begin(call.method.clone(), call.url, call.shows);
        let mut request = self
            .clients
            .of(self.runtime.id())?
            .request(call.method, call.url.clone())
            .header(ACCEPT, call.accept)
            .headers(call.headers);
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let sending = pin!(request.send().instrument(sent.span.clone()));
        let outcome = self.runtime.of(sending).await.map_err(|error| explain(&error));
        self.note_outcome(&sent, &outcome);
        outcome
    }

    /// Counts the outcome of a request and reports it to the log and to traces: metadata only, no query.
    pub(crate) fn note_outcome(&self, sent: &Sent<'_>, outcome: &Result<Response, HttpError>) {
        let elapsed = sent.started.elapsed();
        let short = outcome.as_ref().map(|response| response.status().as_u16());
        self.counters.note(short, elapsed);
        sent.end(short, elapsed);
    }

    /// Outcomes of requests so far.
    pub fn stats(&self) -> UpstreamStats {
        self.counters.read()
    }

    /// Checks what the resolver does not see: schemes, credentials, and addresses written into the URL.
    ///
    /// # Errors
    /// [`HttpError::Blocked`], when no request would be sent there.
    pub fn check(&self, url: &Url) -> Result<(), HttpError> {
        match url.scheme() {
            "https" => {}
            "http" if self.dev_mode => {}
            _ => return Err(HttpError::Blocked("only https is allowed")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::Blocked("the address holds credentials"));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(HttpError::Blocked("the address names no host")),
        };
        if self.dev_mode || is_public(address) { Ok(()) } else { Err(HttpError::Blocked(PRIVATE)) }
    }
}

/// The target of a redirect (RFC 9110 section 15.4); `None` when the response is no redirect.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, HttpError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    location.and_then(|location| from.join(location).ok()).map(Some).ok_or(HttpError::Redirected)
}

/// Accepts a response that ends a request and is meant for its caller. All others are meant for the
/// connection: to switch protocols (1xx), to go elsewhere (3xx except 304), to authenticate at a proxy (407),
/// to send the request on another connection or again (408, 421, 425), or undefined in HTTP (600 and above).
/// Their connection is dropped with them.
pub(crate) fn final_answer(response: Response) -> Result<Response, HttpError> {
    match response.status().as_u16() {
        200..300 | 304 => Ok(response),
        300..400 => Err(HttpError::Redirected),
        407 | 408 | 421 | 425 => Err(status_error(&response)),
        400..600 => Ok(response),
        _ => Err(status_error(&response)),
    }
}

/// The media type that the headers announce, without parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the headers announce `application/json` or a type built on it (`+json`).
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let essence = media_type(headers);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The error for a response with an unexpected status.
pub(crate) fn status_error(response: &Response) -> HttpError {
    let retry_after = times::retry_after(response.headers());
    HttpError::Status { status: response.status().as_u16(), retry_after }
}

fn expect_ok(response: &Response) -> Result<(), HttpError> {
    if response.status().as_u16() == 200 { Ok(()) } else { Err(status_error(response)) }
}

/// The TLS setup of all connections. Reading the system's certificates takes 20 ms, so it is done once.
fn tls(config: &HttpConfig) -> Result<TlsConnector, HttpError> {
    const UNREADABLE: HttpError = HttpError::Setup("the extra certificates are not PEM");
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    if let Some(pem) = &config.extra_ca_pem {
        let certificates = Certificate::stack_from_pem(pem).map_err(|_| UNREADABLE)?;
        if certificates.is_empty() {
            return Err(UNREADABLE);
        }
        for certificate in certificates {
            builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|_| HttpError::Setup("the TLS library refused the configuration"))
}

/// One client, with connections of its own.
#[expect(clippy::disallowed_methods, reason = "the only place where the outbound client is built")]
fn client(
    config: &HttpConfig,
    tls: TlsConnector,
    names: Arc<GuardedResolver>,
) -> Result<reqwest::Client, HttpError> {
    let user_agent = HeaderValue::from_str(&config.user_agent)
        .map_err(|_| HttpError::Setup("the user agent holds characters that are not allowed in headers"))?;
    reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .https_only(!config.dev_mode)
        .connect_timeout(config.connect_timeout)
        .timeout(config.total_timeout)
        .pool_idle_timeout(Duration::from_secs(HttpClient::IDLE_SECONDS))
        .dns_resolver(names)
        .build()
        .map_err(|_| HttpError::Setup("the HTTP library refused the configuration"))
}

const PRIVATE: &str = "the address is not on the public internet";

/// All addresses of a name are closed to us.
#[derive(Debug, thiserror::Error)]
#[error("{PRIVATE}")]
struct BlockedAddress;

/// Maximum number of concurrent name lookups: half of the blocking threads of a runtime. An abandoned lookup
/// still occupies its thread, and the database needs threads, too.
const LOOKUPS: usize = 256;

/// Looks up names and drops the addresses that are not on the public internet. The connection uses the
/// addresses that pass here, so a second lookup cannot bring another one (DNS rebinding).
struct GuardedResolver {
    dev_mode: bool,
    fixed: HashMap<String, IpAddr>,
    runtime: ProcessRuntime,
    lookups: Arc<Semaphore>,
}

impl GuardedResolver {
    fn new(config: &HttpConfig, runtime: ProcessRuntime) -> Self {
        let fixed =
            config.resolve.iter().map(|(name, address)| (name.to_ascii_lowercase(), *address)).collect();
        Self { dev_mode: config.dev_mode, fixed, runtime, lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        if let Some(address) = self.fixed.get(&name.as_str().to_ascii_lowercase()) {
            let addresses: Addrs = Box::new(std::iter::once(SocketAddr::new(*address, 0)));
            return Box::pin(std::future::ready(Ok(addresses)));
        }
        let (dev_mode, runtime, lookups) = (self.dev_mode, self.runtime.clone(), Arc::clone(&self.lookups));
        Box::pin(async move {
            let permit = lookups.acquire_owned().await?;
            let lookup = runtime.spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(permit);
                found
            });
            let found = lookup.await??;
            let open: Vec<SocketAddr> = found.filter(|address| dev_mode || is_public(address.ip())).collect();
            if open.is_empty() {
                return Err(BlockedAddress.into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}

/// Classifies reqwest's errors by what they mean for the request. Their own text is dropped: it holds the
/// URL.
pub(crate) fn explain(error: &reqwest::Error) -> HttpError {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        if source.is::<BlockedAddress>() {
            return HttpError::Blocked(PRIVATE);
        }
        innermost = source;
    }
    if error.is_connect() {
        let reason = if error.is_timeout() { "timed out".to_owned() } else { innermost.to_string() };
        HttpError::Unreachable(reason.chars().filter(|c| !c.is_control()).take(200).collect())
    } else if error.is_timeout() {
        HttpError::Timeout
    } else if error.is_builder() {
        HttpError::Blocked("the address cannot be requested")
    } else {
        HttpError::Interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lookup waits while the maximum number of lookups is running.
    #[tokio::test]
    async fn lookups_leave_threads_to_others() {
        let config = HttpConfig { dev_mode: true, ..HttpConfig::default() };
        let names = GuardedResolver::new(&config, ProcessRuntime::current().unwrap());
        let others = Arc::clone(&names.lookups).acquire_many_owned(256).await.unwrap();
        let mut lookup = names.resolve("localhost".parse().unwrap());
        tokio::time::timeout(Duration::from_millis(200), &mut lookup).await.map(drop).unwrap_err();
        drop(others);
        assert!(lookup.await.unwrap().next().is_some());
    }
}
