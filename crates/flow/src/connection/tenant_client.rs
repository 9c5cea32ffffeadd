//! Clients in their tenants: the party behind every request about users and connections.

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_store::connections::tenants;
use causeway_types::{ErrorCode, TenantId};

use crate::ctx::Ctx;
use crate::error::Internal;

/// An authenticated client in one of its tenants.
#[derive(Clone, Debug)]
pub struct TenantClient {
    /// The client.
    pub client: Arc<Client>,
    /// The tenant.
    pub tenant_id: TenantId,
}

/// Why a client is not let into a tenant.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// A platform client has to say where it acts.
    #[error(
        "Causeway-Tenant is missing: this client acts in several tenants, and has to name the one that is meant"
    )]
    Unnamed,
    /// There is no such tenant, or the client does not act in it.
    #[error("there is no such tenant, or this client does not act in it")]
    NotFound,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl TenantError {
    /// The code on the wire.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unnamed => ErrorCode::InvalidRequest,
            Self::NotFound => ErrorCode::NotFound,
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl TenantClient {
    /// Lets a client into the tenant that its request names (`Causeway-Tenant`). A client that manages tenants has to name
    /// one in every request; another client acts in its own, and may name that.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn enter(ctx: &Ctx, client: Arc<Client>, named: Option<&str>) -> Result<Self, TenantError> {
        let tenant_id = match named {
            Some(named) => TenantId::new(named),
            None if client.entitlements.manage_tenants => return Err(TenantError::Unnamed),
            None => client.tenant_id.clone(),
        };
        let (tenant, id) = (tenant_id.clone(), client.client_id.clone());
        let acts =
            ctx.store().find(move |c| tenants::acts_in_tenant(c, &tenant, &id).map_err(Internal::from));
        if acts.await? { Ok(Self { client, tenant_id }) } else { Err(TenantError::NotFound) }
    }
}
