//! The operator's changes of the keys that sign our tokens.

use std::sync::Arc;

use causeway_store::StoreError;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::audit::insert_audit_event;
use causeway_store::operations::keys::{self, StoredKey};

use super::context::Operator;

impl Operator<'_> {
    /// Makes `fresh` the signing key from now on; returns the `kid` of the previous one.
    ///
    /// # Errors
    /// When the database does not answer, or another process does the same at this moment.
    pub async fn rotate_key(
        &self,
        ring: &Arc<EncryptionKeyRing>,
        fresh: StoredKey,
    ) -> Result<Option<String>, StoreError> {
        let (ring, event) = (Arc::clone(ring), self.audit_event("key_rotated"));
        let event = event.with("alg", fresh.alg.as_str()).with("kid", fresh.kid.as_str());
        self.store
            .write(move |c| {
                let old = keys::rotate_signing_key(c, &ring, &fresh)?;
                insert_audit_event(c, &event)?;
                Ok(old)
            })
            .await
    }

    /// Stops publishing a key: its signatures verify no longer. `false`: no such key, or it still signs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn retire_key(&self, kid: &str) -> Result<bool, StoreError> {
        let (kid, event) = (kid.to_owned(), self.audit_event("key_retired").with("kid", kid));
        self.store
            .write(move |c| {
                let done = keys::withdraw_signing_key(c, &kid)?;
                if done {
                    insert_audit_event(c, &event)?;
                }
                Ok(done)
            })
            .await
    }
}
