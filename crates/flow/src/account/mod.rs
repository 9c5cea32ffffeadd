//! The user's view of their own sessions, and ending them.
//!
//! The cookie of a browser proves only "this browser": it shows the sessions that began there, and ends them.
//! To see all sessions of an account, whatever browser or automation they began in, the user signs in for
//! that purpose ([`crate::account::proof`]).

pub mod proof;

use causeway_domain::client::Client;
use causeway_domain::session::{AccountProof, AccountSession, OtherKind, SessionHead};
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_store::sessions::{self, account_proofs};
use causeway_store::{AnyConnection, clients};
use causeway_types::{
    BrowserSessionId, ClientId, Did, Handle, SessionKind, TenantId, Timestamp, UpstreamSessionId,
};
use futures_util::future::join_all;

use crate::authorization::remembered;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::atproto::handles;
use crate::upstream::revocation;

/// The sessions of one account, as far as this browser may see them.
#[derive(Debug, Clone)]
pub struct AccountGroup {
    /// The account.
    pub did: Did,
    /// Its handle, if one of the sessions knows a verified one.
    pub handle: Option<Handle>,
    /// Until when this browser sees all sessions; `None`: it sees only those that began here.
    pub proven_until: Option<Timestamp>,
    /// The sessions, the most recently used first.
    pub sessions: Vec<AccountEntry>,
}

/// One app's access.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// The session and its granted scope.
    pub session: AccountSession,
    /// The app; `None` in the moment in which it is deleted.
    pub client: Option<Client>,
    /// Whether it began in this browser.
    pub began_here: bool,
}

/// How far "all sessions of an account" reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The sessions that began in this browser.
    Here,
    /// All sessions: only while the account is proven in this browser.
    Everywhere,
}

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such session, or this browser may not end it: one text for both on purpose.
    #[error("this session has ended, or it does not belong to this browser")]
    NotYours,
    /// The account is not proven in this browser, or the proof has expired.
    #[error("sign in again to end a session that began in another browser")]
    NotProven,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

/// The accounts that this browser sees: those proven in it first, then the most recently used.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.account.view", skip_all)]
pub async fn view(ctx: &Ctx, browser: &BrowserSessionId) -> Result<Vec<AccountGroup>, Internal> {
    let (tenant, browser, now) = (ctx.tenant().clone(), browser.clone(), ctx.now());
    let mut groups = ctx
        .store()
        .read(move |c| {
            let proofs = account_proofs::list_account_proofs(c, &tenant, &browser, now)?;
            let mut groups: Vec<AccountGroup> = Vec::new();
            for proof in proofs {
                if groups.iter().all(|group| group.did != proof.did) {
                    let all = sessions::list_live_sessions_of_account(c, &tenant, &proof.did, now)?;
                    groups.push(proven_group(proof, all, &browser));
                }
            }
            for session in sessions::list_live_sessions_of_browser(c, &tenant, &browser, now)? {
                put(&mut groups, session)?;
            }
            name_clients(c, &tenant, &mut groups)?;
            Ok::<_, Internal>(groups)
        })
        .await?;
    name_accounts(ctx, &mut groups).await;
    Ok(groups)
}

/// Sets the current handle of accounts that are not proven, by the session whose handle was verified last.
async fn name_accounts(ctx: &Ctx, groups: &mut [AccountGroup]) {
    join_all(groups.iter_mut().filter(|group| group.proven_until.is_none()).map(async |group| {
        let heads = group.sessions.iter().map(|line| &line.session.head);
        let verified_at = |head: &&SessionHead| head.atproto().map(|account| account.verified_at).ok();
        if let Some(latest) = heads.max_by_key(verified_at) {
            group.handle = handles::shown(ctx, latest).await;
        }
    }))
    .await;
}

fn proven_group(proof: AccountProof, all: Vec<AccountSession>, browser: &BrowserSessionId) -> AccountGroup {
    let line = |session: AccountSession| {
        let began_here = session.head.browser_id == *browser;
        AccountEntry { session, client: None, began_here }
    };
    AccountGroup {
        did: proof.did,
        handle: proof.handle,
        proven_until: Some(proof.expires_at),
        sessions: all.into_iter().map(line).collect(),
    }
}

/// Adds a session of this browser to its account, unless the account is proven and shows it already. The
/// handle is set later ([`name_accounts`]).
fn put(groups: &mut Vec<AccountGroup>, session: AccountSession) -> Result<(), OtherKind> {
    let did = session.head.atproto()?.did.clone();
    let line = AccountEntry { session, client: None, began_here: true };
    match groups.iter_mut().find(|group| group.did == did) {
        Some(group) if group.proven_until.is_some() => {}
        Some(group) => group.sessions.push(line),
        None => groups.push(AccountGroup { did, handle: None, proven_until: None, sessions: vec![line] }),
    }
    Ok(())
}

fn name_clients(
    c: &mut AnyConnection,
    tenant: &TenantId,
    groups: &mut [AccountGroup],
) -> Result<(), Internal> {
    let mut known: Vec<(ClientId, Option<Client>)> = Vec::new();
    for line in groups.iter_mut().flat_map(|group| &mut group.sessions) {
        let id = &line.session.head.client_id;
        if !known.iter().any(|(known, _)| known == id) {
            known.push((id.clone(), clients::find_client(c, tenant, id)?));
        }
        line.client = known.iter().find(|(known, _)| known == id).and_then(|(_, client)| client.clone());
    }
    Ok(())
}

/// The accounts that this browser has live device sessions of, the most recently used first: suggestions for
/// a sign-in. Only their names are used.
///
/// # Errors
/// When the database does not answer.
pub async fn known_accounts(
    ctx: &Ctx,
    browser: &BrowserSessionId,
) -> Result<Vec<(Did, Option<Handle>)>, Internal> {
    let (tenant, browser, now) = (ctx.tenant().clone(), browser.clone(), ctx.now());
    let live = ctx
        .store()
        .read(move |c| {
            sessions::list_live_sessions_of_browser(c, &tenant, &browser, now).map_err(Internal::from)
        })
        .await?;
    let mut groups = Vec::new();
    for session in live.into_iter().filter(|session| session.head.kind == SessionKind::Device) {
        put(&mut groups, session)?;
    }
    name_accounts(ctx, &mut groups).await;
    Ok(groups.into_iter().map(|group| (group.did, group.handle)).collect())
}

/// Whether an account is signed in in a browser: a live session of it began there, or the account was proven there.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn is_signed_in(ctx: &Ctx, browser: &BrowserSessionId, did: &Did) -> Result<bool, Internal> {
    let (tenant, browser, did, now) = (ctx.tenant().clone(), browser.clone(), did.clone(), ctx.now());
    ctx.store()
        .read(move |c| {
            let live = sessions::list_live_sessions_of_account_in_browser(c, &tenant, &did, &browser, now)?;
            let is_device = |session: &AccountSession| session.head.kind == SessionKind::Device;
            if live.iter().any(is_device) {
                return Ok(true);
            }
            let proofs = account_proofs::list_account_proofs(c, &tenant, &browser, now)?;
            Ok(proofs.iter().any(|proof| proof.did == did))
        })
        .await
}

/// Ends one session: one that began in this browser, or one of an account that is proven in it.
///
/// # Errors
/// [`AccountError`].
#[tracing::instrument(name = "flow.account.end", skip_all, fields(session = %session_id))]
pub async fn end(
    ctx: &Ctx,
    browser: &BrowserSessionId,
    session_id: &UpstreamSessionId,
) -> Result<(), AccountError> {
    let (tenant, holder, id, now) = (ctx.tenant().clone(), browser.clone(), session_id.clone(), ctx.now());
    let event = audit::event(ctx, Actor::User, "revocation", "ok");
    let ended = ctx
        .store()
        .write::<_, Internal, _>(move |c| {
            let Some(found) = sessions::find_live_session(c, &tenant, &id, now)? else { return Ok(false) };
            if !may_end(c, &found.head, &holder, now)? {
                return Ok(false);
            }
            // A user who ends an app's access has to be asked before it gets access again.
            remembered::forget(c, &found.head)?;
            let ended = sessions::end_session(c, &id, now)?;
            if ended {
                insert_audit_event(c, &event.clone().of_session(&found.head))?;
            }
            Ok(ended)
        })
        .await?;
    if !ended {
        return Err(AccountError::NotYours);
    }
    tracing::info!("session ended by its user");
    revocation::revoke_soon(ctx, session_id).await;
    Ok(())
}

fn may_end(
    c: &mut AnyConnection,
    head: &SessionHead,
    browser: &BrowserSessionId,
    now: Timestamp,
) -> Result<bool, Internal> {
    Ok(head.browser_id == *browser || is_proven(c, &head.tenant_id, browser, &head.atproto()?.did, now)?)
}

fn is_proven(
    c: &mut AnyConnection,
    tenant: &TenantId,
    browser: &BrowserSessionId,
    did: &Did,
    now: Timestamp,
) -> Result<bool, Internal> {
    let proofs = account_proofs::list_account_proofs(c, tenant, browser, now)?;
    Ok(proofs.iter().any(|proof| proof.did == *did))
}

/// Ends all sessions of an account, including background ones, and returns their number.
///
/// # Errors
/// [`AccountError`].
#[tracing::instrument(name = "flow.account.end_all", skip_all, fields(%did, ?reach))]
pub async fn end_all(
    ctx: &Ctx,
    browser: &BrowserSessionId,
    did: &Did,
    reach: Reach,
) -> Result<usize, AccountError> {
    let mut count = 0;
    loop {
        let ended = end_batch(ctx, browser, did, reach).await?.ok_or(AccountError::NotProven)?;
        if ended.is_empty() {
            tracing::info!(count, "all sessions of an account ended by its user");
            return Ok(count);
        }
        count += ended.len();
        join_all(ended.iter().map(|id| revocation::revoke_soon(ctx, id))).await;
    }
}

/// Ends one batch of sessions; `None`: this browser may not.
async fn end_batch(
    ctx: &Ctx,
    browser: &BrowserSessionId,
    did: &Did,
    reach: Reach,
) -> Result<Option<Vec<UpstreamSessionId>>, Internal> {
    let (tenant, browser, did, now) = (ctx.tenant().clone(), browser.clone(), did.clone(), ctx.now());
    let event = audit::event(ctx, Actor::User, "revocation", "ok").with("all", true);
    ctx.store()
        .write(move |c| {
            let found = match reach {
                Reach::Here => {
                    sessions::list_live_sessions_of_account_in_browser(c, &tenant, &did, &browser, now)?
                }
                Reach::Everywhere if is_proven(c, &tenant, &browser, &did, now)? => {
                    sessions::list_live_sessions_of_account(c, &tenant, &did, now)?
                }
                Reach::Everywhere => return Ok(None),
            };
            let mut ended = Vec::new();
            for AccountSession { head, .. } in found {
                remembered::forget(c, &head)?;
                if sessions::end_session(c, &head.session_id, now)? {
                    insert_audit_event(c, &event.clone().of_session(&head))?;
                    ended.push(head.session_id);
                }
            }
            Ok(Some(ended))
        })
        .await
}
