//! Resolved grants of the token endpoint: the tokens that a grant stands for.

use causeway_domain::client::Client;
use causeway_domain::session::SessionHead;
use causeway_domain::token::{AccessSubject, User};
use causeway_types::secret::Refresh;
use causeway_types::{Did, Resources, Scope, TokenHash};

use crate::token::jwt_access::JwtAccessClaims;

/// A grant that passed its checks.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedGrant {
    /// The user whom the tokens stand for; `None`: the client holds them for itself.
    pub(crate) user: Option<UserGrant>,
    /// The scope and the resources of the access token.
    pub(crate) access: Authorization,
}

/// The user's part of a grant.
#[derive(Clone, Debug)]
pub(crate) struct UserGrant {
    /// The user's account.
    pub(crate) did: Did,
    /// The session that the tokens give access to.
    pub(crate) session: SessionHead,
    /// The iteration of the upstream token set that the grant came from.
    pub(crate) session_iteration: Option<i64>,
    /// The full grant, which a refresh token carries on; `None`: there is no refresh token.
    pub(crate) granted: Option<Authorization>,
    /// The refresh token that is consumed for this grant.
    pub(crate) parent: Option<TokenHash<Refresh>>,
    /// The nonce of the authorization request, for the first `id_token` (OpenID Connect Core section 12.2).
    pub(crate) nonce: Option<String>,
}

/// The scope of a token, and the resources that it is for.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) scope: Scope,
    pub(crate) resources: Resources,
}

impl ResolvedGrant {
    /// Whom an access token stands for.
    pub(crate) fn subject(&self) -> AccessSubject {
        self.user.as_ref().map_or(AccessSubject::Client, |user| AccessSubject::User(user.user()))
    }

    /// The claims of a signed access token. A client's own has the client as its `sub` (RFC 9068 section
    /// 2.2).
    pub(crate) fn into_claims(self, client: &Client) -> JwtAccessClaims {
        let Self { user, access: Authorization { scope, resources } } = self;
        let (sub, auth_time) = match user {
            Some(UserGrant { did, session, .. }) => (did.to_string(), Some(session.created_at)),
            None => (client.client_id.to_string(), None),
        };
        JwtAccessClaims { sub, scope, resources, auth_time }
    }
}

impl UserGrant {
    /// The user whom the tokens stand for.
    pub(crate) fn user(&self) -> User {
        User {
            did: self.did.clone(),
            session_id: self.session.session_id.clone(),
            session_iteration: self.session_iteration,
        }
    }
}
