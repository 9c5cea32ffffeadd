//! The requests to an authorization server: push, exchange, refresh, revoke.

use bytes::Bytes;
use causeway_domain::{CodeChallenge, CodeVerifier, Did, OauthState, Scope, Secret, UpstreamClientId};
use causeway_jose::{ClientAssertion, DpopClaims, EcKey, client_assertion, dpop_proof};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::body::read_into;
use crate::budget::Held;
use crate::challenge;
use crate::client::AtprotoClient;
use crate::error::UpstreamTokenError;
use crate::http::{Call, HttpClient, HttpError, is_json, status_error};
use crate::metadata::AuthorizationServer;
use crate::sent::Shows;

/// Our client identity at an authorization server.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamIdentity<'a> {
    /// Our `client_id` there.
    pub client_id: &'a UpstreamClientId,
    /// How we authenticate there.
    pub auth: UpstreamAuthKey<'a>,
}

/// Our client authentication method and its key.
#[derive(Clone, Copy, Debug)]
pub enum UpstreamAuthKey<'a> {
    /// As a public client.
    None,
    /// With a signed assertion (RFC 7523).
    PrivateKeyJwt {
        /// The key.
        key: &'a EcKey,
        /// Its identifier in our published key set.
        kid: &'a str,
    },
}

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
                access_token = self.access_token.fingerprint(),
                refresh_token = self.refresh_token.as_ref().map(Secret::fingerprint),
                expires_in = self.expires_in,
                scope = self.scope.as_ref().map(tracing::field::display),
                "token response received"
            );
        }
    }
}

/// The assertion type of RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds that an assertion lives.
const ASSERTION_SECONDS: i64 = 60;
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

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
        let mut authorize_url = server.authorization_endpoint.clone();
        authorize_url
            .query_pairs_mut()
            .append_pair("client_id", me.client_id.as_str())
            .append_pair("request_uri", &body.request_uri);
        // A server that does not say gets the lifetime that a careful one would give.
        let expires_in = seconds(&body.expires_in).unwrap_or(60);
        Ok(Pushed { authorize_url, dpop_nonce: answer.nonce, expires_in })
    }

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
        fields(issuer = server.issuer, token = refresh_token.fingerprint())
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
        fields(issuer = server.issuer, token = token.fingerprint())
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

    /// Sends a form with a DPoP proof and client authentication. Retries once when the server demands another
    /// nonce.
    async fn post(&self, post: Post<'_>) -> Result<Answer, UpstreamTokenError> {
        let mut nonce = self.0.nonces.get(post.endpoint).or_else(|| post.nonce.map(str::to_owned));
        match self.attempt(&post, nonce.as_deref()).await? {
            PostOutcome::Done(answer) => Ok(answer),
            PostOutcome::Refused { error, given } => {
                if !wants_nonce(&error) || given.is_none() || given == nonce {
                    return Err(error);
                }
                nonce = given;
                match self.attempt(&post, nonce.as_deref()).await? {
                    PostOutcome::Done(answer) => Ok(answer),
                    PostOutcome::Refused { error, .. } => Err(error),
                }
            }
        }
    }

    /// One attempt: with its own `jti` and assertion, because servers accept either only once.
    async fn attempt(&self, post: &Post<'_>, nonce: Option<&str>) -> Result<PostOutcome, UpstreamTokenError> {
        let now = self.0.clock.now();
        let fresh_jti = || self.0.rng.base64url::<16>();
        let claims = DpopClaims {
            htm: "POST",
            htu: post.endpoint.as_str(),
            jti: &fresh_jti(),
            iat: now,
            nonce,
            access_token: None,
        };
        let proof = HeaderValue::from_str(&dpop_proof(post.dpop, &claims)?)
            .map_err(|_| UpstreamTokenError::Malformed("the proof cannot be sent in a header"))?;
        let assertion = match post.me.auth {
            UpstreamAuthKey::None => None,
            UpstreamAuthKey::PrivateKeyJwt { key, kid } => Some(client_assertion(
                key,
                &ClientAssertion {
                    kid,
                    client_id: post.me.client_id,
                    audience: &post.server.issuer,
                    jti: &fresh_jti(),
                    iat: now,
                    lifetime_seconds: ASSERTION_SECONDS,
                },
            )?),
        };
        let headers = HeaderMap::from_iter([
            (DPOP, proof),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        ]);
        let call = Call {
            method: Method::POST,
            url: post.endpoint,
            accept: "application/json",
            headers,
            body: Some(form(post, assertion.as_ref())),
            shows: Shows::Address,
        };
        let room = self.0.http.room_for_tokens()?;
        let response = self.0.http.send(call).await?;
        let given = self.0.nonces.store(post.endpoint, response.headers(), now);
        let status = response.status();
        let status_says = status_error(&response);
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(status_says.into());
        }
        let headers = response.headers().clone();
        let body = read_into(room, response, HttpClient::TOKEN_CAP).await;
        if status.is_success() {
            let nonce = given.or_else(|| nonce.map(str::to_owned));
            return Ok(PostOutcome::Done(Answer { is_json: is_json(&headers), body: body?, nonce }));
        }
        let error = match body {
            Ok(body) => refusal(status.as_u16(), &headers, &body).unwrap_or(status_says.into()),
            Err(HttpError::TooLarge) => status_says.into(),
            Err(error) => error.into(),
        };
        Ok(PostOutcome::Refused { error, given })
    }
}

/// A form for one endpoint.
struct Post<'a> {
    server: &'a AuthorizationServer,
    endpoint: &'a Url,
    me: &'a UpstreamIdentity<'a>,
    dpop: &'a EcKey,
    nonce: Option<&'a str>,
    params: &'a [(&'static str, &'a str)],
}

/// Outcome of one attempt.
enum PostOutcome {
    Done(Answer),
    Refused { error: UpstreamTokenError, given: Option<String> },
}

/// A 2xx answer.
struct Answer {
    is_json: bool,
    body: Held,
    nonce: Option<String>,
}

impl Answer {
    fn json<T: DeserializeOwned>(&self) -> Result<T, UpstreamTokenError> {
        if !self.is_json {
            return Err(UpstreamTokenError::Malformed("it is not JSON"));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| UpstreamTokenError::Malformed("a member is missing or malformed"))
    }

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

/// Reads positive whole seconds, as a number or a string; `None` for anything else.
fn seconds(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    text.split('.').next()?.parse().ok().filter(|seconds| *seconds > 0)
}

/// The request's body; wiped once it is sent.
fn form(post: &Post<'_>, assertion: Option<&Secret>) -> Bytes {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(4096));
    form.append_pair("client_id", post.me.client_id.as_str());
    form.extend_pairs(post.params);
    if let Some(assertion) = assertion {
        form.append_pair("client_assertion_type", JWT_BEARER);
        form.append_pair("client_assertion", assertion.expose());
    }
    Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()))
}

/// Reads a refusal (RFC 6749 section 5.2, RFC 9449 sections 8 and 9). A 400 or 401 in JSON is one, whatever
/// its content.
fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> Option<UpstreamTokenError> {
    let body = serde_json::from_slice::<Map<String, Value>>(body).ok();
    let text = |name: &str| body.as_ref()?.get(name)?.as_str();
    let description = text("error_description").or_else(|| text("message")).map(|text| tame(text, 200));
    let wants_nonce = || challenge::errors(headers).iter().any(|error| error == USE_DPOP_NONCE);
    let error = match text("error") {
        Some(error) => tame(error, 64),
        None if status == 401 && wants_nonce() => USE_DPOP_NONCE.to_owned(),
        None if body.is_some() && matches!(status, 400 | 401) => UNNAMED.to_owned(),
        None => return None,
    };
    Some(UpstreamTokenError::OAuth { status, error, description })
}

/// The error code assumed for a server that sends none.
const UNNAMED: &str = "unnamed_error";

pub(crate) const USE_DPOP_NONCE: &str = "use_dpop_nonce";

fn wants_nonce(error: &UpstreamTokenError) -> bool {
    matches!(error, UpstreamTokenError::OAuth { status: 400 | 401, error, .. } if error == USE_DPOP_NONCE)
}

/// Sanitizes untrusted text for a log line: shortened, without control characters.
fn tame(text: &str, length: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(length).collect()
}
