//! The binding of a connection: what the site knows the device by.

use std::collections::BTreeMap;

use causeway_domain::session::SessionHead;
use causeway_providers::FieldValues;
use serde::{Deserialize, Serialize};

use crate::error::Internal;

/// Facts that a connection remembers of its sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FormBinding {
    /// The fingerprint that the site gets: the device's, or the one of the background session.
    pub(super) fingerprint: String,
    /// Values of the definition's parameters.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, String>,
}

impl FormBinding {
    /// Reads the binding of a session.
    ///
    /// # Errors
    /// When the session is of another kind, or its binding cannot be read.
    pub(super) fn of(head: &SessionHead) -> Result<Self, Internal> {
        serde_json::from_str(&head.other()?.data)
            .map_err(|_| Internal::Inconsistent("the binding of a connection cannot be read"))
    }

    /// The values for templates.
    pub(super) fn field_values(&self) -> FieldValues {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}
