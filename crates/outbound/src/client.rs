//! The only outbound client: every request to an address that others may choose goes through it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use native_tls::{Certificate, Protocol, TlsConnector};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use tokio::runtime::Handle;
use tracing::Instrument as _;
use url::Url;

use crate::answer::final_answer;
use crate::budget::Budgets;
use crate::config::HttpConfig;
use crate::dns::Dns;
use crate::error::HttpError;
use crate::guard::{self, GuardedResolver};
use crate::runtime::{PerRuntime, ProcessRuntime};
use crate::sent::{Sent, Shows};
use crate::stats::{OutboundCounters, OutboundStats};

/// The hardened client: https only, no redirects, no proxies from the environment, addresses checked after
/// name lookup, bodies capped, everything timed.
#[derive(Clone)]
pub struct HttpClient {
    runtime: ProcessRuntime,
    clients: Arc<PerRuntime<Result<reqwest::Client, HttpError>>>,
    dns: Dns,
    dev_mode: bool,
    idle_timeout: Duration,
    budgets: Budgets,
    counters: Arc<OutboundCounters>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("dev_mode", &self.dev_mode).finish_non_exhaustive()
    }
}

/// One request.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: &'a Url,
    /// The `Accept` header.
    pub accept: &'static str,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
    /// How much of the address the log and traces may show.
    pub shows: Shows,
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

    /// How long a connection may be silent before it is probed: a stream of events may be for hours.
    const TCP_KEEP_ALIVE: Duration = Duration::from_mins(1);

    /// Builds the client. The runtime that this is called on carries the connections of all requests but
    /// streaming ones, whichever runtime they are made from.
    ///
    /// # Errors
    /// [`HttpError::Setup`] outside of a runtime, for a certificate or user agent that cannot be read, or without a TLS library.
    pub fn new(config: &HttpConfig) -> Result<Self, HttpError> {
        let runtime = ProcessRuntime::current().ok_or(HttpError::Setup("there is no async runtime"))?;
        let (dev_mode, idle_timeout) = (config.dev_mode, config.idle_timeout);
        let (tls, dns) = (tls(config)?, Dns::new(runtime.clone()));
        let names = Arc::new(GuardedResolver::new(config, dns.clone()));
        let (config, budgets) = (config.clone(), config.budgets.clone());
        let clients = PerRuntime::new(move || client(&config, tls.clone(), Arc::clone(&names)));
        clients.of(runtime.id())?;
        let (clients, counters) = (Arc::new(clients), Arc::default());
        Ok(Self { runtime, clients, dns, dev_mode, idle_timeout, budgets, counters })
    }

    /// Whether plain http and private addresses are allowed.
    pub const fn dev_mode(&self) -> bool {
        self.dev_mode
    }

    /// The memory budgets of the process, shared by all users of this client.
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// The name lookup of all requests.
    pub const fn dns(&self) -> &Dns {
        &self.dns
    }

    /// How long a request without a total timeout may make no progress.
    pub const fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Outcomes of requests so far.
    pub fn stats(&self) -> OutboundStats {
        self.counters.read()
    }

    /// Checks what the resolver does not see: schemes, credentials, and addresses written into the URL.
    ///
    /// # Errors
    /// [`HttpError::Blocked`], when no request would be sent there.
    pub fn check(&self, url: &Url) -> Result<(), HttpError> {
        guard::check(url, self.dev_mode).map_err(HttpError::Blocked)
    }

    /// Sends a request and returns the response before its body. Redirects are errors; any other status is
    /// not.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn send(&self, call: Call<'_>) -> Result<Response, HttpError> {
        match final_answer(self.send_once(call).await?)? {
            response if response.status().is_redirection() => Err(HttpError::Redirected),
            response => Ok(response),
        }
    }

    /// Sends a request and returns the response before its body, whatever its status.
    pub(crate) async fn send_once(&self, call: Call<'_>) -> Result<Response, HttpError> {
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
        let outcome = self.runtime.of(sending).await.map_err(|error| HttpError::of(&error));
        self.note_outcome(&sent, &outcome);
        outcome
    }

    /// The client whose connections live and end with the runtime that this is called on.
    pub(crate) fn here(&self) -> Result<reqwest::Client, HttpError> {
        self.clients.of(Handle::try_current().map_or(self.runtime.id(), |here| here.id()))
    }

    /// Counts the outcome of a request and reports it to the log and to traces: metadata only, no query.
    pub(crate) fn note_outcome(&self, sent: &Sent<'_>, outcome: &Result<Response, HttpError>) {
        let elapsed = sent.started.elapsed();
        let short = outcome.as_ref().map(|response| response.status().as_u16());
        self.counters.note(short, elapsed);
        sent.end(short, elapsed);
    }
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
        .tls_backend_preconfigured(tls)
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .https_only(!config.dev_mode)
        .connect_timeout(config.connect_timeout)
        .timeout(config.total_timeout)
        .pool_idle_timeout(Duration::from_secs(HttpClient::IDLE_SECONDS))
        .tcp_keepalive(HttpClient::TCP_KEEP_ALIVE)
        .dns_resolver(names)
        .build()
        .map_err(|_| HttpError::Setup("the HTTP library refused the configuration"))
}
