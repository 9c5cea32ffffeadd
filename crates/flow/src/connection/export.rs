//! The credentials of a connection themselves, for what cannot be relayed.

use causeway_store::operations::audit::{Actor, AuditEvent, insert_audit_event};
use causeway_types::UpstreamSessionId;

use super::error::UseError;
use super::tenant_client::TenantClient;
use super::usable;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;
use crate::upstream::keeper;
use crate::upstream::usable::UsableSession;

/// Exports the access token of a connection, or of one of its managed accounts, refreshed first when necessary. The client
/// has to be entitled to session export. Each use is recorded before it is answered.
///
/// # Errors
/// [`UseError`].
#[tracing::instrument(name = "flow.connection.export", skip_all, fields(connection = %id))]
pub async fn export(
    ctx: &Ctx,
    client: &TenantClient,
    id: &UpstreamSessionId,
    account: Option<&str>,
) -> Result<UsableSession, UseError> {
    let connection = usable::find(ctx, client, id, account).await?;
    let is_allowed = client.client.allows_session_export();
    let outcome = if is_allowed { "ok" } else { "refused" };
    let event = audit::event(ctx, Actor::Client, "connection_export", outcome).of_session(&connection.head);
    let event = AuditEvent { tenant_id: client.tenant_id.clone(), ..event };
    let event = event.of_client(&client.client.client_id);
    let record = async |event: AuditEvent| {
        let store = ctx.store().in_tenant(&client.tenant_id);
        store.write(move |scope| insert_audit_event(scope.connection(), &event).map_err(Internal::from)).await
    };
    if !is_allowed {
        record(event).await?;
        return Err(UseError::ExportNotAllowed);
    }
    let is_own = connection.account_has_credential();
    let found = connection.session(ctx).await?;
    let live = if is_own { found } else { keeper::freshen(ctx, found).await? };
    record(event.with("session_iteration", live.head.iteration)).await?;
    tracing::info!(
        target: "audit",
        client_id = %client.client.client_id,
        connection = %live.head.session_id,
        session.iteration = live.head.iteration,
        "credentials of a connection exported"
    );
    Ok(live)
}
