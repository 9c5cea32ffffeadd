//! The registered claims of a JWT (RFC 7519 section 4.1), and their validation. Pure: the signature was
//! verified before.

use causeway_types::Timestamp;
use serde::{Deserialize, Deserializer};

/// The longest `jti` that is accepted, in bytes.
pub const MAX_JTI: usize = 256;

/// The registered claims, as far as they were there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The issuer.
    pub iss: Option<String>,
    /// The subject.
    pub sub: Option<String>,
    /// The audience: one or several.
    pub aud: Audience,
    /// When it expires.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: Option<Timestamp>,
    /// When it begins.
    #[serde(deserialize_with = "numeric_date")]
    pub nbf: Option<Timestamp>,
    /// When it was made.
    #[serde(deserialize_with = "numeric_date")]
    pub iat: Option<Timestamp>,
    /// Its identifier.
    pub jti: Option<String>,
}

/// `aud`: a string or a list of them (RFC 7519 section 4.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// It was not there.
    #[default]
    None,
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Audience {
    /// The audience, if it is one alone.
    pub fn single(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::One(one) => Some(one),
            Self::Several(several) => match several.as_slice() {
                [one] => Some(one),
                _ => None,
            },
        }
    }

    /// Whether it names `audience`; compared byte by byte.
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

/// A `NumericDate`, which may have a fraction (RFC 7519 section 2): whole seconds are kept.
pub(crate) fn numeric_date<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(i64),
        Fraction(f64),
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    Ok(match Option::<Number>::deserialize(deserializer)? {
        None => None,
        Some(Number::Whole(seconds)) => Some(Timestamp(seconds)),
        Some(Number::Fraction(seconds)) if seconds.abs() < 1e15 => Some(Timestamp(seconds.floor() as i64)),
        Some(Number::Fraction(_)) => return Err(serde::de::Error::custom("not a date")),
    })
}

/// Requirement on `exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Not checked.
    Ignored,
    /// In the future, if it is there.
    Optional,
    /// Required, in the future, and at most so many seconds ahead.
    Within(i64),
}

/// Requirements on the claims. A requirement that is `None` or an empty list is not checked.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRules<'a> {
    /// The time.
    pub now: Timestamp,
    /// The required issuer.
    pub iss: Option<&'a str>,
    /// The required subject.
    pub sub: Option<&'a str>,
    /// The accepted audiences: it has to name one of these.
    pub aud: &'a [&'a str],
    /// The requirement on its expiry.
    pub exp: Expiry,
    /// Seconds for which it is accepted after `exp`.
    pub grace_seconds: i64,
    /// Seconds that its issuer's clock may be ahead of ours.
    pub skew_seconds: i64,
    /// Whether it needs a `jti`.
    pub needs_jti: bool,
}

/// The claim that is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// `iss`.
    #[error("iss is not the signer")]
    Issuer,
    /// `sub`.
    #[error("sub is not the expected subject")]
    Subject,
    /// `aud`.
    #[error("aud does not name this server")]
    Audience,
    /// `exp` is missing.
    #[error("exp is missing")]
    NoExpiry,
    /// `exp` is past.
    #[error("it has expired")]
    Expired,
    /// `exp` is too far ahead.
    #[error("exp is more than {0} seconds ahead")]
    TooLong(i64),
    /// `nbf` or `iat` is ahead.
    #[error("nbf or iat is in the future: check the clock of the client")]
    Future,
    /// `jti` is missing, empty or too long.
    #[error("jti is required, with 1 to 256 bytes")]
    Jti,
}

impl Claims {
    /// Checks the claims.
    ///
    /// # Errors
    /// The first [`ClaimError`] found.
    pub fn check(&self, rules: &ClaimRules<'_>) -> Result<(), ClaimError> {
        let is = |wanted: Option<&str>, own: &Option<String>| {
            wanted.is_none_or(|wanted| own.as_deref() == Some(wanted))
        };
        if !is(rules.iss, &self.iss) {
            return Err(ClaimError::Issuer);
        }
        if !is(rules.sub, &self.sub) {
            return Err(ClaimError::Subject);
        }
        if !rules.aud.is_empty() && !rules.aud.iter().any(|audience| self.aud.contains(audience)) {
            return Err(ClaimError::Audience);
        }
        self.check_times(rules)?;
        let jti = self.jti.as_deref();
        if (rules.needs_jti || jti.is_some()) && !jti.is_some_and(is_jti) {
            return Err(ClaimError::Jti);
        }
        Ok(())
    }

    fn check_times(&self, rules: &ClaimRules<'_>) -> Result<(), ClaimError> {
        let ahead = |time: Timestamp| time.since(rules.now);
        match (rules.exp, self.exp) {
            (Expiry::Ignored, _) | (Expiry::Optional, None) => {}
            (Expiry::Within(_), None) => return Err(ClaimError::NoExpiry),
            (_, Some(exp)) if ahead(exp) <= -rules.grace_seconds => return Err(ClaimError::Expired),
            (Expiry::Within(most), Some(exp)) if ahead(exp) > most.saturating_add(rules.skew_seconds) => {
                return Err(ClaimError::TooLong(most));
            }
            _ => {}
        }
        if self.nbf.into_iter().chain(self.iat).any(|time| ahead(time) > rules.skew_seconds) {
            return Err(ClaimError::Future);
        }
        Ok(())
    }
}

/// Whether this can be a `jti`.
pub(crate) fn is_jti(jti: &str) -> bool {
    (1..=MAX_JTI).contains(&jti.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: ClaimRules<'_> = ClaimRules {
        now: Timestamp(10_000),
        iss: Some("app"),
        sub: Some("app"),
        aud: &["https://as.example", "https://as.example/oauth/token"],
        exp: Expiry::Within(3600),
        grace_seconds: 30,
        skew_seconds: 300,
        needs_jti: true,
    };

    fn claims(change: &[(&str, serde_json::Value)]) -> Claims {
        let mut claims = json!({
            "iss": "app", "sub": "app", "aud": "https://as.example", "exp": 10_060, "iat": 10_000, "jti": "j",
        });
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        serde_json::from_value(claims).unwrap()
    }

    #[test]
    fn each_claim_is_looked_at() {
        let check = |name, value| claims(&[(name, value)]).check(&RULES);
        assert_eq!(claims(&[]).check(&RULES), Ok(()));
        for (name, value, expected) in [
            ("iss", json!("other"), Err(ClaimError::Issuer)),
            ("iss", json!(null), Err(ClaimError::Issuer)),
            ("sub", json!("other"), Err(ClaimError::Subject)),
            ("aud", json!("https://as.example/"), Err(ClaimError::Audience)),
            ("aud", json!([]), Err(ClaimError::Audience)),
            ("aud", json!(null), Err(ClaimError::Audience)),
            ("aud", json!(["x", "https://as.example/oauth/token"]), Ok(())),
            ("exp", json!(null), Err(ClaimError::NoExpiry)),
            ("exp", json!(9_970), Err(ClaimError::Expired)),
            ("exp", json!(9_971), Ok(())),
            ("exp", json!(9_971.5), Ok(())),
            ("exp", json!(13_900), Ok(())),
            ("exp", json!(13_901), Err(ClaimError::TooLong(3600))),
            ("nbf", json!(10_300), Ok(())),
            ("nbf", json!(10_301), Err(ClaimError::Future)),
            ("iat", json!(10_301), Err(ClaimError::Future)),
            ("iat", json!(null), Ok(())),
            ("jti", json!(null), Err(ClaimError::Jti)),
            ("jti", json!(""), Err(ClaimError::Jti)),
            ("jti", json!("j".repeat(256)), Ok(())),
            ("jti", json!("j".repeat(257)), Err(ClaimError::Jti)),
        ] {
            assert_eq!(check(name, value.clone()), expected, "{name} {value}");
        }
    }

    #[test]
    fn one_audience_or_several() {
        let aud = |value| claims(&[("aud", value)]).aud;
        for (value, single, contains) in [
            (json!("a"), Some("a"), true),
            (json!(["a"]), Some("a"), true),
            (json!(["b"]), Some("b"), false),
            (json!(["b", "a"]), None, true),
            (json!([]), None, false),
            (json!(null), None, false),
        ] {
            let aud = aud(value.clone());
            assert_eq!((aud.single(), aud.contains("a")), (single, contains), "{value}");
        }
    }

    #[test]
    fn rules_can_be_left_out() {
        let lax =
            ClaimRules { iss: None, sub: None, aud: &[], exp: Expiry::Optional, needs_jti: false, ..RULES };
        assert_eq!(Claims::default().check(&lax), Ok(()));
        assert_eq!(claims(&[("exp", json!(1))]).check(&lax), Err(ClaimError::Expired));
        assert_eq!(claims(&[("jti", json!(""))]).check(&lax), Err(ClaimError::Jti));
        let hint = ClaimRules { exp: Expiry::Ignored, ..lax };
        assert_eq!(claims(&[("exp", json!(1))]).check(&hint), Ok(()));
    }

    #[test]
    fn dates_that_are_none() {
        for value in [json!("10"), json!(1e300), json!(u64::MAX), json!(true)] {
            assert!(serde_json::from_value::<Claims>(json!({ "exp": value })).is_err(), "{value}");
        }
        let date = |value| serde_json::from_value::<Claims>(json!({ "exp": value })).unwrap().exp;
        assert_eq!(date(json!(1.9)), Some(Timestamp(1)));
        assert_eq!(date(json!(-1.5)), Some(Timestamp(-2)));
        assert_eq!(date(json!(9e14)), Some(Timestamp(900_000_000_000_000)));
        assert!(serde_json::from_value::<Claims>(json!({ "exp": 1e15 })).is_err());
        // Nothing overflows at the ends.
        for exp in [i64::MIN, i64::MAX] {
            assert!(claims(&[("exp", json!(exp))]).check(&RULES).is_err());
        }
    }
}
