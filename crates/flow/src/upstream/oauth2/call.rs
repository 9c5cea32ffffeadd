//! How these providers are called: at the addresses of the definition, with the credential where the definition places it.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_domain::connection::Registration;
use causeway_domain::session::{OtherKind, SessionHead};
use causeway_outbound::header::{HeaderMap, LOCATION};
use causeway_outbound::retry_after;
use causeway_providers::oauth::{ApiError, endpoints};
use causeway_providers::relay::{
    self, AnswerMeaning, CallAnswer, CallCredential, NotStripped, RelayPath, TargetError, examine, inject,
    needs_body, strip,
};
use causeway_providers::{CredentialKind, FillError, Identity, OauthClient, Relay, RequestError, WaitScope};
use causeway_types::Secret;
use url::{Position, Url};

use super::OauthProvider;
use super::binding::OauthBinding;
use super::relaying::{MAKE_UNREADABLE, check_body, has_credentials, may_be_examined, strip_headers_of};
use crate::error::Internal;
use crate::upstream::relay::connection::CalledConnection;
use crate::upstream::relay::error::{CallError, RelayError};
use crate::upstream::relay::request::{CheckedTarget, RelayRequest, RelayTarget};
use crate::upstream::traits::{
    Answer, Called, Injected, PassingHeaders, Permit, PermitRequest, RefusedAgain, Strip, Verdict, Verified,
};
use crate::upstream::usable::UsableSession;

#[async_trait]
impl Called for OauthProvider {
    fn passing_headers(&self) -> Option<PassingHeaders> {
        let relay = self.relay()?;
        let names = |headers: &[causeway_providers::HeaderName]| {
            headers.iter().map(|name| name.as_str().to_ascii_lowercase()).collect()
        };
        Some(PassingHeaders {
            request: names(&relay.request_headers),
            answer: names(&relay.response_headers),
        })
    }

    async fn permit(
        &self,
        call: &PermitRequest<'_>,
        request: &mut RelayRequest,
    ) -> Result<Permit, RelayError> {
        let (client, relay) = self.client_and_relay()?;
        let (RelayTarget::Path { path, origin }, Some(connection)) = (&request.target, call.connection)
        else {
            return Err(OtherKind.into());
        };
        let path_and_query = match request.query.as_str() {
            "" => path.clone(),
            query => format!("{path}?{query}"),
        };
        let origin = origin.clone();
        check_body(relay, request)?;
        let target = self.unchecked(client, &call.live.head, connection).await?;
        let path = RelayPath { path_and_query: &path_and_query, origin: origin.as_deref() };
        let url = target.targets(relay).check(path).map_err(|error| match error {
            TargetError::Value(FillError::Missing(name)) if name.as_str() == "account" => {
                RelayError::NoAccount
            }
            error => error.into(),
        })?;
        request.target = RelayTarget::Checked(Arc::new(CheckedTarget { url, ..target }));
        let strip = if has_credentials(relay) { Strip::ByDefinition } else { Strip::Nothing };
        if strip != Strip::Nothing || may_be_examined(relay) {
            request.headers.retain(|(name, _)| !MAKE_UNREADABLE.contains(name));
        }
        Ok(Permit { strip, may_be_page: true, refused_again: RefusedAgain::RequireReauth })
    }

    fn reads_body(&self, content_type: Option<&str>) -> bool {
        self.relay().is_some_and(|relay| relay::reads_body(relay, content_type))
    }

    fn inject(
        &self,
        live: &UsableSession,
        request: &RelayRequest,
        _: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<Injected, CallError> {
        let ((client, relay), target) = (self.client_and_relay()?, request.checked()?);
        let credential = CallCredential {
            secrets: &[("token", live.credentials.access.secret())],
            account: target.account.as_deref(),
            client_id: Some(&target.client_id),
            extras: client.extras.zip(target.client_secret.as_ref()),
            fields: &target.fields,
        };
        let injected = inject(relay, &credential).map_err(|error| match error {
            RequestError::NoValue(name) if name.as_str() == "account" => CallError::NoAccount,
            error => {
                tracing::error!(%error, provider = self.name, "the credential cannot be placed in a call");
                Internal::Inconsistent("the credential cannot be placed in a call").into()
            }
        })?;
        let mut url = target.url.clone();
        injected.apply(&mut url, headers);
        Ok(Injected { url, challenge: None, may_redirect: true, shows_path: false, body: None })
    }

    fn examine(&self, request: &RelayRequest, answer: Answer<'_>) -> Verdict {
        let (Some(relay), Ok(target)) = (self.relay(), request.checked()) else { return Verdict::Pass };
        let Answer { status, headers, body, .. } = answer;
        if body.is_none() && needs_body(relay, status) {
            return Verdict::ReadShortBody;
        }
        let retry_after = retry_after(headers);
        let answer = CallAnswer { status, retry_after, body, credential: target.credential };
        match examine(relay, &answer) {
            AnswerMeaning::Pass => Verdict::Pass,
            AnswerMeaning::Unauthorized if self.can_verify() => Verdict::MaybeRefused,
            AnswerMeaning::Unauthorized | AnswerMeaning::Refused => Verdict::CredentialsRefused,
            AnswerMeaning::ActionRequired => Verdict::ActionRequired,
            AnswerMeaning::Wait { scope, retry_after } => {
                Verdict::Wait { whole_app: scope == WaitScope::App, retry_after }
            }
        }
    }

    /// Redirects inside the origins that may be called are followed, with the credential set anew.
    fn follow(&self, request: &RelayRequest, answer: Answer<'_>) -> Option<RelayTarget> {
        let (relay, target) = (self.relay()?, request.checked().ok()?);
        let mut to = target.url.join(answer.headers.get(LOCATION)?.to_str().ok()?).ok()?;
        to.set_fragment(None);
        let is_plain = to.username().is_empty() && to.password().is_none();
        let origin = to.origin().ascii_serialization();
        let path = RelayPath { path_and_query: &to[Position::BeforePath..], origin: Some(&origin) };
        let url = target.targets(relay).check(path).ok().filter(|_| is_plain)?;
        Some(RelayTarget::Checked(Arc::new(CheckedTarget { url, ..CheckedTarget::clone(target) })))
    }

    fn accounts_have_credentials(&self) -> bool {
        self.oauth().is_some_and(OauthClient::accounts_have_tokens)
    }

    /// By the identity endpoint of the definition. Where it has none, nothing tells.
    async fn verify(
        &self,
        live: &UsableSession,
        connection: &CalledConnection,
    ) -> Result<Verified, Internal> {
        let client = self.client_definition()?;
        let target = self.unchecked(client, &live.head, connection).await?;
        let has_own = target.credential == CredentialKind::Page;
        let credential = CallCredential {
            secrets: &[("token", live.credentials.access.secret())],
            account: None,
            client_id: Some(&target.client_id),
            extras: client.extras.zip(target.client_secret.as_ref()),
            fields: &target.fields,
        };
        Ok(match self.client.identity(client, &credential).await {
            // The provider may name a managed account or its user for a credential of its own.
            Ok(Some(account)) if has_own || account.subject == live.head.subject() => Verified::Live,
            Ok(Some(_)) => {
                tracing::warn!(connection = %live.head.session_id, "the provider names another account");
                Verified::Unknown
            }
            Ok(None) => Verified::Unknown,
            Err(ApiError::Refused { .. }) => Verified::Refused,
            Err(error) => {
                tracing::info!(%error, connection = %live.head.session_id, "the provider does not say whether it takes the credentials");
                Verified::Unknown
            }
        })
    }

    fn strip(&self, body: &[u8]) -> Result<Option<Vec<u8>>, NotStripped> {
        self.relay().map_or(Ok(None), |relay| strip(relay, body))
    }

    fn strip_headers(&self, headers: &mut HeaderMap) {
        if let Some(relay) = self.relay() {
            strip_headers_of(relay, headers);
        }
    }
}

impl OauthProvider {
    fn relay(&self) -> Option<&Relay> {
        self.oauth()?.relay.as_ref()
    }

    /// Whether there is an endpoint that tells whether a credential is taken.
    fn can_verify(&self) -> bool {
        self.oauth().is_some_and(|client| matches!(client.identity, Identity::Url { .. }))
    }

    fn client_and_relay(&self) -> Result<(&OauthClient, &Relay), Internal> {
        let client = self.client_definition()?;
        Ok((client, client.relay.as_ref().ok_or(Internal::Inconsistent("the provider has no relay"))?))
    }

    /// Everything about the target of a connection's calls but the address.
    async fn unchecked(
        &self,
        client: &OauthClient,
        head: &SessionHead,
        connection: &CalledConnection,
    ) -> Result<CheckedTarget, Internal> {
        let binding = OauthBinding::of(head)?;
        let registration = connection.registration.as_ref();
        let registration =
            registration.ok_or(Internal::Inconsistent("the registration of a connection is missing"))?;
        let fields = binding.field_values();
        let client_id = registration.client_id.as_str().to_owned();
        let bound: Vec<&Url> = [&binding.authorization_endpoint, &binding.token_endpoint]
            .into_iter()
            .chain(&binding.revocation_endpoint)
            .chain(&binding.introspection_endpoint)
            .collect();
        let account = connection.account.as_ref();
        let has_own = account.is_some_and(|account| account.credential.is_some());
        Ok(CheckedTarget {
            url: binding.token_endpoint.clone(),
            endpoints: endpoints(client, &bound, &fields, &client_id),
            account: account.map(|account| account.subject.clone()),
            credential: if has_own { CredentialKind::Page } else { CredentialKind::User },
            client_secret: self.secret_for_calls(client, head, registration).await?,
            fields,
            client_id,
        })
    }

    /// Our secret, where calls have to be proven with it.
    async fn secret_for_calls(
        &self,
        client: &OauthClient,
        head: &SessionHead,
        registration: &Registration,
    ) -> Result<Option<Secret>, Internal> {
        if client.extras.is_none() || registration.client_secret.is_some() {
            return Ok(registration.client_secret.clone().filter(|_| client.extras.is_some()));
        }
        // It is not in the database: a setting has it.
        let found = self.registrations.find(&head.tenant_id, &registration.registration_id).await?;
        Ok(found.and_then(|registration| registration.client_secret))
    }
}
