//! Turns for fetching what anybody may name: client documents and key sets.
//!
//! A requester that names many slow servers must not keep others waiting. So there is a share for each
//! requesting address and for each requested host, and a request waits for a turn a few seconds at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_domain::Network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use url::Url;

use crate::operations::trace;

/// Concurrent fetches of the process.
const FETCHES: usize = 128;
/// The same for one requesting address, or one network of IPv6.
const OF_ADDRESS: usize = 32;
/// The same for one requested host.
const OF_HOST: usize = 4;
/// How long to wait for a turn.
const QUEUE: Duration = Duration::from_secs(3);
/// How long a fetch may take: a request waits for it.
const FETCH: Duration = Duration::from_secs(5);
/// The same while many are under way: those waiting would wait too long.
const FETCH_IN_A_CROWD: Duration = Duration::from_secs(2);

/// The turns of a process.
#[derive(Debug)]
pub(crate) struct FetchTurns {
    all: Arc<Semaphore>,
    addresses: Shares<Option<Network>>,
    hosts: Shares<String>,
}

/// A turn: it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// How long the fetch may take.
    pub(crate) max_wait: Duration,
    _permits: (Permit<Option<Network>>, Permit<String>, OwnedSemaphorePermit),
}

impl Default for FetchTurns {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(FETCHES)),
            addresses: Shares::new(OF_ADDRESS),
            hosts: Shares::new(OF_HOST),
        }
    }
}

impl FetchTurns {
    /// Waits for a turn to fetch this URL for the request being served; `None`: it would take too long.
    pub(crate) async fn wait(&self, url: &Url) -> Option<Turn> {
        self.wait_for(trace::origin().1, url).await
    }

    async fn wait_for(&self, address: Option<IpAddr>, url: &Url) -> Option<Turn> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let waiting = async {
            // The requester's own share first: no one takes more than that to the shared queue.
            let address = self.addresses.enter(address.map(Network::from)).await?;
            let host = self.hosts.enter(host).await?;
            let one = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some((address, host, one))
        };
        let permits = timeout(QUEUE, waiting).await.ok()??;
        let is_crowded = self.all.available_permits() < FETCHES / 2;
        let max_wait = if is_crowded { FETCH_IN_A_CROWD } else { FETCH };
        Some(Turn { max_wait, _permits: permits })
    }
}

/// A concurrency limit for each key. Unused keys are removed, so that there are at most as many as requests.
#[derive(Debug)]
struct Shares<K> {
    most: usize,
    in_use: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    fn new(most: usize) -> Self {
        Self { most, in_use: Arc::default() }
    }

    async fn enter(&self, key: K) -> Option<Permit<K>> {
        let share = {
            let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(in_use.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.most))))
        };
        // Created before it waits, so that an abandoned wait is removed, too.
        let mut permit = Permit { key, in_use: Arc::clone(&self.in_use), share: Some(share), permit: None };
        permit.permit = Arc::clone(permit.share.as_ref()?).acquire_owned().await.ok();
        permit.permit.is_some().then_some(permit)
    }
}

#[derive(Debug)]
struct Permit<K: Eq + Hash> {
    key: K,
    in_use: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
    share: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        (self.permit, self.share) = (None, None);
        if in_use.get(&self.key).is_some_and(|share| Arc::strong_count(share) == 1) {
            in_use.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn url(host: usize) -> Url {
        Url::parse(&format!("https://h{host}.example/client.json")).unwrap()
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    /// Waits in vain: for three seconds, no less and no more. The clock of these tests jumps to the next deadline,
    /// whichever that is, so the wait has to be measured.
    async fn waits_in_vain(turns: &FetchTurns, address: Option<IpAddr>, url: &Url) {
        let begun = Instant::now();
        assert!(turns.wait_for(address, url).await.is_none());
        let waited = begun.elapsed();
        // Timers are exact to a millisecond.
        let expected = Duration::from_secs(3)..=Duration::from_millis(3001);
        assert!(expected.contains(&waited), "{waited:?}");
    }

    /// One address has its share and no more, whatever it names; no other address waits for it.
    #[tokio::test(start_paused = true)]
    async fn an_address_has_a_share() {
        let turns = FetchTurns::default();
        let mut held = Vec::new();
        for n in 0..OF_ADDRESS {
            held.push(turns.wait_for(Some(address(1)), &url(n)).await.unwrap());
        }
        waits_in_vain(&turns, Some(address(1)), &url(99)).await;
        let other = turns.wait_for(Some(address(2)), &url(99)).await.unwrap();
        assert_eq!(other.max_wait, FETCH);
        held.pop();
        assert!(turns.wait_for(Some(address(1)), &url(99)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_has_a_share_and_whoever_waits_is_next() {
        let turns = FetchTurns::default();
        let mut held = Vec::new();
        for n in 0..OF_HOST {
            held.push(turns.wait_for(Some(address(n.try_into().unwrap())), &url(0)).await.unwrap());
        }
        waits_in_vain(&turns, Some(address(9)), &url(0)).await;
        let busy = url(0);
        let (next, ()) = tokio::join!(turns.wait_for(Some(address(9)), &busy), async {
            tokio::time::sleep(QUEUE / 2).await;
            held.pop();
        });
        assert!(next.is_some());
    }

    /// A request that waits for its own share, and then for that of the host, does not wait longer.
    #[tokio::test(start_paused = true)]
    async fn one_deadline_for_all_shares() {
        let turns = FetchTurns::default();
        let busy = url(99);
        let (mut own, mut of_host) = (Vec::new(), Vec::new());
        for n in 0..OF_ADDRESS {
            own.push(turns.wait_for(Some(address(1)), &url(n)).await.unwrap());
        }
        for _ in 0..OF_HOST {
            of_host.push(turns.wait_for(Some(address(2)), &busy).await.unwrap());
        }
        tokio::join!(waits_in_vain(&turns, Some(address(1)), &busy), async {
            tokio::time::sleep(QUEUE / 2).await;
            own.pop();
        });
    }

    /// A slow fetch gets less time when others wait.
    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_served_faster() {
        let turns = FetchTurns::default();
        let mut held = Vec::new();
        for n in 0..FETCHES {
            held.push(
                turns.wait_for(Some(address((n / OF_ADDRESS).try_into().unwrap())), &url(n)).await.unwrap(),
            );
        }
        assert_eq!(held.last().unwrap().max_wait, FETCH_IN_A_CROWD);
        waits_in_vain(&turns, Some(address(9)), &url(999)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_what_ended() {
        let turns = FetchTurns::default();
        for n in 0..OF_HOST {
            let turn = turns.wait_for(Some(address(n.try_into().unwrap())), &url(0)).await.unwrap();
            assert!(turns.wait_for(Some(address(1)), &url(1)).await.is_some());
            drop(turn);
        }
        let busy = url(0);
        let held = futures_util::future::join_all((0..OF_HOST).map(|_| turns.wait_for(None, &busy))).await;
        waits_in_vain(&turns, None, &busy).await;
        drop(held);
        assert!(turns.hosts.in_use.lock().unwrap().is_empty());
        assert!(turns.addresses.in_use.lock().unwrap().is_empty());
    }
}
