//! Events as a stream. One task per process polls for new events, however many streams are open; a stream
//! reads the database only when there is something for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_store::StoreError;
use causeway_store::events::{self, Event};
use causeway_types::{ClientId, ClientType};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::order::order;
use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;

/// Events per read.
const BATCH: i64 = 100;
/// How often the process polls for new events.
const PERIOD: Duration = Duration::from_secs(1);
/// Streams of one client at most: a further one ends the one that is open longest.
pub const PER_CLIENT: usize = 16;
/// Streams of the process at most.
pub const PER_PROCESS: usize = 1024;

/// Why a client may not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It does not authenticate.
    #[error("event streams are for clients that authenticate")]
    PublicClient,
    /// It is not subscribed to events.
    #[error(
        "this client is not subscribed to events: the operator of this server subscribes it with causeway events subscribe"
    )]
    NotSubscribed,
    /// This process serves as many streams as it can.
    #[error("too many event streams are open on this server: reconnect later")]
    Crowded,
    /// A one-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for ListenError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Opens a stream for an authenticated client: of what comes after the event `last`, or from now on.
///
/// # Errors
/// [`ListenError`].
#[tracing::instrument(name = "flow.events.listen", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn listen(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    last: Option<i64>,
) -> Result<Listener, ListenError> {
    if authenticated.client.client_type() == ClientType::Public {
        return Err(ListenError::PublicClient);
    }
    authenticated.consume_alone::<ListenError>(ctx).await?;
    let client_id = authenticated.client.client_id.clone();
    let latest = latest(ctx, client_id.clone()).await?.ok_or(ListenError::NotSubscribed)?;
    let (listener, must_poll) = ctx.hub().join(ctx, client_id, last.unwrap_or(latest), latest)?;
    if must_poll {
        let detached = ctx.clone();
        ctx.start_for_good(async move { poll(&detached).await });
    }
    Ok(listener)
}

async fn latest(ctx: &Ctx, client_id: ClientId) -> Result<Option<i64>, StoreError> {
    ctx.store().read(move |c| events::latest_event_id(c, &client_id)).await
}

/// An open stream. Its place is free again when it is dropped.
#[derive(Debug)]
pub struct Listener {
    ctx: Ctx,
    client_id: ClientId,
    /// The event that was delivered last.
    last: i64,
    /// The latest event; `None`: the client is no longer subscribed.
    latest: watch::Receiver<Option<i64>>,
    /// A further stream of the same client has taken this one's place.
    superseded: CancellationToken,
    number: u64,
}

impl Listener {
    /// Waits for the next events. `None`: the stream ends, because the server stops, the client is no longer
    /// subscribed or has opened too many other streams, or the database fails permanently. Nothing is lost when
    /// the caller stops waiting.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let last = self.last;
            let news = async {
                let latest = self.latest.wait_for(|latest| latest.is_none_or(|latest| latest > last)).await;
                latest.map_or(None, |latest| *latest)
            };
            let latest = tokio::select! {
                biased;
                () = self.ctx.lifecycle().stopping() => None,
                () = self.superseded.cancelled() => None,
                latest = news => latest,
            }?;
            let client_id = self.client_id.clone();
            let read = self
                .ctx
                .store()
                .read::<_, StoreError, _>(move |c| events::list_events_after(c, &client_id, last, BATCH));
            match read.await {
                Ok(events) => {
                    // Those up to the latest may have been swept meanwhile.
                    self.last = events.last().map_or(latest, |event| event.id);
                    if !events.is_empty() {
                        return Some(events);
                    }
                }
                Err(error) if error.is_retryable() => tokio::time::sleep(PERIOD).await,
                Err(error) => {
                    tracing::warn!(%error, "an event stream is closed");
                    return None;
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ctx.hub().leave(&self.client_id, self.number);
    }
}

/// The streams of this process.
#[derive(Debug, Default)]
pub(crate) struct Hub(Mutex<Streams>);

#[derive(Debug, Default)]
struct Streams {
    clients: HashMap<ClientId, Listening>,
    open: usize,
    /// The number of streams opened so far.
    count: u64,
    polled: bool,
}

/// A client with open streams, the oldest first.
#[derive(Debug)]
struct Listening {
    latest: watch::Sender<Option<i64>>,
    streams: VecDeque<(u64, CancellationToken)>,
}

impl Hub {
    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.streams().open
    }

    /// Opens a stream; the flag says whether the caller has to start [`poll`].
    fn join(
        &self,
        ctx: &Ctx,
        client_id: ClientId,
        last: i64,
        latest: i64,
    ) -> Result<(Listener, bool), ListenError> {
        let mut streams = self.streams();
        let Streams { clients, open, count, polled } = &mut *streams;
        let of_client = clients.get(&client_id).map_or(0, |listening| listening.streams.len());
        if *open >= PER_PROCESS && of_client < PER_CLIENT {
            return Err(ListenError::Crowded);
        }
        let listening = clients.entry(client_id.clone()).or_insert_with(|| Listening {
            latest: watch::Sender::new(Some(latest)),
            streams: VecDeque::new(),
        });
        listening.notify(Some(latest));
        if of_client >= PER_CLIENT
            && let Some((_, oldest)) = listening.streams.pop_front()
        {
            oldest.cancel();
            *open -= 1;
        }
        *open += 1;
        *count += 1;
        let superseded = CancellationToken::new();
        listening.streams.push_back((*count, superseded.clone()));
        let latest = listening.latest.subscribe();
        let listener = Listener { ctx: ctx.clone(), client_id, last, latest, superseded, number: *count };
        Ok((listener, !std::mem::replace(polled, true)))
    }

    fn leave(&self, client_id: &ClientId, number: u64) {
        let mut streams = self.streams();
        let Streams { clients, open, .. } = &mut *streams;
        let Some(listening) = clients.get_mut(client_id) else { return };
        let before = listening.streams.len();
        listening.streams.retain(|(other, _)| *other != number);
        *open -= before - listening.streams.len();
        if listening.streams.is_empty() {
            clients.remove(client_id);
        }
    }

    /// The clients that listen; when there are none, polling ends.
    fn clients(&self) -> Vec<ClientId> {
        let mut streams = self.streams();
        streams.polled = !streams.clients.is_empty();
        streams.clients.keys().cloned().collect()
    }

    fn notify(&self, client_id: &ClientId, latest: Option<i64>) {
        if let Some(listening) = self.streams().clients.get(client_id) {
            listening.notify(latest);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    fn notify(&self, latest: Option<i64>) {
        // An earlier read may arrive later.
        self.latest.send_if_modified(|known| {
            let is_news = latest.is_none() || *known < latest;
            if is_news {
                *known = latest;
            }
            is_news
        });
    }
}

/// Polls for new events as long as any stream is open.
async fn poll(ctx: &Ctx) {
    loop {
        tokio::select! {
            () = ctx.lifecycle().stopping() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        let clients = ctx.hub().clients();
        if clients.is_empty() {
            return;
        }
        match find_latest(ctx, clients).await {
            Ok(found) => found.iter().for_each(|(client_id, latest)| ctx.hub().notify(client_id, *latest)),
            Err(error) => tracing::warn!(%error, "new events are announced later"),
        }
    }
}

/// The latest event of each client, in one transaction.
async fn find_latest(ctx: &Ctx, clients: Vec<ClientId>) -> Result<Vec<(ClientId, Option<i64>)>, Internal> {
    order(ctx).await?;
    let look = move |c: &mut _| {
        let look = |client_id: ClientId| {
            let latest = events::latest_event_id(c, &client_id)?;
            Ok((client_id, latest))
        };
        clients.into_iter().map(look).collect::<Result<Vec<_>, Internal>>()
    };
    ctx.store().read(look).await
}
