//! Responses to token requests (RFC 6749 sections 5.1 and 5.2), shared by the grants.

use causeway_domain::client::{Client, GrantType};
use causeway_domain::grant::{AccessSubject, AccessToken, RefreshToken};
use causeway_domain::secret::{Access, PlainToken, Refresh, TokenHash};
use causeway_domain::{Did, ErrorCode, Jkt, Resources, Scope, Timestamp};
use causeway_store::tokens;
use causeway_store::{AnyConnection, StoreError};

use crate::client::authenticated::{AuthenticatedClient, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::resource::dpop::ProofError;
use crate::token::jwt_access::{self, JwtAccessClaims};
use crate::token::resolved_grant::ResolvedGrant;
use crate::token::token_type::{ACCESS_TOKEN_TYPE, SESSION_TOKEN_TYPE, TokenType};

/// A successful token response: the only copy of the tokens.
#[derive(Debug)]
pub struct IssuedTokens {
    /// The access token.
    pub access_token: PlainToken<Access>,
    /// How it is used.
    pub token_type: TokenType,
    /// Seconds until it ends.
    pub expires_in: i64,
    /// The refresh token, for a client that registered the grant.
    pub refresh_token: Option<PlainToken<Refresh>>,
    /// The scope of the access token.
    pub scope: Scope,
    /// The user's DID; `None`: the client holds the token for itself.
    pub did: Option<Did>,
    /// The `id_token`, for a client that requested the scope `openid`.
    pub id_token: Option<String>,
    /// The type of the issued token, for a token exchange (RFC 8693 section 2.2.1).
    pub issued_token_type: Option<&'static str>,
}

/// Why a token request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// `code` is missing.
    #[error("code is missing")]
    NoCode,
    /// `code_verifier` is missing.
    #[error("code_verifier is missing: PKCE is required")]
    NoVerifier,
    /// `refresh_token` is missing.
    #[error("refresh_token is missing")]
    NoRefreshToken,
    /// `device_code` is missing.
    #[error("device_code is missing")]
    NoDeviceCode,
    /// The user has not decided yet (RFC 8628 section 3.5).
    #[error("the person has not decided yet: poll again after the interval")]
    Pending,
    /// The user has not decided yet, and the client polls too often (RFC 8628 section 3.5).
    #[error("the person has not decided yet, and you poll too often: wait 5 seconds longer from now on")]
    SlowDown,
    /// The user denied the request, or the sign-in failed.
    #[error("the person denied the request, or the sign-in failed: begin again if they want to")]
    Denied,
    /// The device code has expired.
    #[error("the device code has expired: begin again with a new one")]
    DeviceExpired,
    /// A device code that is unknown, another client's, or used.
    #[error("the device code is unknown, has been used, or was issued to another client")]
    DeviceCode,
    /// A device code that is bound to a key, without a proof by it.
    #[error("the device code is bound to a key: send a DPoP proof by the key of the device's first request")]
    DeviceKey,
    /// The client did not register this grant.
    #[error("this client is not registered for this grant_type")]
    Grant,
    /// A code that is unknown, another client's, or used.
    #[error("the code is unknown, has been used, or was issued to another client")]
    Code,
    /// A code that is too old.
    #[error("the code has expired: codes live 60 seconds")]
    CodeExpired,
    /// The verifier is malformed or not the one behind the challenge.
    #[error("code_verifier does not match the code_challenge of the authorization request")]
    Verifier,
    /// The redirect URI differs from that of the request.
    #[error("redirect_uri is not the one of the authorization request")]
    RedirectUri,
    /// A code that is bound to a key, without a proof by it.
    #[error("the code is bound to the dpop_jkt of the authorization request: send a DPoP proof by that key")]
    CodeKey,
    /// A refresh token that is bound to a key, without a proof by it.
    #[error("the refresh token is bound to a key: send a DPoP proof by the key that it was issued for")]
    RefreshKey,
    /// A refresh token that is unknown, another client's, revoked, or used for good.
    #[error("the refresh token is unknown, revoked, used, or was issued to another client")]
    RefreshToken,
    /// A refresh token that is too old.
    #[error("the refresh token has expired: the person has to sign in again")]
    RefreshTokenExpired,
    /// The session behind the grant has ended.
    #[error("the session has ended: the person has to sign in again")]
    SessionEnded,
    /// A malformed or wider scope.
    #[error("scope may only name what was granted before")]
    Scope,
    /// A scope in a request without a user.
    #[error("scope must be left out: every scope of this server is something that a person allows")]
    NobodysScope,
    /// A malformed resource, or one that was not granted (RFC 8707 section 2.2).
    #[error("resource may only name what was granted before, as absolute URIs without a fragment")]
    Target,
    /// `subject_token` is missing.
    #[error("subject_token is missing: send the session_id of a background session")]
    NoSubjectToken,
    /// `subject_token_type` is missing or not supported.
    #[error("subject_token_type must be {SESSION_TOKEN_TYPE}")]
    SubjectTokenType,
    /// `requested_token_type` is not supported.
    #[error("requested_token_type must be {ACCESS_TOKEN_TYPE}, or be left out")]
    RequestedTokenType,
    /// `actor_token` was sent, which is not supported.
    #[error("actor_token is not supported")]
    ActorToken,
    /// A session that is unknown, of another kind, another client's, or ended: one text for all, on purpose.
    #[error("the subject_token is not the session_id of a live background session of this client")]
    SubjectToken,
    /// `audience` names another service.
    #[error("audience may only name this server: name others by resource")]
    Audience,
    /// A client that does not authenticate.
    #[error("this grant_type is for clients that authenticate")]
    PublicClient,
    /// The client lacks the entitlement to background access.
    #[error("this client is not allowed background_access: ask the operator of this server")]
    NoBackground,
}

impl TokenRefusal {
    /// The code of RFC 6749 section 5.2; for a token exchange, that of RFC 8693 section 2.2.2, by which a
    /// subject token that cannot be accepted is an invalid request; for a device, that of RFC 8628 section
    /// 3.5.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NoCode
            | Self::NoVerifier
            | Self::NoRefreshToken
            | Self::NoDeviceCode
            | Self::NoSubjectToken
            | Self::SubjectTokenType
            | Self::RequestedTokenType
            | Self::ActorToken
            | Self::SubjectToken => ErrorCode::InvalidRequest,
            Self::Pending => ErrorCode::AuthorizationPending,
            Self::SlowDown => ErrorCode::SlowDown,
            Self::Denied => ErrorCode::AccessDenied,
            Self::DeviceExpired => ErrorCode::ExpiredToken,
            Self::Grant | Self::PublicClient | Self::NoBackground => ErrorCode::UnauthorizedClient,
            Self::Scope | Self::NobodysScope => ErrorCode::InvalidScope,
            Self::Target | Self::Audience => ErrorCode::InvalidTarget,
            Self::Code
            | Self::CodeExpired
            | Self::Verifier
            | Self::RedirectUri
            | Self::CodeKey
            | Self::DeviceCode
            | Self::DeviceKey
            | Self::RefreshKey
            | Self::RefreshToken
            | Self::RefreshTokenExpired
            | Self::SessionEnded => ErrorCode::InvalidGrant,
        }
    }
}

/// Why a token request failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request was refused, by fault of the client or the user.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// A malformed resource, or one that is not known for the client: the text names those that are.
    #[error("{0}")]
    Target(String),
    /// A DPoP proof is missing.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A single-use value was presented again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl TokenError {
    /// The code of RFC 6749 section 5.2.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Target(_) => ErrorCode::InvalidTarget,
            Self::Proof(error) => error.code(),
            Self::Replayed(replayed) => replayed.code(),
            Self::Internal(_) => ErrorCode::ServerError,
        }
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// A token pair to be issued: made outside the transaction, so that a retried transaction writes the same
/// rows.
#[derive(Debug, Clone)]
pub(crate) struct NewTokens {
    access: PlainToken<Access>,
    refresh: Option<PlainToken<Refresh>>,
    access_seconds: i64,
    refresh_seconds: i64,
    access_jkt: Option<Jkt>,
    refresh_jkt: Option<Jkt>,
    now: Timestamp,
}

impl NewTokens {
    /// The access token alone, without a refresh token.
    pub(crate) fn without_refresh(self) -> Self {
        Self { refresh: None, ..self }
    }

    /// Makes a pair for a caller; `claims` are the previewed claims, if the access token is to be signed.
    pub(crate) async fn make(
        ctx: &Ctx,
        caller: &AuthenticatedClient,
        now: Timestamp,
        claims: Option<&JwtAccessClaims>,
    ) -> Result<Self, Internal> {
        let (client, rng) = (&caller.client, ctx.rng());
        let access = match claims {
            Some(claims) => jwt_access::sign(ctx, client, caller.dpop_jkt.as_ref(), now, claims).await?,
            None => PlainToken::issued(rng, ctx.unix_millis()),
        };
        Ok(Self {
            access,
            refresh: client
                .allows(GrantType::RefreshToken)
                .then(|| PlainToken::issued(rng, ctx.unix_millis())),
            access_seconds: client.access_token_seconds(),
            refresh_seconds: client.refresh_token_expiration,
            access_jkt: caller.dpop_jkt.clone(),
            refresh_jkt: caller.refresh_jkt(),
            now,
        })
    }

    /// The access token, to derive values from it.
    pub(crate) fn access_token(&self) -> &str {
        self.access.expose()
    }

    /// The row of the access token.
    pub(crate) fn access_row(&self, client: &Client, grant: &ResolvedGrant) -> AccessToken {
        AccessToken {
            token: self.access.hash(),
            client_id: client.client_id.clone(),
            subject: AccessSubject::User(grant.user()),
            scope: grant.access.scope.clone(),
            resources: grant.access.resources.clone(),
            dpop_jkt: self.access_jkt.clone(),
            created_at: self.now,
            expires_at: self.now.plus(self.access_seconds),
            revoked: false,
            first_used_at: None,
        }
    }

    /// Inserts both rows; `parent` is the refresh token that was consumed for them.
    pub(crate) fn insert(
        &self,
        c: &mut AnyConnection,
        client: &Client,
        grant: &ResolvedGrant,
        parent: Option<&TokenHash<Refresh>>,
    ) -> Result<(), Internal> {
        let ResolvedGrant { session, session_iteration, granted, .. } = grant;
        let access = self.access_row(client, grant);
        tokens::insert_access_token(c, &access)?;
        let Some(refresh) = &self.refresh else { return Ok(()) };
        let refresh = RefreshToken {
            token: refresh.hash(),
            access_token: access.token,
            client_id: access.client_id,
            did: session.did.clone(),
            session_id: session.session_id.clone(),
            session_iteration: *session_iteration,
            scope: granted.scope.clone(),
            resources: granted.resources.clone(),
            dpop_jkt: self.refresh_jkt.clone(),
            created_at: self.now,
            expires_at: (self.refresh_seconds > 0).then(|| self.now.plus(self.refresh_seconds)),
            parent: parent.cloned(),
            used_at: None,
            revoked: None,
        };
        tokens::insert_refresh_token(c, &refresh)?;
        Ok(())
    }

    /// Inserts the row of a token that the client holds for itself: an access token without a refresh token.
    pub(crate) fn insert_for_client(
        &self,
        c: &mut AnyConnection,
        client: &Client,
        resources: &Resources,
    ) -> Result<(), StoreError> {
        let access = AccessToken {
            token: self.access.hash(),
            client_id: client.client_id.clone(),
            subject: AccessSubject::Client,
            scope: Scope::default(),
            resources: resources.clone(),
            dpop_jkt: self.access_jkt.clone(),
            created_at: self.now,
            expires_at: self.now.plus(self.access_seconds),
            revoked: false,
            first_used_at: None,
        };
        tokens::insert_access_token(c, &access)
    }

    /// The response with a token that the client holds for itself.
    pub(crate) fn issued_to_client(self) -> IssuedTokens {
        IssuedTokens {
            id_token: None,
            issued_token_type: None,
            token_type: TokenType::of(self.access_jkt.as_ref()),
            access_token: self.access,
            expires_in: self.access_seconds,
            refresh_token: None,
            scope: Scope::default(),
            did: None,
        }
    }

    /// The response, after the rows are committed.
    pub(crate) fn issued(self, scope: Scope, did: Did, id_token: Option<String>) -> IssuedTokens {
        IssuedTokens {
            id_token,
            issued_token_type: None,
            token_type: TokenType::of(self.access_jkt.as_ref()),
            access_token: self.access,
            expires_in: self.access_seconds,
            refresh_token: self.refresh,
            scope,
            did: Some(did),
        }
    }
}
