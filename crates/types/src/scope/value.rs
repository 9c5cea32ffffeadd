//! One scope value.

use std::fmt;

use serde::{Serialize, Serializer};

use super::account::{AccountScope, IdentityScope};
use super::blob::BlobScope;
use super::fixed::{OwnScope, Transition};
use super::include::IncludeScope;
use super::repo::RepoScope;
use super::resource::ResourceScope;
use super::rpc::RpcScope;
use super::syntax::Syntax;
use super::value_error::ScopeValueError;

/// One scope value. Its `Display` is the one canonical text of what it means.
///
/// ```
/// use causeway_types::scope::ScopeValue;
/// let value = ScopeValue::parse("repo?action=delete&action=create&collection=app.bsky.feed.post")?;
/// assert_eq!(value.to_string(), "repo:app.bsky.feed.post?action=create&action=delete");
/// assert_eq!(ScopeValue::parse("blob?accept=*/*&accept=image/png")?.to_string(), "blob:*/*");
/// assert!(ScopeValue::parse("repo:app.bsky.*").is_err());
/// # Ok::<(), causeway_types::scope::ScopeValueError>(())
/// ```
///
/// Exhaustive: see [the crate](crate#enums).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeValue {
    /// `atproto`: the account's identity.
    Atproto,
    /// `transition:…`.
    Transition(Transition),
    /// `repo:…`: writing records.
    Repo(RepoScope),
    /// `rpc:…`: calling services.
    Rpc(RpcScope),
    /// `blob:…`: uploading files.
    Blob(BlobScope),
    /// `account:…`: the account itself.
    Account(AccountScope),
    /// `identity:…`: the user's identity.
    Identity(IdentityScope),
    /// `include:…`: a permission set by name.
    Include(IncludeScope),
    /// Between us and our clients.
    Own(OwnScope),
    /// Between a client and a third-party resource.
    Resource(ResourceScope),
}

impl ScopeValue {
    /// Reads a value in any of the forms that it can have.
    ///
    /// # Errors
    /// [`ScopeValueError`] says what is wrong with it.
    pub fn parse(value: &str) -> Result<Self, ScopeValueError> {
        if value == "atproto" {
            return Ok(Self::Atproto);
        }
        let own = OwnScope::parse(value).map(Self::Own);
        if let Some(fixed) = own.or_else(|| Transition::parse(value).map(Self::Transition)) {
            return Ok(fixed);
        }
        let syntax = Syntax::parse(value)?;
        match syntax.resource {
            "repo" => RepoScope::parse(&syntax).map(Self::Repo),
            "rpc" => RpcScope::parse(&syntax).map(Self::Rpc),
            "blob" => BlobScope::parse(&syntax).map(Self::Blob),
            "account" => AccountScope::parse(&syntax).map(Self::Account),
            "identity" => IdentityScope::parse(&syntax).map(Self::Identity),
            "include" => IncludeScope::parse(&syntax).map(Self::Include),
            _ => Err(ScopeValueError::Unknown),
        }
    }

    /// Whether it can be requested from a PDS.
    pub const fn is_atproto(&self) -> bool {
        !matches!(self, Self::Own(_) | Self::Resource(_))
    }
}

impl fmt::Display for ScopeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atproto => f.write_str("atproto"),
            Self::Transition(transition) => f.write_str(transition.as_str()),
            Self::Repo(repo) => repo.fmt(f),
            Self::Rpc(rpc) => rpc.fmt(f),
            Self::Blob(blob) => blob.fmt(f),
            Self::Account(account) => account.fmt(f),
            Self::Identity(identity) => identity.fmt(f),
            Self::Include(include) => include.fmt(f),
            Self::Own(own) => f.write_str(own.as_str()),
            Self::Resource(name) => name.fmt(f),
        }
    }
}

from_text!(ScopeValue, ScopeValueError);

impl Serialize for ScopeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<ResourceScope> for ScopeValue {
    fn from(scope: ResourceScope) -> Self {
        Self::Resource(scope)
    }
}
