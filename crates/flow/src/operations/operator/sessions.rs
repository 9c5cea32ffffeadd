//! The operator's revocation of sessions and tokens.

use causeway_domain::session::SessionHead;
use causeway_store::operations::admin::{self, SessionFilter};
use causeway_store::operations::audit::insert_audit_event;
use causeway_store::sessions;
use causeway_store::tokens;
use causeway_store::{Page, PageRequest, StoreError};
use causeway_types::{ClientId, UpstreamSessionId};

use super::context::{BATCH, Operator};

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

impl Operator<'_> {
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
            .maintenance()
            .write(move |c| {
                let ended = admin::end_sessions(c, &tenant, &wanted, &batch, now)?;
                for session in &ended.items {
                    insert_audit_event(c, &event.clone().of_session(session))?;
                }
                Ok(ended)
            })
            .await
    }
}
