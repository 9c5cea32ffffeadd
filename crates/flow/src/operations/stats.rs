//! Statistics of this process, for monitoring.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use causeway_domain::measure::{Counter, Distribution, Histogram, MICROSECONDS};
use causeway_store::events::deliveries::{Backlog, webhook_backlog};
use causeway_store::events::logouts;
use causeway_store::operations::admin;
use causeway_store::operations::sweep::SweepCount;
use causeway_types::{SessionKind, SessionState, Timestamp};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::deliveries::{NAMED_CLIENTS, OTHERS};

/// Seconds for which a count that scans a whole index is cached.
const COUNT_SECONDS: i64 = 15;

/// Statistics of this process since its start.
#[derive(Debug)]
pub struct Stats {
    /// Refreshes by reason and outcome. Each is a request to an authorization server, so a lock costs little.
    refreshes: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    refresh_time: Histogram,
    lease_wait: Histogram,
    lease_takeovers: Counter,
    swept: Counter,
    idle_ended: Counter,
    sweep_done_at: Mutex<Option<Timestamp>>,
    live: Kept<Vec<Live>>,
    backlogs: Kept<Backlogs>,
}

/// A cached count, with its time.
type Kept<T> = Mutex<Option<(Timestamp, T)>>;

/// The number of live sessions of a kind, in a state.
pub type Live = (SessionKind, SessionState, i64);

impl Default for Stats {
    fn default() -> Self {
        Self {
            refreshes: Mutex::default(),
            refresh_time: Histogram::new(&MICROSECONDS),
            lease_wait: Histogram::new(&MICROSECONDS),
            lease_takeovers: Counter::default(),
            swept: Counter::default(),
            idle_ended: Counter::default(),
            sweep_done_at: Mutex::default(),
            live: Mutex::default(),
            backlogs: Mutex::default(),
        }
    }
}

impl Stats {
    pub(crate) fn note_refresh(&self, reason: &'static str, outcome: &'static str, time: Duration) {
        *lock(&self.refreshes).entry((reason, outcome)).or_default() += 1;
        self.refresh_time.observe_time(time);
    }

    /// Records a wait for a lease that another process held.
    pub(crate) fn note_lease_wait(&self, time: Duration) {
        self.lease_wait.observe_time(time);
    }

    /// Records the takeover of a lease that ran out before its holder released it.
    pub(crate) fn note_lease_takeover(&self) {
        self.lease_takeovers.add(1);
    }

    pub(crate) fn note_sweep(&self, swept: SweepCount, now: Timestamp) {
        self.swept.add(swept.deleted as u64);
        self.idle_ended.add(swept.ended_sessions as u64);
        if !swept.more {
            *lock(&self.sweep_done_at) = Some(now);
        }
    }

    /// Refreshes at authorization servers: reason, outcome, count.
    pub fn refreshes(&self) -> Vec<(&'static str, &'static str, u64)> {
        lock(&self.refreshes).iter().map(|((reason, outcome), count)| (*reason, *outcome, *count)).collect()
    }

    /// Durations of refreshes, in microseconds.
    pub fn refresh_time(&self) -> Distribution {
        self.refresh_time.read()
    }

    /// Waits for leases that others held, in microseconds.
    pub fn lease_wait(&self) -> Distribution {
        self.lease_wait.read()
    }

    /// Number of leases that were taken over because they ran out.
    pub fn lease_takeovers(&self) -> u64 {
        self.lease_takeovers.get()
    }

    /// Number of rows that sweeps have deleted.
    pub fn swept(&self) -> u64 {
        self.swept.get()
    }

    /// Number of idle sessions that sweeps have ended.
    pub fn ended_by_sweep(&self) -> u64 {
        self.idle_ended.get()
    }

    /// When a sweep last finished with nothing left to do.
    pub fn sweep_done_at(&self) -> Option<Timestamp> {
        *lock(&self.sweep_done_at)
    }
}

/// Pending deliveries, by client.
#[derive(Clone, Debug, Default)]
pub struct Backlogs {
    /// Webhook requests.
    pub webhooks: Vec<Backlog>,
    /// Logout tokens.
    pub logouts: Vec<Backlog>,
}

/// Live sessions by kind and state, as of at most `COUNT_SECONDS` ago.
///
/// # Errors
/// When the database does not answer.
pub async fn live_sessions(ctx: &Ctx) -> Result<Vec<Live>, Internal> {
    if let Some(live) = kept(&ctx.stats().live, ctx.now()) {
        return Ok(live);
    }
    let live = ctx.store().read(|c| admin::count_live_sessions(c).map_err(Internal::from)).await?;
    *lock(&ctx.stats().live) = Some((ctx.now(), live.clone()));
    Ok(live)
}

/// Pending deliveries, as of at most `COUNT_SECONDS` ago.
///
/// # Errors
/// When the database does not answer.
pub async fn backlogs(ctx: &Ctx) -> Result<Backlogs, Internal> {
    if let Some(backlogs) = kept(&ctx.stats().backlogs, ctx.now()) {
        return Ok(backlogs);
    }
    let read = ctx.store().read(|c| {
        let (webhooks, logouts) = (webhook_backlog(c)?, logouts::logout_backlog(c)?);
        Ok::<_, Internal>(Backlogs { webhooks: bounded(webhooks), logouts: bounded(logouts) })
    });
    let backlogs = read.await?;
    *lock(&ctx.stats().backlogs) = Some((ctx.now(), backlogs.clone()));
    Ok(backlogs)
}

fn kept<T: Clone>(kept: &Kept<T>, now: Timestamp) -> Option<T> {
    let kept = lock(kept);
    kept.as_ref().filter(|(at, _)| now.since(*at) < COUNT_SECONDS).map(|(_, count)| count.clone())
}

/// Lists the clients with the most pending deliveries, and sums up the others: anybody may register a client.
fn bounded(mut backlogs: Vec<Backlog>) -> Vec<Backlog> {
    backlogs.sort_unstable_by_key(|backlog| std::cmp::Reverse(backlog.waiting));
    let others = backlogs.split_off(backlogs.len().min(NAMED_CLIENTS));
    let others = others.into_iter().reduce(|sum, other| Backlog {
        client_id: OTHERS.to_owned(),
        waiting: sum.waiting + other.waiting,
        oldest_at: sum.oldest_at.min(other.oldest_at),
    });
    backlogs.extend(others.map(|others| Backlog { client_id: OTHERS.to_owned(), ..others }));
    backlogs
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
