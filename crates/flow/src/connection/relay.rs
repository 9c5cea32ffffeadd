//! Calls of a provider's API with the credential of a connection, for a client that holds none of it.

use std::sync::Arc;

use causeway_domain::session::SessionHead;
use causeway_types::{Scope, UpstreamSessionId};

use super::error::UseError;
use super::tenant_client::TenantClient;
use super::usable::{self, UsableConnection};
use crate::ctx::Ctx;
use crate::upstream::relay::{self, RelayAnswer, RelayError, RelayRequest};
use crate::upstream::session::SessionError;
use crate::upstream::traits::{PassingHeaders, Upstream};

/// A connection that a call is about to be made with.
#[derive(Debug)]
pub struct OpenConnection {
    connection: UsableConnection,
    headers: PassingHeaders,
    upstream: Arc<dyn Upstream>,
}

/// Finds the connection of a call, before anything of its body is read. `account` names a managed account, by its
/// identifier or by the provider's.
///
/// # Errors
/// [`UseError`].
pub async fn open(
    ctx: &Ctx,
    client: &TenantClient,
    id: &UpstreamSessionId,
    account: Option<&str>,
) -> Result<OpenConnection, UseError> {
    let connection = usable::find(ctx, client, id, account).await?;
    let upstream = ctx.upstreams().of(&connection.head)?;
    let headers = upstream.passing_headers().ok_or(UseError::NotRelayed)?;
    Ok(OpenConnection { connection, headers, upstream })
}

impl OpenConnection {
    /// A connection whose kind passes no headers by itself: its caller knows which.
    pub(super) fn of(ctx: &Ctx, connection: UsableConnection) -> Result<Self, UseError> {
        let upstream = ctx.upstreams().of(&connection.head)?;
        Ok(Self { connection, headers: PassingHeaders::default(), upstream })
    }

    /// The head of the connection.
    pub const fn head(&self) -> &SessionHead {
        &self.connection.head
    }

    /// The headers that pass beside the usual ones.
    pub const fn passing_headers(&self) -> &PassingHeaders {
        &self.headers
    }

    /// Whether a body of this `Content-Type` is read before it is sent.
    pub fn reads_body(&self, content_type: Option<&str>) -> bool {
        self.upstream.reads_body(content_type)
    }

    /// Makes the call, with credentials that are refreshed first when necessary, and returns the provider's answer,
    /// including its errors.
    ///
    /// # Errors
    /// [`UseError`].
    #[tracing::instrument(
        name = "flow.connection.relay",
        skip_all,
        fields(
            connection = %self.connection.head.session_id,
            provider = self.connection.head.provider(),
            session.kind = self.connection.head.kind.as_str(),
        )
    )]
    pub async fn call(self, ctx: &Ctx, request: RelayRequest) -> Result<RelayAnswer, UseError> {
        let session = self.connection.session(ctx).await?;
        let called = self.connection.called();
        let answer =
            Box::pin(relay::call_with(ctx, &Scope::default(), session, Some(&called), request)).await;
        answer.map_err(|error| match error {
            RelayError::Session(error @ SessionError::Ended) => error.into(),
            error => error.into(),
        })
    }
}
