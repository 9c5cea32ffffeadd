//! `account:` and `identity:`: the account itself (atproto specification "Permissions").

use std::fmt;

use super::syntax::{Syntax, Writer};
use super::value_error::ScopeValueError;

wire_names! {
    /// A part of an account.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum AccountAttr {
        /// The email address.
        Email = "email",
        /// All records at once, as a file.
        Repo = "repo",
        /// Whether the account is active.
        Status = "status",
    }
}

wire_names! {
    /// An action on a part of an account; each allows the ones before it.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum AccountAction {
        /// See it.
        Read = "read",
        /// See and change it.
        Manage = "manage",
    }
}

/// `account:<attr>?action=<action>`: reading unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountScope {
    /// The part.
    pub attr: AccountAttr,
    /// The allowed action.
    pub action: AccountAction,
}

impl AccountScope {
    /// Whether it allows an action on a part: to manage is to read too.
    pub fn permits(self, attr: AccountAttr, action: AccountAction) -> bool {
        self.attr == attr && self.action >= action
    }

    pub(super) fn parse(syntax: &Syntax<'_>) -> Result<Self, ScopeValueError> {
        syntax.only(&["attr", "action"])?;
        let attr = syntax.one_positional("attr")?;
        let refused = ScopeValueError::Invalid { name: "attr", expected: "email, repo or status" };
        let attr = AccountAttr::parse(attr).ok_or(refused)?;
        let mut action = AccountAction::Read;
        for value in syntax.values("action") {
            let refused = ScopeValueError::Invalid { name: "action", expected: "read or manage" };
            action = action.max(AccountAction::parse(value).ok_or(refused)?);
        }
        Ok(Self { attr, action })
    }
}

impl fmt::Display for AccountScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::new(f, "account")?;
        writer.positional("attr", &[self.attr.as_str()])?;
        match self.action {
            AccountAction::Read => Ok(()),
            action @ AccountAction::Manage => writer.parameter("action", action.as_str()),
        }
    }
}

wire_names! {
    /// A part of a user's identity; each contains the ones before it.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum IdentityAttr {
        /// The handle.
        Handle = "handle",
        /// Everything: handle, keys, and the server that hosts the account.
        Any = "*",
    }
}

/// `identity:<attr>`: changing a user's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityScope {
    /// The part.
    pub attr: IdentityAttr,
}

impl IdentityScope {
    /// Whether it allows a change of a part.
    pub fn permits(self, attr: IdentityAttr) -> bool {
        self.attr >= attr
    }

    pub(super) fn parse(syntax: &Syntax<'_>) -> Result<Self, ScopeValueError> {
        syntax.only(&["attr"])?;
        let attr = syntax.one_positional("attr")?;
        let refused = ScopeValueError::Invalid { name: "attr", expected: "handle or *" };
        let attr = IdentityAttr::parse(attr).ok_or(refused)?;
        Ok(Self { attr })
    }
}

impl fmt::Display for IdentityScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Writer::new(f, "identity")?.positional("attr", &[self.attr.as_str()])
    }
}
