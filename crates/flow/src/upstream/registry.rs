//! The providers that this server keeps sessions at.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use causeway_domain::session::SessionHead;

use crate::upstream::session::error::NotConfigured;
use crate::upstream::traits::Upstream;

/// The implementations, by the provider's name. They are replaced together when definitions are read again.
#[derive(Debug)]
pub(crate) struct Upstreams(RwLock<Arc<Implementations>>);

type Implementations = HashMap<String, Arc<dyn Upstream>>;

impl Upstreams {
    pub(crate) fn new(providers: impl IntoIterator<Item = (String, Arc<dyn Upstream>)>) -> Self {
        Self(RwLock::new(Arc::new(providers.into_iter().collect())))
    }

    /// Replaces all of them.
    pub(crate) fn replace(&self, providers: impl IntoIterator<Item = (String, Arc<dyn Upstream>)>) {
        let providers = Arc::new(providers.into_iter().collect());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = providers;
    }

    /// The implementation for a session.
    ///
    /// # Errors
    /// [`NotConfigured`].
    pub(crate) fn of(&self, head: &SessionHead) -> Result<Arc<dyn Upstream>, NotConfigured> {
        self.named(head.provider())
    }

    /// The implementation for a provider.
    ///
    /// # Errors
    /// [`NotConfigured`].
    pub(crate) fn named(&self, provider: &str) -> Result<Arc<dyn Upstream>, NotConfigured> {
        let providers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        providers.get(provider).cloned().ok_or_else(|| NotConfigured(provider.to_owned()))
    }
}
