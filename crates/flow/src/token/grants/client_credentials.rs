//! The client credentials grant (RFC 6749 section 4.4): a token for the client itself, without a user.
//!
//! Such a token identifies its client to servers that introspect or verify it. It has no scope, since every
//! scope of this server is granted by a user, and gives access to none of our own resources.

use causeway_store::AnyConnection;
use causeway_types::{ClientType, GrantType, Resources, Scope};
use schemars::JsonSchema;
use url::Url;

use crate::authorization::resources;
use crate::client::authenticated::AuthenticatedClient;
use crate::ctx::Ctx;
use crate::token::issue::{Grant, issue};
use crate::token::new_tokens::IssuedTokens;
use crate::token::refusal::{ClientCredentialsRefusal, TokenError, TokenRefusal};
use crate::token::request::{TokenRequest, check_grant_type};
use crate::token::resolved_grant::{Authorization, ResolvedGrant};

/// The parameters of the request.
#[derive(Debug, Default, JsonSchema)]
pub struct ClientParams {
    /// The requested scope, which must be empty.
    pub scope: Option<String>,
    /// Where the token is to be used (RFC 8707).
    #[schemars(with = "Vec<Url>", default)]
    pub resource: Vec<String>,
}

/// Issues an authenticated client a token for itself. There is no refresh token (section 4.4.3).
///
/// # Errors
/// [`TokenError`].
#[tracing::instrument(name = "flow.client_credentials", skip_all, fields(client_id = %authenticated.client.client_id))]
pub async fn grant(
    ctx: &Ctx,
    authenticated: &AuthenticatedClient,
    params: ClientParams,
) -> Result<IssuedTokens, TokenError> {
    let client = &authenticated.client;
    if client.client_type() == ClientType::Public {
        return Err(TokenRefusal::Grant.into());
    }
    check_grant_type(authenticated, GrantType::ClientCredentials)?;
    if params.scope.as_deref().is_some_and(|scope| !scope.trim().is_empty()) {
        return Err(ClientCredentialsRefusal::Scope.into());
    }
    let resources = resources::admit(ctx, client, &params.resource).map_err(TokenError::Target)?;
    issue(ctx, authenticated, ClientCredentials { resources }).await
}

struct ClientCredentials {
    resources: Resources,
}

impl Grant for ClientCredentials {
    const ONLY_ADDS: bool = true;

    /// The client itself is all that it takes.
    fn evaluate(&self, _request: &TokenRequest, _c: &mut AnyConnection) -> Result<ResolvedGrant, TokenError> {
        let access = Authorization { scope: Scope::default(), resources: self.resources.clone() };
        Ok(ResolvedGrant { user: None, access })
    }

    fn log(_grant: &ResolvedGrant) {
        tracing::info!("client credentials token issued");
    }
}
