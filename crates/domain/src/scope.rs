//! Scopes, compared as sets (RFC 6749 section 3.3).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A scope value holds a character that RFC 6749 section 3.3 does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "scope must be a space-separated list of at most 200 printable ASCII values without quotes or backslashes"
)]
pub struct ScopeError;

/// A set of scope values that remembers the order in which they were named.
///
/// ```
/// use causeway_domain::Scope;
/// let asked = Scope::parse("transition:generic atproto atproto")?;
/// assert_eq!(asked.to_string(), "transition:generic atproto");
/// assert_eq!(asked, Scope::parse("atproto transition:generic")?);
/// # Ok::<(), causeway_domain::scope::ScopeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scope(Vec<String>);

impl Scope {
    /// The scope that every atproto sign-in carries.
    pub const ATPROTO: &str = "atproto";

    /// The most values that a scope may name.
    pub const MAX_VALUES: usize = 200;

    /// Parses a space-separated list; repeats count once, an empty string is the empty set.
    ///
    /// # Errors
    /// [`ScopeError`] for a character outside `%x21 / %x23-5B / %x5D-7E`, or for more than
    /// [`Scope::MAX_VALUES`] values.
    pub fn parse(value: &str) -> Result<Self, ScopeError> {
        let allowed = |b: u8| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b);
        let mut scope = Self::default();
        for token in value.split(' ').filter(|token| !token.is_empty()) {
            if scope.0.len() == Self::MAX_VALUES || !token.bytes().all(allowed) {
                return Err(ScopeError);
            }
            scope.insert(token);
        }
        Ok(scope)
    }

    /// The set that holds only `atproto`.
    #[must_use]
    pub fn atproto() -> Self {
        Self(vec![Self::ATPROTO.to_owned()])
    }

    /// Adds a value unless it is there.
    pub fn insert(&mut self, token: &str) {
        if !self.contains(token) {
            self.0.push(token.to_owned());
        }
    }

    /// Whether the set holds this value.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|own| own == token)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `other` holds every value of this set.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|token| other.contains(token))
    }

    /// The values that both sets hold, in this set's order.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|token| other.contains(token)).cloned().collect())
    }

    /// The values of this set that `other` does not hold.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|token| !other.contains(token)).cloned().collect())
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.is_subset_of(other) && other.is_subset_of(self)
    }
}

impl Eq for Scope {}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_not_strings() {
        let scope = |s| Scope::parse(s).unwrap_or_default();
        assert_eq!(scope("a b"), scope("  b  a a "));
        assert_ne!(scope("a"), scope("a b"));
        assert!(scope("a").is_subset_of(&scope("b a")));
        assert!(!scope("a c").is_subset_of(&scope("b a")));
        assert_eq!(scope("c a").intersection(&scope("a b c")).to_string(), "c a");
        assert_eq!(Scope::parse("a \"b\""), Err(ScopeError));
        assert_eq!(Scope::parse("a\tb"), Err(ScopeError));
        assert_eq!(Scope::parse("é"), Err(ScopeError));
    }
}
