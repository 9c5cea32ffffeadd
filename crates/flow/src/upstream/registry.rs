//! The providers that this server keeps sessions at.

use std::collections::HashMap;
use std::sync::Arc;

use causeway_domain::session::SessionHead;

use crate::upstream::session::error::NotConfigured;
use crate::upstream::traits::Upstream;

/// The implementations, by the provider's name.
#[derive(Debug)]
pub(crate) struct Upstreams(HashMap<String, Arc<dyn Upstream>>);

impl Upstreams {
    pub(crate) fn new(providers: impl IntoIterator<Item = (String, Arc<dyn Upstream>)>) -> Self {
        Self(providers.into_iter().collect())
    }

    /// The implementation for a session.
    ///
    /// # Errors
    /// [`NotConfigured`].
    pub(crate) fn of(&self, head: &SessionHead) -> Result<&dyn Upstream, NotConfigured> {
        self.named(head.provider())
    }

    /// The implementation for a provider.
    ///
    /// # Errors
    /// [`NotConfigured`].
    pub(crate) fn named(&self, provider: &str) -> Result<&dyn Upstream, NotConfigured> {
        self.0.get(provider).map(|upstream| &**upstream).ok_or_else(|| NotConfigured(provider.to_owned()))
    }
}
