//! Pushing a request to an authorization server with scopes that it knows.
//!
//! A server that predates the permission grammar refuses requests and client documents with scopes that it
//! does not know (`invalid_scope`, `invalid_client_metadata`; some say `invalid_request` or
//! `InvalidRequest`), and its metadata does not say whether it knows the grammar. So it is asked, and when it
//! refuses, asked once more for the transition scopes that cover the request. If it takes those, and scopes
//! were the reason, this is remembered for some minutes.

use causeway_atproto::{AuthorizationServer, PushRequest, Pushed, UpstreamTokenError};
use causeway_domain::client::Client;
use causeway_domain::session::UpstreamBinding;
use causeway_jose::EcKey;
use causeway_types::Scope;
use causeway_types::scope::ScopeValue;

use crate::error::Internal;
use crate::upstream::atproto::adapter::Atproto;
use crate::upstream::atproto::profile::Asking;
use crate::upstream::connect::failure::SignInError;

/// Why a request was not pushed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The authorization server did not accept it.
    #[error("{0}")]
    Upstream(#[source] UpstreamTokenError),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<PushError> for SignInError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Upstream(error) => Self::Upstream(error),
            PushError::Internal(error) => Self::Internal(error),
        }
    }
}

/// A request to push to an authorization server.
pub(crate) struct Outgoing<'a> {
    pub(crate) client: &'a Client,
    pub(crate) server: &'a AuthorizationServer,
    /// The PDS of the account, if an account was named.
    pub(crate) pds: Option<&'a str>,
    pub(crate) dpop: &'a EcKey,
    /// The request, with the scope that the client asked for.
    pub(crate) push: PushRequest,
}

/// Pushes a request; the returned binding says as which client.
pub(crate) async fn push(
    atproto: &Atproto,
    mut outgoing: Outgoing<'_>,
) -> Result<(UpstreamBinding, Pushed), PushError> {
    let Outgoing { client, server, .. } = outgoing;
    let (policy, profile) = (&atproto.scopes, &atproto.profile);
    let asked = std::mem::take(&mut outgoing.push.scope);
    let coarse = profile.asking_coarse(client, policy.upstream_coarse(&asked, &server.scopes_supported));
    if atproto.client.knows_transition_scopes_only(&server.issuer) {
        return attempt(atproto, &mut outgoing, coarse).await;
    }
    let full = profile.asking(client, policy.upstream(client, &asked));
    let other_way = full != coarse;
    match attempt(atproto, &mut outgoing, full).await {
        Err(PushError::Upstream(error)) if other_way && doubt(&error, &asked) > Doubt::None => {
            tracing::info!(issuer = server.issuer, %error, "pushing the request again with transition scopes");
            let taken = attempt(atproto, &mut outgoing, coarse).await?;
            if doubt(&error, &asked) == Doubt::Scopes {
                atproto.client.note_transition_scopes_only(&server.issuer);
            }
            Ok(taken)
        }
        outcome => outcome,
    }
}

async fn attempt(
    atproto: &Atproto,
    outgoing: &mut Outgoing<'_>,
    asking: Asking,
) -> Result<(UpstreamBinding, Pushed), PushError> {
    let profile = &atproto.profile;
    outgoing.push.scope = asking.scope;
    let binding = profile.bind(asking.client_id, &outgoing.server.issuer, outgoing.pds);
    let me = profile.identity(&binding).ok_or(Internal::Inconsistent("today's client key is not loaded"))?;
    let pushed = atproto.client.push_request(outgoing.server, &me, outgoing.dpop, &outgoing.push).await;
    pushed.map(|pushed| (binding, pushed)).map_err(PushError::Upstream)
}

/// Possible reasons for a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    /// Not the scopes.
    None,
    /// Anything, possibly the scopes: worth a second try, but no reason to take the server for an old one.
    Anything,
    /// The server does not know the scopes.
    Scopes,
}

/// Evaluates a refusal. A server that does know the scopes says `invalid_scope` of a permission set that it
/// cannot find: what one client names must not make us take the server for an old one.
fn doubt(error: &UpstreamTokenError, asked: &Scope) -> Doubt {
    let UpstreamTokenError::OAuth { error, description, .. } = error else { return Doubt::None };
    let sets = asked.iter().any(|value| matches!(value, ScopeValue::Include(_)));
    let names_scope = || description.as_ref().is_some_and(|text| text.to_ascii_lowercase().contains("scope"));
    match error.as_str() {
        "invalid_scope" | "invalid_request" | "InvalidRequest" if sets => Doubt::None,
        "invalid_client_metadata" | "invalid_scope" => Doubt::Scopes,
        "invalid_request" | "InvalidRequest" if names_scope() => Doubt::Scopes,
        "invalid_request" | "InvalidRequest" => Doubt::Anything,
        _ => Doubt::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_may_be_about_scopes() {
        let doubt = |error: &str, text: Option<&str>, asked| {
            let (error, description) = (error.to_owned(), text.map(str::to_owned));
            doubt(
                &UpstreamTokenError::OAuth { status: 400, error, description },
                &Scope::parse(asked).unwrap(),
            )
        };
        for (error, text, plain, with_a_set) in [
            ("invalid_client_metadata", None, Doubt::Scopes, Doubt::Scopes),
            ("invalid_scope", None, Doubt::Scopes, Doubt::None),
            ("invalid_request", Some("Unsupported Scope repo:a.b.c"), Doubt::Scopes, Doubt::None),
            ("InvalidRequest", Some("invalid scope"), Doubt::Scopes, Doubt::None),
            ("invalid_request", Some("nope"), Doubt::Anything, Doubt::None),
            ("InvalidRequest", None, Doubt::Anything, Doubt::None),
            ("invalid_client", Some("scope"), Doubt::None, Doubt::None),
            ("use_dpop_nonce", None, Doubt::None, Doubt::None),
        ] {
            assert_eq!(doubt(error, text, "atproto repo:a.b.c"), plain, "{error} {text:?}");
            assert_eq!(doubt(error, text, "atproto include:a.b.auth"), with_a_set, "{error} {text:?}");
        }
    }
}
