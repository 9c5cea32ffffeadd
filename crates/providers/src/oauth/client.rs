//! The client that sends requests to providers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::Clock;
use causeway_outbound::budget::{Budget, Held};
use causeway_outbound::{Call, HttpClient, HttpError, Method as HttpMethod, Shows, read_into, retry_after};
use causeway_types::{Rng, Timestamp};
use tokio::time::timeout;

use crate::request::ProviderRequest;
use crate::values::http::Method;

/// The OAuth 2.0 client of providers with definitions. It stores nothing and tries nothing again. Clones share
/// connections.
///
/// # Cancellation
/// A request that carries a code or a token must not be dropped half-way: run it detached from the request that needs it.
#[derive(Clone)]
pub struct ProviderClient {
    pub(crate) http: HttpClient,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<dyn Rng>,
    pub(crate) deadline: Duration,
}

impl fmt::Debug for ProviderClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderClient").field("http", &self.http).finish_non_exhaustive()
    }
}

/// An answer that was read to its end.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<u64>,
    pub(super) body: Held,
    pub(super) at: Timestamp,
}

/// Budget bytes charged for each byte of an answer of an API: one for itself, the rest for its parsed JSON.
const TIMES: usize = 8;

impl ProviderClient {
    /// The most bytes of an answer of a provider's API that are read.
    const API_CAP: usize = 1024 * 1024;

    /// Builds the client, whose requests go through `http`; sends nothing. Each request, with its answer, has to end
    /// within `deadline`.
    pub fn new(http: HttpClient, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, deadline: Duration) -> Self {
        Self { http, clock, rng, deadline }
    }

    /// Sends a request whose answer may have tokens. Room for the answer is reserved before anything is sent.
    pub(super) async fn send_for_tokens(&self, request: ProviderRequest) -> Result<Reply, HttpError> {
        let room = self.http.room_for_tokens()?;
        self.send(request, Shows::Address, room, HttpClient::TOKEN_CAP).await
    }

    /// Sends a request to a provider's API. Its path may contain the credential, and is not shown then.
    pub(super) async fn send_to_api(
        &self,
        request: ProviderRequest,
        shows: Shows,
    ) -> Result<Reply, HttpError> {
        // Nobody in particular asks: all of these calls have one share together.
        self.send_and_parse(request, shows, &self.http.budgets().answers.of(None), Self::API_CAP).await
    }

    /// Fetches a public document of an authorization server.
    pub(super) async fn send_for_document(&self, request: ProviderRequest) -> Result<Reply, HttpError> {
        let budget = &self.http.budgets().documents;
        self.send_and_parse(request, Shows::Address, budget, HttpClient::DOCUMENT_CAP).await
    }

    /// Sends a request whose answer is going to be parsed.
    async fn send_and_parse(
        &self,
        request: ProviderRequest,
        shows: Shows,
        budget: &Budget,
        cap: usize,
    ) -> Result<Reply, HttpError> {
        let room = Held::new(budget, 1).map_err(|_| HttpError::NoRoom { sent: false })?;
        let mut reply = self.send(request, shows, room, cap).await?;
        reply.body.count_times(TIMES).map_err(|_| HttpError::NoRoom { sent: true })?;
        Ok(reply)
    }

    async fn send(
        &self,
        request: ProviderRequest,
        shows: Shows,
        room: Held,
        cap: usize,
    ) -> Result<Reply, HttpError> {
        let ProviderRequest { method, url, headers, body } = request;
        let method = match method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
            Method::Delete => HttpMethod::DELETE,
        };
        let sending = async {
            let call = Call { method, url: &url, accept: "application/json", headers, body, shows };
            let response = self.http.send(call).await?;
            let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
            let room = room.expecting(response.content_length());
            let body = read_into(room, response, cap).await?;
            Ok(Reply { status, retry_after, body, at: self.clock.now() })
        };
        timeout(self.deadline, sending).await.unwrap_or(Err(HttpError::Timeout))
    }
}
