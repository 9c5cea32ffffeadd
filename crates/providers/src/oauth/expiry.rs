//! Ends of tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::Timestamp;
use serde_json::Value;
use time::format_description::well_known::Iso8601;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::definition::answer::ExpiryUnit;
use crate::definition::lifetime::Lifetime;

/// The longest life in seconds that is believed: ten years.
const LONGEST: i64 = 3_650 * 86_400;

/// The end of a token, as an answer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Then, or now if that is past.
    At(Timestamp),
    /// The answer does not say.
    Unsaid,
    /// The answer says nothing that can be believed.
    Malformed,
}

/// Reads the end of a token. Fractions are cut. A life of zero or less has ended now; one beyond ten years is not
/// believed.
pub(super) fn end(value: Option<&Value>, unit: ExpiryUnit, now: Timestamp) -> End {
    let Some(value) = value.filter(|value| !value.is_null()) else { return End::Unsaid };
    let number = || whole(value);
    let seconds = match unit {
        ExpiryUnit::Seconds => number(),
        ExpiryUnit::Milliseconds => number().map(|life| life / 1000),
        ExpiryUnit::Unix => number().map(|at| Timestamp(at).since(now)),
        ExpiryUnit::UnixMilliseconds => number().map(|at| Timestamp(at / 1000).since(now)),
        ExpiryUnit::Iso8601 => value.as_str().and_then(iso8601).map(|at| at.since(now)),
        ExpiryUnit::Jwt => value.as_str().and_then(jwt).map(|at| at.since(now)),
    };
    match seconds {
        Some(seconds) if seconds <= LONGEST => End::At(now.plus(seconds.max(0))),
        Some(_) | None => End::Malformed,
    }
}

/// The time after which only the user can renew access: the earliest of what an answer says, the end of idle access, and
/// the end that no renewal moves. `None`: no end is known.
pub fn refresh_end(
    lifetime: &Lifetime,
    answered: Option<Timestamp>,
    renewed_at: Timestamp,
    connected_at: Timestamp,
) -> Option<Timestamp> {
    let idle = lifetime.idle_end.map(|life| renewed_at.plus(life.as_i64()));
    let absolute = lifetime.absolute_end.map(|life| connected_at.plus(life.as_i64()));
    [answered.or(idle), absolute].into_iter().flatten().min()
}

/// A number, or a decimal number as a string, without its fraction.
fn whole(value: &Value) -> Option<i64> {
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float becomes the nearest number that there is"
        )]
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)),
        Value::String(text) => {
            let text = text.trim();
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let is_decimal = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
            whole.parse().ok().filter(|_| is_decimal)
        }
        _ => None,
    }
}

/// A date and time; without an offset it is UTC.
fn iso8601(text: &str) -> Option<Timestamp> {
    let text = text.trim().replacen(' ', "T", 1);
    let with_offset = OffsetDateTime::parse(&text, &Iso8601::DEFAULT);
    let moment = with_offset
        .or_else(|_| PrimitiveDateTime::parse(&text, &Iso8601::DEFAULT).map(PrimitiveDateTime::assume_utc));
    moment.ok().map(|moment| Timestamp(moment.unix_timestamp()))
}

/// The `exp` of a JWT (RFC 7519 section 4.1.4). It is the provider's word about its own token, so nothing is verified.
fn jwt(token: &str) -> Option<Timestamp> {
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    whole(claims.get("exp")?).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::plain_client;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn life(value: &Value, unit: ExpiryUnit) -> Option<i64> {
        match end(Some(value), unit, NOW) {
            End::At(at) => Some(at.since(NOW)),
            End::Unsaid => None,
            End::Malformed => Some(-1),
        }
    }

    const MALFORMED: Option<i64> = Some(-1);

    #[test]
    fn lives_are_numbers_or_decimal_strings() {
        for (value, expected) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(" 3600 "), Some(3600)),
            (json!(3599.9), Some(3599)),
            (json!("3599.9"), Some(3599)),
            (json!(3.6e3), Some(3600)),
            (json!(0), Some(0)),
            (json!("0"), Some(0)),
            (json!(0.9), Some(0)),
            (json!(-1), Some(0)),
            (json!("-5.5"), Some(0)),
            (json!(i64::MIN), Some(0)),
            (json!(LONGEST), Some(LONGEST)),
            (json!(LONGEST + 1), MALFORMED),
            (json!(1e300), MALFORMED),
            (json!(u64::MAX), MALFORMED),
            (json!("99999999999999999999"), MALFORMED),
            (json!("soon"), MALFORMED),
            (json!("1h"), MALFORMED),
            (json!("3600."), MALFORMED),
            (json!(""), MALFORMED),
            (json!(true), MALFORMED),
            (json!([3600]), MALFORMED),
            (json!({}), MALFORMED),
            (json!(null), None),
        ] {
            assert_eq!(life(&value, ExpiryUnit::Seconds), expected, "{value}");
        }
        assert_eq!(end(None, ExpiryUnit::Seconds, NOW), End::Unsaid);
    }

    #[test]
    fn ends_have_units() {
        let payload = |claims: &Value| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let in_an_hour = NOW.as_secs() + 3600;
        for (value, unit, expected) in [
            (json!(3_600_999), ExpiryUnit::Milliseconds, Some(3600)),
            (json!(999), ExpiryUnit::Milliseconds, Some(0)),
            (json!(in_an_hour), ExpiryUnit::Unix, Some(3600)),
            (json!(in_an_hour.to_string()), ExpiryUnit::Unix, Some(3600)),
            (json!(0), ExpiryUnit::Unix, Some(0)),
            (json!(in_an_hour * 1000 + 999), ExpiryUnit::UnixMilliseconds, Some(3600)),
            (json!(in_an_hour * 1000), ExpiryUnit::Unix, MALFORMED),
            (json!("2027-01-15T09:00:00Z"), ExpiryUnit::Iso8601, Some(3600)),
            (json!("2027-01-15T10:00:00.75+01:00"), ExpiryUnit::Iso8601, Some(3600)),
            (json!("2027-01-15 09:00:00"), ExpiryUnit::Iso8601, Some(3600)),
            (json!("2027-01-15T07:59:59Z"), ExpiryUnit::Iso8601, Some(0)),
            (json!("2027-02-30T09:00:00Z"), ExpiryUnit::Iso8601, MALFORMED),
            (json!(3600), ExpiryUnit::Iso8601, MALFORMED),
            (json!(payload(&json!({"exp": in_an_hour}))), ExpiryUnit::Jwt, Some(3600)),
            (json!(payload(&json!({"exp": 1.5}))), ExpiryUnit::Jwt, Some(0)),
            (json!(payload(&json!({}))), ExpiryUnit::Jwt, MALFORMED),
            (json!("opaque"), ExpiryUnit::Jwt, MALFORMED),
        ] {
            assert_eq!(life(&value, unit), expected, "{value}");
        }
    }

    #[test]
    fn access_ends_for_good_at_the_earliest_end() {
        let end = |idle: Option<i64>, absolute: Option<i64>, answered: Option<i64>| {
            let line = |name: &str, life: Option<i64>| {
                life.map(|life| format!("{name} = {life}\n")).unwrap_or_default()
            };
            let lines = format!("[lifetime]\n{}{}", line("idle_end", idle), line("absolute_end", absolute));
            let lifetime = plain_client(&lines).lifetime;
            let answered = answered.map(Timestamp);
            refresh_end(&lifetime, answered, Timestamp(1000), Timestamp(0)).map(Timestamp::as_secs)
        };
        assert_eq!(end(None, None, None), None);
        assert_eq!(end(Some(500), None, None), Some(1500), "idle from the renewal on");
        assert_eq!(end(Some(500), None, Some(5000)), Some(5000), "the answer knows better");
        assert_eq!(end(Some(500), Some(1200), None), Some(1200), "from the sign-in on");
        assert_eq!(end(None, Some(9000), Some(5000)), Some(5000));
    }
}
