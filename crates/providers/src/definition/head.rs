//! The keys that every kind has.

use super::parameter::RawParameter;

/// The keys that every kind has.
pub(crate) struct Head {
    pub(crate) title: Option<String>,
    pub(crate) documentation: Option<String>,
    pub(crate) parameters: Vec<RawParameter>,
}
