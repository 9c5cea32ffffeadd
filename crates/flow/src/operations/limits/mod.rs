//! Rate limits for actions that cost this server, or the servers of accounts, something before the requester
//! is authenticated.
//!
//! Requests are counted by client and source address together, so that one noisy client does not block
//! another behind the same address. An address as a whole has room for a few clients, so that naming a
//! different client each time does not evade the limit. An existing client may authenticate even when others
//! have exhausted its address. Authenticated requests are exempt only for clients that the operator has
//! entered, since anybody may register a client that authenticates; see each [`RateLimitedAction`]. Each process counts by
//! itself, in bounded memory.

mod buckets;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use causeway_types::{ClientId, Timestamp};

use self::buckets::{Buckets, MICROS, Rate, Rates};
pub use self::buckets::{RateLimit, TooMany};
use crate::ctx::Ctx;

/// How many times the limit of one client an address may use in total.
const CLIENTS_PER_ADDRESS: u32 = 10;

/// A rate-limited action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitedAction {
    /// Sending a user to their authorization server, which is resolved and called.
    SignIn,
    /// Registering a client without an initial access token.
    Registration,
    /// Failing to authenticate as a client (RFC 6749 section 2.3.1 requires a limit), as the operator, or
    /// with a registration token.
    FailedAuthentication,
    /// Starting an authorization, pushed or not, which stores a row. Pushed requests are not counted for
    /// clients that the operator has entered and that authenticate.
    Authorization,
    /// Requesting codes or tokens for a device (RFC 8628 sections 3.1 and 3.4), unless the operator has
    /// entered the client and it authenticates. Wrong user codes have a limit of their own.
    Device,
}

impl RateLimitedAction {
    /// All actions.
    pub const ALL: [Self; 5] =
        [Self::SignIn, Self::Registration, Self::FailedAuthentication, Self::Authorization, Self::Device];

    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Registration => "registration",
            Self::FailedAuthentication => "failed_authentication",
            Self::Authorization => "authorization",
            Self::Device => "device",
        }
    }
}

/// The limits in force; `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Of [`RateLimitedAction::SignIn`].
    pub sign_in: Option<RateLimit>,
    /// Of [`RateLimitedAction::Registration`].
    pub registration: Option<RateLimit>,
    /// Of [`RateLimitedAction::FailedAuthentication`].
    pub failed_authentication: Option<RateLimit>,
    /// Of [`RateLimitedAction::Authorization`].
    pub authorization: Option<RateLimit>,
    /// Of [`RateLimitedAction::Device`].
    pub device: Option<RateLimit>,
}

impl Default for RateLimits {
    fn default() -> Self {
        let per_minute = |count| Some(RateLimit { count, seconds: 60 });
        Self {
            sign_in: per_minute(100),
            registration: Some(RateLimit { count: 1000, seconds: 3600 }),
            failed_authentication: per_minute(100),
            authorization: per_minute(120),
            // Each device polls twelve times a minute, and many may be behind one address.
            device: per_minute(600),
        }
    }
}

impl RateLimits {
    const fn of(&self, action: RateLimitedAction) -> Option<RateLimit> {
        match action {
            RateLimitedAction::SignIn => self.sign_in,
            RateLimitedAction::Registration => self.registration,
            RateLimitedAction::FailedAuthentication => self.failed_authentication,
            RateLimitedAction::Authorization => self.authorization,
            RateLimitedAction::Device => self.device,
        }
    }
}

/// Counts an action, or refuses it when the limit is reached. `address` is the source address of the
/// request, if known.
///
/// # Errors
/// [`TooMany`].
pub fn permit(
    ctx: &Ctx,
    action: RateLimitedAction,
    client: Option<&ClientId>,
    address: Option<IpAddr>,
) -> Result<(), TooMany> {
    ctx.limits().judge(action, client, address, ctx.now(), Buckets::take)
}

/// Checks whether an action would be refused, without counting it.
///
/// # Errors
/// [`TooMany`].
pub fn check(
    ctx: &Ctx,
    action: RateLimitedAction,
    client: Option<&ClientId>,
    address: Option<IpAddr>,
) -> Result<(), TooMany> {
    ctx.limits().judge(action, client, address, ctx.now(), Buckets::peek)
}

/// Checks the limit of this client at this address alone, regardless of the address's total. Counts nothing.
///
/// # Errors
/// [`TooMany`].
pub(crate) fn check_client(
    ctx: &Ctx,
    action: RateLimitedAction,
    client: &ClientId,
    address: Option<IpAddr>,
) -> Result<(), TooMany> {
    ctx.limits().judge(action, Some(client), address, ctx.now(), Buckets::peek_own)
}

/// Counts an action that has already happened, against each of the client's and the address's limits that
/// still has room.
pub(crate) fn count(ctx: &Ctx, action: RateLimitedAction, client: &ClientId, address: Option<IpAddr>) {
    // Never an error: the action has happened.
    let _ = ctx.limits().judge(action, Some(client), address, ctx.now(), Buckets::take_what_is_there);
}

/// The rate limiter of this process.
#[derive(Debug)]
pub struct Limits {
    limits: RateLimits,
    actions: [Mutex<Buckets>; RateLimitedAction::ALL.len()],
    refused: [AtomicU64; RateLimitedAction::ALL.len()],
    /// Randomly keyed, so that nobody can choose names or addresses that collide.
    hasher: RandomState,
    warned: AtomicBool,
}

impl Limits {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            actions: Default::default(),
            refused: Default::default(),
            hasher: RandomState::new(),
            warned: AtomicBool::new(false),
        }
    }

    /// How often an action was refused.
    pub fn refused(&self, action: RateLimitedAction) -> u64 {
        self.refused[action as usize].load(Ordering::Relaxed)
    }

    fn judge(
        &self,
        action: RateLimitedAction,
        client: Option<&ClientId>,
        address: Option<IpAddr>,
        now: Timestamp,
        ask: fn(&mut Buckets, Rates, i64) -> Result<(), TooMany>,
    ) -> Result<(), TooMany> {
        let (Some(limit), Some(address)) = (self.limits.of(action), address) else { return Ok(()) };
        let network = network(address);
        let client = client.map_or("", ClientId::as_str);
        let rates = [
            (self.hasher.hash_one((network, client)), Rate::of(limit, 1)),
            (self.hasher.hash_one(network), Rate::of(limit, CLIENTS_PER_ADDRESS)),
        ];
        let now = now.as_secs().saturating_mul(MICROS);
        let mut buckets = self.actions[action as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = ask(&mut buckets, rates, now);
        drop(buckets);
        if let Err(TooMany { retry_after }) = verdict {
            self.refused[action as usize].fetch_add(1, Ordering::Relaxed);
            tracing::debug!(action = action.as_str(), client, %address, retry_after, "rate limit");
            if is_near(address) && !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    action = action.as_str(),
                    %address,
                    "a rate limit was reached by an address that is not public: if that is a proxy, add it to \
                     trusted-proxies; otherwise all clients behind it are counted as one"
                );
            }
        }
        verdict
    }
}

/// An address of IPv4, or a network of IPv6.
pub(crate) type Network = (bool, u64);

/// The network that an address is counted under: the holder of one address in an IPv6 /64 has all of them.
pub(crate) fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => (false, u64::from(address.to_bits())),
        IpAddr::V6(address) => (true, (address.to_bits() >> 64) as u64),
    }
}

fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "192.0.2.7";

    fn limits(count: u32) -> Limits {
        let registration = Some(RateLimit { count, seconds: 60 });
        Limits::new(RateLimits { registration, ..RateLimits::default() })
    }

    fn take(limits: &Limits, client: &str, address: &str, now: i64) -> Result<(), TooMany> {
        let address = Some(address.parse().unwrap());
        limits.judge(
            RateLimitedAction::Registration,
            Some(&ClientId::new(client)),
            address,
            Timestamp(now),
            Buckets::take,
        )
    }

    #[test]
    fn so_many_at_once_then_at_the_rate() {
        let limits = limits(3);
        for _ in 0..3 {
            assert_eq!(take(&limits, "a", V4, 1000), Ok(()));
        }
        assert_eq!(take(&limits, "a", V4, 1000), Err(TooMany { retry_after: 20 }));
        assert_eq!(take(&limits, "a", V4, 1019), Err(TooMany { retry_after: 1 }));
        assert_eq!(take(&limits, "a", V4, 1020), Ok(()));
        assert_eq!(take(&limits, "a", V4, 1020), Err(TooMany { retry_after: 20 }));
        assert_eq!(limits.refused(RateLimitedAction::Registration), 3);
        assert_eq!(limits.refused(RateLimitedAction::SignIn), 0);
    }

    #[test]
    fn a_clock_that_was_set_back_shuts_nobody_out() {
        let limits = limits(3);
        for _ in 0..3 {
            assert_eq!(take(&limits, "a", V4, 1_000_000), Ok(()));
        }
        let peek = |now| {
            let a = ClientId::new("a");
            limits.judge(
                RateLimitedAction::Registration,
                Some(&a),
                Some(V4.parse().unwrap()),
                Timestamp(now),
                Buckets::peek,
            )
        };
        assert_eq!(peek(1000), Err(TooMany { retry_after: 20 }), "nor is anything gained by it");
        assert_eq!(peek(1019), Err(TooMany { retry_after: 1 }));
        assert_eq!(peek(1020), Ok(()));
        assert_eq!(take(&limits, "a", V4, 1020), Ok(()));
        assert_eq!(take(&limits, "a", V4, 1020), Err(TooMany { retry_after: 20 }));
    }

    #[test]
    fn one_client_does_not_stop_another_and_many_names_do_not_help() {
        let limits = limits(2);
        for _ in 0..100 {
            let _ = take(&limits, "noisy", V4, 0);
        }
        assert_eq!(take(&limits, "quiet", V4, 0), Ok(()));
        assert_eq!(take(&limits, "noisy", "192.0.2.8", 0), Ok(()), "elsewhere it is another one");
        let names = (0..100).filter(|n| take(&limits, &n.to_string(), V4, 0).is_ok()).count();
        assert_eq!(names, 2 * 10 - 3, "what the address has room for, less what it has had");
    }

    #[test]
    fn one_that_is_empty_keeps_nothing_out_of_the_other() {
        let limits = limits(1);
        let ask = |client: &str, ask| {
            let (client, address) = (ClientId::new(client), Some(V4.parse().unwrap()));
            limits.judge(RateLimitedAction::Registration, Some(&client), address, Timestamp(0), ask)
        };
        for name in 0..10 {
            assert_eq!(ask(&name.to_string(), Buckets::take), Ok(()));
        }
        assert!(ask("a", Buckets::peek).is_err(), "the address is used up");
        assert_eq!(ask("a", Buckets::peek_own), Ok(()), "the client is not");
        assert_eq!(ask("a", Buckets::take_what_is_there), Ok(()));
        assert!(ask("a", Buckets::peek_own).is_err());
        assert_eq!(ask("a", Buckets::take_what_is_there), Ok(()), "it counts, and refuses nothing");
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let limits = limits(1);
        assert_eq!(take(&limits, "a", "2001:db8:0:1::1", 0), Ok(()));
        assert!(take(&limits, "a", "2001:db8:0:1:ffff::2", 0).is_err());
        assert_eq!(take(&limits, "a", "2001:db8:0:2::1", 0), Ok(()));
        assert_eq!(take(&limits, "a", V4, 0), Ok(()));
        assert!(take(&limits, "a", "::ffff:192.0.2.7", 0).is_err(), "an IPv4 address in disguise");
    }

    #[test]
    fn looking_counts_nothing_and_off_is_off() {
        let limits = Limits::new(RateLimits {
            sign_in: Some(RateLimit { count: 1, seconds: 60 }),
            registration: None,
            ..RateLimits::default()
        });
        let at = Some(V4.parse().unwrap());
        for _ in 0..10 {
            assert_eq!(
                limits.judge(RateLimitedAction::SignIn, None, at, Timestamp(0), Buckets::peek),
                Ok(())
            );
            assert_eq!(
                limits.judge(RateLimitedAction::Registration, None, at, Timestamp(0), Buckets::take),
                Ok(())
            );
        }
        assert_eq!(limits.judge(RateLimitedAction::SignIn, None, at, Timestamp(0), Buckets::take), Ok(()));
        assert!(limits.judge(RateLimitedAction::SignIn, None, at, Timestamp(0), Buckets::peek).is_err());
        assert_eq!(
            limits.judge(RateLimitedAction::SignIn, None, None, Timestamp(0), Buckets::take),
            Ok(()),
            "nobody to count"
        );
    }
}
