//! The limit on wrong user codes, by address and by browser (RFC 8628 section 5.1).
//!
//! Each process counts for itself, in memory. A user code has 34 bits and lives ten minutes, so the guesses
//! that a deployment of several processes allows are still negligible.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use causeway_domain::{Network, RateLimit, RateLimiter, TooMany};
use causeway_types::{BrowserSessionId, Timestamp};

/// Wrong guesses by one browser. A browser is free to forget its cookie.
const OF_BROWSER: RateLimit = RateLimit { count: 10, seconds: 600 };
/// The same by one address, which several users may share.
const OF_ADDRESS: RateLimit = RateLimit { count: 30, seconds: 600 };
/// The most guessers in memory. The one that has not guessed for the longest time is evicted, so each guess
/// is counted, however many have guessed.
const CAPACITY: usize = 65_536;

/// A browser or an address that guesses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Guesser {
    Browser(BrowserSessionId),
    Address(Network),
}

/// The guesses that each guesser has left.
#[derive(Debug)]
pub(crate) struct UserCodeLimit(Mutex<RateLimiter<Guesser>>);

impl Default for UserCodeLimit {
    fn default() -> Self {
        Self(Mutex::new(RateLimiter::new(CAPACITY)))
    }
}

/// The origin of a guess.
#[derive(Clone, Copy, Debug)]
pub struct Guess<'a> {
    /// The browser.
    pub browser: &'a BrowserSessionId,
    /// Its address, if it is known.
    pub address: Option<IpAddr>,
}

impl Guess<'_> {
    fn guessers(&self) -> Vec<(Guesser, RateLimit)> {
        let browser = (Guesser::Browser(self.browser.clone()), OF_BROWSER);
        let address = self.address.map(|address| (Guesser::Address(address.into()), OF_ADDRESS));
        [browser].into_iter().chain(address).collect()
    }
}

impl UserCodeLimit {
    /// Counts one guess as wrong in advance, so that concurrent ones are counted, too.
    pub(crate) fn acquire(&self, guess: &Guess<'_>, now: Timestamp) -> Result<(), TooMany> {
        self.limiter().acquire(&guess.guessers(), now)
    }

    /// Takes back a guess that was right.
    pub(crate) fn release(&self, guess: &Guess<'_>) {
        self.limiter().release(&guess.guessers());
    }

    fn limiter(&self) -> MutexGuard<'_, RateLimiter<Guesser>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(10_000);

    fn wait(seconds: u64) -> Result<(), TooMany> {
        Err(TooMany { retry_after: seconds })
    }

    #[test]
    fn a_browser_and_an_address_run_out_of_guesses() {
        let limit = UserCodeLimit::default();
        let browsers: Vec<_> = (0..4).map(|n| BrowserSessionId::new(format!("b{n}"))).collect();
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let guess = |n: usize, address| limit.acquire(&Guess { browser: &browsers[n], address }, T);
        for n in 0..3 {
            for _ in 0..10 {
                assert_eq!(guess(n, address), Ok(()));
            }
            assert_eq!(guess(n, None), wait(60));
        }
        assert_eq!(guess(3, address), wait(20), "a new browser at the same address");
        assert_eq!(guess(3, Some(IpAddr::from([192, 0, 2, 2]))), Ok(()), "somebody else");
        let later = Guess { browser: &browsers[0], address };
        assert_eq!(limit.acquire(&later, T.plus(59)), wait(1));
        assert_eq!(limit.acquire(&later, T.plus(60)), Ok(()));
        assert_eq!(limit.acquire(&later, T.plus(60)), wait(60), "one at a time");
    }

    /// A full table counts all the same.
    #[test]
    fn a_crowd_makes_guessing_free_for_nobody() {
        let limit = UserCodeLimit::default();
        for n in 0..40_000_u32 {
            let browser = BrowserSessionId::new(n.to_string());
            let address = Some(IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n)));
            assert_eq!(limit.acquire(&Guess { browser: &browser, address }, T), Ok(()));
        }
        assert!(limit.limiter().len() <= CAPACITY);
        let browser = BrowserSessionId::new("guesser");
        let guess = Guess { browser: &browser, address: Some(IpAddr::from([192, 0, 2, 1])) };
        for _ in 0..10 {
            assert_eq!(limit.acquire(&guess, T), Ok(()));
        }
        assert_eq!(limit.acquire(&guess, T), wait(60));
    }

    #[test]
    fn who_knows_a_code_is_no_guesser() {
        let limit = UserCodeLimit::default();
        let browser = BrowserSessionId::new("b");
        let guess = Guess { browser: &browser, address: None };
        for _ in 0..100 {
            assert_eq!(limit.acquire(&guess, T), Ok(()));
            limit.release(&guess);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser() {
        let limit = UserCodeLimit::default();
        for n in 0..30 {
            let browser = BrowserSessionId::new(format!("b{n}"));
            let address = Some(format!("2001:db8::{n}").parse().unwrap());
            assert_eq!(limit.acquire(&Guess { browser: &browser, address }, T), Ok(()));
        }
        let browser = BrowserSessionId::new("b");
        let from = |address: &str| Guess { browser: &browser, address: Some(address.parse().unwrap()) };
        assert_eq!(limit.acquire(&from("2001:db8::ffff:1"), T), wait(20));
        assert_eq!(limit.acquire(&from("2001:db8:0:1::1"), T), Ok(()));
    }
}
