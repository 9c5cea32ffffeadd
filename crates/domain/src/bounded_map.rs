//! A map that others fill, in bounded memory.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A map with a fixed capacity: the entry that was put longest ago makes room for a new one.
///
/// For caches and protective counters: it never refuses a new entry, and never stops counting. A cache with an
/// admission policy, such as that of the crate `moka`, would reject keys that occur once, and those have to be counted.
/// Where no entry may be evicted (used proofs, look-ups under way), a full map refuses new ones instead, and is not of
/// this type.
#[derive(Clone, Debug)]
pub struct BoundedMap<K, V> {
    capacity: usize,
    entries: HashMap<K, (u64, V)>,
    /// Keys in the order in which they were put.
    order: BTreeMap<u64, K>,
    puts: u64,
}

impl<K: Eq + Hash + Clone, V> BoundedMap<K, V> {
    /// An empty map for so many entries: at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: HashMap::new(), order: BTreeMap::new(), puts: 0 }
    }

    /// The value of a key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// The value of a key, for changes in place; the key's age stays.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Puts a value; its key becomes the newest.
    pub fn put(&mut self, key: K, value: V) {
        if let Some((at, _)) = self.entries.get(&key) {
            self.order.remove(at);
        } else if self.entries.len() >= self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.puts += 1;
        self.order.insert(self.puts, key.clone());
        self.entries.insert(key, (self.puts, value));
    }

    /// The value of a key, for changes in place; the key becomes the newest.
    pub fn touch<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (at, value) = self.entries.get_mut(key)?;
        if let Some(key) = self.order.remove(at) {
            self.puts += 1;
            *at = self.puts;
            self.order.insert(self.puts, key);
        }
        Some(value)
    }

    /// Takes a value out.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (at, value) = self.entries.remove(key)?;
        self.order.remove(&at);
        Some(value)
    }

    /// Takes out the entry that was put longest ago, if its value holds this.
    pub fn pop_oldest_if(&mut self, holds: impl FnOnce(&V) -> bool) -> Option<(K, V)> {
        let (_, oldest) = self.order.first_key_value()?;
        self.entries.get(oldest).filter(|(_, value)| holds(value))?;
        let (_, oldest) = self.order.pop_first()?;
        let (_, value) = self.entries.remove(&oldest)?;
        Some((oldest, value))
    }

    /// Drops the entries that do not hold this.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let Self { entries, order, .. } = self;
        entries.retain(|key, (at, value)| {
            let stays = keep(key, value);
            if !stays {
                order.remove(at);
            }
            stays
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_longest_ago_makes_room() {
        let mut map = BoundedMap::new(3);
        for key in ["a", "b", "c"] {
            map.put(key, 1);
        }
        map.put("a", 2);
        map.put("d", 1);
        assert_eq!(
            (map.get("a"), map.get("b"), map.get("c"), map.get("d")),
            (Some(&2), None, Some(&1), Some(&1))
        );
        if let Some(value) = map.get_mut("c") {
            *value += 1;
        }
        assert_eq!((map.remove("c"), map.remove("c"), map.len()), (Some(2), None, 2));
        map.put("b", 1);
        assert_eq!(map.touch("a"), Some(&mut 2));
        assert_eq!(map.touch("c"), None);
        map.put("e", 1);
        assert_eq!((map.get("a"), map.get("d")), (Some(&2), None), "what was touched is not the oldest");
        map.remove("e");
        for n in 0..100 {
            map.put(["x", "y", "z", "w"][n % 4], 0);
        }
        assert_eq!((map.len(), map.order.len()), (3, 3));
        assert_eq!(map.pop_oldest_if(|value| *value > 0), None);
        assert_eq!(map.pop_oldest_if(|value| *value == 0), Some(("y", 0)));
        assert_eq!((map.len(), map.order.len(), map.get("y")), (2, 2, None));
    }

    #[test]
    fn what_is_not_retained_makes_room() {
        let mut map = BoundedMap::new(3);
        assert!(map.is_empty());
        for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
            map.put(key, value);
        }
        map.retain(|key, value| *key != "a" && *value != 3);
        assert_eq!((map.get("a"), map.get("b"), map.get("c")), (None, Some(&2), None));
        assert!(!map.is_empty());
        map.put("d", 4);
        map.put("e", 5);
        assert_eq!((map.len(), map.get("b")), (3, Some(&2)), "there was room for both");
        map.put("f", 6);
        assert_eq!((map.len(), map.get("b")), (3, None));
    }
}
