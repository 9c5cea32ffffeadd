//! How users connect an account at a kind of provider.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use causeway_domain::client::Client;
use causeway_domain::session::{Binding, Credentials, OtherKind, Pending};
use causeway_types::{OauthState, RegistrationId, Scope, Secret, TenantId, Timestamp};
use serde_json::{Map, Value};
use url::Url;

use crate::error::Internal;
use crate::upstream::connect::failure::{AskAgain, ConnectFailure, SignInError};
use crate::upstream::connect::required::Required;
use crate::upstream::traits::kept::NoAnswer;
use crate::upstream::traits::redeemed::Redeemed;
use crate::upstream::traits::typed::{FormAnswer, FormRequest, SignInForm};

/// How accounts at a kind of provider are connected: by users who sign in here, and by clients for their users. What is
/// pending meanwhile is stored, bound to the browser and used once by the verbs that call it
/// ([sign-ins](crate::upstream::connect), [connections](crate::connection)).
///
/// A code works once. So what was issued for it is kept before it is judged: between two of these steps nothing but the
/// answer of one request is on its way, and whatever fails afterwards, it can be [given back](Connected::give_back).
#[async_trait]
pub trait Connected: Debug + Send + Sync {
    /// Prepares an authorization at the provider, to which the user is sent once what is pending is committed.
    async fn begin(&self, request: &BeginRequest<'_>) -> Result<Begun, SignInError>;

    /// Whether what is pending is the second attempt, after the provider was asked in another way the first time.
    fn is_second(&self, _pending: &Pending) -> bool {
        false
    }

    /// The form of a step that the provider asked for; `None`: there is no such step.
    fn step_form(&self, _step: &Secret) -> Option<SignInForm> {
        None
    }

    /// Signs a user in with what they typed into the form of the [`Offer`], in the place of [`Connected::begin`] and [`Connected::redeem`].
    /// It runs to its end even when the user's browser disconnects.
    async fn sign_in_with(&self, _request: &FormRequest<'_>) -> Result<FormAnswer, ConnectError> {
        Err(OtherKind.into())
    }

    /// Checks that the provider's answer is one to this authorization, and redeems its code. It runs to its end even
    /// when the user's browser disconnects.
    async fn redeem(&self, completion: &Completion<'_>) -> Result<Redeemed, ConnectError>;

    /// Exchanges what was redeemed for what lives long; `None` where the provider has no such step.
    async fn exchange(
        &self,
        _completion: &Completion<'_>,
        _redeemed: &Redeemed,
    ) -> Result<Option<Redeemed>, ConnectError> {
        Ok(None)
    }

    /// Judges what was redeemed, and finds out whose account it is for.
    async fn identify(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<NewConnection, ConnectError>;

    /// Gives back what was redeemed and will not be used.
    async fn give_back(&self, tenant_id: &TenantId, redeemed: &Redeemed) -> Result<(), NoAnswer>;

    /// The offer that a client makes to its user by a connect session.
    ///
    /// # Errors
    /// [`OfferError`].
    fn offer(&self, _asked: &AskedOffer<'_>) -> Result<Offer, OfferError> {
        Err(OfferError::NotOffered)
    }
}

/// An authorization to prepare.
#[derive(Clone, Copy, Debug)]
pub struct BeginRequest<'a> {
    /// The client that the session will belong to.
    pub client: &'a Client,
    /// The `state` that has to come back.
    pub state: &'a OauthState,
    /// The purpose.
    pub purpose: Purpose<'a>,
}

/// The purpose of an authorization.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// The user signs in here.
    SignIn(SignInRequest<'a>),
    /// A client connects an account of its user.
    Connect(ConnectRequest<'a>),
}

/// A sign-in to prepare.
#[derive(Clone, Copy, Debug)]
pub struct SignInRequest<'a> {
    /// The scope that the client asked for.
    pub scope: &'a Scope,
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

/// A connection to prepare.
#[derive(Clone, Copy, Debug)]
pub struct ConnectRequest<'a> {
    /// The tenant, whose registration is used.
    pub tenant_id: &'a TenantId,
    /// The requested scopes; empty: those of the definition.
    pub scopes: &'a [String],
    /// Values of the definition's parameters.
    pub parameters: &'a Map<String, Value>,
    /// Whether the provider has to ask the user again.
    pub force_reauth: bool,
    /// The change with which it is asked the second time.
    pub again: Option<AskAgain>,
}

impl<'a> BeginRequest<'a> {
    /// The sign-in.
    ///
    /// # Errors
    /// [`OtherKind`]: it is a connection.
    pub const fn sign_in(&self) -> Result<&SignInRequest<'a>, OtherKind> {
        match &self.purpose {
            Purpose::SignIn(request) => Ok(request),
            Purpose::Connect(_) => Err(OtherKind),
        }
    }

    /// The connection.
    ///
    /// # Errors
    /// [`OtherKind`]: it is a sign-in.
    pub const fn connect(&self) -> Result<&ConnectRequest<'a>, OtherKind> {
        match &self.purpose {
            Purpose::Connect(request) => Ok(request),
            Purpose::SignIn(_) => Err(OtherKind),
        }
    }
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
    /// Our registration at the provider, where a tenant has one.
    pub registration_id: Option<RegistrationId>,
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
    /// The others, which only some providers send.
    pub others: BTreeMap<String, Secret>,
}

/// An authorization to complete.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
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
    /// Facts about the account that only connections have.
    pub account: NewAccount,
}

/// Facts about the account of a connection.
#[derive(Debug, Default)]
pub struct NewAccount {
    /// The issuer that the account's identifier belongs to.
    pub issuer: String,
    /// Its name for users to read.
    pub display_name: Option<String>,
    /// The place of the connection among those of its user: empty where the provider allows one account.
    pub account_slot: String,
    /// The fingerprint of the device that it is bound to; empty where the definition binds it to none.
    pub device_slot: String,
    /// The accounts that it manages.
    pub managed: Vec<NewManagedAccount>,
    /// Whether these are all of them.
    pub is_complete: bool,
    /// Captures from the provider's answers. No secret.
    pub metadata: Map<String, Value>,
}

/// An account that the user's account manages.
#[derive(Debug)]
pub struct NewManagedAccount {
    /// The account, by the provider's own identifier.
    pub subject: String,
    /// Its name for users to read.
    pub name: Option<String>,
    /// The provider's category of it.
    pub category: Option<String>,
    /// The provider's names of what the user may do with it.
    pub tasks: Vec<String>,
    /// Its own credentials; `None`: calls for it are made with the user's.
    pub credentials: Option<Credentials>,
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

impl From<OtherKind> for ConnectError {
    fn from(error: OtherKind) -> Self {
        Self::Internal(error.into())
    }
}

/// An offer to check.
#[derive(Clone, Copy, Debug)]
pub struct AskedOffer<'a> {
    /// The requested scopes; empty: those of the definition.
    pub scopes: &'a [String],
    /// Values of the definition's parameters.
    pub parameters: &'a Map<String, Value>,
}

/// An offer to connect an account at a provider, as pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The provider's name for users to read.
    pub title: String,
    /// The host that users are sent to, where a parameter chooses it.
    pub host: Option<String>,
    /// The scopes that are requested, in the provider's own words.
    pub scopes: Vec<String>,
    /// The checked values of the definition's parameters.
    pub parameters: Map<String, Value>,
    /// The form by which users sign in on a page of ours; `None`: they are sent to the provider.
    pub form: Option<SignInForm>,
}

/// Why a provider cannot be offered as the client asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Accounts of this kind are not connected by connect sessions.
    #[error("accounts at this provider are not connected by connect sessions")]
    NotOffered,
    /// The definition has no such parameter.
    #[error("parameters.{0} is not a parameter of this provider")]
    Unknown(String),
    /// A parameter needs a value.
    #[error("parameters.{0} is missing")]
    Missing(String),
    /// A value is not one that may be entered.
    #[error("parameters.{name} is not {expected}")]
    Value {
        /// The parameter.
        name: String,
        /// The values that may be entered.
        expected: String,
    },
}
