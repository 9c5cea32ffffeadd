//! Clients in their tenants: the party behind every request about users and connections.

use std::sync::Arc;

use causeway_domain::client::Client;
use causeway_store::connections::tenants;
use causeway_store::{StoreError, TenantStore};
use causeway_types::{ErrorCode, TenantId, TenantUser, UserId, UserNamespace};

use crate::ctx::Ctx;
use crate::error::Internal;

/// An authenticated client in one of its tenants.
#[derive(Clone, Debug)]
pub struct TenantClient {
    /// The client.
    pub client: Arc<Client>,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The party whose names for users the client means: the client itself, unless the tenant's clients share theirs.
    pub namespace: UserNamespace,
}

/// A name that no user can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user_id must be 1 to 255 characters, none of which is a control character")]
pub struct InvalidUserId;

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

impl From<StoreError> for TenantError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl TenantClient {
    /// Lets a client into the tenant that its request names (`Causeway-Tenant`). A client that manages tenants, or acts in
    /// several, has to name one in every request; another client acts in its own, and may name that.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn enter(ctx: &Ctx, client: Arc<Client>, named: Option<&str>) -> Result<Self, TenantError> {
        let (named, id) = (named.map(TenantId::new), client.client_id.clone());
        if named.is_none() && client.entitlements.manage_tenants {
            return Err(TenantError::Unnamed);
        }
        let found = ctx.store().find(move |c| {
            let found = match &named {
                Some(named) => tenants::find_tenant_of_client(c, named, &id)?,
                None => match tenants::find_some_tenants_of_client(c, &id)?.as_slice() {
                    [_, _, ..] => return Err(TenantError::Unnamed),
                    only => only.first().cloned(),
                },
            };
            found.ok_or(TenantError::NotFound)
        });
        let tenant = found.await?;
        let own = || UserNamespace::of_client(&client.client_id);
        let namespace = tenant.user_namespace.or_else(own);
        let namespace = namespace.ok_or(Internal::Inconsistent("the name of a client is no namespace"))?;
        Ok(Self { client, tenant_id: tenant.tenant_id, namespace })
    }

    /// The user of the client's own name `user_id`, whether the tenant knows them or not.
    ///
    /// # Errors
    /// [`InvalidUserId`].
    pub fn user(&self, user_id: &str) -> Result<TenantUser, InvalidUserId> {
        let user_id = UserId::parse(user_id).ok_or(InvalidUserId)?;
        Ok(TenantUser { namespace: self.namespace.clone(), user_id })
    }

    /// The rows of the tenant.
    pub(crate) fn store(&self, ctx: &Ctx) -> TenantStore {
        ctx.store().in_tenant(&self.tenant_id)
    }
}
