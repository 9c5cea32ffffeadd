//! The operator's API over HTTP. Every change is recorded as an audit event, and so are reads of user data.

use std::time::{Duration, Instant};

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_store::operations::admin::{self, SessionFilter};
use causeway_store::operations::audit::{self, AuditEvent, AuditFilter, insert_audit_event};
use causeway_store::{Page, PageRequest, clients as rows};
use causeway_types::secret::{ClientSecret, PlainToken};
use causeway_types::{ClientId, SigningAlg, Timestamp, UpstreamSessionId};

use crate::client::purge;
use crate::client::registration::RegistrationError;
use crate::client::registration::create::{RegisterError, Registered};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::issuer_keys;
use crate::operations::operator::{ClientDescription, ClientRules, Operator, Revoked};
use crate::upstream::revocation;

fn audit_event(ctx: &Ctx, event: &str) -> AuditEvent {
    Operator::over_http(ctx).audit_event(event)
}

/// How long a request ends sessions before the rest continues in the background.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(3);

/// A page of the clients, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_clients(ctx: &Ctx, page: PageRequest) -> Result<Page<Client>, Internal> {
    let tenant = ctx.tenant().clone();
    ctx.store().read(move |c| rows::list_clients(c, &tenant, &page).map_err(Internal::from)).await
}

/// A client as it is now.
///
/// # Errors
/// When the database does not answer.
pub async fn find_client(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Client>, Internal> {
    Operator::over_http(ctx).find_client(client_id).await
}

/// Registers a client.
///
/// # Errors
/// [`RegisterError`].
#[tracing::instrument(name = "flow.admin.create_client", skip_all)]
pub async fn create_client(ctx: &Ctx, description: ClientDescription) -> Result<Registered, RegisterError> {
    Operator::over_http(ctx).create_client(ctx.rng(), client_rules(ctx), description).await
}

/// Replaces the metadata of a client; `None`: there is no such client.
///
/// # Errors
/// [`RegistrationError`].
#[tracing::instrument(name = "flow.admin.update_client", skip_all, fields(%client_id))]
pub async fn update_client(
    ctx: &Ctx,
    client_id: &ClientId,
    description: ClientDescription,
) -> Result<Option<Registered>, RegistrationError> {
    Operator::over_http(ctx).update_client(ctx.rng(), client_rules(ctx), client_id, description).await
}

fn client_rules(ctx: &Ctx) -> ClientRules<'_> {
    let scopes = ctx.scopes();
    ClientRules {
        maximum_scope: scopes.max_scope(),
        resource_scopes: scopes.resource_scopes(),
        issuer: Some(ctx.issuer()),
    }
}

/// Replaces the secret of a client; the old one stops working. `None`: no such client, or it has no secret.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.rotate_secret", skip_all, fields(%client_id))]
pub async fn rotate_secret(
    ctx: &Ctx,
    client_id: &ClientId,
) -> Result<Option<PlainToken<ClientSecret>>, Internal> {
    let secret = PlainToken::<ClientSecret>::random(ctx.rng());
    let (tenant, id, hash, now) = (ctx.tenant().clone(), client_id.clone(), secret.hash(), ctx.now());
    let event = audit_event(ctx, "client_secret_rotated").of_client(client_id);
    let done = ctx
        .store()
        .write(move |c| {
            let found = rows::find_client(c, &tenant, &id)?.filter(|client| client.client_secret.is_some());
            let Some(client) = found else { return Ok(false) };
            let client = Client { client_secret: Some(hash.clone()), updated_at: now, ..client };
            insert_audit_event(c, &event)?;
            rows::update_client(c, &client).map_err(Internal::from)
        })
        .await?;
    Ok(done.then_some(secret))
}

/// Deletes a client: it and its tokens count as deleted at once, its sessions end in the background and are
/// revoked at their authorization servers. `false`: there is no such client.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.delete_client", skip_all, fields(%client_id))]
pub async fn delete_client(ctx: &Ctx, client_id: &ClientId) -> Result<bool, Internal> {
    let deleted = Operator::over_http(ctx).delete_client(client_id).await?;
    if deleted {
        purge::purge_soon(ctx);
    }
    Ok(deleted)
}

/// A page of the sessions, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_sessions(
    ctx: &Ctx,
    wanted: SessionFilter,
    page: PageRequest,
) -> Result<Page<SessionHead>, Internal> {
    let (tenant, event) = (ctx.tenant().clone(), seen(ctx, "sessions_listed", &wanted));
    let found: Result<_, Internal> =
        ctx.store().read(move |c| Ok(admin::list_sessions(c, &tenant, &wanted, &page)?)).await;
    write_down(ctx, event).await?;
    found
}

/// Records that data was read: before it is shown, and after it was read, so that no list is read while
/// writers wait.
async fn write_down(ctx: &Ctx, event: AuditEvent) -> Result<(), Internal> {
    ctx.store().write(move |c| insert_audit_event(c, &event).map_err(Internal::from)).await
}

fn seen(ctx: &Ctx, event: &str, wanted: &SessionFilter) -> AuditEvent {
    let event = audit_event(ctx, event);
    let event = wanted.did.iter().fold(event, AuditEvent::of_user);
    wanted.client_id.iter().fold(event, AuditEvent::of_client)
}

/// One session of any kind and state.
///
/// # Errors
/// When the database does not answer.
pub async fn find_session(ctx: &Ctx, id: &UpstreamSessionId) -> Result<Option<SessionHead>, Internal> {
    let (tenant, id) = (ctx.tenant().clone(), id.clone());
    let found: Option<SessionHead> =
        ctx.store().read(move |c| admin::find_session(c, &tenant, &id).map_err(Internal::from)).await?;
    if let Some(session) = &found {
        write_down(ctx, audit_event(ctx, "session_shown").of_session(session)).await?;
    }
    Ok(found)
}

/// Ends a session; `None`: there is none. `Some(false)`: it had ended before.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.end_session", skip_all, fields(session = %id))]
pub async fn end_session(ctx: &Ctx, id: &UpstreamSessionId) -> Result<Option<bool>, Internal> {
    let ended = Operator::over_http(ctx).end_session(id).await?;
    if ended == Some(true) {
        revocation::revoke_soon(ctx, id).await;
    }
    Ok(ended)
}

/// Ends every matching live session with all its tokens. Tokens that a client holds for itself match when no
/// user is named. Work that takes too long continues in the background, and the answer says so.
///
/// # Errors
/// When the database does not answer: some may have ended then.
#[tracing::instrument(name = "flow.admin.revoke_tokens", skip_all)]
pub async fn revoke_tokens(ctx: &Ctx, wanted: &SessionFilter) -> Result<Revoked, Internal> {
    let client_tokens = Operator::over_http(ctx).revoke_own_tokens(wanted).await?;
    let began = Instant::now();
    let mut revoked = Revoked { client_tokens, ..Revoked::default() };
    loop {
        let ended = Operator::over_http(ctx).end_sessions(wanted, revoked.next.take()).await?;
        revoked.sessions += ended.items.len();
        revoked.next = ended.next;
        if revoked.next.is_none() || began.elapsed() > REVOKE_TIMEOUT {
            break;
        }
    }
    if let Some(next) = revoked.next.clone() {
        revoke_later(ctx, wanted, next);
    }
    revocation::revoke_due_soon(ctx);
    Ok(revoked)
}

fn revoke_later(ctx: &Ctx, wanted: &SessionFilter, next: String) {
    let (detached, wanted) = (ctx.clone(), wanted.clone());
    ctx.start(async move {
        let (mut next, mut sessions) = (Some(next), 0);
        while next.is_some() {
            match Operator::over_http(&detached).end_sessions(&wanted, next.take()).await {
                Ok(ended) => {
                    sessions += ended.items.len();
                    next = ended.next;
                }
                Err(error) => {
                    tracing::error!(%error, sessions, "revoking sessions failed before all were ended: repeat the request");
                    return;
                }
            }
        }
        tracing::info!(sessions, "the remaining sessions of a revocation were ended");
        revocation::revoke_due_soon(&detached);
    });
}

/// A key that signs, or has signed, our tokens and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKey {
    /// Its `kid`.
    pub kid: String,
    /// Its algorithm.
    pub alg: SigningAlg,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is published; `None`: it signs.
    pub published_until: Option<Timestamp>,
}

/// The keys, the ones that sign first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_keys(ctx: &Ctx) -> Result<Vec<IssuerKey>, Internal> {
    let all = issuer_keys::list(ctx).await?;
    Ok(all
        .into_iter()
        .map(|(alg, key)| IssuerKey {
            alg,
            kid: key.kid,
            created_at: key.created_at,
            published_until: key.retired_at.map(|at| at.plus(issuer_keys::PUBLISHED_SECONDS)),
        })
        .collect())
}

/// Starts signing with a fresh key; returns its `kid`.
///
/// # Errors
/// When the database does not answer, or another process does the same at this moment.
#[tracing::instrument(name = "flow.admin.rotate_key", skip_all, fields(%alg))]
pub async fn rotate_key(ctx: &Ctx, alg: SigningAlg) -> Result<String, Internal> {
    let key = issuer_keys::fresh(alg, ctx.now()).await?;
    let kid = key.kid.clone();
    Operator::over_http(ctx).rotate_key(&ctx.ring(), key).await?;
    Ok(kid)
}

/// Stops publishing a key: its signatures no longer verify. `false`: there is no such key, or it still signs.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.retire_key", skip_all, fields(kid))]
pub async fn retire_key(ctx: &Ctx, kid: &str) -> Result<bool, Internal> {
    Ok(Operator::over_http(ctx).retire_key(kid).await?)
}

/// A page of the audit events, the latest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_audit_events(
    ctx: &Ctx,
    wanted: AuditFilter,
    page: PageRequest,
) -> Result<Page<AuditEvent>, Internal> {
    let (tenant, event) = (ctx.tenant().clone(), audit_event(ctx, "audit_listed"));
    let events: Result<_, Internal> =
        ctx.store().read(move |c| Ok(audit::list_audit_events(c, &tenant, &wanted, &page)?)).await;
    write_down(ctx, event).await?;
    events
}
