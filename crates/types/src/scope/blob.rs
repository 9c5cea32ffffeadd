//! `blob:`: uploading files (atproto specification "Permissions").

use std::collections::BTreeSet;
use std::fmt;

use super::syntax::{Syntax, Writer};
use super::value_error::ScopeValueError;

/// A media type, lower case, whose subtype or both parts may be a wildcard: `*/*`, `image/*`, `image/png`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaRange(String);

impl MediaRange {
    /// Parses a range (RFC 6838 section 4.2 says which names there are); `None` when it is none.
    pub fn parse(value: &str) -> Option<Self> {
        let lower = value.to_ascii_lowercase();
        let (kind, subtype) = lower.split_once('/')?;
        let valid = match (kind, subtype) {
            ("*", "*") => true,
            (kind, "*") => is_name(kind),
            (kind, subtype) => is_name(kind) && is_name(subtype),
        };
        valid.then_some(Self(lower))
    }

    /// The range as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every media type of `other` is one of this range.
    pub fn covers(&self, other: &Self) -> bool {
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            Some(kind) => other.0.starts_with(kind),
            None => self.0 == other.0,
        }
    }
}

text_type!(MediaRange: "a media type such as image/png, image/* or */*");

fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

/// `blob:<accept>`: which kinds of files may be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobScope(BTreeSet<MediaRange>);

impl BlobScope {
    /// The scope that one media type needs.
    pub fn one(range: MediaRange) -> Self {
        Self(BTreeSet::from([range]))
    }

    /// The kinds of files: at least one, none of which another covers.
    pub fn accept(&self) -> impl ExactSizeIterator<Item = &MediaRange> {
        self.0.iter()
    }

    /// Whether it allows files of all these kinds.
    pub fn permits(&self, range: &MediaRange) -> bool {
        self.0.iter().any(|own| own.covers(range))
    }

    /// The intersection of the two; `None` when it is empty.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let in_other = self.0.iter().filter(|range| other.permits(range));
        let in_self = other.0.iter().filter(|range| self.permits(range));
        Self::of(&in_other.chain(in_self).cloned().collect())
    }

    /// The scope of these ranges, without those that another range covers; `None` when there are none.
    fn of(ranges: &BTreeSet<MediaRange>) -> Option<Self> {
        let wider = |range: &MediaRange| ranges.iter().any(|other| other != range && other.covers(range));
        let kept: BTreeSet<_> = ranges.iter().filter(|range| !wider(range)).cloned().collect();
        (!kept.is_empty()).then_some(Self(kept))
    }

    pub(super) fn parse(syntax: &Syntax<'_>) -> Result<Self, ScopeValueError> {
        syntax.only(&["accept"])?;
        let expected = "a media type such as image/png, image/* or */*";
        let ranges = syntax
            .positional("accept")?
            .into_iter()
            .map(|value| {
                MediaRange::parse(value).ok_or(ScopeValueError::Invalid { name: "accept", expected })
            })
            .collect::<Result<_, _>>()?;
        Self::of(&ranges).ok_or(ScopeValueError::Missing("accept"))
    }
}

impl fmt::Display for BlobScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<_> = self.0.iter().collect();
        Writer::new(f, "blob")?.positional("accept", &ranges)
    }
}
