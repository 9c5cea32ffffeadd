//! The limit on wrong user codes, by address and by browser (RFC 8628 section 5.1).
//!
//! Each process counts for itself, in memory. A user code has 34 bits and lives ten minutes, so the guesses
//! that a deployment of several processes allows are still negligible.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use causeway_domain::BoundedMap;
use causeway_types::{BrowserSessionId, Timestamp};

/// Seconds for which wrong guesses count.
const WINDOW_SECONDS: i64 = 600;
/// Wrong guesses in that time, by one browser. A browser is free to forget its cookie.
const OF_BROWSER: u32 = 10;
/// The same by one address, which several users may share.
const OF_ADDRESS: u32 = 30;
/// The most guessers in memory. The one that has not guessed for the longest time is evicted, so each guess
/// is counted, however many have guessed.
const CAPACITY: usize = 65_536;

/// A browser or an address that user_code_limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Guesser {
    Browser(BrowserSessionId),
    Address(IpAddr),
}

/// The guessers, each with the start of its window and its count.
#[derive(Debug)]
pub(crate) struct UserCodeLimit(Mutex<BoundedMap<Guesser, (Timestamp, u32)>>);

impl Default for UserCodeLimit {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(CAPACITY)))
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
    fn guessers(&self) -> impl Iterator<Item = (Guesser, u32)> {
        let browser = (Guesser::Browser(self.browser.clone()), OF_BROWSER);
        let address = self.address.map(|address| (Guesser::Address(network_of(address)), OF_ADDRESS));
        [browser].into_iter().chain(address)
    }
}

/// An IPv4 address, or the IPv6 network of one customer of a provider.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl UserCodeLimit {
    /// Counts one guess as wrong in advance, so that concurrent ones are counted, too; the error is the
    /// seconds until the next guess is allowed.
    pub(crate) fn take(&self, guess: &Guess<'_>, now: Timestamp) -> Result<(), i64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = None;
        for (guesser, most) in guess.guessers() {
            let Some((since, count)) = known.get(&guesser) else { continue };
            let left = WINDOW_SECONDS - now.since(*since);
            if left > 0 && *count >= most {
                wait = wait.max(Some(left));
            }
        }
        if let Some(wait) = wait {
            return Err(wait);
        }
        for (guesser, _) in guess.guessers() {
            let counted = known.get(&guesser).filter(|(since, _)| now.since(*since) < WINDOW_SECONDS);
            let (since, count) = counted.copied().unwrap_or((now, 0));
            known.put(guesser, (since, count + 1));
        }
        Ok(())
    }

    /// Takes back a guess that was right.
    pub(crate) fn give_back(&self, guess: &Guess<'_>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (guesser, _) in guess.guessers() {
            if let Some((_, count)) = known.get_mut(&guesser) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(10_000);

    #[test]
    fn a_browser_and_an_address_run_out_of_guesses() {
        let user_code_limit = UserCodeLimit::default();
        let browsers: Vec<_> = (0..4).map(|n| BrowserSessionId::new(format!("b{n}"))).collect();
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let guess = |n: usize, address| user_code_limit.take(&Guess { browser: &browsers[n], address }, T);
        for n in 0..3 {
            for _ in 0..10 {
                assert_eq!(guess(n, address), Ok(()));
            }
            assert_eq!(guess(n, None), Err(600));
        }
        assert_eq!(guess(3, address), Err(600), "a new browser at the same address");
        assert_eq!(guess(3, Some(IpAddr::from([192, 0, 2, 2]))), Ok(()), "somebody else");
        let later = Guess { browser: &browsers[0], address };
        assert_eq!(user_code_limit.take(&later, T.plus(599)), Err(1));
        assert_eq!(user_code_limit.take(&later, T.plus(600)), Ok(()));
    }

    /// A full table counts all the same.
    #[test]
    fn a_crowd_makes_guessing_free_for_nobody() {
        let user_code_limit = UserCodeLimit::default();
        for n in 0..40_000_u32 {
            let browser = BrowserSessionId::new(n.to_string());
            let address = Some(IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n)));
            assert_eq!(user_code_limit.take(&Guess { browser: &browser, address }, T), Ok(()));
        }
        assert!(user_code_limit.0.lock().unwrap().len() <= CAPACITY);
        let browser = BrowserSessionId::new("guesser");
        let guess = Guess { browser: &browser, address: Some(IpAddr::from([192, 0, 2, 1])) };
        for _ in 0..10 {
            assert_eq!(user_code_limit.take(&guess, T), Ok(()));
        }
        assert_eq!(user_code_limit.take(&guess, T), Err(600));
    }

    #[test]
    fn who_knows_a_code_is_no_guesser() {
        let user_code_limit = UserCodeLimit::default();
        let browser = BrowserSessionId::new("b");
        let guess = Guess { browser: &browser, address: None };
        for _ in 0..100 {
            assert_eq!(user_code_limit.take(&guess, T), Ok(()));
            user_code_limit.give_back(&guess);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), IpAddr::from([192, 0, 2, 1]));
    }
}
