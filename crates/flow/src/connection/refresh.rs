//! A refresh that a client asks for.

use causeway_domain::session::SessionHead;
use causeway_types::UpstreamSessionId;

use super::error::UseError;
use super::tenant_client::TenantClient;
use super::usable;
use crate::ctx::Ctx;
use crate::upstream::keeper;

/// Refreshes the user's credentials of a connection now, and returns its new head. Callers that arrive while a refresh is
/// under way share its outcome. Where the provider renews nothing, the credentials serve as they are, and so does the
/// head.
///
/// # Errors
/// [`UseError`]; the credentials that were there still are.
#[tracing::instrument(name = "flow.connection.refresh", skip_all, fields(connection = %id))]
pub async fn refresh(
    ctx: &Ctx,
    client: &TenantClient,
    id: &UpstreamSessionId,
) -> Result<SessionHead, UseError> {
    let connection = usable::find(ctx, client, id, None).await?;
    Ok(keeper::refresh_asked(ctx, &connection.head).await?)
}
