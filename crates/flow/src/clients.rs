//! Client authentication (RFC 6749 section 2.3).

use causeway_domain::client::{Client, TokenEndpointAuthMethod};
use causeway_domain::secret::{ClientSecret, PlainToken};
use causeway_domain::{ClientId, ErrorCode};
use causeway_store::clients;
use tokio::time::Instant;

use crate::ctx::Ctx;
use crate::error::Internal;

/// How a request says who its client is.
#[derive(Debug)]
pub struct Credentials {
    /// The client that it claims to be.
    pub client_id: ClientId,
    /// How it proves that.
    pub proof: ClientProof,
}

/// The proof of a client's identity.
#[derive(Debug)]
pub enum ClientProof {
    /// None: a public client.
    None,
    /// A secret in the `Authorization` header.
    Basic(PlainToken<ClientSecret>),
    /// A secret in the form body.
    Post(PlainToken<ClientSecret>),
}

impl ClientProof {
    const fn method(&self) -> TokenEndpointAuthMethod {
        match self {
            Self::None => TokenEndpointAuthMethod::None,
            Self::Basic(_) => TokenEndpointAuthMethod::ClientSecretBasic,
            Self::Post(_) => TokenEndpointAuthMethod::ClientSecretPost,
        }
    }
}

/// Why a client was not let in.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// Nobody of that name.
    #[error("unknown client_id: register the client first, or check for a typing mistake")]
    UnknownClient,
    /// It registered another method.
    #[error("this client authenticates with {registered}, the request used {used}")]
    WrongMethod {
        /// What it registered.
        registered: &'static str,
        /// What the request did.
        used: &'static str,
    },
    /// The secret is not the one that was issued.
    #[error("the client secret is wrong")]
    WrongSecret,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ClientAuthError {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Internal(_) => ErrorCode::ServerError,
            _ => ErrorCode::InvalidClient,
        }
    }
}

/// Finds a client of our tenant, as it was half a second ago at most.
///
/// # Errors
/// When the database does not answer.
pub async fn find(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Client>, Internal> {
    if let Some(client) = ctx.clients().get(client_id) {
        return Ok(Some(client));
    }
    let since = Instant::now();
    let (tenant, client_id) = (ctx.tenant().clone(), client_id.clone());
    let found: Option<Client> = ctx
        .store()
        .read::<_, Internal, _>(move |c| Ok(clients::find_client(c, &tenant, &client_id)?))
        .await?;
    if let Some(client) = &found {
        ctx.clients().put(client, since);
    }
    Ok(found)
}

/// Lets a client in, or says why not. Nothing is consumed before this.
///
/// # Errors
/// [`ClientAuthError`]; comparison of secrets takes constant time.
#[tracing::instrument(name = "flow.authenticate", skip_all, fields(client_id = %credentials.client_id))]
pub async fn authenticate(ctx: &Ctx, credentials: &Credentials) -> Result<Client, ClientAuthError> {
    let client = find(ctx, &credentials.client_id).await?.ok_or(ClientAuthError::UnknownClient)?;
    let (registered, used) = (client.token_endpoint_auth_method, credentials.proof.method());
    if !client.accepts(used) {
        return Err(ClientAuthError::WrongMethod { registered: registered.as_str(), used: used.as_str() });
    }
    match (&credentials.proof, &client.client_secret) {
        (ClientProof::None, _) => Ok(client),
        (ClientProof::Basic(secret) | ClientProof::Post(secret), Some(hash)) if hash.matches(secret) => {
            Ok(client)
        }
        _ => Err(ClientAuthError::WrongSecret),
    }
}
