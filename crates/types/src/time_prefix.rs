//! Creation time as the prefix of an identifier, so that an index over such identifiers grows at its end.

use crate::time::UnixMillis;

/// Characters of a time_prefix.
const LENGTH: usize = 11;

/// Characters of a name behind its time_prefix: 256 bits in unpadded base64url.
const RANDOM: usize = 43;

/// The millisecond as eleven hexadecimal digits, which are in order until the year 2527.
pub(crate) fn of(at: UnixMillis) -> String {
    format!("{:011x}", at.as_millis() & 0xfff_ffff_ffff)
}

/// The time_prefix at the front of a name, if it has the length and the letters of one with a time_prefix.
pub(crate) fn leading(name: &str) -> Option<&str> {
    let (time_prefix, _) = name.split_at_checked(LENGTH).filter(|(_, random)| random.len() == RANDOM)?;
    time_prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(time_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn time_prefixes_are_in_the_order_of_time() {
        let moments = [0, 9, 10, 255, 256, 1_700_000_000, 1_700_000_001, 4_294_967_296, 17_592_186_044];
        let time_prefix: Vec<String> = moments.into_iter().map(|s| of(Timestamp(s).into())).collect();
        assert!(time_prefix.is_sorted(), "{time_prefix:?}");
        assert!(time_prefix.iter().all(|s| s.len() == LENGTH));
        assert_eq!(of(Timestamp(i64::MAX).into()).len(), LENGTH);
    }

    #[test]
    fn a_name_without_a_time_prefix_has_none() {
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
