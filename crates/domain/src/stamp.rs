//! The second in which something was made, at the front of its name: an index over such names grows at its end.

use crate::clock::Timestamp;

/// Characters of a stamp.
const LENGTH: usize = 8;

/// Characters of a name behind its stamp: 256 bits in unpadded base64url.
const RANDOM: usize = 43;

/// The second as eight hexadecimal digits, which are in order until the year 2106.
pub(crate) fn of(now: Timestamp) -> String {
    let second = u32::try_from(now.as_secs()).unwrap_or_default();
    format!("{second:08x}")
}

/// The stamp at the front of a name, if it has the length and the letters of one with a stamp.
pub(crate) fn leading(name: &str) -> Option<&str> {
    let (stamp, _) = name.split_at_checked(LENGTH).filter(|(_, random)| random.len() == RANDOM)?;
    stamp.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_in_the_order_of_time() {
        let moments = [0, 9, 10, 255, 256, 1_700_000_000, 1_700_000_001, i64::from(u32::MAX)];
        let stamps: Vec<String> = moments.into_iter().map(|s| of(Timestamp(s))).collect();
        assert!(stamps.is_sorted(), "{stamps:?}");
        assert!(stamps.iter().all(|s| s.len() == LENGTH));
    }

    #[test]
    fn a_name_without_a_stamp_has_none() {
        let random = "r".repeat(RANDOM);
        assert_eq!(leading(&format!("65a0f00d{random}")), Some("65a0f00d"));
        for other in [
            random.clone(),
            format!("65A0F00D{random}"),
            format!("65a0f00{random}"),
            format!("é5a0f00{random}"),
            String::new(),
        ] {
            assert_eq!(leading(&other), None, "{other}");
        }
    }
}
