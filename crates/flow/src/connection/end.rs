//! The end of a connection, by its client.

use causeway_store::connections::heads;
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_types::UpstreamSessionId;

use super::show::{ConnectionError, find_accessible};
use super::tenant_client::TenantClient;
use crate::ctx::Ctx;
use crate::operations::audit;
use crate::upstream::revocation;

/// Ends a connection that a client may use; one that has ended stays so. Its credentials are revoked at the provider as
/// soon as it takes that: this succeeds whatever the provider says.
///
/// # Errors
/// [`ConnectionError`].
#[tracing::instrument(name = "flow.connection.end", skip_all, fields(client_id = %client.client.client_id))]
pub async fn end(
    ctx: &Ctx,
    client: &TenantClient,
    connection_id: &UpstreamSessionId,
) -> Result<(), ConnectionError> {
    let (client_id, id, now) = (client.client.client_id.clone(), connection_id.clone(), ctx.now());
    let event = audit::event(ctx, Actor::Client, "connection_ended", "ok")
        .with("tenant_id", client.tenant_id.as_str())
        .with("by", client_id.as_str());
    let has_ended = client
        .store(ctx)
        .write(move |scope| {
            let found = find_accessible(scope, &client_id, &id)?;
            let connection = found.ok_or(ConnectionError::NotFound)?;
            let has_ended = heads::end_connection(scope, &id, now)?;
            if has_ended {
                let event = event.clone().of_session(&connection.head);
                let event = event.with("provider", connection.head.provider());
                insert_audit_event(scope.connection(), &event)?;
            }
            Ok::<_, ConnectionError>(has_ended)
        })
        .await?;
    if has_ended {
        revocation::revoke_soon(ctx, connection_id).await;
    }
    Ok(())
}
