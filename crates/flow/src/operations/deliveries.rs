//! Requests that clients receive: one queue a client, so that a receiver that never answers delays only its
//! own client.
//!
//! Waiting deliveries are in the database; a queue is a task that claims a client's due deliveries and sends
//! them, a few at a time, until none is due. A receiver has to answer before it gets more than one at a time,
//! and one that fails moves to the places that failing receivers share.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use causeway_types::ClientId;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::ctx::Ctx;
use crate::error::Internal;

/// Requests at the same time to a receiver that answers.
const WIDTH: usize = 4;
/// Requests at the same time to all receivers that answer, and to those of which nothing is known yet.
const PLACES: usize = 256;
/// Requests at the same time to all receivers that fail.
const FAILING_PLACES: usize = 64;
/// Failures in a row after which a queue rests until it is started again, to spare a receiver that is down.
const FAILURES: u32 = 3;
/// Clients that are counted individually; the others are counted together.
pub(crate) const NAMED_CLIENTS: usize = 200;
/// The name under which the others are counted.
pub(crate) const OTHERS: &str = "others";

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It did not: there will be another try.
    Failed,
    /// It did not, and there was the last try.
    GivenUp,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::GivenUp];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// One kind of delivery.
pub(crate) trait DeliveryKind: Send + 'static {
    /// One request.
    type Delivery: Send + Sync + 'static;

    /// The queues of this kind.
    fn queues(ctx: &Ctx) -> &Queues;

    /// Claims at most `limit` requests that are due to a client.
    fn claim(
        ctx: &Ctx,
        client_id: &ClientId,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Self::Delivery>, Internal>> + Send;

    /// Sends a request and stores its outcome.
    fn deliver(
        ctx: &Ctx,
        delivery: &Self::Delivery,
    ) -> impl Future<Output = Result<Outcome, Internal>> + Send;
}

/// Requests by outcome.
pub type Counts = [u64; Outcome::ALL.len()];

/// The queues of this process for one kind of delivery.
#[derive(Debug)]
pub struct Queues {
    /// Clients whose queue is at work, and whether it was asked for again meanwhile.
    at_work: Mutex<HashMap<ClientId, bool>>,
    places: Arc<Semaphore>,
    failing_places: Arc<Semaphore>,
    counts: Mutex<BTreeMap<String, Counts>>,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            at_work: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            failing_places: Arc::new(Semaphore::new(FAILING_PLACES)),
            counts: Mutex::default(),
        }
    }
}

impl Queues {
    /// Requests so far, by client.
    pub fn counts(&self) -> Vec<(String, Counts)> {
        lock(&self.counts).iter().map(|(client, counts)| (client.clone(), *counts)).collect()
    }

    fn count(&self, client_id: &ClientId, outcome: Outcome) {
        let mut counts = lock(&self.counts);
        let known = counts.len() < NAMED_CLIENTS || counts.contains_key(client_id.as_str());
        let name = if known { client_id.as_str() } else { OTHERS };
        counts.entry(name.to_owned()).or_default()[outcome as usize] += 1;
    }

    /// Whether the caller is to process a client's queue; otherwise the task that does will check it once
    /// more.
    fn begin(&self, client_id: &ClientId) -> bool {
        let mut at_work = lock(&self.at_work);
        if let Some(again) = at_work.get_mut(client_id) {
            *again = true;
            return false;
        }
        at_work.insert(client_id.clone(), false);
        true
    }

    /// Whether a client's queue has to be checked once more; otherwise it is no longer at work.
    fn must_look_again(&self, client_id: &ClientId) -> bool {
        let mut at_work = lock(&self.at_work);
        if let Some(again) = at_work.get_mut(client_id)
            && std::mem::take(again)
        {
            return true;
        }
        at_work.remove(client_id);
        false
    }

    /// Places for requests to one receiver: at most `wanted`, and one at least when `waits`.
    async fn places(&self, failing: bool, wanted: usize, waits: bool) -> Vec<OwnedSemaphorePermit> {
        let places = if failing { &self.failing_places } else { &self.places };
        let mut taken = Vec::new();
        if waits && let Ok(place) = Arc::clone(places).acquire_owned().await {
            taken.push(place);
        }
        while taken.len() < wanted
            && let Ok(place) = Arc::clone(places).try_acquire_owned()
        {
            taken.push(place);
        }
        taken
    }
}

/// Starts processing the queues of these clients, each on its own, and waits for none. A client whose queue
/// is at work already has no task among those returned.
pub(crate) fn start<C: DeliveryKind>(ctx: &Ctx, clients: Vec<ClientId>) -> Vec<JoinHandle<()>> {
    let idle = clients.into_iter().filter(|client_id| C::queues(ctx).begin(client_id));
    let work = idle.map(|client_id| {
        let detached = ctx.clone();
        ctx.start_apart(async move { Queue { ctx: detached, client_id }.work_off::<C>().await })
    });
    work.collect()
}

/// A client's queue being processed.
struct Queue {
    ctx: Ctx,
    client_id: ClientId,
}

impl Queue {
    async fn work_off<C: DeliveryKind>(&self) {
        let at_work = AtWork { queues: C::queues(&self.ctx), client_id: &self.client_id };
        loop {
            if let Err(error) = self.deliver_due::<C>().await {
                tracing::warn!(%error, client_id = %self.client_id, "deliveries are postponed");
            }
            if !C::queues(&self.ctx).must_look_again(&self.client_id) {
                std::mem::forget(at_work);
                return;
            }
        }
    }

    /// Delivers what is due until nothing is, the receiver fails again and again, or the server stops.
    async fn deliver_due<C: DeliveryKind>(&self) -> Result<(), Internal> {
        let queues = C::queues(&self.ctx);
        let mut under_way = FuturesUnordered::new();
        let (mut width, mut failures) = (1_usize, 0_u32);
        let mut outcome = Ok(());
        loop {
            let free = width.saturating_sub(under_way.len());
            if free > 0 && failures < FAILURES && outcome.is_ok() && !self.ctx.lifecycle().is_stopping() {
                let places = queues.places(failures > 0, free, under_way.is_empty()).await;
                let limit = i64::try_from(places.len()).unwrap_or(1);
                match C::claim(&self.ctx, &self.client_id, limit).await {
                    Ok(deliveries) => under_way.extend(deliveries.into_iter().zip(places).map(
                        |(delivery, place)| async move {
                            let delivered = C::deliver(&self.ctx, &delivery).await;
                            drop(place);
                            delivered
                        },
                    )),
                    Err(error) => outcome = Err(error),
                }
            }
            match under_way.next().await {
                None => return outcome,
                Some(Ok(delivered)) => {
                    queues.count(&self.client_id, delivered);
                    (width, failures) =
                        if delivered == Outcome::Delivered { (WIDTH, 0) } else { (1, failures + 1) };
                }
                Some(Err(error)) => outcome = Err(error),
            }
        }
    }
}

/// Lets a queue that ends in a panic be started again.
struct AtWork<'a> {
    queues: &'a Queues,
    client_id: &'a ClientId,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        lock(&self.queues.at_work).remove(self.client_id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
