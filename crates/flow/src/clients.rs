//! Client authentication (RFC 6749 section 2.3).

use std::net::IpAddr;
use std::sync::Arc;

use causeway_domain::client::{Client, TokenEndpointAuthMethod};
use causeway_domain::secret::{ClientSecret, PlainToken};
use causeway_domain::{ClientId, ErrorCode, OneUse, Secret};
use causeway_store::clients;
use tokio::time::Instant;
use tracing::{Span, field};

use crate::assertion::{Assertion, AssertionError};
use crate::client_documents::{self, DocumentTrouble, FindError};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::limits::{self, Act, TooMany};

/// How a request says who its client is.
#[derive(Debug)]
pub struct Credentials {
    /// The client that it claims to be; only an assertion may leave it out, since it names the client itself.
    pub client_id: Option<ClientId>,
    /// How it proves that.
    pub proof: ClientProof,
    /// Where the request comes from, as far as that is known.
    pub address: Option<IpAddr>,
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
    /// A JWT in the form body that the client signed.
    Assertion(Secret),
}

impl ClientProof {
    const fn method(&self) -> TokenEndpointAuthMethod {
        match self {
            Self::None => TokenEndpointAuthMethod::None,
            Self::Basic(_) => TokenEndpointAuthMethod::ClientSecretBasic,
            Self::Post(_) => TokenEndpointAuthMethod::ClientSecretPost,
            Self::Assertion(_) => TokenEndpointAuthMethod::PrivateKeyJwt,
        }
    }
}

/// Why a client was not let in.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// Nobody of that name.
    #[error("unknown client_id: register the client first, or check for a typing mistake")]
    UnknownClient,
    /// It registered another method, and no other is taken (OAuth 2.1 section 2.4).
    #[error(
        "this client authenticates with {registered}, the request used {used}: tell its library, or register {used}"
    )]
    WrongMethod {
        /// What it registered.
        registered: &'static str,
        /// What the request did.
        used: &'static str,
    },
    /// The secret is not the one that was issued.
    #[error("the client secret is wrong")]
    WrongSecret,
    /// The document that describes it.
    #[error(transparent)]
    Document(#[from] DocumentTrouble),
    /// The assertion does not hold.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// It failed too often.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl ClientAuthError {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Internal(_) => ErrorCode::ServerError,
            Self::Document(trouble) => trouble.code(),
            Self::TooMany(_) => ErrorCode::TemporarilyUnavailable,
            _ => ErrorCode::InvalidClient,
        }
    }
}

impl From<FindError> for ClientAuthError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Document(trouble) => trouble.into(),
            FindError::Internal(error) => error.into(),
        }
    }
}

/// Finds a client of our tenant, as it was half a second ago at most.
///
/// # Errors
/// When the database does not answer.
pub async fn find(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Arc<Client>>, Internal> {
    if let Some(client) = ctx.clients().get(client_id) {
        return Ok(Some(client));
    }
    let since = Instant::now();
    let found = find_now(ctx, client_id).await?;
    if let Some(client) = &found {
        ctx.clients().put(client, since);
    }
    Ok(found)
}

/// The same, as it is now.
pub(crate) async fn find_now(ctx: &Ctx, client_id: &ClientId) -> Result<Option<Arc<Client>>, Internal> {
    let (tenant, client_id) = (ctx.tenant().clone(), client_id.clone());
    let found =
        ctx.store().read(move |c| clients::find_client(c, &tenant, &client_id).map_err(Internal::from));
    Ok(found.await?.map(Arc::new))
}

/// Lets a client in, or says why not. Nothing is consumed before this, and nothing by this: the assertion
/// that it may have used is given back, to be used up with what the request brings.
///
/// # Errors
/// [`ClientAuthError`]; comparison of secrets takes constant time.
#[tracing::instrument(name = "flow.authenticate", skip_all, fields(client_id = field::Empty))]
pub(crate) async fn authenticate(
    ctx: &Ctx,
    credentials: &Credentials,
) -> Result<(Arc<Client>, Option<OneUse>), ClientAuthError> {
    let assertion = match &credentials.proof {
        ClientProof::Assertion(text) => Some(Assertion::read(text.expose())?),
        _ => None,
    };
    let named = assertion.as_ref().map(|assertion| &assertion.client_id);
    let client_id = match (&credentials.client_id, named) {
        (Some(claimed), Some(named)) if claimed != named => return Err(AssertionError::OtherClient.into()),
        (claimed, named) => named.or(claimed.as_ref()).ok_or(ClientAuthError::UnknownClient)?,
    };
    Span::current().record("client_id", field::display(client_id));
    let address = credentials.address;
    limits::check_client(ctx, Act::FailedAuthentication, client_id, address)?;
    if find(ctx, client_id).await?.is_none() {
        // Names that somebody makes up use up their address. A client that there is is heard there all the same.
        limits::check(ctx, Act::FailedAuthentication, Some(client_id), address)?;
    }
    let proven = prove(ctx, client_id, &credentials.proof, assertion.as_ref()).await;
    if let Err(error) = &proven
        && error.code() == ErrorCode::InvalidClient
    {
        // What counts is the next one.
        limits::count(ctx, Act::FailedAuthentication, client_id, address);
    }
    proven
}

async fn prove(
    ctx: &Ctx,
    client_id: &ClientId,
    proof: &ClientProof,
    assertion: Option<&Assertion<'_>>,
) -> Result<(Arc<Client>, Option<OneUse>), ClientAuthError> {
    let client = client_documents::find(ctx, client_id).await?.ok_or(ClientAuthError::UnknownClient)?;
    let (registered, used) = (client.token_endpoint_auth_method, proof.method());
    if used != registered {
        return Err(ClientAuthError::WrongMethod { registered: registered.as_str(), used: used.as_str() });
    }
    if let Some(assertion) = assertion {
        let once = assertion.verify(ctx, &client).await?;
        return Ok((client, Some(once)));
    }
    match (proof, &client.client_secret) {
        (ClientProof::None, _) => Ok((client, None)),
        (ClientProof::Basic(secret) | ClientProof::Post(secret), Some(hash)) if hash.matches(secret) => {
            Ok((client, None))
        }
        _ => Err(ClientAuthError::WrongSecret),
    }
}
