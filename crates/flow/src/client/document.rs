//! Unregistered clients: found by the document at their `client_id`
//! (draft-ietf-oauth-client-id-metadata-document), or by the `client_id` itself for an app under development
//! on the user's own machine.
//!
//! Nothing is stored for a request that is refused.

use std::sync::Arc;

use causeway_domain::client::{Client, ClientDocumentError, ClientMetadata, ClientName, ClientOrigin};
use causeway_store::{StoreError, clients as rows};
use causeway_types::{ClientId, Scope, Timestamp};
use tokio::time::Instant;
use url::Url;

use crate::client::document_fetch::{self, DocumentTrouble};
use crate::client::lookup;
use crate::client::registration::create;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::limits::{self, RateLimitedAction};
use crate::operations::trace;
use causeway_domain::TooMany;

/// Seconds between two tries when one has failed.
const COOL_DOWN_SECONDS: i64 = 10;
/// Seconds that the last valid document stays in use while its server cannot be reached.
const GRACE_SECONDS: i64 = 86_400;
/// Seconds after which a loopback client is noted as seen again.
const SEEN_SECONDS: i64 = 3600;

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

/// Finds the client of a request: like [`lookup::find`], and an unregistered one by its document, as fresh
/// as the document's server requires.
///
/// # Errors
/// [`FindError`].
pub(crate) async fn find(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Arc<Client>>, FindError> {
    let known = lookup::find(ctx, client_id).await?;
    if known.as_ref().is_some_and(|client| client.origin == ClientOrigin::Registered) {
        return Ok(known);
    }
    let name = match ClientName::read(client_id.as_str(), ctx.outbound().dev_mode()) {
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
    let known = lookup::find(ctx, &client.client_id).await?;
    match &known {
        Some(known) if known.origin == (ClientOrigin::Loopback { checked_at }) => return Ok(()),
        Some(_) => {}
        None => limits::acquire(ctx, RateLimitedAction::Registration, None, trace::origin().1)?,
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
    let known = lookup::find_now(ctx, client_id).await?;
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
            tracing::warn!(%client_id, %trouble, "the client document cannot be fetched: the last valid one stays in use");
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
    let (metadata, fresh_until) = document_fetch::fetch(ctx, client_id, url, known).await?;
    let origin = ClientOrigin::Document { checked_at: ctx.now(), fresh_until };
    store(ctx, client_id, metadata, origin, known.is_none()).await
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
        limits::acquire(ctx, RateLimitedAction::Registration, None, trace::origin().1)
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
    tracing::debug!(client_id = %kept.client_id, "client stored from its client document");
    Ok(kept)
}
