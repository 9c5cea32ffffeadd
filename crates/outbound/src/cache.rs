//! A small cache whose entries live a fixed time.

use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use causeway_domain::BoundedMap;
use causeway_types::Timestamp;

/// At most [`TtlCache::CAPACITY`] entries, each for [`TtlCache::SECONDS`].
#[derive(Debug)]
pub struct TtlCache<K, V>(Mutex<BoundedMap<K, (V, Timestamp)>>);

impl<K: Eq + Hash + Clone, V: Clone> Default for TtlCache<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> TtlCache<K, V> {
    /// Entries stored: the oldest one makes room for a new one.
    pub const CAPACITY: usize = 1024;
    /// Seconds that an entry lives. A sign-in must not rely on anything that is older than 10 minutes.
    pub const SECONDS: i64 = 300;

    /// Creates an empty cache.
    pub fn new() -> Self {
        Self(Mutex::new(BoundedMap::new(Self::CAPACITY)))
    }

    /// The entry of `key`, while it lives.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        self.get_younger(key, now, Self::SECONDS)
    }

    /// An entry that is less than `seconds` old.
    pub fn get_younger(&self, key: &K, now: Timestamp, seconds: i64) -> Option<V> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, since) = entries.get(key)?;
        is_live(*since, now, seconds.min(Self::SECONDS)).then(|| value.clone())
    }

    /// Drops an entry, and gives it back whatever its age is.
    pub fn forget(&self, key: &K) -> Option<V> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(key).map(|(value, _)| value)
    }

    /// Drops the entries with this value.
    pub fn forget_value(&self, value: &V)
    where
        V: PartialEq,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (own, _)| own != value);
    }

    /// Stores an entry as of `now`.
    pub fn put(&self, key: K, value: V, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, (value, now));
    }
}

/// An entry from the future (the clock went back) is not live either.
fn is_live(since: Timestamp, now: Timestamp, seconds: i64) -> bool {
    (0..seconds).contains(&now.since(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_end() {
        let cache = TtlCache::new();
        cache.put("a", 1, Timestamp(1_000));
        assert_eq!(cache.get(&"a", Timestamp(1_299)), Some(1));
        assert_eq!(cache.get(&"a", Timestamp(1_300)), None);
        assert_eq!(cache.get(&"a", Timestamp(999)), None);
        assert_eq!(cache.get(&"b", Timestamp(1_000)), None);
        assert_eq!(cache.get_younger(&"a", Timestamp(1_059), 60), Some(1));
        assert_eq!(cache.get_younger(&"a", Timestamp(1_060), 60), None);
        assert_eq!(cache.get_younger(&"a", Timestamp(1_300), 1_000), None);
    }

    #[test]
    fn what_is_forgotten_is_gone() {
        let (cache, now) = (TtlCache::new(), Timestamp(0));
        for (key, value) in [("a", 1), ("b", 2), ("c", 1)] {
            cache.put(key, value, now);
        }
        assert_eq!((cache.forget(&"b"), cache.forget(&"b")), (Some(2), None));
        cache.forget_value(&1);
        assert_eq!((cache.get(&"a", now), cache.get(&"c", now)), (None, None));
    }

    #[test]
    fn the_oldest_makes_room() {
        let cache = TtlCache::new();
        for key in 0..=TtlCache::<usize, ()>::CAPACITY {
            cache.put(key, (), Timestamp(i64::from(key > 0)));
        }
        assert_eq!(cache.get(&0, Timestamp(1)), None);
        assert_eq!(cache.get(&1, Timestamp(1)), Some(()));
        assert_eq!(cache.0.lock().unwrap().len(), TtlCache::<usize, ()>::CAPACITY);
    }
}
