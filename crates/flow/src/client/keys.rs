//! The public keys of clients: those in their registration, and those behind their `jwks_uri`, cached as long
//! as the answer allows.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use causeway_domain::BoundedMap;
use causeway_domain::client::Client;
use causeway_jose::{JwkError, JwkSet, Jws, Verified, VerifyError};
use causeway_outbound::{HttpClient, HttpError};
use causeway_types::{ClientId, Timestamp};
use tokio::time::timeout;
use url::Url;

use crate::ctx::Ctx;

/// Seconds that fetched keys are cached, at least and at most, and when their server does not say.
const KEPT_SECONDS: (i64, i64) = (60, 86_400);
const KEPT_SECONDS_UNSAID: i64 = 600;
/// Seconds between two fetches of the same keys: a request with an unknown `kid` cannot cause more.
const COOL_DOWN_SECONDS: i64 = 10;
/// The most key sets in the cache: the oldest is evicted.
const CAPACITY: usize = 1024;

/// Why a signature was not verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    /// It is not by one of the client's keys.
    #[error("it {0}")]
    Jws(#[from] VerifyError),
    /// The client's key set is invalid.
    #[error("the client's key set cannot be used: it {0}")]
    Keys(#[from] JwkError),
    /// The client's keys cannot be fetched at the moment.
    #[error("the client's key set cannot be fetched from its jwks_uri")]
    Unreachable,
}

/// Keys as they were fetched last.
#[derive(Clone, Debug)]
struct Fetched {
    keys: Option<Arc<JwkSet>>,
    fresh_until: Timestamp,
    tried_at: Timestamp,
}

/// The cached state of one `jwks_uri`.
#[derive(Debug, Default)]
struct Slot {
    last: RwLock<Option<Fetched>>,
    /// Held by the task that fetches.
    flight: tokio::sync::Mutex<()>,
}

impl Slot {
    fn last(&self) -> Option<Fetched> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
pub(crate) struct ClientKeys(Mutex<BoundedMap<(ClientId, String), Arc<Slot>>>);

impl Default for ClientKeys {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(CAPACITY)))
    }
}

impl ClientKeys {
    /// Verifies that a client signed this.
    pub(crate) async fn verify(
        &self,
        ctx: &Ctx,
        client: &Client,
        jws: &Jws<'_>,
    ) -> Result<Verified, SignatureError> {
        let keys = self.find(ctx, client).await?;
        match jws.verify_with(&keys) {
            // The client may have changed its keys since they were fetched.
            Err(error) => match self.find_newer(ctx, client, &keys).await? {
                Some(newer) => Ok(jws.verify_with(&newer)?),
                None => Err(error.into()),
            },
            Ok(verified) => Ok(verified),
        }
    }

    /// The keys of a client, as fresh as their server requires.
    async fn find(&self, ctx: &Ctx, client: &Client) -> Result<Arc<JwkSet>, SignatureError> {
        let Some(uri) = client.jwks_uri() else {
            let inline = client.jwks.as_ref().unwrap_or(&serde_json::Value::Null);
            return Ok(Arc::new(JwkSet::parse(inline)?));
        };
        let (slot, now) = (self.slot(client, uri), ctx.now());
        let fresh = slot.last().filter(|last| last.fresh_until > now).and_then(|last| last.keys);
        match fresh {
            Some(keys) => Ok(keys),
            None => fetch(ctx, &slot, uri).await?.ok_or(SignatureError::Unreachable),
        }
    }

    /// The keys of a client if they differ from the `known` ones; fetched at a limited rate.
    async fn find_newer(
        &self,
        ctx: &Ctx,
        client: &Client,
        known: &Arc<JwkSet>,
    ) -> Result<Option<Arc<JwkSet>>, SignatureError> {
        let Some(uri) = client.jwks_uri() else { return Ok(None) };
        let slot = self.slot(client, uri);
        Ok(fetch(ctx, &slot, uri).await?.filter(|keys| keys != known))
    }

    fn slot(&self, client: &Client, uri: &str) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (client.client_id.clone(), uri.to_owned());
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        slots.put(key, Arc::clone(&slot));
        slot
    }
}

/// Fetches the keys, unless that was just done; `None` when none are available.
async fn fetch(ctx: &Ctx, slot: &Slot, uri: &str) -> Result<Option<Arc<JwkSet>>, SignatureError> {
    let _flight = slot.flight.lock().await;
    let now = ctx.now();
    let last = slot.last();
    if let Some(last) = last.as_ref().filter(|last| now.since(last.tried_at) < COOL_DOWN_SECONDS) {
        return Ok(last.keys.clone());
    }
    let url = Url::parse(uri).map_err(|_| SignatureError::Unreachable)?;
    // Without a turn nothing was fetched: the next caller may try.
    let turn = ctx.fetch_turns().wait(&url).await.ok_or(SignatureError::Unreachable)?;
    let fetching = timeout(turn.max_wait, ctx.outbound().get_document(&url, HttpClient::DOCUMENT_CAP));
    let fetched = fetching.await.unwrap_or(Err(HttpError::Timeout));
    drop(turn);
    let (keys, kept) = match fetched {
        Ok(document) => {
            let kept = document.max_age.map_or(KEPT_SECONDS_UNSAID, |age| age.try_into().unwrap_or(i64::MAX));
            (JwkSet::parse(&document.json).map(Arc::new), kept.clamp(KEPT_SECONDS.0, KEPT_SECONDS.1))
        }
        Err(error) => {
            tracing::warn!(host = url.host_str(), %error, "a client's jwks_uri could not be fetched");
            // Keys fetched before stay valid until they expire, no longer: they may be revoked.
            let kept = last.filter(|last| last.fresh_until > now);
            let (keys, fresh_until) = kept.map_or((None, now), |last| (last.keys, last.fresh_until));
            remember(slot, Fetched { keys: keys.clone(), fresh_until, tried_at: now });
            return Ok(keys);
        }
    };
    let fresh_until = now.plus(kept);
    remember(slot, Fetched { keys: keys.as_ref().ok().cloned(), fresh_until, tried_at: now });
    Ok(Some(keys?))
}

fn remember(slot: &Slot, fetched: Fetched) {
    *slot.last.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
}
