//! Credentials of managed accounts that the provider refuses. They have a life of their own: the user's are neither
//! asked nor changed.

use causeway_domain::session::SessionHead;
use causeway_store::connections::credentials;
use causeway_store::events::{self, EventKind};
use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_types::ManagedAccountId;

use super::answer::RelayAnswer;
use super::connection::{AccountCredential, CalledAccount};
use super::error::{CallError, RelayError, Resend};
use super::exchange::Exchange;
use super::request::RelayRequest;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::usable::UsableSession;

/// The credential of a managed account that a call is made with, should the provider refuse it.
#[derive(Clone, Copy)]
pub(super) struct OwnCredential<'a> {
    pub(super) managed_account_id: &'a ManagedAccountId,
    pub(super) credential: &'a AccountCredential,
}

impl<'a> OwnCredential<'a> {
    /// The account's own credential; `None`: it has none, and calls for it are made with the user's.
    pub(super) fn of(account: &'a CalledAccount) -> Option<Self> {
        let credential = account.credential.as_ref()?;
        Some(Self { managed_account_id: &account.managed_account_id, credential })
    }
}

/// Repeats a call with the credential that took the place of the refused one meanwhile, if there is one and the call may
/// be repeated. Otherwise the refused one is marked, and that account has to be connected again.
pub(super) async fn again(
    ctx: &Ctx,
    exchange: Exchange<'_>,
    refused: OwnCredential<'_>,
    request: &mut RelayRequest,
    reason: Resend,
) -> Result<RelayAnswer, RelayError> {
    let head = &exchange.live.head;
    let Some((credential, live)) = newer_or_mark(ctx, head, refused).await? else {
        return Err(RelayError::AccountReauth);
    };
    if !request.may_be_repeated() {
        return Err(RelayError::Resend(reason));
    }
    match (Exchange { live: &live, ..exchange }).send(request).await {
        Err(CallError::BodySpent) => Err(RelayError::Resend(reason)),
        Err(CallError::CredentialsRefused) => {
            newer_or_mark(ctx, head, OwnCredential { credential: &credential, ..refused }).await?;
            Err(RelayError::AccountReauth)
        }
        outcome => Ok(outcome?),
    }
}

/// The credential that took the place of the refused one; `None`: there is none, and the refused one is marked.
async fn newer_or_mark(
    ctx: &Ctx,
    head: &SessionHead,
    refused: OwnCredential<'_>,
) -> Result<Option<(AccountCredential, UsableSession)>, Internal> {
    let (ring, now, session_id) = (ctx.ring(), ctx.now(), head.session_id.clone());
    let (account, presented) = (refused.managed_account_id.clone(), refused.credential.clone());
    let event = audit::event(ctx, Actor::Server, "refresh", "reauth_required").of_session(head);
    let event = AuditEvent { tenant_id: head.tenant_id.clone(), ..event };
    let event = event.with("managed_account_id", account.as_str());
    let marking = move |scope: &mut causeway_store::TenantScope<'_>| {
        let AccountCredential { credential_id, iteration } = &presented;
        if credentials::require_reauth(scope, credential_id, *iteration, now)? {
            events::note_session(scope.connection(), &session_id, EventKind::ReauthRequired, now)?;
            insert_audit_event(scope.connection(), &event)?;
            return Ok::<_, Internal>(None);
        }
        let found = credentials::find_page_credential(scope, &ring, &session_id, &account)?;
        Ok(found
            .filter(|(record, _)| record.iteration > *iteration || record.credential_id != *credential_id))
    };
    let newer = ctx.store().in_tenant(&head.tenant_id).write(marking).await?;
    Ok(newer.map(|(record, credentials)| {
        let credential =
            AccountCredential { credential_id: record.credential_id, iteration: record.iteration };
        (credential, UsableSession { head: head.clone(), credentials })
    }))
}
