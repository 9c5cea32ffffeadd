//! Times on pages. They are shown in UTC: without a script the server does not know the reader's clock.

use causeway_types::Timestamp;

const DAY: i64 = 86_400;

/// A day of the Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
}

/// The day of a timestamp. Years are counted from March, so that the leap day is the last of its
/// year and the lengths of the months before it repeat every five: 31, 30, 31, 30, 31.
pub(super) fn day_of(at: Timestamp) -> Day {
    /// From 1 March of the year 0 to 1 January 1970.
    const EPOCH: i64 = 719_468;
    const FOUR_CENTURIES: i64 = 146_097;
    let days = at.as_secs().div_euclid(DAY) + EPOCH;
    let (era, rest) = (days.div_euclid(FOUR_CENTURIES), days.rem_euclid(FOUR_CENTURIES));
    let year = (rest - rest / 1460 + rest / 36_524 - rest / (FOUR_CENTURIES - 1)) / 365;
    let day_of_year = rest - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    Day {
        year: era * 400 + year + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * from_march + 2) / 5 + 1,
    }
}

/// For machines: the `datetime` of a `time` element.
pub(super) fn iso(at: Timestamp) -> String {
    let Day { year, month, day } = day_of(at);
    let minutes = at.as_secs().rem_euclid(DAY) / 60;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}Z", minutes / 60, minutes % 60)
}

/// How long ago something was, in the largest unit that fits. A use is recorded once a minute, so anything
/// younger than two minutes is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ago {
    Now,
    Minutes(i64),
    Hours(i64),
    Days(i64),
}

impl Ago {
    pub(super) const fn of(seconds: i64) -> Self {
        match seconds {
            ..120 => Self::Now,
            120..3600 => Self::Minutes(seconds / 60),
            3600..DAY => Self::Hours(seconds / 3600),
            _ => Self::Days(seconds / DAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        for (seconds, iso_text) in [
            (0, "1970-01-01T00:00Z"),
            (951_782_400, "2000-02-29T00:00Z"),
            (951_868_800, "2000-03-01T00:00Z"),
            (1_709_251_199, "2024-02-29T23:59Z"),
            (1_735_689_599, "2024-12-31T23:59Z"),
            (1_735_689_600, "2025-01-01T00:00Z"),
            (4_107_542_400, "2100-03-01T00:00Z"),
            (-1, "1969-12-31T23:59Z"),
        ] {
            assert_eq!(iso(Timestamp(seconds)), iso_text);
        }
    }

    #[test]
    fn how_long_ago() {
        for (seconds, ago) in [
            (-5, Ago::Now),
            (119, Ago::Now),
            (120, Ago::Minutes(2)),
            (3599, Ago::Minutes(59)),
            (3600, Ago::Hours(1)),
            (86_399, Ago::Hours(23)),
            (86_400, Ago::Days(1)),
        ] {
            assert_eq!(Ago::of(seconds), ago, "{seconds}");
        }
    }
}
