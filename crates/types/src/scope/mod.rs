//! Scopes (RFC 6749 section 3.3), compared by what they mean: the grammar of AT Protocol permissions
//! (atproto specification "Permissions"), and the values of OpenID Connect beside it.
//!
//! [`Scope`] is a set of [`ScopeValue`]s. [`Scope::covers`] says whether a set allows all that a value
//! does, [`Scope::permits_repo`] and its neighbours whether it allows one thing.

mod account;
mod blob;
mod cover;
mod fixed;
mod include;
mod names;
mod permits;
mod repo;
mod resource;
mod rpc;
mod syntax;
#[cfg(test)]
mod tests;
mod value;
mod value_error;

use std::fmt;

use serde::{Serialize, Serializer};

pub use self::account::{AccountAction, AccountAttr, AccountScope, IdentityAttr, IdentityScope};
pub use self::blob::{BlobScope, MediaRange};
pub use self::fixed::{OwnScope, Transition};
pub use self::include::IncludeScope;
pub use self::names::Names;
pub use self::repo::{RepoAction, RepoScope};
pub use self::resource::ResourceScope;
pub use self::rpc::{Audience, RpcScope, Service};
pub use self::value::ScopeValue;
pub use self::value_error::ScopeValueError;

/// Why a scope was refused. The text holds only characters that an `error_description` may hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// A character outside `%x21 / %x23-5B / %x5D-7E`.
    #[error("scope must be a space-separated list of printable ASCII values without quotes or backslashes")]
    Characters,
    /// More than [`Scope::MAX_VALUES`] values.
    #[error("scope must name at most 200 values")]
    TooMany,
    /// A value that is unknown or malformed.
    #[error("{value} is not a scope: {problem}")]
    Value {
        /// The value, shortened.
        value: String,
        /// The reason.
        problem: ScopeValueError,
    },
}

/// A set of scope values that remembers the order in which they were named.
///
/// Two sets are equal when they allow the same.
///
/// ```
/// use causeway_types::Scope;
/// let asked = Scope::parse("repo:app.bsky.feed.post?action=create atproto atproto")?;
/// assert_eq!(asked.to_string(), "repo:app.bsky.feed.post?action=create atproto");
/// assert!(asked.is_subset_of(&Scope::parse("atproto repo:*")?));
/// assert!(asked.is_subset_of(&Scope::parse("atproto transition:generic")?));
/// assert!(Scope::parse("repo:app.bsky").is_err());
/// # Ok::<(), causeway_types::scope::ScopeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scope(Vec<ScopeValue>);

impl Scope {
    /// The scope that every atproto sign-in carries.
    pub const ATPROTO: &str = "atproto";

    /// The most values that a scope may name.
    pub const MAX_VALUES: usize = 200;

    /// Parses a space-separated list; repeats count once, an empty string is the empty set.
    ///
    /// # Errors
    /// [`ScopeError`]: every value has to be known and well-formed.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let mut scope = Self::default();
        for token in tokens(text)? {
            scope.insert(ScopeValue::parse(token).map_err(|problem| refuse(token, problem))?);
        }
        Ok(scope)
    }

    /// Parses a scope that a client requests. A value that is unknown here, such as `mcp:tools`, is taken for
    /// one of a resource, unless it begins like those of AT Protocol.
    ///
    /// # Errors
    /// [`ScopeError`]: every other value has to be known and well-formed.
    pub fn parse_asked(text: &str) -> Result<Self, ScopeError> {
        let mut scope = Self::default();
        for token in tokens(text)? {
            let value =
                ResourceScope::parse(token).map_or_else(|| ScopeValue::parse(token), |own| Ok(own.into()));
            scope.insert(value.map_err(|problem| refuse(token, problem))?);
        }
        Ok(scope)
    }

    /// Parses a scope that was checked before it was stored, or that was written for many servers: malformed
    /// values allow nothing and are left out.
    ///
    /// # Errors
    /// [`ScopeError::Characters`] and [`ScopeError::TooMany`].
    pub fn from_stored(text: &str) -> Result<Self, ScopeError> {
        let read = |token| match ResourceScope::parse(token) {
            Some(own) => Some(own.into()),
            None => ScopeValue::parse(token).ok(),
        };
        Ok(tokens(text)?.into_iter().filter_map(read).collect())
    }

    /// Parses a scope from another server: values that are unknown or malformed allow nothing and are left
    /// out, as the specification requires.
    ///
    /// # Errors
    /// [`ScopeError::Characters`] and [`ScopeError::TooMany`].
    pub fn parse_known(text: &str) -> Result<Self, ScopeError> {
        Ok(tokens(text)?.into_iter().filter_map(|token| ScopeValue::parse(token).ok()).collect())
    }

    /// The set that holds only `atproto`.
    #[must_use]
    pub fn atproto() -> Self {
        Self(vec![ScopeValue::Atproto])
    }

    /// Adds a value unless it is there.
    pub fn insert(&mut self, value: ScopeValue) {
        if !self.0.contains(&value) {
            self.0.push(value);
        }
    }

    /// Whether the set names this value, in whatever form. For what the set allows see [`Scope::covers`].
    pub fn contains(&self, token: &str) -> bool {
        ScopeValue::parse(token).is_ok_and(|value| self.0.contains(&value))
    }

    /// Whether the set names this value.
    pub fn has(&self, value: &ScopeValue) -> bool {
        self.0.contains(value)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values in the order in which they were named.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ScopeValue> {
        self.0.iter()
    }

    /// The one canonical form: sorted, without what the rest of the set covers.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let mut kept = self.0.clone();
        kept.sort();
        let mut index = 0;
        while index < kept.len() {
            let value = kept.remove(index);
            if !Self(kept.clone()).covers(&value) {
                kept.insert(index, value);
                index += 1;
            }
        }
        Self(kept)
    }
}

fn refuse(token: &str, problem: ScopeValueError) -> ScopeError {
    ScopeError::Value { value: token.chars().take(100).collect(), problem }
}

/// The values of a list as texts.
fn tokens(text: &str) -> Result<Vec<&str>, ScopeError> {
    let allowed = |b: u8| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b);
    let tokens: Vec<&str> = text.split(' ').filter(|token| !token.is_empty()).collect();
    if !tokens.iter().all(|token| token.bytes().all(allowed)) {
        return Err(ScopeError::Characters);
    }
    if tokens.len() > Scope::MAX_VALUES { Err(ScopeError::TooMany) } else { Ok(tokens) }
}

impl FromIterator<ScopeValue> for Scope {
    fn from_iter<I: IntoIterator<Item = ScopeValue>>(values: I) -> Self {
        let mut scope = Self::default();
        values.into_iter().for_each(|value| scope.insert(value));
        scope
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
        for (index, value) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{value}")?;
        }
        Ok(())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

from_text!(Scope, ScopeError);
text_schema!(Scope);

impl IntoIterator for Scope {
    type Item = ScopeValue;
    type IntoIter = std::vec::IntoIter<ScopeValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
