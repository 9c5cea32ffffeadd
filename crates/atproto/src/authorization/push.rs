//! The pushed authorization request (RFC 9126).

use causeway_jose::EcKey;
use causeway_types::{CodeChallenge, OauthState, Scope};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::authentication::UpstreamIdentity;
use super::request::{Post, seconds};
use crate::client::AtprotoClient;
use crate::error::UpstreamTokenError;
use crate::metadata::AuthorizationServer;

/// The longest `request_uri` that is passed on to a browser, in bytes.
const MAX_REQUEST_URI: usize = 2048;

/// Parameters of a pushed authorization request (RFC 9126 section 2.1). The response type is `code`, the
/// challenge method `S256`.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// The redirect URI.
    pub redirect_uri: String,
    /// The requested scope; has to include `atproto`.
    pub scope: Scope,
    /// The `state` that the redirect brings back.
    pub state: OauthState,
    /// PKCE.
    pub code_challenge: CodeChallenge,
    /// The account to suggest for sign-in: a handle or a DID.
    pub login_hint: Option<String>,
    /// The OpenID Connect `prompt`, for servers that know it.
    pub prompt: Option<String>,
}

/// A pushed request that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Where to send the user.
    pub authorize_url: Url,
    /// The server's newest DPoP nonce.
    pub dpop_nonce: Option<String>,
    /// Seconds that the request lives.
    pub expires_in: i64,
}

impl AtprotoClient {
    /// Pushes an authorization request (RFC 9126).
    ///
    /// # Errors
    /// Any [`UpstreamTokenError`].
    #[tracing::instrument(name = "atproto.par", skip_all, fields(issuer = server.issuer))]
    pub async fn push_request(
        &self,
        server: &AuthorizationServer,
        me: &UpstreamIdentity<'_>,
        dpop: &EcKey,
        request: &PushRequest,
    ) -> Result<Pushed, UpstreamTokenError> {
        #[derive(Deserialize)]
        struct Body {
            request_uri: String,
            #[serde(default)]
            expires_in: Value,
        }
        let scope = request.scope.to_string();
        let mut params = vec![
            ("response_type", "code"),
            ("redirect_uri", &request.redirect_uri),
            ("scope", &scope),
            ("state", request.state.as_str()),
            ("code_challenge", request.code_challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        params.extend(request.login_hint.as_deref().map(|hint| ("login_hint", hint)));
        params.extend(request.prompt.as_deref().map(|prompt| ("prompt", prompt)));
        let endpoint = &server.pushed_authorization_request_endpoint;
        let answer = self.post(Post { server, endpoint, me, dpop, nonce: None, params: &params }).await?;
        let body: Body = answer.json()?;
        if body.request_uri.is_empty() {
            return Err(UpstreamTokenError::Malformed("request_uri is empty"));
        }
        if body.request_uri.len() > MAX_REQUEST_URI {
            return Err(UpstreamTokenError::Malformed("request_uri is longer than 2,048 characters"));
        }
        let mut authorize_url = server.authorization_endpoint.clone();
        authorize_url
            .query_pairs_mut()
            .append_pair("client_id", me.client_id.as_str())
            .append_pair("request_uri", &body.request_uri);
        // A server that does not say gets the lifetime that a careful one would give.
        let expires_in = seconds(&body.expires_in).unwrap_or(60);
        Ok(Pushed { authorize_url, dpop_nonce: answer.nonce, expires_in })
    }
}
