//! The kinds of provider that this server keeps sessions at.

use std::sync::Arc;

use causeway_domain::session::SessionHead;

use crate::error::Internal;
use crate::upstream::traits::Kept;

/// The implementations, by the provider's name.
#[derive(Debug)]
pub(crate) struct Upstreams(Vec<(&'static str, Arc<dyn Kept>)>);

impl Upstreams {
    pub(crate) fn new(kinds: Vec<(&'static str, Arc<dyn Kept>)>) -> Self {
        Self(kinds)
    }

    /// The implementation for a session.
    ///
    /// # Errors
    /// [`Internal::Inconsistent`]: the provider is not set up any more.
    pub(crate) fn of(&self, head: &SessionHead) -> Result<&dyn Kept, Internal> {
        let provider = head.provider();
        let found = self.0.iter().find(|(name, _)| *name == provider);
        found
            .map(|(_, kind)| &**kind)
            .ok_or(Internal::Inconsistent("the provider of a session is not set up"))
    }
}
