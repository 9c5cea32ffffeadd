//! DPoP proofs that were recently accepted at resources, in this process's memory.
//!
//! Resource requests are many and must not wait for the disk. So a proof is remembered here, and where
//! several processes share a database also written there, without waiting until it is on disk. A crash or a
//! restart loses at most the proofs of the last five and a half minutes.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use causeway_domain::client::ReplayKey;
use causeway_types::Timestamp;

/// Span of expiry times, in seconds, whose proofs share a set that is dropped as a whole.
const SPAN: i64 = 64;
/// Maximum proofs in memory: some 12,000 new ones a second for as long as they are accepted.
const CAPACITY: usize = 4_000_000;

/// Whether a proof was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// No, and it is recorded now.
    Never,
    /// Yes.
    Before,
    /// Unknown: nothing more can be recorded at the moment.
    Full,
}

#[derive(Debug, Default)]
pub(crate) struct RecentProofs(Mutex<BTreeMap<i64, HashSet<u128>>>);

impl RecentProofs {
    /// Consumes a proof: of racing callers exactly one gets [`Seen::Never`].
    pub(crate) fn consume(&self, once: &ReplayKey, now: Timestamp) -> Seen {
        self.consume_within(once, now, CAPACITY)
    }

    fn consume_within(&self, once: &ReplayKey, now: Timestamp, capacity: usize) -> Seen {
        let id = once.short_id();
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = sets.first_entry().filter(|oldest| *oldest.key() < span(now)) {
            oldest.remove();
        }
        if sets.values().any(|set| set.contains(&id)) {
            return Seen::Before;
        }
        if sets.values().map(HashSet::len).sum::<usize>() >= capacity {
            return Seen::Full;
        }
        sets.entry(span(once.expires_at())).or_default().insert(id);
        Seen::Never
    }

    /// Releases a proof that was not used after all.
    pub(crate) fn release(&self, once: &ReplayKey) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sets.get_mut(&span(once.expires_at())) {
            set.remove(&once.short_id());
        }
    }
}

const fn span(time: Timestamp) -> i64 {
    time.as_secs().div_euclid(SPAN)
}

#[cfg(test)]
mod tests {
    use causeway_types::Jkt;

    use super::*;

    fn proof(jti: &str, expires_at: i64) -> ReplayKey {
        ReplayKey::dpop_proof(&Jkt::new("k"), jti, Timestamp(expires_at))
    }

    #[test]
    fn once_until_it_expires() {
        let recent = RecentProofs::default();
        let at = |jti: &str, expires_at, now| recent.consume(&proof(jti, expires_at), Timestamp(now));
        assert_eq!(at("a", 300, 0), Seen::Never);
        assert_eq!(at("a", 300, 299), Seen::Before);
        assert_eq!(at("a", 500, 299), Seen::Before, "the name counts, not the time");
        assert_eq!(at("b", 300, 299), Seen::Never);
        assert_eq!(at("a", 700, 300 + SPAN), Seen::Never, "forgotten after its time");
        recent.release(&proof("a", 700));
        assert_eq!(at("a", 700, 400), Seen::Never);
    }

    #[test]
    fn memory_is_bounded_and_frees_itself() {
        let recent = RecentProofs::default();
        let at = |jti: &str, now| recent.consume_within(&proof(jti, now + 300), Timestamp(now), 2);
        assert_eq!((at("a", 0), at("b", 0), at("c", 0)), (Seen::Never, Seen::Never, Seen::Full));
        assert_eq!(at("a", 0), Seen::Before);
        assert_eq!(at("c", 300 + SPAN), Seen::Never);
    }
}
