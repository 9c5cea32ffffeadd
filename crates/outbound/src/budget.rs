//! Byte budgets for data that is held in memory as a whole.
//!
//! A response from an untrusted server, a request body or a parsed JSON tree takes as much memory as its
//! sender likes unless somebody counts. Each is counted before it grows, against its own part and against the
//! whole process. When nothing is left the request is refused rather than queued, because a queued caller
//! holds memory, too.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use zeroize::Zeroize as _;

const MIB: usize = 1024 * 1024;

/// The budgets of a process, by what is held.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Bodies of requests to us, and what they are parsed into.
    pub requests: Budget,
    /// Answers of repository methods that are read whole.
    pub answers: Budget,
    /// Token answers and documents. Apart from the others, so that no flood of those keeps anybody from signing in.
    pub documents: Budget,
}

impl Budgets {
    /// Default budget of a process, in bytes.
    pub const DEFAULT: usize = 128 * MIB;

    /// Creates budgets that add up to `bytes`.
    pub fn new(bytes: usize) -> Self {
        let quarter = bytes / 4;
        Self {
            requests: Budget::new(quarter),
            answers: Budget::new(bytes - 2 * quarter),
            documents: Budget::new(quarter),
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
    /// The whole is used up, for the moment.
    #[error("the memory budget of the process is used up at the moment")]
    Whole,
}

/// A budget of bytes, or a part of a larger one. Clones share it.
#[derive(Clone)]
pub struct Budget(Arc<Level>);

struct Level {
    size: usize,
    used: AtomicUsize,
    whole: Option<Budget>,
}

impl Budget {
    /// Creates a budget of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self(Arc::new(Level { size, used: AtomicUsize::new(0), whole: None }))
    }

    /// Creates a part of this budget, limited to `size` bytes.
    #[must_use]
    pub fn part(&self, size: usize) -> Self {
        Self(Arc::new(Level { size, used: AtomicUsize::new(0), whole: Some(self.clone()) }))
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
        let Level { size, used, whole } = &*self.0;
        let more = |used: usize| used.checked_add(bytes).filter(|used| used <= size);
        if used.try_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(if whole.is_some() { Exhausted::Part } else { Exhausted::Whole });
        }
        match whole.as_ref().map_or(Ok(()), |whole| whole.add(bytes)) {
            Ok(()) => Ok(()),
            Err(error) => {
                used.fetch_sub(bytes, Ordering::Relaxed);
                Err(error)
            }
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
    /// [`Exhausted`], when there is no room for `expected` bytes, which may be 0.
    pub fn new(budget: &Budget, expected: usize, times: usize) -> Result<Self, Exhausted> {
        let share = budget.take(expected.saturating_mul(times))?;
        Ok(Self { bytes: Body(Vec::with_capacity(expected)), share, times })
    }

    /// Adds a part.
    ///
    /// # Errors
    /// [`Exhausted`]; the part is not added.
    pub fn extend(&mut self, part: &[u8]) -> Result<(), Exhausted> {
        let length = self.bytes.0.len().saturating_add(part.len());
        if length > self.bytes.0.capacity() {
            let capacity = length.max(self.bytes.0.capacity().saturating_mul(2)).max(Self::LEAST);
            self.share.cover(capacity.saturating_mul(self.times))?;
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

    /// A body counts with what it has allocated, before it does, and as long as any piece of it is somewhere.
    #[test]
    fn a_body_counts_until_its_last_piece_is_gone() {
        let budget = Budget::new(10_000);
        let mut body = Held::new(&budget, 0, 2).unwrap();
        body.extend(&[7; 1500]).unwrap();
        assert_eq!(budget.used(), 3000);
        body.extend(&[7]).unwrap();
        assert_eq!(budget.used(), 6000, "it has twice the room");
        assert_eq!(body.extend(&[7; 4000]), Err(Exhausted::Whole));
        let whole = body.freeze();
        let piece = whole.slice(10..20);
        drop(whole);
        assert_eq!(budget.used(), 6000);
        drop(piece);
        assert_eq!(budget.used(), 0);
    }
}
