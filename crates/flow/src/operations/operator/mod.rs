//! The operator's changes to clients, sessions and keys: over HTTP ([`admin`](crate::operations::admin)) or at the
//! command line, which has a database and no server. Each change is committed together with its audit event.

mod clients;
mod reencrypt;

pub use self::reencrypt::{Progress, Reencrypted, Unreadable};

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_domain::{ClientId, Clock, TenantId, Timestamp, UpstreamSessionId};
use causeway_store::clients::{self as rows, Purged};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::admin::{self, SessionFilter};
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_store::operations::keys::{self, StoredKey};
use causeway_store::sessions;
use causeway_store::tokens;
use causeway_store::{Page, PageRequest, Store, StoreError};

pub use self::clients::{ClientDescription, ClientRules, client_document, shown_client};

use crate::ctx::Ctx;
use crate::operations::audit;

/// Sessions that one transaction ends, and rows that it deletes: few enough not to hold up a running server.
const BATCH: i64 = 100;

/// Counts of what a revocation has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Sessions, which have ended with all their tokens.
    pub sessions: usize,
    /// Tokens that a client held for itself, without a user.
    pub client_tokens: usize,
    /// Cursor to the sessions that have not been processed yet; `None`: all have ended.
    pub next: Option<String>,
}

/// The operator, acting at one moment.
#[derive(Debug)]
pub struct Operator<'a> {
    store: &'a Store,
    /// Template of the audit events of this moment.
    by: AuditEvent,
}

impl<'a> Operator<'a> {
    /// At the command line, beside a running server or without one.
    pub fn at_command_line(store: &'a Store, clock: &dyn Clock) -> Self {
        let by = AuditEvent::new(TenantId::default_tenant(), clock.now(), Actor::Operator, "", "ok");
        Self { store, by: by.with("by", "command line") }
    }

    /// Over HTTP, by the request that is served now.
    pub(crate) fn over_http(ctx: &'a Ctx) -> Self {
        Self { store: ctx.store(), by: audit::event(ctx, Actor::Operator, "", "ok").with("by", "http") }
    }

    /// An audit event of the operator's, to be committed together with the change.
    pub fn audit_event(&self, event: &str) -> AuditEvent {
        AuditEvent { event: event.to_owned(), ..self.by.clone() }
    }

    fn about(&self, event: &str) -> (TenantId, Timestamp, AuditEvent) {
        (self.by.tenant_id.clone(), self.by.at, self.audit_event(event))
    }

    /// Replaces a client's row and records the audit event `event`; `false`: the client was deleted.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replace_client(&self, client: &Client, event: &str) -> Result<bool, StoreError> {
        let (row, event) = (client.clone(), self.audit_event(event).of_client(&client.client_id));
        self.store
            .write(move |c| {
                let found = rows::update_client(c, &row)?;
                if found {
                    insert_audit_event(c, &event)?;
                }
                Ok(found)
            })
            .await
    }

    /// Deletes a client: it and its tokens stop working at once, [`Operator::purge`] does the rest. `false`:
    /// there is no such client.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_client(&self, client_id: &ClientId) -> Result<bool, StoreError> {
        let (tenant, now, event) = self.about("client_deleted");
        let (id, event) = (client_id.clone(), event.of_client(client_id));
        self.store
            .write(move |c| {
                let deleted = rows::delete_client(c, &tenant, &id, now)?;
                if deleted {
                    insert_audit_event(c, &event)?;
                }
                Ok(deleted)
            })
            .await
    }

    /// Takes one step in purging deleted clients: ends a batch of sessions, or deletes a batch of rows.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn purge(&self) -> Result<Purged, StoreError> {
        let now = self.by.at;
        self.store.patient().write(move |c| rows::purge_deleted_clients(c, now, BATCH)).await
    }

    /// Ends a session; `None`: there is no such session. `Some(false)`: it had ended before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_session(&self, id: &UpstreamSessionId) -> Result<Option<bool>, StoreError> {
        let ((tenant, now, event), wanted) = (self.about("revocation"), id.clone());
        self.store
            .write(move |c| {
                let Some(session) = admin::find_session(c, &tenant, &wanted)? else { return Ok(None) };
                let ended = sessions::end_session(c, &wanted, now)?;
                if ended {
                    insert_audit_event(c, &event.clone().of_session(&session))?;
                }
                Ok(Some(ended))
            })
            .await
    }

    /// Revokes the tokens that a client holds for itself, unless the filter names a user; sessions of users
    /// are for [`Operator::end_sessions`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_own_tokens(&self, wanted: &SessionFilter) -> Result<usize, StoreError> {
        match (&wanted.did, &wanted.client_id) {
            (None, Some(client_id)) => self.revoke_client_tokens(client_id).await,
            _ => Ok(0),
        }
    }

    async fn revoke_client_tokens(&self, client_id: &ClientId) -> Result<usize, StoreError> {
        let (tenant, _, event) = self.about("revocation");
        let (id, event) = (client_id.clone(), event.of_client(client_id));
        self.store
            .write(move |c| {
                let revoked = tokens::revoke_client_tokens(c, &tenant, &id)?;
                if revoked > 0 {
                    insert_audit_event(c, &event.clone().with("client_tokens", revoked))?;
                }
                Ok(revoked)
            })
            .await
    }

    /// Ends a batch of the live sessions that match, with all their tokens; the page lists those that ended.
    ///
    /// # Errors
    /// When the database does not answer: nothing of the batch has ended then.
    pub async fn end_sessions(
        &self,
        wanted: &SessionFilter,
        after: Option<String>,
    ) -> Result<Page<SessionHead>, StoreError> {
        let ((tenant, now, event), wanted) = (self.about("revocation"), wanted.clone());
        let batch = PageRequest { after, limit: BATCH };
        self.store
            .patient()
            .write(move |c| {
                let ended = admin::end_sessions(c, &tenant, &wanted, &batch, now)?;
                for session in &ended.items {
                    insert_audit_event(c, &event.clone().of_session(session))?;
                }
                Ok(ended)
            })
            .await
    }

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
