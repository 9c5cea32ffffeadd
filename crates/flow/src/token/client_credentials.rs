//! The client credentials grant (RFC 6749 section 4.4): a token for the client itself, without a user.
//!
//! Such a token identifies its client to servers that introspect or verify it. It has no scope, since every
//! scope of this server is granted by a user, and gives access to none of our own resources.

use causeway_domain::Resources;
use causeway_domain::client::{ClientType, GrantType};

use crate::authorization::resources;
use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::token::issue::{IssuedTokens, NewTokens, TokenError, TokenRefusal};
use crate::token::jwt_access::{self, JwtAccessClaims};

/// The parameters of the request.
#[derive(Debug, Default)]
pub struct ClientParams {
    /// The requested scope, which must be empty.
    pub scope: Option<String>,
    /// Where the token is to be used (RFC 8707).
    pub resource: Vec<String>,
}

/// Issues an authenticated client a token for itself. There is no refresh token (section 4.4.3).
///
/// # Errors
/// [`TokenError`].
#[tracing::instrument(name = "flow.client_credentials", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn grant(
    ctx: &Ctx,
    caller: &AuthenticatedClient,
    params: ClientParams,
) -> Result<IssuedTokens, TokenError> {
    let client = &caller.client;
    if !client.allows(GrantType::ClientCredentials) || client.client_type() == ClientType::Public {
        return Err(TokenRefusal::Grant.into());
    }
    caller.check_binding()?;
    if params.scope.as_deref().is_some_and(|scope| !scope.trim().is_empty()) {
        return Err(TokenRefusal::NobodysScope.into());
    }
    let resources = resources::admit(ctx, client, &params.resource).map_err(TokenError::Target)?;
    let claims = jwt_access::is_wanted(client).then(|| claims(caller, &resources));
    let pair = NewTokens::make(ctx, caller, ctx.now(), claims.as_ref()).await?;
    let (fresh, once) = (pair.clone(), caller.clone());
    ctx.store()
        .write(move |c| {
            once.consume::<TokenError>(c)?;
            Ok::<_, TokenError>(fresh.insert_for_client(c, &once.client, &resources)?)
        })
        .await?;
    tracing::info!("a client has a token for itself");
    Ok(pair.issued_to_client())
}

/// The claims of a signed token: `sub` is the client (RFC 9068 section 2.2).
fn claims(caller: &AuthenticatedClient, resources: &Resources) -> JwtAccessClaims {
    let sub = caller.client.client_id.to_string();
    JwtAccessClaims {
        sub,
        scope: causeway_domain::Scope::default(),
        resources: resources.clone(),
        auth_time: None,
    }
}
