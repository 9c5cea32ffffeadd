//! Sessions at atproto servers as the [keeper](crate::upstream::keeper) sees them, and the credentials that the answers of
//! authorization servers become.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_atproto::{
    AtprotoClient, AuthorizationServer, Identity, Refusal, ResolveError, TokenAnswer, UpstreamIdentity,
    UpstreamTokenError,
};
use causeway_domain::Clock;
use causeway_domain::session::{
    AtprotoBinding, Credentials, DpopBound, HandleCheck, Policy, Renewal, SessionHead, UpstreamAccess,
    UpstreamAuth,
};
use causeway_jose::EcKey;
use causeway_store::sessions::upkeep::{self, VerifiedAccount};
use causeway_types::{Rng, Scope, Secret, Timestamp};
use url::form_urlencoded;

use crate::authorization::scopes::ScopePolicy;
use crate::error::Internal;
use crate::operations::complaints::Complaints;
use crate::upstream::atproto::profile::UpstreamProfile;
use crate::upstream::traits::{BindingUpdate, Kept, Located, NoAnswer, RenewalFailure, Renewed};

/// The error for a session whose client key is not loaded any more.
const NO_KEY: &str = "the client key of this session is not loaded";

/// Seconds after which an unused background session is refreshed. The bound is how long a PDS lets a refresh
/// token go unused: a public client's for two weeks, a confidential client's for three months.
const KEEP_PUBLIC_SECONDS: i64 = 86_400;
const KEEP_CONFIDENTIAL_SECONDS: i64 = 7 * 86_400;

/// The authorization servers and PDSes of the atproto network.
#[derive(Debug)]
pub(crate) struct Atproto {
    pub(crate) client: AtprotoClient,
    pub(crate) profile: Arc<UpstreamProfile>,
    pub(crate) scopes: Arc<ScopePolicy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) complaints: Complaints,
}

#[async_trait]
impl Kept for Atproto {
    /// A PDS ends the session when it sees a refresh token twice.
    fn policy(&self, head: &SessionHead, _: &Credentials) -> Policy {
        let is_confidential = head.atproto().is_ok_and(|account| account.upstream.auth != UpstreamAuth::None);
        Policy {
            renewal: Renewal::SingleUse { grace: None },
            max_age: self.profile.max_token_age(),
            keep_alive: Some(if is_confidential { KEEP_CONFIDENTIAL_SECONDS } else { KEEP_PUBLIC_SECONDS }),
        }
    }

    /// A failed look-up says nothing about the account: a binding that was verified in the last 24 hours stays in
    /// use.
    async fn locate(&self, head: &SessionHead) -> Located {
        let account = match head.atproto() {
            Ok(account) => account,
            Err(error) => return Located::Unknown(NoAnswer::because(error)),
        };
        let now = self.clock.now();
        match find_account(&self.client, account).await {
            Found::Here { pds, handle } => {
                let verified = VerifiedAccount { pds, handle, at: now };
                let update = BindingUpdate::new(move |c, id| upkeep::note_verified(c, id, &verified));
                Located::Here { update: Some(update) }
            }
            Found::Gone => Located::Gone,
            Found::Unknown(error) if account.verified_lately(now) => {
                tracing::warn!(%error, "the account cannot be resolved at the moment");
                Located::Here { update: None }
            }
            Found::Unknown(error) => Located::Unknown(error),
        }
    }

    async fn renew(&self, head: &SessionHead, credentials: &Credentials) -> Result<Renewed, RenewalFailure> {
        let (account, bound) = (head.atproto()?, credentials.dpop_bound()?);
        let refresh_token =
            credentials.refresh_token.as_ref().ok_or(Internal::Inconsistent("there is no refresh token"))?;
        let me = self.profile.identity(&account.upstream).ok_or(Internal::Inconsistent(NO_KEY))?;
        let dpop = EcKey::from_private_jwk(&bound.key).map_err(Internal::from)?;
        let server = match self.client.server_by_issuer(&account.upstream.issuer).await {
            Ok(server) => server,
            Err(error) => {
                tracing::warn!(%error, "the issuer's metadata cannot be fetched");
                return Err(RenewalFailure::Passing { retry_after: None });
            }
        };
        let mut answer = self.client.refresh(&server, &me, &dpop, refresh_token).await;
        if let Err(error) = &answer
            && error.refusal() == Some(Refusal::Request)
        {
            // Cached metadata may name a server that is no longer the right one: ask once more by fresh
            // metadata.
            tracing::warn!(%error, "upstream refresh refused: retrying with fresh metadata");
            let fresh = self.client.server_by_issuer_fresh(&account.upstream.issuer).await;
            let Ok(fresh) = fresh else { return Err(RenewalFailure::Passing { retry_after: None }) };
            answer = self.client.refresh(&fresh, &me, &dpop, refresh_token).await;
        }
        match answer {
            Ok(answer) if answer.sub.as_ref().is_some_and(|sub| *sub != account.did) => {
                tracing::warn!("a refresh returned tokens of another account");
                give_back(&self.client, &server, &me, &dpop, &answer).await;
                Err(RenewalFailure::Over { with: "another_account".to_owned() })
            }
            Ok(answer) => {
                // An answer without a scope keeps the one before (RFC 6749 section 6).
                let scope =
                    answer.scope.as_ref().map_or_else(|| credentials.scope.clone(), ToString::to_string);
                let flaw = answer.flaw;
                let credentials =
                    credentials_of(&answer, scope, (&bound.key, bound.jkt.as_str()), self.clock.now());
                Ok(Renewed { credentials, flaw, update: None, onto: None })
            }
            Err(error) => Err(self.failure(account, &error)),
        }
    }

    async fn revoke(&self, head: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer> {
        let account = head.atproto().map_err(NoAnswer::because)?;
        let bound = credentials.dpop_bound().map_err(NoAnswer::because)?;
        let me = self.profile.identity(&account.upstream).ok_or_else(|| NoAnswer::because(NO_KEY))?;
        let server =
            self.client.server_by_issuer(&account.upstream.issuer).await.map_err(NoAnswer::because)?;
        let dpop = EcKey::from_private_jwk(&bound.key).map_err(NoAnswer::because)?;
        let token = credentials.refresh_token.as_ref().unwrap_or(&bound.token);
        self.client.revoke(&server, &me, &dpop, token).await.map_err(NoAnswer::because)
    }

    /// A new authorization request. The client adds its own `redirect_uri`, `state`, PKCE and `scope`.
    fn sign_in_url(&self, issuer: &str, head: &SessionHead) -> String {
        let hint = head.atproto().map_or(head.subject(), |account| account.name_at(self.clock.now()));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", head.client_id.as_str())
            .append_pair("login_hint", hint)
            .finish();
        format!("{issuer}/oauth/authorize?{query}")
    }
}

impl Atproto {
    /// Classifies a failed refresh by its consequence for the session.
    fn failure(&self, account: &AtprotoBinding, error: &UpstreamTokenError) -> RenewalFailure {
        let issuer = &account.upstream.issuer;
        match error.refusal() {
            Some(Refusal::Grant | Refusal::Request) => {
                let with = error.oauth_error().unwrap_or("refused").to_owned();
                return RenewalFailure::Over { with };
            }
            Some(Refusal::Ours) if self.complaints.is_new(issuer, self.clock.now()) => {
                let description = error.description();
                tracing::error!(
                    %error,
                    description,
                    issuer,
                    "this authorization server does not accept our client, its key or our clock, and refreshes no session; \
                     run `causeway doctor`"
                );
            }
            _ => tracing::warn!(%error, "upstream refresh failed; the session and its tokens are kept"),
        }
        match error {
            UpstreamTokenError::OAuth { error: with, .. } if !error.is_transient() => {
                RenewalFailure::Refused { with: with.clone() }
            }
            UpstreamTokenError::Malformed(_) => {
                RenewalFailure::Refused { with: "malformed_answer".to_owned() }
            }
            _ => RenewalFailure::Passing { retry_after: error.retry_after() },
        }
    }
}

/// The result of resolving an account.
#[derive(Debug)]
pub(crate) enum Found {
    /// Its authorization server is that of the session; `pds` is the origin that serves its data there.
    Here { pds: String, handle: HandleCheck },
    /// At another server, or deleted.
    Gone,
    /// The look-up failed.
    Unknown(NoAnswer),
}

/// Resolves the account's DID document to its authorization server. Cached data alone never ends a session.
pub(crate) async fn find_account(client: &AtprotoClient, account: &AtprotoBinding) -> Found {
    let current = async || {
        let identity = client.resolve_did(&account.did).await?;
        let server = client.server_of_pds(&identity.pds).await?;
        let pds = identity.pds.origin().ascii_serialization();
        Ok::<_, ResolveError>((server.issuer, pds, handle_check(identity)))
    };
    let is_there = |(issuer, ..): &(String, _, _)| *issuer == account.upstream.issuer;
    let mut found = current().await;
    if found.as_ref().is_ok_and(|found| !is_there(found)) {
        client.forget(&account.did);
        found = current().await;
    }
    match found {
        Ok(found) if is_there(&found) => {
            let (_, pds, handle) = found;
            Found::Here { pds, handle }
        }
        Ok(_) => Found::Gone,
        Err(error) if error.is_gone() => {
            tracing::warn!(%error, "the account no longer exists");
            Found::Gone
        }
        Err(error @ ResolveError::DidNotFound) => {
            Found::Unknown(NoAnswer::definitely("did_not_found", error))
        }
        Err(error) => Found::Unknown(NoAnswer::because(error)),
    }
}

/// The result of verifying an account's handle.
fn handle_check(identity: Identity) -> HandleCheck {
    match identity.handle {
        Some(handle) => HandleCheck::Verified(handle),
        None if identity.handle_unknown => HandleCheck::Unknown,
        None => HandleCheck::None,
    }
}

/// The scope that an authorization server granted. A value that this version does not know allows nothing.
///
/// # Errors
/// [`Internal::Inconsistent`]: it is malformed.
pub(crate) fn granted_scope(credentials: &Credentials) -> Result<Scope, Internal> {
    Scope::from_stored(&credentials.scope)
        .map_err(|_| Internal::Inconsistent("the granted scope of a session is malformed"))
}

/// Builds the credentials of a token response whose tokens are bound to this key.
pub(crate) fn credentials_of(
    answer: &TokenAnswer,
    scope: String,
    (key, jkt): (&Secret, &str),
    now: Timestamp,
) -> Credentials {
    let (token, key, jkt) = (answer.access_token.clone(), key.clone(), jkt.to_owned());
    Credentials {
        access: UpstreamAccess::DpopBound(DpopBound { token, key, jkt }),
        refresh_token: answer.refresh_token.clone(),
        created_at: now,
        expires_at: answer.expires_in.map(|seconds| now.plus(seconds)),
        scope,
    }
}

/// Revokes upstream tokens that will not be used. They are not stored, so this is tried only once.
pub(crate) async fn give_back(
    client: &AtprotoClient,
    server: &AuthorizationServer,
    me: &UpstreamIdentity<'_>,
    dpop: &EcKey,
    answer: &TokenAnswer,
) {
    let token = answer.refresh_token.as_ref().unwrap_or(&answer.access_token);
    if let Err(error) = client.revoke(server, me, dpop, token).await {
        tracing::warn!(%error, "unused upstream tokens were not revoked");
    }
}
