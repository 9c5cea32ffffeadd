//! The authenticated client of a request to the token, PAR or revocation endpoint, and the request's one-use
//! values.

use std::net::IpAddr;
use std::sync::Arc;

use causeway_domain::client::{Client, ReplayKey};
use causeway_store::authorization::replay;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::{ClientType, ErrorCode, Jkt};

use crate::client::authentication::{self, ClientAuthError, Credentials};
use crate::client::trust::is_the_operators;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::limits::{self, RateLimitedAction};
use crate::resource::dpop::{self, ProofError, ProofRequest};
use causeway_domain::TooMany;

/// The client behind a request, authenticated, and the key that it proved to hold.
#[derive(Clone, Debug)]
pub struct AuthenticatedClient {
    /// The client.
    pub client: Arc<Client>,
    /// The key of the request's DPoP proof; `None`: it has none.
    pub dpop_jkt: Option<Jkt>,
    /// The nonce that goes with the answer, if this client's proofs need one.
    pub dpop_nonce: Option<String>,
    assertion: Option<ReplayKey>,
    proof: Option<ReplayKey>,
}

/// Why the client of a request was rejected.
#[derive(Debug, thiserror::Error)]
pub enum RequestAuthError {
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientAuthError),
    /// The DPoP proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// A one-use value that was presented again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Replayed {
    /// The assertion by which the client authenticates.
    #[error("the client assertion was used before: create a new one, with a new jti, for each request")]
    Assertion,
    /// The DPoP proof.
    #[error("the DPoP proof was used before: create a new one, with a new jti, for each request")]
    Proof,
}

impl Replayed {
    /// The code of RFC 6749 section 5.2 or RFC 9449 section 5.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Assertion => ErrorCode::InvalidClient,
            Self::Proof => ErrorCode::InvalidDpopProof,
        }
    }
}

/// Authenticates the client of a request and checks its DPoP proof. Nothing is consumed before the request's
/// own transaction ([`AuthenticatedClient::consume`]).
///
/// # Errors
/// [`RequestAuthError`]: the client's error first.
pub async fn identify(
    ctx: &Ctx,
    credentials: &Credentials,
    request: &ProofRequest<'_>,
) -> Result<AuthenticatedClient, RequestAuthError> {
    let (client, assertion) = authentication::authenticate(ctx, credentials).await?;
    let policy = client.dpop_nonce_policy();
    let proven = dpop::verify(ctx, policy, request, None)?;
    let dpop_nonce = match &proven {
        Some(_) => dpop::fresh_nonce(ctx, policy).map_err(ProofError::from)?,
        None => None,
    };
    let (dpop_jkt, proof) = proven.map(|proven| (proven.jkt, proven.once)).unzip();
    Ok(AuthenticatedClient { client, dpop_jkt, dpop_nonce, assertion, proof })
}

/// Why a client was rejected where clients act for themselves.
#[derive(Debug, thiserror::Error)]
pub enum OwnAuthError {
    /// Its credentials or its proof.
    #[error(transparent)]
    Request(#[from] RequestAuthError),
    /// It does not authenticate.
    #[error(
        "this endpoint is for clients that authenticate, and this one is public: register it as a confidential client"
    )]
    PublicClient,
    /// A one-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for OwnAuthError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Authenticates a confidential client for a request without a grant or a token, and consumes its one-use values at
/// once.
///
/// # Errors
/// [`OwnAuthError`].
pub async fn identify_confidential(
    ctx: &Ctx,
    credentials: &Credentials,
    request: &ProofRequest<'_>,
) -> Result<AuthenticatedClient, OwnAuthError> {
    let authenticated = identify(ctx, credentials, request).await?;
    if authenticated.client.client_type() == ClientType::Public {
        return Err(OwnAuthError::PublicClient);
    }
    authenticated.consume_alone::<OwnAuthError>(ctx).await?;
    Ok(authenticated)
}

impl AuthenticatedClient {
    /// Consumes the assertion and the proof. Called first in the request's transaction: an error rolls
    /// everything back, so that a request that failed on our side can be sent again unchanged.
    pub(crate) fn consume<E>(&self, c: &mut AnyConnection) -> Result<(), E>
    where
        E: From<StoreError> + From<Replayed>,
    {
        for (once, replayed) in [(&self.assertion, Replayed::Assertion), (&self.proof, Replayed::Proof)] {
            if let Some(once) = once
                && !replay::consume_once(c, once)?
            {
                return Err(replayed.into());
            }
        }
        Ok(())
    }

    /// Consumes the assertion and the proof of a request that only reads.
    pub(crate) async fn consume_alone<E>(&self, ctx: &Ctx) -> Result<(), E>
    where
        E: From<StoreError> + From<Replayed> + Send + 'static,
    {
        if self.assertion.is_none() && self.proof.is_none() {
            return Ok(());
        }
        let authenticated = self.clone();
        ctx.store().write(move |c| authenticated.consume::<E>(c)).await
    }

    /// Refuses a request for tokens that have to be bound to a key and would not be (RFC 9449 section 5.2).
    pub(crate) fn check_binding(&self) -> Result<(), ProofError> {
        if self.client.dpop_bound_access_tokens() && self.dpop_jkt.is_none() {
            return Err(ProofError::Missing);
        }
        Ok(())
    }

    /// Counts a request that costs something against the rate limit of an action: anybody can send one for a
    /// public client, or register a client that authenticates. Only an authenticated client that the operator
    /// has registered is not counted.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn rate_limit(
        &self,
        ctx: &Ctx,
        action: RateLimitedAction,
        address: Option<IpAddr>,
    ) -> Result<(), TooMany> {
        match self.client.client_type() {
            ClientType::Confidential if is_the_operators(&self.client) => Ok(()),
            _ => limits::acquire(ctx, action, Some(&self.client.client_id), address),
        }
    }

    /// Whether the request's proof is by another key than the one that the request names (RFC 9449 section
    /// 10.1).
    pub(crate) fn contradicts(&self, dpop_jkt: Option<&str>) -> bool {
        self.dpop_jkt.as_ref().is_some_and(|proven| dpop_jkt.is_some_and(|named| named != proven.as_str()))
    }

    /// The key that a refresh token of this request is bound to, for a public client. A client that
    /// authenticates may change its key (RFC 9449 section 5).
    pub(crate) fn refresh_jkt(&self) -> Option<Jkt> {
        match self.client.client_type() {
            ClientType::Public => self.dpop_jkt.clone(),
            ClientType::Confidential => None,
        }
    }
}

impl From<Internal> for RequestAuthError {
    fn from(error: Internal) -> Self {
        Self::Client(error.into())
    }
}
