//! The tokens of a request: made before the transaction that inserts them.

use causeway_domain::client::Client;
use causeway_domain::token::{AccessToken, RefreshToken};
use causeway_store::AnyConnection;
use causeway_store::tokens;
use causeway_types::secret::{Access, PlainToken, Refresh};
use causeway_types::{Did, GrantType, Jkt, Scope, Timestamp};

use crate::error::Internal;
use crate::token::jwt_access;
use crate::token::request::TokenRequest;
use crate::token::resolved_grant::{ResolvedGrant, UserGrant};
use causeway_types::TokenType;

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

/// Tokens to be issued: made outside the transaction, so that nothing is signed while it holds locks, and
/// that a retried transaction writes the same rows.
#[derive(Debug, Clone)]
pub(crate) struct NewTokens {
    access: PlainToken<Access>,
    refresh: Option<PlainToken<Refresh>>,
    access_seconds: i64,
    refresh_seconds: i64,
    access_jkt: Option<Jkt>,
    refresh_jkt: Option<Jkt>,
    now: Timestamp,
    is_ready: bool,
}

impl NewTokens {
    /// Makes the tokens of a request. `preview` is the grant as it stands now, for a client whose access
    /// tokens are signed; `None`: there is none to sign for.
    pub(crate) async fn make(
        request: &TokenRequest,
        preview: Option<ResolvedGrant>,
    ) -> Result<Self, Internal> {
        let TokenRequest { ctx, authenticated, now } = request;
        let (client, rng) = (&authenticated.client, ctx.rng());
        let is_ready = preview.is_some() || !jwt_access::is_wanted(client);
        let access = match preview {
            Some(grant) => {
                let claims = grant.into_claims(client);
                jwt_access::sign(ctx, client, authenticated.dpop_jkt.as_ref(), *now, &claims).await?
            }
            None => PlainToken::issued(rng, ctx.unix_millis()),
        };
        Ok(Self {
            access,
            refresh: client
                .allows(GrantType::RefreshToken)
                .then(|| PlainToken::issued(rng, ctx.unix_millis())),
            access_seconds: client.access_token_seconds(),
            refresh_seconds: client.refresh_token_expiration,
            access_jkt: authenticated.dpop_jkt.clone(),
            refresh_jkt: authenticated.refresh_jkt(),
            now: *now,
            is_ready,
        })
    }

    /// Whether the access token has the format that the client registered; `false` when it is to be signed
    /// and there was no grant to sign for. A grant that may be given between the preview and the transaction
    /// is consumed by a later request then.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
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
            subject: grant.subject(),
            scope: grant.access.scope.clone(),
            resources: grant.access.resources.clone(),
            dpop_jkt: self.access_jkt.clone(),
            created_at: self.now,
            expires_at: self.now.plus(self.access_seconds),
            revoked: false,
            first_used_at: None,
        }
    }

    /// Inserts the rows of the tokens, in the transaction that consumes what they are granted for.
    pub(crate) fn insert(
        &self,
        c: &mut AnyConnection,
        client: &Client,
        grant: &ResolvedGrant,
    ) -> Result<(), Internal> {
        let access = self.access_row(client, grant);
        tokens::insert_access_token(c, &access)?;
        if let Some(refresh) = grant.user.as_ref().and_then(|user| self.refresh_row(access, user)) {
            tokens::insert_refresh_token(c, &refresh)?;
        }
        Ok(())
    }

    /// The row of the refresh token beside an access token, if there is one.
    fn refresh_row(&self, access: AccessToken, grant: &UserGrant) -> Option<RefreshToken> {
        let (token, granted) = (self.refresh.as_ref()?, grant.granted.as_ref()?);
        Some(RefreshToken {
            token: token.hash(),
            access_token: access.token,
            client_id: access.client_id,
            did: grant.did.clone(),
            session_id: grant.session.session_id.clone(),
            session_iteration: grant.session_iteration,
            scope: granted.scope.clone(),
            resources: granted.resources.clone(),
            dpop_jkt: self.refresh_jkt.clone(),
            created_at: self.now,
            expires_at: (self.refresh_seconds > 0).then(|| self.now.plus(self.refresh_seconds)),
            parent: grant.parent.clone(),
            used_at: None,
            revoked: None,
        })
    }

    /// The response, after the rows are committed.
    pub(crate) fn issued(self, grant: ResolvedGrant, id_token: Option<String>) -> IssuedTokens {
        let ResolvedGrant { user, access } = grant;
        let renews = user.as_ref().is_some_and(|user| user.granted.is_some());
        IssuedTokens {
            id_token,
            issued_token_type: None,
            token_type: TokenType::of(self.access_jkt.as_ref()),
            access_token: self.access,
            expires_in: self.access_seconds,
            refresh_token: self.refresh.filter(|_| renews),
            scope: access.scope,
            did: user.map(|user| user.did),
        }
    }
}
