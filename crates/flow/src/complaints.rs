//! Loud lines of the log that would come again with each session: each is said once an hour.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use causeway_domain::Timestamp;

/// Seconds for which a line is not said again.
const SILENT_SECONDS: i64 = 3600;
/// Subjects that are remembered; the oldest makes room.
const CAPACITY: usize = 256;

/// The subjects that this process has complained of.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<HashMap<String, Timestamp>>);

impl Complaints {
    /// Whether there was no complaint of this subject in the last hour; there is one now.
    pub(crate) fn is_new(&self, subject: &str, now: Timestamp) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(subject).is_some_and(|at| (0..SILENT_SECONDS).contains(&now.since(*at))) {
            return false;
        }
        if said.len() >= CAPACITY && !said.contains_key(subject) {
            let oldest = said.iter().min_by_key(|(_, at)| **at).map(|(subject, _)| subject.clone());
            oldest.map(|subject| said.remove(&subject));
        }
        said.insert(subject.to_owned(), now);
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
