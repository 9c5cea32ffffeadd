//! How an upstream lets the credentials of a session be renewed. The keeper knows nothing else about it.

use causeway_types::Timestamp;

use super::{Cooldown, Credentials};

/// The maximum number of seconds before its end at which an access token is renewed.
const MARGIN_SECONDS: i64 = 60;
/// A token that lives shorter than ten times that is renewed in the last tenth of its life.
const MARGIN_SHARE: i64 = 10;

/// How the credentials of a session are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The means of renewal.
    pub renewal: Renewal,
    /// The age in seconds at which they are renewed before use, long before they expire; `None`: only their
    /// expiry counts.
    pub max_age: Option<i64>,
    /// Seconds after which an unused background session is renewed; `None`: its credentials do not age.
    pub keep_alive: Option<i64>,
}

/// The means by which credentials are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// A refresh token that works once.
    SingleUse {
        /// Seconds for which the upstream takes a spent one again, because its answer may have been lost.
        grace: Option<i64>,
    },
    /// A refresh token that works until the upstream ends it.
    Reusable,
    /// The access token itself, while it lives.
    Exchange {
        /// The age in seconds from which the upstream exchanges it.
        not_before: i64,
    },
    /// Nothing: the user signs in again.
    None,
}

/// Whether an access token has to be renewed before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// No.
    No,
    /// Yes, but it still works if it cannot be.
    Soon,
    /// Yes: it has expired.
    Spent,
}

/// Whether credentials can be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewable {
    /// They can be.
    Yes,
    /// Not now. They work as they are.
    NotYet,
    /// No: the user has to sign in again.
    Never,
}

impl Policy {
    /// The same policy for credentials that may have come without a refresh token although the provider issues
    /// them: without one they are not renewed, and serve to their end.
    #[must_use]
    pub fn for_credentials(self, credentials: &Credentials) -> Self {
        match self.renewal {
            Renewal::SingleUse { .. } | Renewal::Reusable if credentials.refresh_token.is_none() => {
                Self { renewal: Renewal::None, keep_alive: None, ..self }
            }
            _ => self,
        }
    }

    /// Whether these credentials are to be renewed before they are used at `now`: in the last minute or tenth
    /// of their life, whichever is shorter, or when they have reached the maximum age.
    pub fn due_at(self, credentials: &Credentials, now: Timestamp) -> Due {
        let age = now.since(credentials.created_at);
        let mut is_near_end = false;
        if let Some(end) = credentials.expires_at {
            let left = end.since(now);
            if left <= 0 {
                return Due::Spent;
            }
            is_near_end = left <= MARGIN_SECONDS.min(end.since(credentials.created_at) / MARGIN_SHARE);
        }
        let is_old = self.max_age.is_some_and(|max| age >= max);
        let may_be = match self.renewal {
            Renewal::SingleUse { .. } | Renewal::Reusable => true,
            Renewal::Exchange { not_before } => age >= not_before,
            Renewal::None => false,
        };
        if may_be && (is_near_end || is_old) { Due::Soon } else { Due::No }
    }

    /// Whether these credentials can be renewed at `now`.
    pub fn renewable(self, credentials: &Credentials, now: Timestamp) -> Renewable {
        let is_alive = credentials.expires_at.is_none_or(|end| end > now);
        match self.renewal {
            Renewal::SingleUse { .. } | Renewal::Reusable if credentials.refresh_token.is_some() => {
                Renewable::Yes
            }
            Renewal::Exchange { not_before }
                if is_alive && now.since(credentials.created_at) >= not_before =>
            {
                Renewable::Yes
            }
            Renewal::Exchange { .. } | Renewal::None if is_alive => Renewable::NotYet,
            _ => Renewable::Never,
        }
    }

    /// When a background session that was renewed at `now` is renewed again although it is unused; up to a
    /// quarter sooner at random (`jitter`), so that sessions that began together do not stay together.
    pub fn keep_alive_at(self, now: Timestamp, jitter: u8) -> Option<Timestamp> {
        self.keep_alive.map(|period| now.plus(period - period * i64::from(jitter) / 1024))
    }

    /// The pause after one more failure ([`Cooldown::after_failure`]). Where a spent refresh token works for a
    /// while longer, the first retry comes within that time, unless the upstream asks for a longer pause.
    pub fn pause_after(
        self,
        before: Cooldown,
        now: Timestamp,
        retry_after: Option<u64>,
        jitter: u8,
    ) -> Cooldown {
        let mut pause = before.after_failure(now, retry_after, jitter);
        if let (Renewal::SingleUse { grace: Some(grace) }, None, 0) =
            (self.renewal, retry_after, before.failures)
        {
            pause.not_before = pause.not_before.min(Some(now.plus((grace / 2).max(1))));
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::Secret;

    use super::*;
    use crate::session::UpstreamAccess;

    fn set(life: Option<i64>) -> Credentials {
        Credentials {
            access: UpstreamAccess::Bearer(Secret::new("a")),
            refresh_token: None,
            created_at: Timestamp(1000),
            expires_at: life.map(|life| Timestamp(1000 + life)),
            scope: "read".to_owned(),
        }
    }

    fn by(renewal: Renewal) -> Policy {
        Policy { renewal, max_age: None, keep_alive: None }
    }

    const SINGLE_USE: Renewal = Renewal::SingleUse { grace: None };
    const EXCHANGE: Renewal = Renewal::Exchange { not_before: 500 };

    #[test]
    fn renewed_in_the_last_minute_or_tenth() {
        let due = |life, age: i64| by(SINGLE_USE).due_at(&set(Some(life)), Timestamp(1000 + age));
        assert_eq!((due(3600, 3539), due(3600, 3540)), (Due::No, Due::Soon));
        assert_eq!((due(3600, 3599), due(3600, 3600)), (Due::Soon, Due::Spent));
        assert_eq!((due(100, 89), due(100, 90), due(100, 100)), (Due::No, Due::Soon, Due::Spent));
        assert_eq!((due(5, 4), due(5, 5)), (Due::No, Due::Spent), "a tenth of 5 s is nothing");
        assert_eq!(by(SINGLE_USE).due_at(&set(None), Timestamp(9_999_999)), Due::No);
    }

    #[test]
    fn renewed_before_it_goes_soft() {
        let policy = Policy { max_age: Some(1500), ..by(Renewal::Reusable) };
        let due = |life, age: i64| policy.due_at(&set(life), Timestamp(1000 + age));
        assert_eq!((due(Some(3600), 1499), due(Some(3600), 1500)), (Due::No, Due::Soon));
        assert_eq!((due(None, 1499), due(None, 1500)), (Due::No, Due::Soon));
        assert_eq!(due(Some(100), 2000), Due::Spent);
    }

    #[test]
    fn never_due_before_it_can_be_renewed() {
        let due = |renewal, age: i64| {
            let policy = Policy { max_age: Some(100), ..by(renewal) };
            policy.due_at(&set(Some(1000)), Timestamp(1000 + age))
        };
        assert_eq!(
            (due(EXCHANGE, 499), due(EXCHANGE, 500), due(EXCHANGE, 1000)),
            (Due::No, Due::Soon, Due::Spent)
        );
        assert_eq!((due(Renewal::None, 999), due(Renewal::None, 1000)), (Due::No, Due::Spent));
    }

    #[test]
    fn what_a_renewal_needs() {
        let without = set(Some(1000));
        let with = Credentials { refresh_token: Some(Secret::new("r")), ..without.clone() };
        let renewable =
            |renewal, set: &Credentials, age: i64| by(renewal).renewable(set, Timestamp(1000 + age));
        for renewal in [SINGLE_USE, Renewal::Reusable] {
            assert_eq!(renewable(renewal, &with, 5000), Renewable::Yes, "{renewal:?}");
            assert_eq!(renewable(renewal, &without, 0), Renewable::Never, "{renewal:?}");
        }
        let exchange = |age| renewable(EXCHANGE, &without, age);
        assert_eq!(
            (exchange(499), exchange(500), exchange(999)),
            (Renewable::NotYet, Renewable::Yes, Renewable::Yes)
        );
        assert_eq!(exchange(1000), Renewable::Never, "it has expired");
        assert_eq!(renewable(Renewal::None, &with, 999), Renewable::NotYet);
        assert_eq!(renewable(Renewal::None, &with, 1000), Renewable::Never);
        assert_eq!(by(Renewal::None).renewable(&set(None), Timestamp(9_999_999)), Renewable::NotYet);
    }

    /// The answer decides, where a provider issues refresh tokens to some and not to others.
    #[test]
    fn nothing_renews_what_came_without_a_refresh_token() {
        let without = set(Some(1000));
        let with = Credentials { refresh_token: Some(Secret::new("r")), ..without.clone() };
        for renewal in [SINGLE_USE, Renewal::Reusable] {
            let policy = Policy { max_age: Some(100), keep_alive: Some(50), ..by(renewal) };
            assert_eq!(policy.for_credentials(&with), policy);
            let none = Policy { renewal: Renewal::None, keep_alive: None, ..policy };
            assert_eq!(policy.for_credentials(&without), none, "{renewal:?}");
        }
        let exchange = Policy { keep_alive: Some(50), ..by(EXCHANGE) };
        assert_eq!(exchange.for_credentials(&without), exchange, "it takes the access token itself");
    }

    #[test]
    fn kept_alive_up_to_a_quarter_sooner() {
        const DAY: i64 = 86_400;
        let policy = Policy { keep_alive: Some(DAY), ..by(SINGLE_USE) };
        let after = |jitter| policy.keep_alive_at(Timestamp(1000), jitter).unwrap().since(Timestamp(1000));
        assert_eq!((after(0), after(255)), (DAY, DAY - DAY * 255 / 1024));
        assert_eq!(by(SINGLE_USE).keep_alive_at(Timestamp(1000), 0), None);
    }

    #[test]
    fn the_first_retry_comes_within_the_grace() {
        let now = Timestamp(1000);
        let pause = |grace, failures, retry_after| {
            let policy = by(Renewal::SingleUse { grace });
            let before = Cooldown { failures, not_before: None };
            policy.pause_after(before, now, retry_after, 0).seconds_left(now)
        };
        assert_eq!((pause(None, 0, None), pause(Some(30), 0, None)), (Some(2), Some(2)));
        assert_eq!((pause(Some(2), 0, None), pause(Some(1), 0, None)), (Some(1), Some(1)));
        assert_eq!(pause(Some(30), 5, None), Some(64), "an outage outlives the grace, and pauses grow");
        assert_eq!(pause(Some(2), 0, Some(120)), Some(120), "the upstream answered: nothing was lost");
    }
}
