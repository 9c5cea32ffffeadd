//! Unregistered clients: found by the document at their `client_id`
//! (draft-ietf-oauth-client-id-metadata-document), or by the `client_id` itself for an app under development
//! on the user's own machine.
//!
//! Anybody can send a `client_id` and so make this server fetch a URL. So documents are fetched only by the
//! guarded HTTP client: each by one task at a time and not again right after a failure, unknown ones at a
//! limited rate per host, and a limited number at once per requesting address. Nothing is stored for a
//! request that is refused.

use std::sync::{Arc, Mutex, PoisonError};

use causeway_atproto::HttpError;
use causeway_domain::client::{Client, ClientMetadata};
use causeway_domain::client_document::{ClientDocumentError, ClientName, ClientOrigin, read_document};
use causeway_domain::{BoundedMap, ClientId, ErrorCode, Scope, Timestamp};
use causeway_store::{StoreError, clients as rows};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::client::authentication;
use crate::client::registration::create;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::limits::{self, Network, RateLimitedAction, TooMany, network};
use crate::operations::trace;

/// The most bytes that are read of a document.
const DOCUMENT_CAP: usize = 32 * 1024;
/// Seconds that a document is cached, at least and at most, and when its server does not say.
const KEPT_SECONDS: (i64, i64) = (60, 86_400);
const KEPT_SECONDS_UNSAID: i64 = 600;
/// Seconds between two tries when one has failed.
const COOL_DOWN_SECONDS: i64 = 10;
/// Seconds that the last valid document stays in use while its server cannot be reached.
const GRACE_SECONDS: i64 = 86_400;
/// Seconds after which a loopback client is noted as seen again.
const SEEN_SECONDS: i64 = 3600;
/// Unknown documents that may be fetched from one host within a minute: for all requesters, and for one
/// address.
const NEW_PER_HOST: u32 = 100;
const NEW_PER_HOST_AND_ADDRESS: u32 = 20;
const HOST_WINDOW_SECONDS: i64 = 60;
/// The most documents, and half the most hosts, in memory: the oldest is evicted.
const CAPACITY: usize = 4096;

/// Why an unregistered client is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentTrouble {
    /// The `client_id` or the document is invalid.
    #[error(transparent)]
    Invalid(#[from] ClientDocumentError),
    /// Its server answers with something other than a document.
    #[error("the client document cannot be read: its server {0}")]
    Answer(String),
    /// Its server does not answer, or is one that we never connect to: only the log says which.
    #[error("the client document cannot be fetched: its server cannot be reached from here")]
    Unreachable,
    /// Too many are being fetched.
    #[error("too many client documents are being fetched at the moment: try again in a minute")]
    Busy,
}

impl DocumentTrouble {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::TemporarilyUnavailable,
            _ => ErrorCode::InvalidClient,
        }
    }

    /// Whether the failure says nothing about the document, so that the last good one may serve for a while.
    const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Busy)
    }
}

/// Why a client could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Its document is invalid or unavailable.
    #[error(transparent)]
    Document(#[from] DocumentTrouble),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

/// The lock of one document's fetch, and the time and cause of its last failure.
#[derive(Debug, Default)]
struct Slot {
    /// Held by the task that fetches.
    flight: tokio::sync::Mutex<Option<(Timestamp, DocumentTrouble)>>,
}

/// How often unknown documents of a host were fetched since the beginning of a minute.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Timestamp,
    fetches: u32,
}

/// The documents that this process is fetching or has tried to fetch.
#[derive(Debug)]
pub(crate) struct ClientDocuments {
    slots: Mutex<BoundedMap<ClientId, Arc<Slot>>>,
    hosts: Mutex<BoundedMap<Asked, Window>>,
}

/// A host, and the requester of its documents: one address, or `None` for all.
type Asked = (String, Option<Network>);

impl Default for ClientDocuments {
    fn default() -> Self {
        let hosts = Mutex::new(BoundedMap::new(2 * CAPACITY));
        Self { slots: Mutex::new(BoundedMap::new(CAPACITY)), hosts }
    }
}

impl ClientDocuments {
    fn slot(&self, client_id: &ClientId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(client_id) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        slots.put(client_id.clone(), Arc::clone(&slot));
        slot
    }

    /// Whether one more unknown document may be fetched from this host now, for a request from this address.
    fn admit(&self, url: &Url, address: Option<Network>, now: Timestamp) -> bool {
        let host = url.host_str().unwrap_or_default();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = |asked: Asked, most: u32| {
            let is_live = |window: &&Window| (0..HOST_WINDOW_SECONDS).contains(&now.since(window.since));
            let window = hosts.get(&asked).filter(is_live).copied();
            let Window { since, fetches } = window.unwrap_or(Window { since: now, fetches: 0 });
            hosts.put(asked, Window { since, fetches: fetches.saturating_add(1) });
            fetches < most
        };
        // An address over its own limit does not count against the shared one.
        (address.is_none() || count((host.to_owned(), address), NEW_PER_HOST_AND_ADDRESS))
            && count((host.to_owned(), None), NEW_PER_HOST)
    }
}

/// Finds the client of a request: like [`authentication::find`], and an unregistered one by its document, as fresh
/// as the document's server requires.
///
/// # Errors
/// [`FindError`].
pub(crate) async fn find(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Arc<Client>>, FindError> {
    let known = authentication::find(ctx, client_id).await?;
    if known.as_ref().is_some_and(|client| client.origin == ClientOrigin::Registered) {
        return Ok(known);
    }
    let name = match ClientName::read(client_id.as_str(), ctx.atproto().http().dev_mode()) {
        Ok(ClientName::Opaque) => return Ok(known),
        _ if !ctx.accepts_client_documents() => return Ok(None),
        Ok(name) => name,
        Err(error) => return Err(DocumentTrouble::from(error).into()),
    };
    match name {
        ClientName::Loopback(metadata) => loopback(ctx, client_id, metadata, known).map(Some),
        ClientName::Document(url) => document(ctx, client_id, &url, known).await.map(Some),
        ClientName::Opaque => Ok(known),
    }
}

/// A loopback client, described by its `client_id`. It is stored just before a request of it: see
/// [`store_loopback`].
fn loopback(
    ctx: &Ctx,
    client_id: &ClientId,
    metadata: ClientMetadata,
    known: Option<Arc<Client>>,
) -> Result<Arc<Client>, FindError> {
    let now = ctx.now();
    if let Some(client) = known
        && let ClientOrigin::Loopback { checked_at } = client.origin
        && now.since(checked_at) < SEEN_SECONDS
    {
        return Ok(client);
    }
    described(ctx, client_id, metadata, ClientOrigin::Loopback { checked_at: now }).map(Arc::new)
}

/// Why a client is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreDocumentError {
    /// Too many new ones.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

/// Stores a loopback client, unless it was stored a moment ago: the request that is stored next refers to it.
/// A new one counts as a registration. All other clients are stored already.
///
/// # Errors
/// [`StoreDocumentError`].
pub(crate) async fn store_loopback(ctx: &Ctx, client: &Client) -> Result<(), StoreDocumentError> {
    let ClientOrigin::Loopback { checked_at } = client.origin else { return Ok(()) };
    let known = authentication::find(ctx, &client.client_id).await?;
    match &known {
        Some(known) if known.origin == (ClientOrigin::Loopback { checked_at }) => return Ok(()),
        Some(_) => {}
        None => limits::permit(ctx, RateLimitedAction::Registration, None, trace::origin().1)?,
    }
    put(ctx, client.clone()).await?;
    Ok(())
}

async fn document(
    ctx: &Ctx,
    client_id: &ClientId,
    url: &Url,
    known: Option<Arc<Client>>,
) -> Result<Arc<Client>, FindError> {
    if let Some(client) = known.filter(|client| is_fresh(client, ctx.now())) {
        return Ok(client);
    }
    let slot = ctx.client_documents().slot(client_id);
    let mut failed = slot.flight.lock().await;
    let now = ctx.now();
    // The previous holder of the lock, or another process, may have fetched it.
    let known = authentication::find_now(ctx, client_id).await?;
    if let Some(client) = known.as_ref().filter(|client| is_fresh(client, now)) {
        return Ok(Arc::clone(client));
    }
    let resting = failed.as_ref().filter(|(at, _)| (0..COOL_DOWN_SECONDS).contains(&now.since(*at)));
    let trouble = match resting {
        Some((_, trouble)) => trouble.clone(),
        None => match read(ctx, client_id, url, known.as_deref()).await {
            Ok(client) => {
                *failed = None;
                return Ok(client);
            }
            Err(FindError::Document(trouble)) => {
                *failed = Some((now, trouble.clone()));
                trouble
            }
            Err(error) => return Err(error),
        },
    };
    drop(failed);
    let is_good = |client: &Arc<Client>| match client.origin {
        ClientOrigin::Document { checked_at, .. } => now.since(checked_at) < GRACE_SECONDS,
        _ => false,
    };
    match known.filter(is_good) {
        Some(client) if trouble.is_passing() => {
            tracing::warn!(%client_id, %trouble, "the client document is not to be had: the last good one serves");
            Ok(client)
        }
        _ => Err(trouble.into()),
    }
}

fn is_fresh(client: &Client, now: Timestamp) -> bool {
    match client.origin {
        ClientOrigin::Document { checked_at, fresh_until } => {
            // A clock that was set back must not extend the lifetime.
            checked_at <= now && now < fresh_until
        }
        _ => false,
    }
}

/// Fetches a document again and stores the client that it describes.
async fn read(
    ctx: &Ctx,
    client_id: &ClientId,
    url: &Url,
    known: Option<&Client>,
) -> Result<Arc<Client>, FindError> {
    let (metadata, fresh_until) = fetch(ctx, client_id, url, known).await?;
    let origin = ClientOrigin::Document { checked_at: ctx.now(), fresh_until };
    store(ctx, client_id, metadata, origin, known.is_none()).await
}

/// Fetches a document; returns its metadata and the end of its freshness.
async fn fetch(
    ctx: &Ctx,
    client_id: &ClientId,
    url: &Url,
    known: Option<&Client>,
) -> Result<(ClientMetadata, Timestamp), DocumentTrouble> {
    let address = trace::origin().1;
    if known.is_none() && !ctx.client_documents().admit(url, address.map(network), ctx.now()) {
        tracing::debug!(host = url.host_str(), "too many unknown client documents of one host");
        return Err(DocumentTrouble::Busy);
    }
    let turn = ctx.fetch_turns().wait(url).await.ok_or(DocumentTrouble::Busy)?;
    let fetched = timeout(turn.max_wait, ctx.atproto().http().get_document(url, DOCUMENT_CAP));
    let document = match fetched.await.unwrap_or(Err(HttpError::Timeout)) {
        Ok(document) => document,
        Err(error) => {
            tracing::info!(%client_id, %error, "a client document could not be fetched");
            return Err(trouble_of(&error));
        }
    };
    let kept = document.max_age.map_or(KEPT_SECONDS_UNSAID, |age| age.try_into().unwrap_or(i64::MAX));
    let fresh_until = ctx.now().plus(kept.clamp(KEPT_SECONDS.0, KEPT_SECONDS.1));
    Ok((read_document(client_id.as_str(), document.json)?, fresh_until))
}

/// Reduces a failure to what a client may learn. Whether anything is behind an address that we never connect
/// to, and what, is not revealed.
fn trouble_of(error: &HttpError) -> DocumentTrouble {
    match error {
        HttpError::Status { status: 429 | 500..=599, .. } => DocumentTrouble::Unreachable,
        HttpError::Status { status, .. } => {
            DocumentTrouble::Answer(format!("answered with status {status}, not 200"))
        }
        HttpError::Redirected => {
            DocumentTrouble::Answer("answered with a redirect, which is not followed".to_owned())
        }
        HttpError::NotJson => DocumentTrouble::Answer("did not answer with application/json".to_owned()),
        HttpError::TooLarge => DocumentTrouble::Answer(format!("sent more than {} KiB", DOCUMENT_CAP / 1024)),
        _ => DocumentTrouble::Unreachable,
    }
}

/// Builds a client from its current metadata, if they are valid.
fn described(
    ctx: &Ctx,
    client_id: &ClientId,
    metadata: ClientMetadata,
    origin: ClientOrigin,
) -> Result<Client, FindError> {
    let invalid = |error| FindError::Document(ClientDocumentError::Metadata(error).into());
    let mut valid = create::check_alone(metadata, Some(ctx.issuer())).map_err(invalid)?;
    // The document was written for many servers: scopes that no client can have here are dropped.
    valid.scope = ctx.scopes().registrable(&valid, None).unwrap_or_else(|_| Some(Scope::atproto()));
    let client = valid.into_client(client_id.clone(), ctx.tenant().clone(), None, ctx.now());
    Ok(Client { origin, ..client })
}

/// Stores a client by its current metadata, if they are valid. A new one counts as a registration.
async fn store(
    ctx: &Ctx,
    client_id: &ClientId,
    metadata: ClientMetadata,
    origin: ClientOrigin,
    is_new: bool,
) -> Result<Arc<Client>, FindError> {
    let client = described(ctx, client_id, metadata, origin)?;
    if is_new {
        limits::permit(ctx, RateLimitedAction::Registration, None, trace::origin().1)
            .map_err(|_| DocumentTrouble::Busy)?;
    }
    Ok(put(ctx, client).await?)
}

/// Stores an unregistered client.
async fn put(ctx: &Ctx, client: Client) -> Result<Arc<Client>, Internal> {
    let since = Instant::now();
    let put = async |client: Client| {
        ctx.store()
            .write(move |c| {
                let before = rows::find_client(c, &client.tenant_id, &client.client_id)?;
                let created_at = before.map_or(client.created_at, |before| before.created_at);
                let client = Client { created_at, ..client.clone() };
                rows::put_client(c, &client)?;
                Ok::<_, Internal>(client)
            })
            .await
    };
    let kept = match put(client.clone()).await {
        // Another process was first.
        Err(Internal::Store(StoreError::Constraint(_))) => put(client).await?,
        done => done?,
    };
    let kept = Arc::new(kept);
    ctx.clients().put(&kept, since);
    tracing::debug!(client_id = %kept.client_id, "client kept as it describes itself");
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        Url::parse(&format!("https://{host}/c")).unwrap()
    }

    #[test]
    fn one_host_is_not_asked_without_end() {
        let documents = ClientDocuments::default();
        let admit = |host: &str, address: u64, now: i64| {
            documents.admit(&url(host), Some((false, address)), Timestamp(now))
        };
        assert!((0..NEW_PER_HOST_AND_ADDRESS).all(|_| admit("a.example", 1, 0)));
        assert!((0..1000).all(|_| !admit("a.example", 1, 59)));
        assert!(admit("b.example", 1, 59) && admit("a.example", 2, 59), "others are not held up");
        assert!(admit("a.example", 1, 60));
        let admitted = (0..1000).filter(|address| admit("c.example", *address, 0)).count();
        assert_eq!(admitted, 100, "nor by many together");
    }

    /// A full table evicts its oldest entries, and keeps counting.
    #[test]
    fn memory_is_bounded() {
        let documents = ClientDocuments::default();
        for n in 0..CAPACITY + 10 {
            documents.slot(&ClientId::new(format!("https://a.example/{n}")));
            documents.admit(&url(&format!("h{n}.example")), Some((false, 1)), Timestamp(0));
        }
        assert!(documents.slots.lock().unwrap().len() <= CAPACITY);
        assert!(documents.hosts.lock().unwrap().len() <= 2 * CAPACITY);
        let admit = || documents.admit(&url("new.example"), Some((false, 1)), Timestamp(0));
        assert!((0..NEW_PER_HOST_AND_ADDRESS).all(|_| admit()));
        assert!(!admit());
    }

    /// Distinguishable errors must not show a stranger what our network looks like.
    #[test]
    fn failures_say_nothing_of_our_network() {
        for error in [
            HttpError::Blocked("the address is not on the public internet"),
            HttpError::Unreachable("dns error: no such name".to_owned()),
            HttpError::Timeout,
            HttpError::Interrupted,
        ] {
            assert_eq!(trouble_of(&error), DocumentTrouble::Unreachable);
        }
        assert!(!trouble_of(&HttpError::Redirected).is_passing());
        assert!(!trouble_of(&HttpError::Status { status: 404, retry_after: None }).is_passing());
        assert!(trouble_of(&HttpError::Status { status: 503, retry_after: None }).is_passing());
    }
}
