//! Why accounts are not connected: what the user is shown before they leave, and what their client is told afterwards.

use causeway_atproto::{ResolveError, UpstreamTokenError};
use causeway_types::ErrorCode;
use causeway_types::identity::IdentityError;

use crate::error::Internal;
use crate::upstream::connect::required::Required;

/// Why a user could not be sent to their authorization server. They can try again on the same page.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The input is not a handle, a DID or a server address.
    #[error("{0}")]
    Input(#[from] IdentityError),
    /// The input does not resolve, or resolves inconsistently.
    #[error("{0}")]
    Resolve(#[source] ResolveError),
    /// The authorization server did not accept our request.
    #[error("{0}")]
    Upstream(#[source] UpstreamTokenError),
    /// The provider, or our registration there, does not let anybody in.
    #[error("{0}")]
    Provider(#[from] ConnectFailure),
    /// The authorization request has ended or expired, or is another browser's.
    #[error("this sign-in has ended or belongs to another browser")]
    Gone,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl SignInError {
    /// The trouble to show to the user; `None` when they cannot try again.
    pub const fn trouble(&self) -> Option<SignInTrouble> {
        use SignInTrouble as T;
        Some(match self {
            Self::Gone | Self::Internal(_) => return None,
            Self::Input(IdentityError::Empty) => T::NoInput,
            Self::Input(IdentityError::Did) => T::NotADid,
            Self::Input(IdentityError::Handle) => T::NotAHandle,
            Self::Input(IdentityError::Server) => T::NotAServer,
            Self::Resolve(ResolveError::HandleNotFound) => T::UnknownHandle,
            Self::Resolve(ResolveError::HandleAmbiguous) => T::AmbiguousHandle,
            Self::Resolve(ResolveError::HandleMismatch) => T::ForeignHandle,
            Self::Resolve(ResolveError::DidNotFound | ResolveError::DidDeactivated) => T::UnknownDid,
            Self::Resolve(ResolveError::DidTooLong) => T::LongDid,
            Self::Resolve(ResolveError::DidDocument(_)) => T::BadDidDocument,
            Self::Resolve(ResolveError::NoPds) => T::NoServer,
            Self::Resolve(ResolveError::ServerMetadata(_)) => T::BadServer,
            Self::Resolve(ResolveError::HandleUnanswered(_) | ResolveError::Dns) => T::UnansweredHandle,
            Self::Resolve(ResolveError::Http(_)) => T::Unreachable,
            Self::Upstream(_) | Self::Provider(_) => T::NotAccepted,
        })
    }

    /// The code that the page shows.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Gone => ErrorCode::NonceInvalidOrReused,
            Self::Internal(_) => ErrorCode::ServerError,
            Self::Provider(failure) => failure.code(),
            // An address that we may not ask looks like one that does not answer: nobody learns what is in our network.
            Self::Upstream(_) | Self::Resolve(ResolveError::Http(_)) => ErrorCode::UpstreamUnavailable,
            Self::Resolve(error) if error.is_upstream_fault() => ErrorCode::UpstreamUnavailable,
            Self::Input(_) | Self::Resolve(_) => ErrorCode::IdentityNotFound,
        }
    }
}

/// Why a sign-in attempt failed, as far as it is shown to the user: whose server failed, without details of
/// our network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInTrouble {
    /// The input is empty.
    NoInput,
    /// The input begins like a DID and is none.
    NotADid,
    /// The input is not a handle.
    NotAHandle,
    /// The input is a web address, but not that of a server.
    NotAServer,
    /// No account has this handle.
    UnknownHandle,
    /// The handle could not be looked up.
    UnansweredHandle,
    /// The handle's DNS records contradict each other.
    AmbiguousHandle,
    /// The handle's account uses another handle.
    ForeignHandle,
    /// There is no such DID.
    UnknownDid,
    /// The DID is longer than apps accept.
    LongDid,
    /// The DID document cannot be used.
    BadDidDocument,
    /// The account has no PDS.
    NoServer,
    /// The server's metadata does not allow a safe sign-in.
    BadServer,
    /// The server does not answer, or a lookup on the way to it fails.
    Unreachable,
    /// The server refused our request.
    NotAccepted,
}

/// Why a sign-in failed; sent to the client as an error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectFailure {
    /// The answer is another server's.
    #[error("the response came from another authorization server than the request was sent to")]
    Issuer,
    /// The user said no.
    #[error("the user denied access at the authorization server")]
    Declined,
    /// The server said no.
    #[error("the authorization server refused the request")]
    Refused,
    /// Not the account that was asked for.
    #[error("the user signed in with another account than the one requested")]
    OtherAccount,
    /// The server names an account that is not its own.
    #[error("the account does not belong to the authorization server that named it")]
    ForeignAccount,
    /// A DID that no app accepts.
    #[error("the account's DID is longer than the 255 characters that apps accept")]
    LongDid,
    /// The answer cannot be read or used.
    #[error("the authorization server sent an invalid response")]
    Malformed,
    /// A server on the way does not answer.
    #[error("the user's PDS or authorization server cannot be reached at the moment")]
    Unavailable,
    /// Another answer was first.
    #[error("another tab has completed this sign-in")]
    Overtaken,
    /// The server has to show the user something.
    #[error("the authorization server requires user interaction, but did not show its page when asked to")]
    Required(Required),
    /// The user did not grant what the connection needs.
    #[error("the user did not grant every scope that the connection needs")]
    ScopeMissing,
    /// Not the account that is connected already.
    #[error("the user connected another account than the one that was to be connected again")]
    AccountMismatch,
    /// The connection would replace one that is renewed, and could not be renewed itself.
    #[error("the provider issued no refresh token, and the connection that exists has one")]
    NoRefreshToken,
    /// Our registration at the provider is missing or refused, or its definition does not fit.
    #[error(
        "this server is not set up correctly at the provider: its operator has to correct the registration"
    )]
    Misconfigured,
    /// The metadata of an MCP server, or of its authorization server, cannot be used.
    #[error("the metadata of the MCP server or of its authorization server is missing or invalid")]
    Discovery,
    /// The authorization server of an MCP server does not register us.
    #[error(
        "the authorization server did not register this server as a client, or does not accept it any more"
    )]
    Registration,
    /// The authorization server of an MCP server registers nobody by itself.
    #[error(
        "the authorization server registers no clients: the operator of this server has to enter a client_id"
    )]
    ClientIdRequired,
    /// The provider has to be asked in another way, once.
    #[error("the provider has to be asked once more")]
    AskAgain(AskAgain),
}

/// The change with which a provider is asked once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskAgain {
    /// The user is asked again, so that a refresh token is issued.
    ForceReauth,
    /// Without the scope for refresh tokens, which the provider does not know.
    WithoutOffline,
}

impl ConnectFailure {
    /// The code that the client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Issuer
            | Self::Declined
            | Self::OtherAccount
            | Self::ForeignAccount
            | Self::LongDid
            | Self::Overtaken => ErrorCode::AccessDenied,
            Self::Refused | Self::Malformed | Self::AskAgain(AskAgain::WithoutOffline) => {
                ErrorCode::ServerError
            }
            Self::ScopeMissing => ErrorCode::ScopeMissing,
            Self::AccountMismatch => ErrorCode::AccountMismatch,
            Self::NoRefreshToken | Self::AskAgain(AskAgain::ForceReauth) => ErrorCode::RefreshTokenMissing,
            Self::Misconfigured => ErrorCode::ProviderMisconfigured,
            Self::Discovery => ErrorCode::DiscoveryFailed,
            Self::Registration => ErrorCode::RegistrationFailed,
            Self::ClientIdRequired => ErrorCode::ClientIdRequired,
            Self::Unavailable => ErrorCode::TemporarilyUnavailable,
            Self::Required(required) => required.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error reference for app developers.
    const REFERENCE: &str = include_str!("../../../../../docs/src/reference/errors.md");

    #[test]
    fn every_failure_is_in_the_reference() {
        use ConnectFailure as F;
        let all = [
            F::Issuer,
            F::Declined,
            F::Refused,
            F::OtherAccount,
            F::ForeignAccount,
            F::LongDid,
            F::Malformed,
            F::Unavailable,
            F::Overtaken,
            F::Required(Required::Login),
            F::ScopeMissing,
            F::AccountMismatch,
            F::NoRefreshToken,
            F::Misconfigured,
            F::Discovery,
            F::Registration,
            F::ClientIdRequired,
        ];
        for failure in all {
            let (code, text) = (failure.code(), format!("| {failure} |"));
            let row = REFERENCE.lines().position(|line| line.contains(&text));
            let row = row.unwrap_or_else(|| panic!("{text}"));
            // A row without a code has that of the one above it.
            let codes = REFERENCE.lines().take(row + 1).filter_map(|line| line.strip_prefix("| `"));
            assert_eq!(codes.last().and_then(|rest| rest.split('`').next()), Some(code.as_str()), "{text}");
        }
    }
}
