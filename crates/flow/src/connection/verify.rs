//! The question whether a connection works.

use causeway_types::UpstreamSessionId;

use super::error::UseError;
use super::tenant_client::TenantClient;
use super::usable;
use crate::ctx::Ctx;
use crate::upstream::keeper;
use crate::upstream::relay::RelayError;
use crate::upstream::session::SessionError;
use crate::upstream::traits::Verified;

/// The state of a connection by the provider's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The provider takes its credentials.
    Live,
    /// The user has to connect again.
    ReauthRequired,
    /// The provider gave no answer that tells.
    Unknown,
}

/// Asks the provider in one call whether it takes the user's credentials, refreshed first when necessary. Credentials that
/// it refuses are refreshed once and tried again.
///
/// # Errors
/// [`UseError`]; failures of the provider are [`Liveness::Unknown`].
#[tracing::instrument(name = "flow.connection.verify", skip_all, fields(connection = %id))]
pub async fn verify(ctx: &Ctx, client: &TenantClient, id: &UpstreamSessionId) -> Result<Liveness, UseError> {
    let connection = usable::find(ctx, client, id, None).await?;
    match ask(ctx, connection).await {
        Ok(liveness) => Ok(liveness),
        Err(UseError::Relay(RelayError::Session(error))) => match error {
            SessionError::ReauthRequired { .. } => Ok(Liveness::ReauthRequired),
            SessionError::Unavailable { .. } | SessionError::Busy { .. } | SessionError::RefreshRejected => {
                Ok(Liveness::Unknown)
            }
            error => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

async fn ask(ctx: &Ctx, connection: usable::UsableConnection) -> Result<Liveness, UseError> {
    let upstream = ctx.upstreams().of(&connection.head)?;
    let found = connection.session(ctx).await?;
    let called = connection.called();
    let mut live = keeper::freshen(ctx, found).await?;
    let is_live = async |live: &_| upstream.verify(live, &called).await;
    let mut verified = is_live(&live).await?;
    if verified == Verified::Refused {
        live = keeper::renew_session(ctx, &live).await?;
        verified = is_live(&live).await?;
    }
    match verified {
        Verified::Live => Ok(Liveness::Live),
        Verified::Unknown => Ok(Liveness::Unknown),
        Verified::Refused => Err(keeper::reject_session(ctx, &live).await.into()),
    }
}
