//! One request to an authorization server: a form with a DPoP proof (RFC 9449) and client authentication.

use bytes::Bytes;
use causeway_jose::{DpopClaims, EcKey, dpop_proof};
use causeway_outbound::budget::Held;
use causeway_outbound::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use causeway_outbound::{
    Call, HttpClient, HttpError, Method, Shows, challenge, is_json, read_into, status_error,
};
use causeway_types::Secret;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::authentication::{JWT_BEARER, UpstreamIdentity};
use super::nonce::{DPOP, USE_DPOP_NONCE};
use crate::client::AtprotoClient;
use crate::error::UpstreamTokenError;
use crate::metadata::AuthorizationServer;

/// A form for one endpoint.
pub(super) struct Post<'a> {
    pub(super) server: &'a AuthorizationServer,
    pub(super) endpoint: &'a Url,
    pub(super) me: &'a UpstreamIdentity<'a>,
    pub(super) dpop: &'a EcKey,
    pub(super) nonce: Option<&'a str>,
    pub(super) params: &'a [(&'static str, &'a str)],
}

/// Outcome of one attempt.
enum PostOutcome {
    Done(Answer),
    Refused { error: UpstreamTokenError, given: Option<String> },
}

/// A 2xx answer.
pub(super) struct Answer {
    pub(super) is_json: bool,
    pub(super) body: Held,
    pub(super) nonce: Option<String>,
}

impl AtprotoClient {
    /// Sends a form with a DPoP proof and client authentication. Retries once when the server demands another
    /// nonce.
    pub(super) async fn post(&self, post: Post<'_>) -> Result<Answer, UpstreamTokenError> {
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
        let assertion = post.me.assertion(&post.server.issuer, &fresh_jti(), now)?;
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

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, UpstreamTokenError> {
        if !self.is_json {
            return Err(UpstreamTokenError::Malformed("it is not JSON"));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| UpstreamTokenError::Malformed("a member is missing or malformed"))
    }
}

/// Reads positive whole seconds, as a number or a string; `None` for anything else.
pub(super) fn seconds(value: &Value) -> Option<i64> {
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

fn wants_nonce(error: &UpstreamTokenError) -> bool {
    matches!(error, UpstreamTokenError::OAuth { status: 400 | 401, error, .. } if error == USE_DPOP_NONCE)
}

/// Sanitizes untrusted text for a log line: shortened, without control characters.
fn tame(text: &str, length: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(length).collect()
}
