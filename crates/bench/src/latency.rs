//! Percentiles.

use std::time::Duration;

/// The value at or below which `permille` of 1000 of the sorted values lie, by the nearest rank; `None` if
/// there are none.
pub(crate) fn percentile(sorted: &[Duration], permille: usize) -> Option<Duration> {
    let rank = (sorted.len() * permille.min(1000)).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

/// A duration in milliseconds.
pub(crate) const fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u64, permille: usize) -> Option<u64> {
        let sorted: Vec<_> = (1..=count).map(Duration::from_micros).collect();
        percentile(&sorted, permille).map(|value| u64::try_from(value.as_micros()).unwrap())
    }

    #[test]
    fn nearest_rank() {
        assert_eq!(of(0, 500), None);
        for permille in [0, 1, 500, 990, 1000] {
            assert_eq!(of(1, permille), Some(1), "{permille}");
        }
        assert_eq!([of(4, 500), of(5, 500), of(4, 750), of(4, 751)], [2, 3, 3, 4].map(Some));
        assert_eq!([of(100, 990), of(101, 990), of(1000, 990), of(1000, 999)], [99, 100, 990, 999].map(Some));
        assert_eq!([of(10, 0), of(10, 1000), of(10, 2000)], [1, 10, 10].map(Some));
    }

    #[test]
    fn milliseconds() {
        assert!((millis(Duration::from_micros(1500)) - 1.5).abs() < 1e-9);
    }
}
