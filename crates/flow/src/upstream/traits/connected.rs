//! How users connect an account at a kind of provider.

use std::fmt::Debug;

use async_trait::async_trait;
use causeway_domain::client::Client;
use causeway_domain::session::{Binding, Credentials, Pending};
use causeway_types::{OauthState, Scope, Secret, Timestamp};
use url::Url;

use crate::error::Internal;
use crate::upstream::connect::failure::{ConnectFailure, SignInError};
use crate::upstream::connect::required::Required;

/// How accounts at a kind of provider are connected. What is pending meanwhile is stored, bound to the browser and used
/// once by the [verbs](crate::upstream::connect) that call it.
#[async_trait]
pub trait Connected: Debug + Send + Sync {
    /// Prepares an authorization at the provider, to which the user is sent once what is pending is committed.
    async fn begin(&self, request: &BeginRequest<'_>) -> Result<Begun, SignInError>;

    /// Redeems the provider's answer and finds out whose account it is for. Credentials that cannot be used are given
    /// back there. A code works once, so this runs to its end even when the user's browser disconnects.
    async fn complete(&self, completion: &Completion<'_>) -> Result<NewConnection, ConnectError>;
}

/// An authorization to prepare.
#[derive(Clone, Copy, Debug)]
pub struct BeginRequest<'a> {
    /// The client that the session will belong to.
    pub client: &'a Client,
    /// The scope that the client asked for.
    pub scope: &'a Scope,
    /// The `state` that has to come back.
    pub state: &'a OauthState,
    /// The account or the server, as it was named.
    pub named: &'a str,
    /// Whether the user has named it here, and so has chosen the account.
    pub is_chosen: bool,
    /// Whether the user has to authenticate again.
    pub login: bool,
    /// Whether the user has to be asked which account to use.
    pub select_account: bool,
    /// What the provider requires, if it was asked before and had not been told to show it.
    pub required: Option<Required>,
}

/// A prepared authorization.
#[derive(Debug)]
pub struct Begun {
    /// Where the user is sent.
    pub url: Url,
    /// The parameters that complete it.
    pub pending: Pending,
    /// Whether the provider has been told to show what it requires. It is told once.
    pub asked_again: bool,
}

/// The parameters of an authorization response (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207 section 2).
#[derive(Clone, Debug, Default)]
pub struct CallbackParams {
    /// Our state.
    pub state: Option<String>,
    /// The code.
    pub code: Option<Secret>,
    /// The issuer that answers.
    pub iss: Option<String>,
    /// The error, instead of a code.
    pub error: Option<String>,
}

/// An authorization to complete.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// The state that was stored when it began.
    pub pending: &'a Pending,
    /// The provider's answer, whose state is verified.
    pub answer: &'a CallbackParams,
    /// The accounts that may come back, by the provider's own identifiers; empty: any.
    pub subjects: &'a [&'a str],
    /// When the user was sent.
    pub begun_at: Timestamp,
}

/// A connected account.
#[derive(Debug)]
pub struct NewConnection {
    /// The account.
    pub binding: Binding,
    /// Its credentials.
    pub credentials: Credentials,
}

/// Why an account was not connected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// For the user and the client.
    #[error(transparent)]
    Failed(#[from] ConnectFailure),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}
