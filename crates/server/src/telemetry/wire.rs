//! HTTP client for the collector. The operator chose its address, so this is not the guarded (SSRF) client.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::header::RETRY_AFTER;
use tokio::runtime::Handle;

/// Maximum size of a response body, in bytes.
const ANSWER_CAP: usize = 64 * 1024;

/// Sends requests of the exporter. The exporter blocks in a thread of its own; the request runs on the
/// server's runtime.
#[derive(Debug)]
pub(super) struct Wire {
    client: reqwest::Client,
    runtime: Handle,
}

impl Wire {
    #[expect(clippy::disallowed_methods, reason = "the collector is the operator's own and may be anywhere")]
    pub(super) fn new(timeout: Duration, runtime: Handle) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(timeout)
            .build()
            .context("the HTTP client for traces")?;
        Ok(Self { client, runtime })
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(send(client, request)).await?
    }
}

async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut response = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let mut answer = Response::builder().status(response.status().as_u16());
    if let Some(later) = response.headers().get(RETRY_AFTER) {
        answer = answer.header(RETRY_AFTER, later);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > ANSWER_CAP {
            return Err("the response is too large".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(answer.body(body.into())?)
}
