//! Limits error log lines that would repeat with each session: each is logged once an hour.

use std::sync::{Mutex, PoisonError};

use causeway_domain::BoundedMap;
use causeway_types::Timestamp;

/// Seconds for which a line is not logged again.
const SILENT_SECONDS: i64 = 3600;
/// The most subjects in memory; the oldest is evicted.
const CAPACITY: usize = 256;

/// The subjects that this process has logged lately.
#[derive(Debug)]
pub(crate) struct Complaints(Mutex<BoundedMap<String, Timestamp>>);

impl Default for Complaints {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(CAPACITY)))
    }
}

impl Complaints {
    /// Whether the subject was not logged within the last hour; marks it as logged now.
    pub(crate) fn is_new(&self, subject: &str, now: Timestamp) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(subject).is_some_and(|at| (0..SILENT_SECONDS).contains(&now.since(*at))) {
            return false;
        }
        said.put(subject.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_an_hour_and_subject() {
        let complaints = Complaints::default();
        let is_new = |subject, at| complaints.is_new(subject, Timestamp(at));
        assert!(is_new("a", 0) && is_new("b", 0));
        assert!(!is_new("a", 3599));
        assert!(is_new("a", 3600) && !is_new("a", 3601));
        for n in 0..=CAPACITY {
            assert!(complaints.is_new(&n.to_string(), Timestamp(5000)));
        }
        assert_eq!(complaints.0.lock().unwrap().len(), CAPACITY);
    }
}
