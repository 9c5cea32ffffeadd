//! The account of a user.

use crate::json::Document;
use crate::values::pointer::JsonPointer;

/// An account at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub subject: String,
    /// Its name.
    pub name: Option<String>,
}

impl Account {
    /// Reads an account; `None` if its id is neither a string nor a number.
    pub(crate) fn read(
        document: &Document,
        subject: &JsonPointer,
        name: Option<&JsonPointer>,
    ) -> Option<Self> {
        let subject = document.text(subject)?;
        Some(Self { subject, name: name.and_then(|name| document.text(name)) })
    }
}
