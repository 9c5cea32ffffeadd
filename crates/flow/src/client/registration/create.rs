//! Dynamic client registration (RFC 7591).

use causeway_domain::client::members::{REQUEST_OBJECT_SIGNING_ALG, TOKEN_ENDPOINT_AUTH_SIGNING_ALG};
use causeway_domain::client::{
    Client, ClientMetadata, ClientMetadataError, LogoutMetadataError, ValidClientMetadata,
};
use causeway_jose::{JwkSet, JwsAlgorithm};
use causeway_store::clients;
use causeway_store::operations::audit::{Actor, insert_audit_event};
use causeway_types::redirect_uri::{RedirectUriError, leads_to};
use causeway_types::secret::{ClientSecret, PlainToken, Registration};
use causeway_types::{ClientId, ErrorCode};

use crate::client::purge;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::audit;

/// A client that has just been registered, with the only copy of its secret.
#[derive(Debug)]
pub struct Registered {
    /// The client.
    pub client: Client,
    /// Its secret; `None` for a public client, or when the client has it already.
    pub client_secret: Option<PlainToken<ClientSecret>>,
    /// The token that manages the registration (RFC 7592 section 3); `None`: the client has it already.
    pub registration_access_token: Option<PlainToken<Registration>>,
}

/// Why a registration was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The metadata is invalid.
    #[error(transparent)]
    Metadata(#[from] ClientMetadataError),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl RegisterError {
    /// The code of RFC 7591 section 3.2.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Metadata(error) => error.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

/// Registers a client.
///
/// # Errors
/// [`RegisterError`].
#[tracing::instrument(name = "flow.register", skip_all)]
pub async fn register(ctx: &Ctx, metadata: ClientMetadata) -> Result<Registered, RegisterError> {
    let valid = check(ctx, metadata, None)?;
    let client_secret = valid.new_secret(ctx.rng());
    let hash = client_secret.as_ref().map(PlainToken::hash);
    let token = PlainToken::<Registration>::random(ctx.rng());
    let client = Client {
        registration_access_token: Some(token.hash()),
        ..valid.into_client(ClientId::random(ctx.rng()), ctx.tenant().clone(), hash, ctx.now())
    };
    let row = client.clone();
    let event = audit::event(ctx, Actor::Client, "client_registered", "ok").of_client(&client.client_id);
    ctx.store()
        .write(move |c| {
            clients::insert_client(c, &row)?;
            insert_audit_event(c, &event).map_err(Internal::from)
        })
        .await?;
    tracing::info!(client_id = %client.client_id, client_name = %client.client_name, "client registered");
    Ok(Registered { client, client_secret, registration_access_token: Some(token) })
}

/// Checks a client's metadata, and narrows its scope to what it can have. `known`: the client before the
/// change.
///
/// # Errors
/// [`RegisterError::Metadata`].
pub(crate) fn check(
    ctx: &Ctx,
    metadata: ClientMetadata,
    known: Option<&Client>,
) -> Result<ValidClientMetadata, RegisterError> {
    let mut valid = check_alone(metadata, Some(ctx.issuer()))?;
    let scope = ctx.scopes().registrable(&valid, known);
    valid.scope = scope.map_err(ClientMetadataError::ScopeNotGranted)?;
    Ok(valid)
}

/// As [`check`], except for the scope. `issuer`: this server's, if known.
///
/// # Errors
/// The first [`ClientMetadataError`] found.
pub(crate) fn check_alone(
    metadata: ClientMetadata,
    issuer: Option<&str>,
) -> Result<ValidClientMetadata, ClientMetadataError> {
    let valid = metadata.validate()?;
    if let Some(issuer) = issuer {
        check_addresses(&valid, issuer)?;
    }
    check_keys(&valid)?;
    Ok(valid)
}

/// Refuses addresses of this server, which would lead an answer back to it.
fn check_addresses(metadata: &ValidClientMetadata, issuer: &str) -> Result<(), ClientMetadataError> {
    let error = RedirectUriError::OwnOrigin;
    if let Some(uri) = metadata.redirect_uris.iter().find(|uri| leads_to(uri.as_str(), issuer)) {
        return Err(ClientMetadataError::RedirectUri { uri: uri.to_string(), error });
    }
    match metadata.post_logout_redirect_uris().find(|uri| leads_to(uri, issuer)) {
        Some(uri) => Err(LogoutMetadataError::Uri { uri: uri.to_owned(), error }.into()),
        None => Ok(()),
    }
}

/// Checks the keys and algorithms: an inline key set must be public and have a key that we can verify with,
/// and the signature algorithms must be among those supported here.
///
/// # Errors
/// The first [`ClientMetadataError`] found.
fn check_keys(metadata: &ValidClientMetadata) -> Result<(), ClientMetadataError> {
    if let Some(jwks) = &metadata.jwks {
        JwkSet::parse(jwks).map_err(|error| ClientMetadataError::Jwks(error.to_string()))?;
    }
    let is_ours = |alg: &serde_json::Value| alg.as_str().and_then(JwsAlgorithm::parse).is_some();
    for (member, error) in [
        (TOKEN_ENDPOINT_AUTH_SIGNING_ALG, ClientMetadataError::AssertionAlg),
        (REQUEST_OBJECT_SIGNING_ALG, ClientMetadataError::RequestObjectAlg),
    ] {
        if metadata.metadata.get(member.name()).is_some_and(|alg| !is_ours(alg)) {
            return Err(error);
        }
    }
    Ok(())
}

/// Makes sure that the page at `/` has a client of its own, and that it leads back to `redirect_uri`.
///
/// # Errors
/// When the database does not answer.
pub async fn ensure_demo_client(ctx: &Ctx, redirect_uri: &str) -> Result<ClientId, RegisterError> {
    let client_id = ClientId::new("causeway-demo");
    let metadata = ClientMetadata {
        redirect_uris: vec![redirect_uri.to_owned()],
        token_endpoint_auth_method: Some("none".to_owned()),
        grant_types: Some(vec!["authorization_code".to_owned(), "refresh_token".to_owned()]),
        client_name: Some("Causeway demo".to_owned()),
        ..ClientMetadata::default()
    };
    let client = metadata.validate()?.into_client(client_id.clone(), ctx.tenant().clone(), None, ctx.now());
    let redirect_uri = redirect_uri.to_owned();
    // It may have been deleted a moment ago.
    purge::purge(ctx).await?;
    ctx.store()
        .write(move |c| {
            let found = clients::find_client(c, &client.tenant_id, &client.client_id)?;
            match found {
                Some(existing) if existing.find_redirect_uri(&redirect_uri).is_some() => Ok(()),
                Some(_) => clients::update_client(c, &client).map(drop),
                None => clients::insert_client(c, &client),
            }
            .map_err(Internal::from)
        })
        .await?;
    Ok(client_id)
}
