//! Access to a user's own repository at their PDS: its methods, called through the [`relay`](crate::upstream::relay),
//! with answers that are read whole.
//!
//! The session determines the repository: no caller can name another one.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use causeway_domain::JsonObject;
use causeway_outbound::budget::{Budget, Exhausted, Held};
use causeway_outbound::header::{ACCEPT, CONTENT_TYPE};
use causeway_types::scope::ScopeValue;
use causeway_types::{Did, Nsid};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::form_urlencoded;

use crate::authorization::scopes;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::resource::access::Bearer;
use crate::upstream::relay::raw_json::RawJson;
use crate::upstream::relay::{
    self, Method, RelayAnswer, RelayBody, RelayError, RelayRequest, RelayTarget, Repeats, Waits,
};

const MIB: usize = 1024 * 1024;
/// Maximum bytes of one answer. A page of a hundred records may be long.
const ANSWER_CAP: usize = 8 * MIB;
/// Maximum bytes of all answers to one request.
const REQUEST_CAP: usize = 16 * MIB;
/// Maximum bytes of an answer that is always short.
const SHORT_CAP: usize = MIB / 4;
/// Maximum concurrent calls of one request: each has buffers of its own.
const CALLS: usize = 4;
/// How long an answer may take to arrive, from its first byte to its last.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes above which an answer is parsed off the worker thread, so that it blocks no other request.
const LONG: usize = 32 * 1024;
/// Maximum characters of an error's name, and of its text, that are passed on.
const ERROR_CAP: usize = 1000;

/// A method that reads a user's own repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `com.atproto.repo.getRecord`
    Record,
    /// `com.atproto.repo.listRecords`
    Records,
    /// `com.atproto.repo.describeRepo`
    Repo,
    /// `com.atproto.sync.listBlobs`
    Blobs,
}

impl Reading {
    const fn nsid(self) -> &'static str {
        match self {
            Self::Record => "com.atproto.repo.getRecord",
            Self::Records => "com.atproto.repo.listRecords",
            Self::Repo => "com.atproto.repo.describeRepo",
            Self::Blobs => "com.atproto.sync.listBlobs",
        }
    }

    /// The parameter that names the repository.
    const fn whose(self) -> &'static str {
        match self {
            Self::Record | Self::Records | Self::Repo => "repo",
            Self::Blobs => "did",
        }
    }
}

/// A method that writes records to a user's own repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// `com.atproto.repo.createRecord`
    Create,
    /// `com.atproto.repo.putRecord`
    Put,
    /// `com.atproto.repo.deleteRecord`
    Delete,
    /// `com.atproto.repo.applyWrites`
    Apply,
}

impl Writing {
    const fn nsid(self) -> &'static str {
        match self {
            Self::Create => "com.atproto.repo.createRecord",
            Self::Put => "com.atproto.repo.putRecord",
            Self::Delete => "com.atproto.repo.deleteRecord",
            Self::Apply => "com.atproto.repo.applyWrites",
        }
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The call was not made, or got no answer.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The method answers with an error of its own (atproto specification "HTTP API (XRPC)").
    #[error("{message}")]
    Method {
        /// The status.
        status: u16,
        /// The error's name.
        error: String,
        /// Its text, or the name again.
        message: String,
        /// `Retry-After`, in seconds, where it came as a number.
        retry_after: Option<u64>,
    },
    /// The answer, or the answers to one request together, are too long.
    #[error(
        "the response is too large: the limit is {} MiB each and {} MiB for all of a request; ask for fewer records with \
         limit, or in several requests",
        ANSWER_CAP / MIB,
        REQUEST_CAP / MIB
    )]
    TooLarge,
}

impl From<Internal> for RepositoryError {
    fn from(error: Internal) -> Self {
        Self::Relay(error.into())
    }
}

impl From<Exhausted> for RepositoryError {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::Part => Self::TooLarge,
            Exhausted::Whole => Self::Relay(RelayError::Busy),
        }
    }
}

/// A user's own repository, for one request, with limits on its concurrent calls and the bytes of its
/// answers.
#[derive(Debug)]
pub struct Repository {
    ctx: Ctx,
    bearer: Bearer,
    answers: Budget,
    calls: Semaphore,
}

impl Repository {
    /// The repository of the user behind a token.
    pub fn new(ctx: Ctx, bearer: Bearer) -> Self {
        let answers = ctx.budgets().answers.of(trace::origin().1).part(REQUEST_CAP);
        Self { ctx, bearer, answers, calls: Semaphore::new(CALLS) }
    }

    /// The context.
    pub const fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The token.
    pub const fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    /// The memory budget of the answers to this request.
    pub const fn answers(&self) -> &Budget {
        &self.answers
    }

    /// Calls a method that reads. `take` extracts the result; `None` when the answer is not that of the
    /// method.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn read<T: Send + 'static>(
        &self,
        reading: Reading,
        parameters: &[(&str, String)],
        take: fn(&RawJson) -> Option<T>,
    ) -> Result<T, RepositoryError> {
        let request = RelayRequest {
            query: form_urlencoded::Serializer::new(String::new())
                .append_pair(reading.whose(), self.bearer.user.did.as_str())
                .extend_pairs(parameters)
                .finish(),
            headers: vec![(ACCEPT, b"application/json".to_vec())],
            ..RelayRequest::query(nsid(reading.nsid())?)
        };
        self.call(request, ANSWER_CAP, take).await
    }

    /// Calls a method that writes; `input` is that of the method, without `repo`.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn write<T: Send + 'static>(
        &self,
        writing: Writing,
        mut input: Map<String, Value>,
        take: fn(&RawJson) -> Option<T>,
    ) -> Result<T, RepositoryError> {
        input.insert("repo".to_owned(), self.bearer.user.did.as_str().into());
        let body = Value::Object(input).to_string().into_bytes();
        self.procedure(writing.nsid(), "application/json", body, take).await
    }

    /// Uploads a file of this media type (`com.atproto.repo.uploadBlob`).
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn upload<T: Send + 'static>(
        &self,
        mime_type: &str,
        data: Vec<u8>,
        take: fn(&RawJson) -> Option<T>,
    ) -> Result<T, RepositoryError> {
        self.procedure("com.atproto.repo.uploadBlob", mime_type, data, take).await
    }

    async fn procedure<T: Send + 'static>(
        &self,
        method: &'static str,
        content_type: &str,
        body: Vec<u8>,
        take: fn(&RawJson) -> Option<T>,
    ) -> Result<T, RepositoryError> {
        let request = RelayRequest {
            method: Method::POST,
            target: RelayTarget::Xrpc(nsid(method)?),
            query: String::new(),
            headers: vec![
                (ACCEPT, b"application/json".to_vec()),
                (CONTENT_TYPE, content_type.as_bytes().to_vec()),
            ],
            body: RelayBody::Whole(body.into()),
            repeats: Repeats::Any,
            waits: Waits::Usual,
        };
        self.call(request, SHORT_CAP, take).await
    }

    async fn call<T: Send + 'static>(
        &self,
        request: RelayRequest,
        cap: usize,
        take: fn(&RawJson) -> Option<T>,
    ) -> Result<T, RepositoryError> {
        let _turn = self.calls.acquire().await;
        let (ctx, bearer, answers) = (self.ctx.clone(), self.bearer.clone(), self.answers.clone());
        // Not in the task that serves the request: an answer may be long. Aborted when the caller is dropped.
        let call = self.ctx.start(async move {
            let answer = relay::relay(&ctx, &bearer, request).await?;
            result(&ctx, answer, &answers, cap, take).await
        });
        AbortOnDropHandle::new(call).await.map_err(Internal::from)?
    }
}

/// The account as its PDS describes it (`com.atproto.server.getSession`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnAccount {
    did: Did,
    /// The email address, if the session may see it.
    pub(crate) email: Option<String>,
    /// Whether the user has confirmed it.
    pub(crate) email_confirmed: Option<bool>,
}

/// Asks the PDS about the user's account; `None`, with a line in the log, when it does not answer in time.
pub(crate) async fn own_account(ctx: &Ctx, bearer: &Bearer, max_wait: Duration) -> Option<OwnAccount> {
    let asked = timeout(max_wait, get_session(ctx, bearer)).await;
    match asked {
        Ok(Ok(account)) if account.did == bearer.user.did => Some(account),
        Ok(Ok(_)) => {
            tracing::warn!("the PDS reported another account");
            None
        }
        Ok(Err(error)) => {
            tracing::info!(%error, "the PDS did not report the account");
            None
        }
        Err(_) => {
            tracing::info!("the PDS took too long to report the account");
            None
        }
    }
}

async fn get_session(ctx: &Ctx, bearer: &Bearer) -> Result<OwnAccount, RepositoryError> {
    let request = RelayRequest {
        headers: vec![(ACCEPT, b"application/json".to_vec())],
        ..RelayRequest::query(nsid("com.atproto.server.getSession")?)
    };
    // Our own call, not the client's: it is not limited by the token's scope.
    let mut own = bearer.clone();
    own.token.scope = [ScopeValue::Atproto, scopes::EMAIL].into_iter().collect();
    let answer = relay::relay(ctx, &own, request).await?;
    result(ctx, answer, &ctx.budgets().answers.of(trace::origin().1), SHORT_CAP, RawJson::read).await
}

fn nsid(name: &'static str) -> Result<Nsid, Internal> {
    Nsid::parse(name).map_err(|_| Internal::Inconsistent("the name of a method is invalid"))
}

/// Reads a whole answer and parses it as the method's result or error.
async fn result<T: Send + 'static>(
    ctx: &Ctx,
    answer: RelayAnswer,
    budget: &Budget,
    cap: usize,
    take: fn(&RawJson) -> Option<T>,
) -> Result<T, RepositoryError> {
    let status = answer.status();
    let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    let cap = if status == 200 { cap } else { SHORT_CAP };
    let body =
        timeout(ANSWER_TIMEOUT, body(answer, budget, cap)).await.map_err(|_| RelayError::Timeout)??;
    let invalid = |what| RelayError::Invalid(format!("status {status} {what}"));
    if status == 200 {
        let is_long = body.len() > LONG;
        let parse = move || RawJson::parse(&body).filter(RawJson::is_object).as_ref().and_then(take);
        let result = if is_long { ctx.parse(parse).await? } else { parse() };
        return result.ok_or_else(|| invalid("without the method's result").into());
    }
    Err(match serde_json::from_slice::<JsonObject<MethodError>>(&body) {
        Ok(JsonObject(said)) if status >= 400 => {
            let cut = |text: String| text.chars().take(ERROR_CAP).collect::<String>();
            let error = cut(said.error);
            let message = said.message.map_or_else(|| error.clone(), cut);
            RepositoryError::Method { status, error, message, retry_after }
        }
        _ => invalid("without an error of the method").into(),
    })
}

#[derive(Deserialize)]
struct MethodError {
    error: String,
    message: Option<String>,
}

async fn body(answer: RelayAnswer, budget: &Budget, cap: usize) -> Result<Bytes, RepositoryError> {
    if answer.length().is_some_and(|length| length > cap as u64) {
        return Err(RepositoryError::TooLarge);
    }
    let mut body = Held::new(budget, 1)?.expecting(answer.length());
    let mut parts = pin!(answer.into_stream());
    while let Some(part) = parts.next().await {
        let part = part.map_err(RelayError::from)?;
        if body.len() + part.len() > cap {
            return Err(RepositoryError::TooLarge);
        }
        body.extend(&part)?;
    }
    Ok(body.freeze())
}
