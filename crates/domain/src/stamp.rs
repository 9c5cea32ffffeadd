//! Creation time as the prefix of an identifier, so that an index over such identifiers grows at its end.

use crate::clock::Moment;

/// Characters of a stamp.
const LENGTH: usize = 11;

/// Characters of a name behind its stamp: 256 bits in unpadded base64url.
const RANDOM: usize = 43;

/// The millisecond as eleven hexadecimal digits, which are in order until the year 2527.
pub(crate) fn of(at: Moment) -> String {
    format!("{:011x}", at.as_millis() & 0xfff_ffff_ffff)
}

/// The stamp at the front of a name, if it has the length and the letters of one with a stamp.
pub(crate) fn leading(name: &str) -> Option<&str> {
    let (stamp, _) = name.split_at_checked(LENGTH).filter(|(_, random)| random.len() == RANDOM)?;
    stamp.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn stamps_are_in_the_order_of_time() {
        let moments = [0, 9, 10, 255, 256, 1_700_000_000, 1_700_000_001, 4_294_967_296, 17_592_186_044];
        let stamps: Vec<String> = moments.into_iter().map(|s| of(Timestamp(s).into())).collect();
        assert!(stamps.is_sorted(), "{stamps:?}");
        assert!(stamps.iter().all(|s| s.len() == LENGTH));
        assert_eq!(of(Timestamp(i64::MAX).into()).len(), LENGTH);
    }

    #[test]
    fn a_name_without_a_stamp_has_none() {
        let random = "r".repeat(RANDOM);
        assert_eq!(leading(&format!("018bcfe5680{random}")), Some("018bcfe5680"));
        for other in [
            random.clone(),
            format!("018BCFE5680{random}"),
            format!("018bcfe568{random}"),
            format!("é18bcfe56{random}"),
            String::new(),
        ] {
            assert_eq!(leading(&other), None, "{other}");
        }
    }
}
