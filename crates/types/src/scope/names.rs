//! The record types or methods that a scope names.

use std::collections::BTreeSet;

use super::value_error::ScopeValueError;
use crate::nsid::Nsid;

/// Every name, or those that are listed. Partial wildcards such as `app.bsky.*` do not exist.
///
/// Exhaustive: see [the crate](crate#enums).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Names {
    /// `*`.
    Any,
    /// At least one.
    Only(BTreeSet<Nsid>),
}

impl Names {
    /// The set of one name.
    pub fn one(name: Nsid) -> Self {
        Self::Only(BTreeSet::from([name]))
    }

    /// Whether it has this name.
    pub fn contains(&self, name: &Nsid) -> bool {
        match self {
            Self::Any => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// The intersection of the two; `None` when it is empty.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, names) | (names, Self::Any) => Some(names.clone()),
            (Self::Only(names), other) => Self::of(names.iter().filter(|name| other.contains(name)).cloned()),
        }
    }

    /// The set of these names; `None` when there is none.
    pub(super) fn of(names: impl IntoIterator<Item = Nsid>) -> Option<Self> {
        let names = BTreeSet::from_iter(names);
        (!names.is_empty()).then_some(Self::Only(names))
    }

    /// Every single name; `None` stands for all of them.
    pub(super) fn each(&self) -> Vec<Option<&Nsid>> {
        match self {
            Self::Any => vec![None],
            Self::Only(names) => names.iter().map(Some).collect(),
        }
    }

    /// The names as the texts that a scope has, sorted as the reference implementation does.
    pub(super) fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<_> = self.each().into_iter().map(|name| name.map_or("*", Nsid::as_str)).collect();
        texts.sort_unstable();
        texts
    }

    pub(super) fn parse(values: &[&str], name: &'static str) -> Result<Self, ScopeValueError> {
        let mut names = BTreeSet::new();
        for value in values.iter().filter(|value| **value != "*") {
            let expected = "an NSID such as app.bsky.feed.post, or *";
            names.insert(Nsid::parse(value).map_err(|_| ScopeValueError::Invalid { name, expected })?);
        }
        if values.contains(&"*") { Ok(Self::Any) } else { Ok(Self::Only(names)) }
    }
}
