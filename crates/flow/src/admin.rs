//! What whoever runs the server does to it over HTTP. Each act is written down, looking at people's data too.

use causeway_domain::client::Client;
use causeway_domain::secret::{ClientSecret, PlainToken};
use causeway_domain::session::SessionHead;
use causeway_domain::{ClientId, SigningAlg, Timestamp, UpstreamSessionId};
use causeway_store::admin::{self, SessionFilter};
use causeway_store::audit::{AuditEvent, AuditFilter, insert_audit_event, list_audit_events};
use causeway_store::clients as rows;

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::issuer_keys;
use crate::maintenance;
use crate::operator::{ClientDescription, ClientRules, Operator, Revoked};
use crate::register::{RegisterError, Registered};
use crate::registration::RegistrationError;

fn act(ctx: &Ctx, event: &str) -> AuditEvent {
    Operator::over_http(ctx).act(event)
}

/// At most `limit` clients, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_clients(ctx: &Ctx, limit: i64) -> Result<Vec<Client>, Internal> {
    let tenant = ctx.tenant().clone();
    ctx.store().read(move |c| rows::list_clients(c, &tenant, limit).map_err(Internal::from)).await
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

/// Replaces what is known of a client; `None`: there is none.
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
        maximum_scope: scopes.ceiling(),
        resource_scopes: scopes.resource_scopes(),
        issuer: Some(ctx.issuer()),
    }
}

/// Gives a client another secret: the old one works no more. `None`: no such client, or it has no secret.
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
    let act = act(ctx, "client_secret_rotated").of_client(client_id);
    let done = ctx
        .store()
        .write(move |c| {
            let found = rows::find_client(c, &tenant, &id)?.filter(|client| client.client_secret.is_some());
            let Some(client) = found else { return Ok(false) };
            let client = Client { client_secret: Some(hash.clone()), updated_at: now, ..client };
            insert_audit_event(c, &act)?;
            rows::update_client(c, &client).map_err(Internal::from)
        })
        .await?;
    Ok(done.then_some(secret))
}

/// Deletes a client with its tokens; its sessions are revoked at the people's servers. `false`: there is none.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.delete_client", skip_all, fields(%client_id))]
pub async fn delete_client(ctx: &Ctx, client_id: &ClientId) -> Result<bool, Internal> {
    let deleted = Operator::over_http(ctx).delete_client(client_id).await?;
    if deleted {
        maintenance::revoke_due_soon(ctx);
    }
    Ok(deleted)
}

/// At most `limit` sessions, the most recently used first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_sessions(
    ctx: &Ctx,
    wanted: SessionFilter,
    limit: i64,
) -> Result<Vec<SessionHead>, Internal> {
    let (tenant, act) = (ctx.tenant().clone(), seen(ctx, "sessions_listed", &wanted));
    ctx.store()
        .write(move |c| {
            insert_audit_event(c, &act)?;
            admin::list_sessions(c, &tenant, &wanted, limit).map_err(Internal::from)
        })
        .await
}

fn seen(ctx: &Ctx, event: &str, wanted: &SessionFilter) -> AuditEvent {
    let act = act(ctx, event);
    let act = wanted.did.iter().fold(act, AuditEvent::of_person);
    wanted.client_id.iter().fold(act, AuditEvent::of_client)
}

/// One session, of whatever kind and in whatever state.
///
/// # Errors
/// When the database does not answer.
pub async fn find_session(ctx: &Ctx, id: &UpstreamSessionId) -> Result<Option<SessionHead>, Internal> {
    let (tenant, id, act) = (ctx.tenant().clone(), id.clone(), act(ctx, "session_shown"));
    ctx.store()
        .write(move |c| {
            let found = admin::find_session(c, &tenant, &id)?;
            if let Some(session) = &found {
                insert_audit_event(c, &act.clone().of_session(session))?;
            }
            Ok::<_, Internal>(found)
        })
        .await
}

/// Ends a session; `None`: there is none. `Some(false)`: it had ended before.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.end_session", skip_all, fields(session = %id))]
pub async fn end_session(ctx: &Ctx, id: &UpstreamSessionId) -> Result<Option<bool>, Internal> {
    let ended = Operator::over_http(ctx).end_session(id).await?;
    if ended == Some(true) {
        maintenance::revoke_soon(ctx, id).await;
    }
    Ok(ended)
}

/// Ends every live session that is meant, with all its tokens. What a client has without a person is meant
/// when no person is named.
///
/// # Errors
/// When the database does not answer: some may have ended then.
#[tracing::instrument(name = "flow.admin.revoke_tokens", skip_all)]
pub async fn revoke_tokens(ctx: &Ctx, wanted: &SessionFilter) -> Result<Revoked, Internal> {
    let revoked = Operator::over_http(ctx).revoke_tokens(wanted).await?;
    maintenance::revoke_due_soon(ctx);
    Ok(revoked)
}

/// A key that signs, or has signed, answers of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKey {
    /// Its name.
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

/// Signs with a fresh key from now on; its name.
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

/// Publishes a key no longer: what it signed verifies no longer. `false`: no such key, or it signs still.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.admin.retire_key", skip_all, fields(kid))]
pub async fn retire_key(ctx: &Ctx, kid: &str) -> Result<bool, Internal> {
    Ok(Operator::over_http(ctx).retire_key(kid).await?)
}

/// At most `limit` acts, the latest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_acts(ctx: &Ctx, wanted: AuditFilter, limit: i64) -> Result<Vec<AuditEvent>, Internal> {
    let (tenant, act) = (ctx.tenant().clone(), act(ctx, "audit_listed"));
    ctx.store()
        .write(move |c| {
            let acts = list_audit_events(c, &tenant, &wanted, limit)?;
            insert_audit_event(c, &act)?;
            Ok::<_, Internal>(acts)
        })
        .await
}
