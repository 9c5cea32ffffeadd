//! Client authentication (RFC 6749 section 2.3).

use std::net::IpAddr;
use std::sync::Arc;

use causeway_domain::client::{Client, ReplayKey};
use causeway_types::secret::{ClientSecret, PlainToken};
use causeway_types::{ClientId, ErrorCode, Secret, TokenEndpointAuthMethod};
use tracing::{Span, field};

use crate::client::assertion::{Assertion, AssertionError};
use crate::client::document::{self, FindError};
use crate::client::document_fetch::DocumentTrouble;
use crate::client::lookup;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::limits::{self, RateLimitedAction};
use causeway_domain::TooMany;

/// The client credentials of a request.
#[derive(Debug)]
pub struct Credentials {
    /// The claimed client; only an assertion may omit it, since it names the client itself.
    pub client_id: Option<ClientId>,
    /// The proof of that identity.
    pub proof: ClientProof,
    /// The address that the request comes from, if it is known.
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

/// Why client authentication failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// No client has this `client_id`.
    #[error("unknown client_id: register the client first, or check the spelling")]
    UnknownClient,
    /// It registered another method, and no other is accepted (OAuth 2.1 section 2.4).
    #[error(
        "this client is registered with {registered}, but the request used {used}: configure its library for {registered}, or register {used}"
    )]
    WrongMethod {
        /// The registered method.
        registered: &'static str,
        /// The method of the request.
        used: &'static str,
    },
    /// The secret is not the one that was issued.
    #[error("the client secret is wrong")]
    WrongSecret,
    /// The document that describes it is invalid or unavailable.
    #[error(transparent)]
    Document(#[from] DocumentTrouble),
    /// The assertion is invalid.
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

/// Authenticates a client. Nothing is consumed before or by this: the one-use key of the assertion, if any,
/// is returned, to be consumed in the request's transaction.
///
/// # Errors
/// [`ClientAuthError`]; comparison of secrets takes constant time.
#[tracing::instrument(name = "flow.authenticate", skip_all, fields(client_id = field::Empty))]
pub(crate) async fn authenticate(
    ctx: &Ctx,
    credentials: &Credentials,
) -> Result<(Arc<Client>, Option<ReplayKey>), ClientAuthError> {
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
    limits::check_client(ctx, RateLimitedAction::FailedAuthentication, client_id, address)?;
    if lookup::find(ctx, client_id).await?.is_none() {
        // Made-up client names count against their address. An existing client is still served there.
        limits::check(ctx, RateLimitedAction::FailedAuthentication, Some(client_id), address)?;
    }
    let proven = prove(ctx, client_id, &credentials.proof, assertion.as_ref()).await;
    if let Err(error) = &proven
        && error.code() == ErrorCode::InvalidClient
    {
        // This failure counts against the next attempt.
        limits::count(ctx, RateLimitedAction::FailedAuthentication, client_id, address);
    }
    proven
}

async fn prove(
    ctx: &Ctx,
    client_id: &ClientId,
    proof: &ClientProof,
    assertion: Option<&Assertion<'_>>,
) -> Result<(Arc<Client>, Option<ReplayKey>), ClientAuthError> {
    let client = document::find(ctx, client_id).await?.ok_or(ClientAuthError::UnknownClient)?;
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
