//! `repo:`: writing records (atproto specification "Permissions").

use std::collections::BTreeSet;
use std::fmt;

use super::names::Names;
use super::syntax::{Syntax, Writer};
use super::value_error::ScopeValueError;
use crate::nsid::Nsid;

wire_names! {
    /// An action on a record, in canonical order.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum RepoAction {
        /// Make one.
        Create = "create",
        /// Change one.
        Update = "update",
        /// Remove one.
        Delete = "delete",
    }
}

/// `repo:<collection>?action=<action>`: without an action all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoScope {
    collections: Names,
    actions: BTreeSet<RepoAction>,
}

impl RepoScope {
    /// The scope that one action on one collection needs.
    pub fn one(action: RepoAction, collection: Nsid) -> Self {
        Self { collections: Names::one(collection), actions: BTreeSet::from([action]) }
    }

    /// The record types.
    pub const fn collections(&self) -> &Names {
        &self.collections
    }

    /// The allowed actions: at least one, in canonical order.
    pub fn actions(&self) -> impl ExactSizeIterator<Item = RepoAction> {
        self.actions.iter().copied()
    }

    /// Whether it allows an action on a collection.
    pub fn permits(&self, action: RepoAction, collection: &Nsid) -> bool {
        self.permits_names(action, Some(collection))
    }

    /// The same; `None` stands for every collection.
    pub(super) fn permits_names(&self, action: RepoAction, collection: Option<&Nsid>) -> bool {
        let named = match collection {
            Some(collection) => self.collections.contains(collection),
            None => self.collections == Names::Any,
        };
        named && self.actions.contains(&action)
    }

    /// The intersection of the two; `None` when it is empty.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let collections = self.collections.meet(&other.collections)?;
        let actions: BTreeSet<_> = self.actions.intersection(&other.actions).copied().collect();
        (!actions.is_empty()).then_some(Self { collections, actions })
    }

    pub(super) fn parse(syntax: &Syntax<'_>) -> Result<Self, ScopeValueError> {
        syntax.only(&["collection", "action"])?;
        let collections = Names::parse(&syntax.positional("collection")?, "collection")?;
        let refused = ScopeValueError::Invalid { name: "action", expected: "create, update or delete" };
        let mut actions = syntax
            .values("action")
            .map(|value| RepoAction::parse(value).ok_or(refused.clone()))
            .collect::<Result<BTreeSet<_>, _>>()?;
        if actions.is_empty() {
            actions.extend(RepoAction::ALL);
        }
        Ok(Self { collections, actions })
    }
}

impl fmt::Display for RepoScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::new(f, "repo")?;
        writer.positional("collection", &self.collections.texts())?;
        if self.actions.len() < RepoAction::ALL.len() {
            self.actions.iter().try_for_each(|action| writer.parameter("action", action.as_str()))?;
        }
        Ok(())
    }
}
