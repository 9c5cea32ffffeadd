//! Outcomes of requests to other servers.

use std::time::Duration;

use causeway_domain::measure::{Counter, Distribution, Histogram, MICROSECONDS};

use crate::error::HttpError;

const OUTCOMES: [&str; 9] =
    ["2xx", "3xx", "4xx", "5xx", "timeout", "unreachable", "interrupted", "blocked", "other"];

/// Outcomes of requests so far.
#[derive(Clone, Debug)]
pub struct OutboundStats {
    /// Number of requests for each outcome: the class of the status, or why there was no response.
    pub outcomes: [(&'static str, u64); OUTCOMES.len()],
    /// The time to the head of the answer, or until there was none, in microseconds.
    pub time: Distribution,
}

#[derive(Debug)]
pub(crate) struct OutboundCounters {
    outcomes: [Counter; OUTCOMES.len()],
    time: Histogram,
}

impl Default for OutboundCounters {
    fn default() -> Self {
        Self { outcomes: Default::default(), time: Histogram::new(&MICROSECONDS) }
    }
}

fn index(outcome: Result<u16, &HttpError>) -> usize {
    match outcome {
        Ok(200..300) => 0,
        Ok(300..400) => 1,
        Ok(400..500) => 2,
        Ok(500..600) => 3,
        Err(HttpError::Timeout) => 4,
        Err(HttpError::Unreachable(_)) => 5,
        Err(HttpError::Interrupted) => 6,
        Err(HttpError::Blocked(_)) => 7,
        _ => 8,
    }
}

/// The name of a request's outcome.
pub(crate) fn outcome_name(outcome: Result<u16, &HttpError>) -> &'static str {
    OUTCOMES[index(outcome)]
}

impl OutboundCounters {
    /// Counts a request by the status of its answer.
    pub(crate) fn note(&self, outcome: Result<u16, &HttpError>, time: Duration) {
        self.outcomes[index(outcome)].add(1);
        self.time.observe_time(time);
    }

    pub(crate) fn read(&self) -> OutboundStats {
        let mut outcomes = OUTCOMES.map(|name| (name, 0));
        for ((_, count), counter) in outcomes.iter_mut().zip(&self.outcomes) {
            *count = counter.get();
        }
        OutboundStats { outcomes, time: self.time.read() }
    }
}
