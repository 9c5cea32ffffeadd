//! How sites are called: at the addresses of the definition, with the cookies of the session and its token where the
//! definition places it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_domain::session::{OtherKind, SessionHead};
use causeway_outbound::header::{
    CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
};
use causeway_outbound::retry_after;
use causeway_providers::form::{SessionChange, SiteContext, changes};
use causeway_providers::relay::{
    AnswerMeaning, CallAnswer, CallCredential, NotStripped, RelayPath, examine, inject, needs_body,
    reads_body, strip, with_members,
};
use causeway_providers::{CredentialKind, Relay, WaitScope};
use url::{Position, Url};

use super::binding::FormBinding;
use super::{FormProvider, site_session, with_session};
use crate::error::Internal;
use crate::upstream::oauth2::relaying::{
    MAKE_UNREADABLE, check_body, has_credentials, may_be_examined, strip_headers_of,
};
use crate::upstream::relay::error::{CallError, RelayError};
use crate::upstream::relay::request::{CheckedTarget, RelayBody, RelayRequest, RelayTarget};
use crate::upstream::traits::{
    Answer, Called, CredentialsUpdate, Injected, PassingHeaders, Permit, PermitRequest, RefusedAgain, Strip,
    Verdict,
};
use crate::upstream::usable::UsableSession;

#[async_trait]
impl Called for FormProvider {
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
        let relay = &self.form()?.relay;
        let RelayTarget::Path { path, origin } = &request.target else { return Err(OtherKind.into()) };
        let path_and_query = match request.query.as_str() {
            "" => path.clone(),
            query => format!("{path}?{query}"),
        };
        let origin = origin.clone();
        check_body(relay, request)?;
        let target = self.unchecked(&call.live.head)?;
        let path = RelayPath { path_and_query: &path_and_query, origin: origin.as_deref() };
        let url = target.targets(relay).check(path)?;
        request.target = RelayTarget::Checked(Arc::new(CheckedTarget { url, ..target }));
        let strip = if has_credentials(relay) { Strip::ByDefinition } else { Strip::Nothing };
        if strip != Strip::Nothing || may_be_examined(relay) {
            request.headers.retain(|(name, _)| !MAKE_UNREADABLE.contains(name));
        }
        Ok(Permit { strip, may_be_page: true, refused_again: RefusedAgain::RequireReauth })
    }

    fn reads_body(&self, content_type: Option<&str>) -> bool {
        self.relay().is_some_and(|relay| reads_body(relay, content_type))
    }

    fn inject(
        &self,
        live: &UsableSession,
        request: &RelayRequest,
        _: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<Injected, CallError> {
        let (relay, target) = (&self.form()?.relay, request.checked()?);
        let (binding, session) = (FormBinding::of(&live.head)?, site_session(&live.credentials)?);
        let fingerprint = causeway_types::Secret::new(binding.fingerprint);
        let mut secrets = vec![("fingerprint", &fingerprint)];
        secrets.extend(session.token.as_ref().map(|token| ("token", token)));
        let fields = &target.fields;
        let credential =
            CallCredential { secrets: &secrets, account: None, client_id: None, extras: None, fields };
        let injected = inject(relay, &credential).map_err(|error| {
            tracing::error!(%error, provider = self.name, "the credential cannot be placed in a call");
            Internal::Inconsistent("the credential cannot be placed in a call")
        })?;
        let mut url = target.url.clone();
        let own = session.cookies.header(&target.url, self.clock.now());
        let cookies: Vec<&str> = own.iter().map(|own| own.as_str()).filter(|text| !text.is_empty()).collect();
        let more = injected.cookies();
        let cookies = cookies.into_iter().chain([more.as_str()]).filter(|text| !text.is_empty());
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        if !cookies.is_empty() {
            let value = HeaderValue::from_str(&cookies);
            let mut value = value.map_err(|_| Internal::Inconsistent("the cookies cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
        let body = with_credential(&injected, request, headers);
        injected.apply(&mut url, headers);
        Ok(Injected { url, challenge: None, may_redirect: true, shows_path: false, body })
    }

    fn examine(&self, _: &RelayRequest, answer: Answer<'_>) -> Verdict {
        let Some(relay) = self.relay() else { return Verdict::Pass };
        let Answer { status, headers, body, .. } = answer;
        if body.is_none() && needs_body(relay, status) {
            return Verdict::ReadShortBody;
        }
        let retry_after = retry_after(headers);
        let answer = CallAnswer { status, retry_after, body, credential: CredentialKind::User };
        match examine(relay, &answer) {
            AnswerMeaning::Pass => Verdict::Pass,
            AnswerMeaning::Unauthorized | AnswerMeaning::Refused => Verdict::CredentialsRefused,
            AnswerMeaning::ActionRequired => Verdict::ActionRequired,
            AnswerMeaning::Wait { scope, retry_after } => {
                Verdict::Wait { whole_app: scope == WaitScope::App, retry_after }
            }
        }
    }

    /// The cookies of any answer, on to those that are there when they are stored.
    fn absorb(&self, live: &UsableSession, url: &Url, headers: &HeaderMap) -> Option<CredentialsUpdate> {
        if !headers.contains_key(SET_COOKIE) {
            return None;
        }
        let now = self.clock.now();
        let cookies = changes(url, headers, now);
        let (change, iteration) = (SessionChange { token: None, cookies }, live.head.iteration);
        let before = site_session(&live.credentials).ok()?;
        if before.clone().with(&change, iteration, now) == before {
            return None;
        }
        Some(CredentialsUpdate::new(move |current| {
            with_session(current, &site_session(current)?.with(&change, iteration, now))
        }))
    }

    /// Redirects inside the origins that may be called are followed, with the cookies for that address.
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

    fn strip(&self, body: &[u8]) -> Result<Option<Vec<u8>>, NotStripped> {
        self.relay().map_or(Ok(None), |relay| strip(relay, body))
    }

    fn strip_headers(&self, headers: &mut HeaderMap) {
        // They are in the session, and nobody else's.
        headers.remove(SET_COOKIE);
        if let Some(relay) = self.relay() {
            strip_headers_of(relay, headers);
        }
    }
}

impl FormProvider {
    fn relay(&self) -> Option<&Relay> {
        self.form().ok().map(|form| &form.relay)
    }

    /// Everything about the target of a connection's calls but the address.
    fn unchecked(&self, head: &SessionHead) -> Result<CheckedTarget, Internal> {
        let form = self.form()?;
        let binding = FormBinding::of(head)?;
        let fields = binding.field_values();
        let context = SiteContext { form, fields: &fields, fingerprint: &binding.fingerprint };
        let endpoints = context.endpoints();
        let endpoints =
            endpoints.map_err(|_| Internal::Inconsistent("an address of a site cannot be filled"))?;
        let url = endpoints.first().cloned().ok_or(Internal::Inconsistent("a site has no address"))?;
        Ok(CheckedTarget {
            url,
            endpoints,
            account: None,
            credential: CredentialKind::User,
            client_id: String::new(),
            client_secret: None,
            fields,
        })
    }
}

/// The body with the token in it, where the definition puts it there. A body that says nothing of its kind stays as it is,
/// and so does one of a call without effect.
fn with_credential(
    injected: &causeway_providers::relay::InjectedCredential,
    request: &RelayRequest,
    headers: &mut HeaderMap,
) -> Option<Bytes> {
    injected.body().next()?;
    if request.method.is_safe() {
        return None;
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match &request.body {
        RelayBody::Whole(body) if !body.is_empty() => {
            with_members(content_type.as_deref(), body, injected.body())
        }
        RelayBody::Whole(_) | RelayBody::Empty => {
            const JSON: &str = "application/json";
            headers.insert::<HeaderName>(CONTENT_TYPE, HeaderValue::from_static(JSON));
            with_members(Some(JSON), b"{}", injected.body())
        }
        RelayBody::Stream { .. } | RelayBody::Spent => None,
    }
}
