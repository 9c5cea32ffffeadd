//! Rate limits for actions that cost this server, or the servers of accounts, something before the requester
//! is authenticated.
//!
//! Requests are counted by client and source address together, so that one noisy client does not block
//! another behind the same address. An address as a whole has room for a few clients, so that naming a
//! different client each time does not evade the limit. An existing client may authenticate even when others
//! have exhausted its address. Authenticated requests are exempt only for clients that the operator has
//! entered, since anybody may register a client that authenticates; see each [`RateLimitedAction`]. Each process counts by
//! itself, in bounded memory.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use causeway_domain::{Network, RateLimit, RateLimiter, TooMany};
use causeway_types::{ClientId, Timestamp};

use crate::ctx::Ctx;

/// How many times the limit of one client an address may use in total.
const CLIENTS_PER_ADDRESS: u32 = 10;
/// The most buckets of one action: at most some 6 MB for each action.
const CAPACITY: usize = 65_536;

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
pub fn acquire(
    ctx: &Ctx,
    action: RateLimitedAction,
    client: Option<&ClientId>,
    address: Option<IpAddr>,
) -> Result<(), TooMany> {
    ctx.limits().apply(action, client, address, ctx.now(), RateLimiter::acquire)
}

/// A sign-in with what was typed on a page of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormSignIn<'a> {
    /// The tenant.
    pub(crate) tenant: &'a str,
    /// The provider, and the account that was typed.
    pub(crate) account: Option<(&'a str, &'a str)>,
    /// The source address.
    pub(crate) address: Option<IpAddr>,
}

/// Sign-ins to one account of a site: nobody finds out its password here.
const OF_SITE_ACCOUNT: RateLimit = RateLimit { count: 10, seconds: 900 };
/// Sign-ins from one address.
const OF_ADDRESS: RateLimit = RateLimit { count: 30, seconds: 600 };
/// Sign-ins in one tenant.
const OF_TENANT: RateLimit = RateLimit { count: 300, seconds: 600 };

/// Counts a sign-in at a site by its account, its address and its tenant, or refuses it.
///
/// # Errors
/// [`TooMany`].
pub(crate) fn acquire_form(ctx: &Ctx, sign_in: &FormSignIn<'_>) -> Result<(), TooMany> {
    let limits = ctx.limits();
    let mut keys = vec![(limits.hasher.hash_one(("tenant", sign_in.tenant)), OF_TENANT)];
    keys.extend(sign_in.account.map(|it| (limits.hasher.hash_one(("account", it)), OF_SITE_ACCOUNT)));
    let network = sign_in.address.map(Network::from);
    keys.extend(network.map(|it| (limits.hasher.hash_one(("address", it)), OF_ADDRESS)));
    let mut buckets = limits.forms.lock().unwrap_or_else(PoisonError::into_inner);
    buckets.acquire(&keys, ctx.now())
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
    ctx.limits().apply(action, client, address, ctx.now(), RateLimiter::check)
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
    ctx.limits().apply(action, Some(client), address, ctx.now(), check_first)
}

/// Counts an action that has already happened, against each of the client's and the address's limits that
/// still has room.
pub(crate) fn count(ctx: &Ctx, action: RateLimitedAction, client: &ClientId, address: Option<IpAddr>) {
    // Never an error: the action has happened.
    let _ = ctx.limits().apply(action, Some(client), address, ctx.now(), acquire_available);
}

/// Buckets by the hash of whom they are for.
type Buckets = RateLimiter<u64>;
/// The buckets of a client at an address, and of the address.
type Keys<'a> = &'a [(u64, RateLimit)];

fn check_first(buckets: &mut Buckets, keys: Keys<'_>, now: Timestamp) -> Result<(), TooMany> {
    buckets.check(&keys[..1], now)
}

#[expect(clippy::unnecessary_wraps, reason = "as the others")]
fn acquire_available(buckets: &mut Buckets, keys: Keys<'_>, now: Timestamp) -> Result<(), TooMany> {
    buckets.acquire_available(keys, now);
    Ok(())
}

/// The rate limiter of this process.
#[derive(Debug)]
pub struct Limits {
    limits: RateLimits,
    actions: [Mutex<Buckets>; RateLimitedAction::ALL.len()],
    /// Sign-ins at sites.
    forms: Mutex<Buckets>,
    refused: [AtomicU64; RateLimitedAction::ALL.len()],
    /// Randomly keyed, so that nobody can choose names or addresses that collide.
    hasher: RandomState,
    warned: AtomicBool,
}

impl Limits {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            actions: std::array::from_fn(|_| Mutex::new(RateLimiter::new(CAPACITY))),
            forms: Mutex::new(RateLimiter::new(CAPACITY)),
            refused: Default::default(),
            hasher: RandomState::new(),
            warned: AtomicBool::new(false),
        }
    }

    /// How often an action was refused.
    pub fn refused(&self, action: RateLimitedAction) -> u64 {
        self.refused[action as usize].load(Ordering::Relaxed)
    }

    /// Applies the limit of an action to a client at an address.
    fn apply(
        &self,
        action: RateLimitedAction,
        client: Option<&ClientId>,
        address: Option<IpAddr>,
        now: Timestamp,
        ask: fn(&mut Buckets, Keys<'_>, Timestamp) -> Result<(), TooMany>,
    ) -> Result<(), TooMany> {
        let (Some(limit), Some(address)) = (self.limits.of(action), address) else { return Ok(()) };
        let network = Network::from(address);
        let client = client.map_or("", ClientId::as_str);
        let of_address = RateLimit { count: limit.count.max(1).saturating_mul(CLIENTS_PER_ADDRESS), ..limit };
        let keys =
            [(self.hasher.hash_one((network, client)), limit), (self.hasher.hash_one(network), of_address)];
        let mut buckets = self.actions[action as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = ask(&mut buckets, &keys, now);
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
        limits.apply(
            RateLimitedAction::Registration,
            Some(&ClientId::new(client)),
            address,
            Timestamp(now),
            RateLimiter::acquire,
        )
    }

    #[test]
    fn refusals_are_counted_by_action() {
        let limits = limits(3);
        for _ in 0..3 {
            assert_eq!(take(&limits, "a", V4, 1000), Ok(()));
        }
        assert_eq!(take(&limits, "a", V4, 1000), Err(TooMany { retry_after: 20 }));
        assert_eq!(take(&limits, "a", V4, 1019), Err(TooMany { retry_after: 1 }));
        assert_eq!(take(&limits, "a", V4, 1020), Ok(()));
        assert_eq!(limits.refused(RateLimitedAction::Registration), 2);
        assert_eq!(limits.refused(RateLimitedAction::SignIn), 0);
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
            limits.apply(RateLimitedAction::Registration, Some(&client), address, Timestamp(0), ask)
        };
        for name in 0..10 {
            assert_eq!(ask(&name.to_string(), RateLimiter::acquire), Ok(()));
        }
        assert!(ask("a", RateLimiter::check).is_err(), "the address is used up");
        assert_eq!(ask("a", check_first), Ok(()), "the client is not");
        assert_eq!(ask("a", acquire_available), Ok(()));
        assert!(ask("a", check_first).is_err());
        assert_eq!(ask("a", acquire_available), Ok(()), "it counts, and refuses nothing");
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
                limits.apply(RateLimitedAction::SignIn, None, at, Timestamp(0), RateLimiter::check),
                Ok(())
            );
            assert_eq!(
                limits.apply(RateLimitedAction::Registration, None, at, Timestamp(0), RateLimiter::acquire),
                Ok(())
            );
        }
        assert_eq!(
            limits.apply(RateLimitedAction::SignIn, None, at, Timestamp(0), RateLimiter::acquire),
            Ok(())
        );
        assert!(limits.apply(RateLimitedAction::SignIn, None, at, Timestamp(0), RateLimiter::check).is_err());
        assert_eq!(
            limits.apply(RateLimitedAction::SignIn, None, None, Timestamp(0), RateLimiter::acquire),
            Ok(()),
            "nobody to count"
        );
    }
}
