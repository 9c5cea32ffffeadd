//! Byte budgets for data that is held in memory as a whole.
//!
//! A response from an untrusted server, a request body or a parsed JSON tree takes as much memory as its
//! sender likes unless somebody counts. Each is counted before it grows, against its own part, against the share of
//! the party that causes it, and against the whole process. What is only announced does not count: a party that sends
//! nothing takes nothing. When nothing is left the request is refused rather than queued, because a queued caller
//! holds memory, too.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use causeway_domain::Network;
use zeroize::Zeroize as _;

const MIB: usize = 1024 * 1024;

/// The budgets of a process, by what is held.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Bodies of requests to us, and what they are parsed into.
    pub requests: SharedBudget,
    /// Answers of repository methods that are read whole.
    pub answers: SharedBudget,
    /// Documents of other servers: metadata, key sets, DID documents. Apart from the others, so that no flood of those
    /// keeps anybody from signing in.
    pub documents: Budget,
    /// Answers of token endpoints, which cannot be asked for again.
    pub tokens: Budget,
}

impl Budgets {
    /// Default budget of a process, in bytes.
    pub const DEFAULT: usize = 128 * MIB;

    /// Creates budgets that add up to `bytes`.
    pub fn new(bytes: usize) -> Self {
        let quarter = bytes / 4;
        Self {
            requests: SharedBudget::new(quarter),
            answers: SharedBudget::new(bytes - 2 * quarter),
            documents: Budget::new(quarter / 2),
            tokens: Budget::new(quarter - quarter / 2),
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::new(Self::DEFAULT)
    }
}

/// Why there are no more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The part is used up: it asks for too much, now and later.
    #[error("the memory budget of one request is used up")]
    Part,
    /// The whole, or the share of the party, is used up for the moment.
    #[error("the memory budget is used up at the moment")]
    Whole,
}

/// A budget of which each party has a share, so that none uses it up for the others. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedBudget {
    whole: Budget,
    parties: Arc<Mutex<Parties>>,
}

/// Shares that are in use.
#[derive(Debug, Default)]
struct Parties {
    shares: HashMap<Option<Network>, Weak<Level>>,
    /// Number of shares from which on those without a use are removed.
    most: usize,
}

impl SharedBudget {
    /// Shares in a budget: so many parties have to come together to use it up.
    const SHARES: usize = 4;

    /// Creates a budget of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { whole: Budget::new(size), parties: Arc::default() }
    }

    /// Bytes currently taken, by all parties.
    pub fn used(&self) -> usize {
        self.whole.used()
    }

    /// The share of a party, by its address. Those whose address is not known have one together.
    pub fn of(&self, address: Option<IpAddr>) -> Budget {
        let party = address.map(Network::from);
        let mut parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = parties.shares.get(&party).and_then(Weak::upgrade) {
            return Budget(share);
        }
        if parties.shares.len() >= parties.most {
            parties.shares.retain(|_, share| share.strong_count() > 0);
            parties.most = (2 * parties.shares.len()).max(64);
        }
        let share = self.whole.level(self.whole.0.size / Self::SHARES, Exhausted::Whole);
        parties.shares.insert(party, Arc::downgrade(&share.0));
        share
    }
}

/// A budget of bytes, or a part of a larger one. Clones share it.
#[derive(Clone)]
pub struct Budget(Arc<Level>);

struct Level {
    size: usize,
    used: AtomicUsize,
    whole: Option<Budget>,
    /// The error when this level is used up.
    refusal: Exhausted,
}

impl Budget {
    /// Creates a budget of `size` bytes.
    pub fn new(size: usize) -> Self {
        let used = AtomicUsize::new(0);
        Self(Arc::new(Level { size, used, whole: None, refusal: Exhausted::Whole }))
    }

    /// Creates a part of this budget, limited to `size` bytes and to what the budget has.
    #[must_use]
    pub fn part(&self, size: usize) -> Self {
        // One that asks for more than its party's share would ask in vain again.
        self.level(size.min(self.0.size), Exhausted::Part)
    }

    fn level(&self, size: usize, refusal: Exhausted) -> Self {
        let used = AtomicUsize::new(0);
        Self(Arc::new(Level { size, used, whole: Some(self.clone()), refusal }))
    }

    /// Takes `bytes`, which are given back when the share is dropped.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn take(&self, bytes: usize) -> Result<Share, Exhausted> {
        self.add(bytes)?;
        Ok(Share { budget: self.clone(), bytes })
    }

    /// Bytes currently taken.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) -> Result<(), Exhausted> {
        let Level { size, used, whole, refusal } = &*self.0;
        let more = |used: usize| used.checked_add(bytes).filter(|used| used <= size);
        if used.try_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(*refusal);
        }
        match whole.as_ref().map_or(Ok(()), |whole| whole.add(bytes)) {
            Ok(()) => Ok(()),
            Err(error) => {
                used.fetch_sub(bytes, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn overdraw(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.overdraw(bytes);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.give_back(bytes);
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("size", &self.0.size)
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}

/// Bytes taken from a budget.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Takes more bytes.
    ///
    /// # Errors
    /// [`Exhausted`]; the share is then as it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.budget.add(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Grows the share to at least `bytes`, whether the budget has them or not.
    fn overdraw(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.budget.overdraw(more);
        self.bytes += more;
    }

    /// Grows the share to at least `bytes`.
    ///
    /// # Errors
    /// As [`Share::grow`].
    pub fn cover(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.grow(bytes.saturating_sub(self.bytes))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// A body that is being read, with its share of a budget.
pub struct Held {
    bytes: Body,
    share: Share,
    times: usize,
    /// The announced length in bytes: no more is allocated until it is exceeded.
    expected: usize,
    /// Whether the body may take what the budget does not have.
    may_overdraw: bool,
}

/// Bytes that are wiped when they are dropped, if they are few: forms and token answers are, and hold secrets. Records
/// and files may be long and are no secrets.
struct Body(Vec<u8>);

impl Body {
    const FEW: usize = 256 * 1024;
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.0.len() <= Self::FEW {
            self.0.zeroize();
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("length", &self.len())
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

impl Held {
    /// The least that is allocated, in bytes.
    const LEAST: usize = 1024;

    /// An empty body. Each of its bytes counts `times`: once for itself, and again for what it is parsed into.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn new(budget: &Budget, times: usize) -> Result<Self, Exhausted> {
        Ok(Self { bytes: Body(Vec::new()), share: budget.take(0)?, times, expected: 0, may_overdraw: false })
    }

    /// An empty body for what must not be lost once it is sent. Room for `reserved` bytes counts from now on; what
    /// exceeds them counts as well and is never refused, so there must be a cap on it.
    ///
    /// # Errors
    /// [`Exhausted`], before anything is sent.
    pub fn reserve(budget: &Budget, reserved: usize, times: usize) -> Result<Self, Exhausted> {
        let share = budget.take(reserved.saturating_mul(times))?;
        let bytes = Body(Vec::with_capacity(reserved));
        Ok(Self { bytes, share, times, expected: 0, may_overdraw: true })
    }

    /// The same body when its length in bytes was announced. Nothing counts before it arrives.
    #[must_use]
    pub fn expecting(mut self, length: Option<u64>) -> Self {
        self.expected = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        self
    }

    /// Lets each byte count `times` from now on, for what the body is parsed into.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn count_times(&mut self, times: usize) -> Result<(), Exhausted> {
        self.share.cover(self.bytes.0.capacity().saturating_mul(times))?;
        self.times = times;
        Ok(())
    }

    /// Adds a part.
    ///
    /// # Errors
    /// [`Exhausted`]; the part is not added.
    pub fn extend(&mut self, part: &[u8]) -> Result<(), Exhausted> {
        let length = self.bytes.0.len().saturating_add(part.len());
        if length > self.bytes.0.capacity() {
            let mut capacity = length.max(self.bytes.0.capacity().saturating_mul(2)).max(Self::LEAST);
            if length <= self.expected {
                capacity = capacity.min(self.expected);
            }
            let counted = capacity.saturating_mul(self.times);
            if self.may_overdraw {
                self.share.overdraw(counted);
            } else {
                self.share.cover(counted)?;
            }
            let more = capacity - self.bytes.0.len();
            self.bytes.0.reserve_exact(more);
        }
        self.bytes.0.extend_from_slice(part);
        Ok(())
    }

    /// The body, and its share, which grows with what is made of it.
    pub fn parts(&mut self) -> (&[u8], &mut Share) {
        (&self.bytes.0, &mut self.share)
    }

    /// Its share alone, once the body has become something else.
    pub fn into_share(self) -> Share {
        self.share
    }

    /// The body as bytes that may be cut and shared: its share is given back with the last of them.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes.0
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let whole = Budget::new(100);
        let part = whole.part(60);
        let mut share = part.take(40).unwrap();
        assert_eq!(share.grow(21), Err(Exhausted::Part));
        assert_eq!(share.grow(20), Ok(()));
        assert_eq!((part.used(), whole.used()), (60, 60));
        let other = whole.part(60);
        assert_eq!(other.take(41).err(), Some(Exhausted::Whole));
        assert_eq!((other.used(), whole.used()), (0, 60), "what is refused takes nothing");
        drop(share);
        assert_eq!((part.used(), whole.used()), (0, 0));
        assert_eq!(whole.take(101).err(), Some(Exhausted::Whole));
        assert_eq!(whole.take(usize::MAX).err(), Some(Exhausted::Whole));
    }

    /// A party leaves room for others, whoever it is, and is forgotten when it holds nothing.
    #[test]
    fn nobody_uses_up_the_budget_alone() {
        let budget = SharedBudget::new(400);
        let address = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let held = budget.of(address(1)).take(100).unwrap();
        assert_eq!(budget.of(address(1)).take(1).err(), Some(Exhausted::Whole));
        assert_eq!(budget.of(address(1)).part(50).take(1).err(), Some(Exhausted::Whole));
        assert_eq!(
            budget.of(address(2)).part(500).take(101).err(),
            Some(Exhausted::Part),
            "in vain, now and later"
        );
        let others: Vec<_> =
            [None, address(2), address(3)].map(|party| budget.of(party).take(100).unwrap()).into();
        assert_eq!(budget.of(address(4)).take(1).err(), Some(Exhausted::Whole), "the whole is used up");
        drop(held);
        assert!(budget.of(address(4)).take(100).is_ok());
        drop(others);
        for n in 0..255 {
            drop(budget.of(address(n)).take(100).unwrap());
        }
        assert!(budget.parties.lock().unwrap().shares.len() <= 64);
        assert_eq!(budget.used(), 0);
    }

    /// The answer to a token that works once is read to its end, however little memory is left by then.
    #[test]
    fn what_must_not_be_lost_is_never_refused() {
        let budget = Budget::new(100);
        let mut answer = Held::reserve(&budget, 40, 1).unwrap();
        let others = budget.take(60).unwrap();
        assert!(Held::reserve(&budget, 1, 1).is_err(), "before anything is sent");
        answer.extend(&[7; 90]).unwrap();
        assert!(budget.used() >= 150, "it counts");
        drop((answer, others));
        assert_eq!(budget.used(), 0);
    }

    /// A body counts with what it has allocated, before it does, and as long as any piece of it is somewhere.
    #[test]
    fn a_body_counts_until_its_last_piece_is_gone() {
        let budget = Budget::new(10_000);
        let mut body = Held::new(&budget, 2).unwrap();
        body.extend(&[7; 1500]).unwrap();
        assert_eq!(budget.used(), 3000);
        body.extend(&[7]).unwrap();
        assert_eq!(budget.used(), 6000, "it has twice the room");
        assert_eq!(body.extend(&[7; 4000]), Err(Exhausted::Whole));
        let mut announced = Held::new(&budget, 1).unwrap().expecting(Some(3000));
        assert_eq!(budget.used(), 6000, "what is announced is not there");
        for (length, used) in [(1500, 1500), (100, 3000), (1400, 3000)] {
            announced.extend(&vec![7; length]).unwrap();
            assert_eq!(budget.used(), 6000 + used);
        }
        drop(announced);
        let whole = body.freeze();
        let piece = whole.slice(10..20);
        drop(whole);
        assert_eq!(budget.used(), 6000);
        drop(piece);
        assert_eq!(budget.used(), 0);
    }
}
