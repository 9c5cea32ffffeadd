//! The steps at a token endpoint: sent, and their answers read.

use causeway_jose::{ClientAssertion, client_assertion};
use causeway_outbound::Shows;
use causeway_types::{Secret, UpstreamClientId};

use super::authentication::Proof;
use super::client::{ProviderClient, Reply};
use super::error::TokenError;
use super::refusal::{Refusal, RefusalMeaning};
use super::registered::{ClientCredential, SecretInUse};
use super::revocation::{Revoked, RevokedTokens, read_revocation, refuses_client};
use super::token_answer::{Received, TokenAnswer, TokenStep, read_token_answer};
use super::token_request::{CodeRedemption, RenewalTokens, TokenContext};
use crate::request::{ProviderRequest, RequestError};

/// Tokens that a provider issued, and the secret that it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Issued {
    /// The answer.
    pub answer: TokenAnswer,
    /// The secret of the registration that the provider took.
    pub secret: SecretInUse,
}

/// Seconds that an assertion lives.
const ASSERTION_SECONDS: i64 = 60;

impl ProviderClient {
    /// Redeems a code (RFC 6749 section 4.1.3).
    ///
    /// # Errors
    /// [`TokenError`].
    #[tracing::instrument(name = "provider.token.redeem", skip_all, fields(host = context.token_endpoint.host_str()))]
    pub async fn redeem(
        &self,
        context: &TokenContext<'_>,
        redemption: &CodeRedemption<'_>,
    ) -> Result<Issued, TokenError> {
        let verifier = Secret::new(redemption.verifier.expose());
        let secrets = [redemption.code, &verifier];
        self.issue(context, TokenStep::Code, &secrets, |proof| context.redemption(redemption, proof)).await
    }

    /// Exchanges a short-lived token for one that lives long; `None` where the provider has no such step.
    ///
    /// # Errors
    /// [`TokenError`].
    #[tracing::instrument(name = "provider.token.exchange", skip_all, fields(host = context.token_endpoint.host_str()))]
    pub async fn exchange(
        &self,
        context: &TokenContext<'_>,
        access_token: &Secret,
    ) -> Result<Option<Issued>, TokenError> {
        let Some(exchange) = &context.client.exchange else { return Ok(None) };
        let secrets = [access_token];
        let make = |proof: Proof<'_>| context.exchange(exchange, access_token, proof);
        self.issue(context, TokenStep::Exchange, &secrets, make).await.map(Some)
    }

    /// Renews credentials by what the definition says: with the refresh token, or with the access token itself.
    ///
    /// # Errors
    /// [`TokenError`]. [`TokenError::may_be_spent`] says whether the refresh token may be spent.
    #[tracing::instrument(name = "provider.token.refresh", skip_all, fields(host = context.token_endpoint.host_str()))]
    pub async fn refresh(
        &self,
        context: &TokenContext<'_>,
        tokens: &RenewalTokens<'_>,
    ) -> Result<Issued, TokenError> {
        let secrets: Vec<_> = [tokens.access_token].into_iter().chain(tokens.refresh_token).collect();
        self.issue(context, TokenStep::Refresh, &secrets, |proof| context.renewal(tokens, proof)).await
    }

    /// Gives tokens back. `discovered` is the revocation endpoint of the metadata, if there is one.
    ///
    /// # Errors
    /// [`TokenError::Http`] and [`TokenError::Request`].
    #[tracing::instrument(name = "provider.token.revoke", skip_all)]
    pub async fn revoke(
        &self,
        context: &TokenContext<'_>,
        discovered: Option<&url::Url>,
        tokens: &RevokedTokens<'_>,
    ) -> Result<Revoked, TokenError> {
        let next = context.registered.secret(SecretInUse::Next);
        let mut secret = context.registered.secret(SecretInUse::Current);
        loop {
            let assertion = self.assertion(context)?;
            let proof = Proof { secret, assertion: assertion.as_ref() };
            let Some(request) = context.revocation(discovered, tokens, proof)? else {
                return Ok(Revoked::NotPossible);
            };
            let reply = self.send_to_api(request, Shows::Address).await?;
            if refuses_client(reply.status, &reply.body) && next.is_some() && secret != next {
                secret = next;
                continue;
            }
            return Ok(read_revocation(context.client, reply.status, reply.retry_after, &reply.body));
        }
    }

    /// Sends the request of a step, and once more with the next secret of the registration if the provider refuses the
    /// current one: nothing is spent by such a refusal.
    pub(super) async fn issue(
        &self,
        context: &TokenContext<'_>,
        step: TokenStep,
        sent: &[&Secret],
        make: impl Fn(Proof<'_>) -> Result<ProviderRequest, RequestError>,
    ) -> Result<Issued, TokenError> {
        let mut which = SecretInUse::Current;
        loop {
            let assertion = self.assertion(context)?;
            let secret = context.registered.secret(which);
            let request = make(Proof { secret, assertion: assertion.as_ref() })?;
            let Reply { status, retry_after, body, at } = self.send_for_tokens(request).await?;
            let received = Received { status, retry_after, body: &body, at };
            let secrets: Vec<_> = sent.iter().copied().chain(secret).chain(&assertion).collect();
            match read_token_answer(context.client, step, received, &secrets) {
                Ok(answer) => {
                    note(&answer);
                    return Ok(Issued { answer, secret: which });
                }
                Err(refusal) => {
                    let next = context.registered.secret(SecretInUse::Next);
                    if which == SecretInUse::Next || next.is_none() || !refuses_secret(&refusal) {
                        return Err(TokenError::Refused(refusal));
                    }
                    which = SecretInUse::Next;
                }
            }
        }
    }

    /// A signed assertion (RFC 7523 section 2.2), if the registration has a key. A server accepts it once.
    fn assertion(&self, context: &TokenContext<'_>) -> Result<Option<Secret>, RequestError> {
        let ClientCredential::Key { key, kid } = context.registered.credential else { return Ok(None) };
        let assertion = ClientAssertion {
            kid,
            client_id: &UpstreamClientId::new(context.registered.client_id),
            audience: context.issuer.unwrap_or(context.token_endpoint.as_str()),
            jti: &self.rng.base64url::<16>(),
            iat: self.clock.now(),
            lifetime_seconds: ASSERTION_SECONDS,
        };
        Ok(Some(client_assertion(key, &assertion)?))
    }
}

/// Whether a provider refuses the secret, in the code of RFC 6749 or its own words.
fn refuses_secret(refusal: &Refusal) -> bool {
    let of_request = ["invalid_scope", "unsupported_grant_type", "invalid_request"];
    matches!(refusal.meaning, RefusalMeaning::Misconfigured | RefusalMeaning::Request)
        && !refusal.code.as_deref().is_some_and(|code| of_request.contains(&code))
}

/// Logs the non-secret properties of tokens. Fingerprints tell one token from the next.
fn note(answer: &TokenAnswer) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let tokens = answer.user.as_ref();
        tracing::debug!(
            access_token = tokens.map(|tokens| tokens.access_token.log_name()),
            refresh_token = tokens.and_then(|tokens| Some(tokens.refresh_token.as_ref()?.log_name())),
            pages = answer.pages.len(),
            "token response received"
        );
    }
    for flaw in &answer.flaws {
        tracing::debug!(%flaw, "the token response has a flaw");
    }
}
