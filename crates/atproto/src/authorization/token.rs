//! The token endpoint: exchange, refresh, revoke (RFC 6749 sections 4.1.3 and 6, RFC 7009).

use causeway_jose::EcKey;
use causeway_types::{CodeVerifier, Did, Scope, Secret};
use serde::Deserialize;
use serde_json::Value;

use super::authentication::UpstreamIdentity;
use super::request::{Answer, Post, seconds};
use crate::client::AtprotoClient;
use crate::error::UpstreamTokenError;
use crate::metadata::AuthorizationServer;

/// A returned code, with what proves that the request was ours (RFC 6749 section 4.1.3, RFC 7636).
#[derive(Clone, Copy, Debug)]
pub struct CodeExchange<'a> {
    /// The code: works once.
    pub code: &'a Secret,
    /// PKCE.
    pub verifier: &'a CodeVerifier,
    /// The redirect URI of the request.
    pub redirect_uri: &'a str,
    /// The newest DPoP nonce that is known from the pushed request.
    pub nonce: Option<&'a str>,
}

/// A token set as the server issued it. Because a credential was spent for it, it is stored first and judged
/// afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAnswer {
    /// The access token, bound to the DPoP key.
    pub access_token: Secret,
    /// The refresh token: works once.
    pub refresh_token: Option<Secret>,
    /// Seconds that the access token lives; `None` when the server did not say, or no positive number.
    pub expires_in: Option<i64>,
    /// The granted scope; `None` when the server did not say, which means the requested scope (RFC 6749
    /// section 5.1).
    pub scope: Option<Scope>,
    /// The account that the server claims, if any: trust it only once that DID resolves back to this server.
    pub sub: Option<Did>,
    /// Why the tokens must not be used although the server issued them.
    pub flaw: Option<&'static str>,
    /// The server's newest DPoP nonce.
    pub dpop_nonce: Option<String>,
}

impl TokenAnswer {
    /// Logs the non-secret properties of the tokens. Fingerprints tell one token from the next.
    fn note(&self) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(
                access_token = self.access_token.log_name(),
                refresh_token = self.refresh_token.as_ref().map(Secret::log_name),
                expires_in = self.expires_in,
                scope = self.scope.as_ref().map(tracing::field::display),
                "token response received"
            );
        }
    }
}

impl AtprotoClient {
    /// Exchanges a code (RFC 6749 section 4.1.3). `nonce` is the one that the push brought; it is used when this
    /// process knows no newer one.
    ///
    /// # Errors
    /// Any [`UpstreamTokenError`]; [`UpstreamTokenError::Malformed`] for an answer without an access token.
    #[tracing::instrument(name = "atproto.token.exchange", skip_all, fields(issuer = server.issuer))]
    pub async fn exchange_code(
        &self,
        server: &AuthorizationServer,
        me: &UpstreamIdentity<'_>,
        dpop: &EcKey,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenAnswer, UpstreamTokenError> {
        let CodeExchange { code, verifier, redirect_uri, nonce } = *exchange;
        let params = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("code_verifier", verifier.expose()),
            ("redirect_uri", redirect_uri),
        ];
        let endpoint = &server.token_endpoint;
        self.post(Post { server, endpoint, me, dpop, nonce, params: &params }).await?.tokens()
    }

    /// Redeems a refresh token (RFC 6749 section 6).
    ///
    /// # Errors
    /// Any [`UpstreamTokenError`]. [`UpstreamTokenError::may_be_spent`] says whether the refresh token may be spent.
    #[tracing::instrument(
        name = "atproto.token.refresh",
        skip_all,
        fields(issuer = server.issuer, token = refresh_token.log_name())
    )]
    pub async fn refresh(
        &self,
        server: &AuthorizationServer,
        me: &UpstreamIdentity<'_>,
        dpop: &EcKey,
        refresh_token: &Secret,
    ) -> Result<TokenAnswer, UpstreamTokenError> {
        let params = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let endpoint = &server.token_endpoint;
        self.post(Post { server, endpoint, me, dpop, nonce: None, params: &params }).await?.tokens()
    }

    /// Revokes an access or refresh token, and with it the session (RFC 7009). Does nothing at a server that has
    /// no revocation endpoint.
    ///
    /// # Errors
    /// Any [`UpstreamTokenError`] but [`UpstreamTokenError::Malformed`].
    #[tracing::instrument(
        name = "atproto.token.revoke",
        skip_all,
        fields(issuer = server.issuer, token = token.log_name())
    )]
    pub async fn revoke(
        &self,
        server: &AuthorizationServer,
        me: &UpstreamIdentity<'_>,
        dpop: &EcKey,
        token: &Secret,
    ) -> Result<(), UpstreamTokenError> {
        let Some(endpoint) = &server.revocation_endpoint else { return Ok(()) };
        let params = [("token", token.expose())];
        self.post(Post { server, endpoint, me, dpop, nonce: None, params: &params }).await.map(drop)
    }
}

impl Answer {
    /// Reads a token response (RFC 6749 section 5.1). A code or a refresh token was spent for it, so only an
    /// access token is required; everything else that is missing or odd is left to the caller.
    fn tokens(self) -> Result<TokenAnswer, UpstreamTokenError> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            access_token: Value,
            #[serde(default)]
            refresh_token: Value,
            #[serde(default)]
            token_type: Value,
            #[serde(default)]
            expires_in: Value,
            #[serde(default)]
            scope: Value,
            #[serde(default)]
            sub: Value,
        }
        let body: Body = serde_json::from_slice(&self.body).map_err(|_| {
            UpstreamTokenError::Malformed(if self.is_json {
                "a member is malformed"
            } else {
                "it is not JSON"
            })
        })?;
        // From here on the tokens are wiped when they are dropped.
        let refresh_token = token(body.refresh_token);
        let access_token =
            token(body.access_token).ok_or(UpstreamTokenError::Malformed("access_token is missing"))?;
        let scope = body.scope.as_str().and_then(|scope| Scope::parse_known(scope).ok());
        let sub = body.sub.as_str().map(Did::parse);
        let flaw = if body.token_type.as_str().is_some_and(|name| !name.eq_ignore_ascii_case("DPoP")) {
            Some("token_type is not DPoP")
        } else if scope.as_ref().is_some_and(|scope| !scope.contains(Scope::ATPROTO)) {
            Some("scope lacks atproto")
        } else if matches!(sub, Some(Err(_))) {
            Some("sub is not a DID")
        } else {
            None
        };
        let answer = TokenAnswer {
            access_token,
            refresh_token,
            expires_in: seconds(&body.expires_in),
            scope,
            sub: sub.and_then(Result::ok),
            flaw,
            dpop_nonce: self.nonce,
        };
        answer.note();
        Ok(answer)
    }
}

/// Reads a token member; `None` for an empty one and for anything but a string.
fn token(member: Value) -> Option<Secret> {
    match member {
        Value::String(token) if !token.is_empty() => Some(Secret::new(token)),
        _ => None,
    }
}
