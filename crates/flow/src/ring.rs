//! The key ring in use, and what is derived from it.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use causeway_jose::{DpopNonces, JoseError};
use causeway_store::encryption::keyring::EncryptionKeyRing;

use crate::error::Internal;

/// The key ring in use. Clones share it: a ring that is replaced in one is replaced in all.
#[derive(Clone, Debug)]
pub(crate) struct RingInUse(Arc<RwLock<RingKeys>>);

/// The key ring, and what is derived from it. Both are replaced together.
#[derive(Debug)]
struct RingKeys {
    ring: Arc<EncryptionKeyRing>,
    nonces: Result<Arc<DpopNonces>, JoseError>,
}

impl RingKeys {
    fn of(ring: Arc<EncryptionKeyRing>) -> Self {
        let keys = ring.derive_keys("causeway dpop nonce").map_err(|_| JoseError::Crypto("derive a key"));
        let nonces = keys.and_then(|keys| DpopNonces::new(&keys)).map(Arc::new);
        Self { ring, nonces }
    }
}

impl RingInUse {
    pub(crate) fn new(ring: Arc<EncryptionKeyRing>) -> Self {
        Self(Arc::new(RwLock::new(RingKeys::of(ring))))
    }

    /// The ring.
    pub(crate) fn ring(&self) -> Arc<EncryptionKeyRing> {
        Arc::clone(&self.read().ring)
    }

    /// The nonces of this deployment: every process with the same key ring has the same.
    pub(crate) fn nonces(&self) -> Result<Arc<DpopNonces>, Internal> {
        self.read().nonces.clone().map_err(Internal::Jose)
    }

    /// Replaces the ring. The new one has to decrypt whatever the old one encrypted.
    pub(crate) fn replace(&self, ring: Arc<EncryptionKeyRing>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = RingKeys::of(ring);
    }

    fn read(&self) -> RwLockReadGuard<'_, RingKeys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
