//! What a person keeps on their own server, as an app works with it: methods of their own repository, called
//! through the [`relay`](crate::relay) and read whole.
//!
//! Whose repository it is, the session says: no caller names another one.

use std::pin::pin;
use std::time::Duration;

use causeway_domain::scope::ScopeValue;
use causeway_domain::{Did, JsonObject, Nsid};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;
use url::form_urlencoded;

use crate::access::Bearer;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::relay::{self, RelayError, RelayRequest, XrpcAnswer, XrpcBody, XrpcMethod};
use crate::scopes;

/// The most that is read of an answer, in bytes. A page of a hundred records may be long.
const ANSWER_CAP: usize = 16 * 1024 * 1024;
/// The most that is passed on of an error's name and text, in characters.
const ERROR_CAP: usize = 1000;

/// A method that reads a person's own repository.
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

/// A method that writes records to a person's own repository.
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

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The call was not made, or brought no answer.
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
}

impl From<Internal> for RepositoryError {
    fn from(error: Internal) -> Self {
        Self::Relay(error.into())
    }
}

/// Reads from the person's own repository.
///
/// # Errors
/// [`RepositoryError`].
pub async fn read<T: DeserializeOwned>(
    ctx: &Ctx,
    bearer: &Bearer,
    reading: Reading,
    parameters: &[(&str, String)],
) -> Result<T, RepositoryError> {
    let request = RelayRequest {
        method: XrpcMethod::Query,
        nsid: nsid(reading.nsid())?,
        query: form_urlencoded::Serializer::new(String::new())
            .append_pair(reading.whose(), bearer.session.did.as_str())
            .extend_pairs(parameters)
            .finish(),
        headers: vec![("accept", b"application/json".to_vec())],
        body: XrpcBody::Empty,
    };
    result(relay::relay(ctx, bearer, request).await?).await
}

/// What the person's server says of their account (`com.atproto.server.getSession`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnAccount {
    did: Did,
    /// Their email address, if the session may see it.
    pub(crate) email: Option<String>,
    /// Whether they have confirmed it.
    pub(crate) email_confirmed: Option<bool>,
}

/// Asks the person's server about their account; `None`, with a line in the log, when it does not say in time.
pub(crate) async fn own_account(ctx: &Ctx, bearer: &Bearer, patience: Duration) -> Option<OwnAccount> {
    let asked = timeout(patience, get_session(ctx, bearer)).await;
    match asked {
        Ok(Ok(account)) if account.did == bearer.session.did => Some(account),
        Ok(Ok(_)) => {
            tracing::warn!("the person's server speaks of another account");
            None
        }
        Ok(Err(error)) => {
            tracing::info!(%error, "the person's server does not say who they are");
            None
        }
        Err(_) => {
            tracing::info!("the person's server takes too long to say who they are");
            None
        }
    }
}

async fn get_session(ctx: &Ctx, bearer: &Bearer) -> Result<OwnAccount, RepositoryError> {
    let request = RelayRequest {
        method: XrpcMethod::Query,
        nsid: nsid("com.atproto.server.getSession")?,
        query: String::new(),
        headers: vec![("accept", b"application/json".to_vec())],
        body: XrpcBody::Empty,
    };
    // It is our own question: what the token may be used for is not asked here.
    let mut own = bearer.clone();
    own.token.scope = [ScopeValue::Atproto, scopes::EMAIL].into_iter().collect();
    result(relay::relay(ctx, &own, request).await?).await
}

/// Writes to the person's own repository; `input` is the method's, without `repo`.
///
/// # Errors
/// [`RepositoryError`].
pub async fn write<T: DeserializeOwned>(
    ctx: &Ctx,
    bearer: &Bearer,
    writing: Writing,
    mut input: Map<String, Value>,
) -> Result<T, RepositoryError> {
    input.insert("repo".to_owned(), bearer.session.did.as_str().into());
    let body = Value::Object(input).to_string().into_bytes();
    procedure(ctx, bearer, writing.nsid(), "application/json", body).await
}

/// Uploads a file of this media type (`com.atproto.repo.uploadBlob`).
///
/// # Errors
/// [`RepositoryError`].
pub async fn upload<T: DeserializeOwned>(
    ctx: &Ctx,
    bearer: &Bearer,
    mime_type: &str,
    data: Vec<u8>,
) -> Result<T, RepositoryError> {
    procedure(ctx, bearer, "com.atproto.repo.uploadBlob", mime_type, data).await
}

async fn procedure<T: DeserializeOwned>(
    ctx: &Ctx,
    bearer: &Bearer,
    method: &'static str,
    content_type: &str,
    body: Vec<u8>,
) -> Result<T, RepositoryError> {
    let request = RelayRequest {
        method: XrpcMethod::Procedure,
        nsid: nsid(method)?,
        query: String::new(),
        headers: vec![
            ("accept", b"application/json".to_vec()),
            ("content-type", content_type.as_bytes().to_vec()),
        ],
        body: XrpcBody::Whole(body.into()),
    };
    result(relay::relay(ctx, bearer, request).await?).await
}

fn nsid(name: &'static str) -> Result<Nsid, Internal> {
    Nsid::parse(name).map_err(|_| Internal::Inconsistent("the name of a method is none"))
}

/// Reads an answer whole, and as what it should be.
async fn result<T: DeserializeOwned>(answer: XrpcAnswer) -> Result<T, RepositoryError> {
    let status = answer.status();
    let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    let body = body(answer).await?;
    let invalid = |what| RelayError::Invalid(format!("status {status} {what}"));
    if status == 200 {
        return match serde_json::from_slice::<JsonObject<T>>(&body) {
            Ok(JsonObject(result)) => Ok(result),
            Err(_) => Err(invalid("without the method's result").into()),
        };
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

async fn body(answer: XrpcAnswer) -> Result<Vec<u8>, RelayError> {
    let mut body = Vec::new();
    let mut parts = pin!(answer.into_stream());
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| RelayError::from(causeway_atproto::XrpcError::from(error)))?;
        if body.len() + part.len() > ANSWER_CAP {
            return Err(RelayError::Invalid(format!("more than {ANSWER_CAP} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
