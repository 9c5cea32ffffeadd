//! A provider with plain bearer tokens: the smallest kind that sessions are kept at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use causeway_domain::Clock as _;
use causeway_domain::session::{
    Binding, Cooldown, Credentials, OtherBinding, Pending, Policy, Renewal, SessionHead, UpstreamAccess,
};
use causeway_flow::Internal;
use causeway_flow::upstream::connect::{ConnectFailure, SignInError};
use causeway_flow::upstream::keeper::UsableSession;
use causeway_flow::upstream::relay::{CallError, RelayError, RelayRequest, RelayTarget};
use causeway_flow::upstream::traits::{
    Answer, BeginRequest, Begun, CallbackParams, Called, Completion, ConnectError, Connected, Injected, Kept,
    NewAccount, NewConnection, NoAnswer, Permit, PermitRequest, Purpose, Redeemed, RefusedAgain,
    RenewalFailure, Renewed, SignInRequest, Strip, Verdict,
};
use causeway_outbound::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use causeway_store::sessions::{self, upkeep};
use causeway_store::{StoreError, clients};
use causeway_types::{
    BrowserSessionId, ClientId, CodeVerifier, OauthState, Scope, Secret, SessionKind, SessionState,
    SystemRng, TenantId, UpstreamSessionId,
};
use serde_json::Value;
use url::Url;

use crate::{Agent, Environment, MockClock, ScriptedUpstream, TestApp};

/// The provider's name.
pub const BEARER: &str = "bearer";

/// The provider, over the endpoints of a [`ScriptedUpstream`].
#[derive(Debug)]
pub struct BearerProvider {
    environment: Environment,
    clock: MockClock,
    http: reqwest::Client,
    policy: Mutex<Policy>,
}

impl BearerProvider {
    /// The provider whose sessions have a refresh token that works once, as at a PDS.
    #[expect(clippy::disallowed_methods, reason = "it calls the scripted upstream only")]
    pub fn new(environment: &Environment, clock: MockClock) -> Arc<Self> {
        let renewal = Renewal::SingleUse { grace: None };
        let policy = Mutex::new(Policy { renewal, max_age: None, keep_alive: Some(86_400) });
        let (environment, http) = (environment.clone(), reqwest::Client::new());
        Arc::new(Self { environment, clock, http, policy })
    }

    /// Changes its policy from now on.
    pub fn set_policy(&self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn own_policy(&self) -> Policy {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, path: &str) -> Result<Url, Internal> {
        let url = Url::parse(&format!("{}{path}", self.environment.plc_url));
        url.map_err(|_| Internal::Inconsistent("the address of the provider is not a URL"))
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}{path}", self.environment.plc_url);
        self.http.post(url).form(form).timeout(self.environment.timeout).send().await
    }

    async fn end(&self, credentials: &Credentials) -> reqwest::Result<()> {
        let Some(token) = &credentials.refresh_token else { return Ok(()) };
        self.post("/oauth/revoke", &[("token", token.expose())]).await?.error_for_status().map(drop)
    }

    /// The credentials in an answer of the token endpoint, if there are any.
    fn credentials(&self, body: &Value, scope: &str) -> Option<Credentials> {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let now = self.clock.now();
        Some(Credentials {
            access: UpstreamAccess::Bearer(Secret::new(text("access_token")?)),
            refresh_token: text("refresh_token").map(Secret::new),
            created_at: now,
            expires_at: body["expires_in"].as_i64().map(|seconds| now.plus(seconds)),
            scope: text("scope").unwrap_or_else(|| scope.to_owned()),
        })
    }
}

#[async_trait]
impl Connected for BearerProvider {
    async fn begin(&self, request: &BeginRequest<'_>) -> Result<Begun, SignInError> {
        let sign_in = request.sign_in().map_err(Internal::from)?;
        let verifier = CodeVerifier::random(&SystemRng);
        let mut url = self.at("/bearer/authorize")?;
        url.query_pairs_mut()
            .append_pair("redirect_uri", "http://127.0.0.1/connect/bearer/callback")
            .append_pair("state", request.state.as_str())
            .append_pair("code_challenge", verifier.challenge().as_str())
            .append_pair("scope", "read")
            .append_pair("sub", sign_in.named);
        let pending = Pending::Other { provider: BEARER.to_owned(), data: Secret::new(verifier.expose()) };
        Ok(Begun { url, pending, asked_again: false, registration_id: None })
    }

    async fn redeem(&self, completion: &Completion<'_>) -> Result<Redeemed, ConnectError> {
        let (Pending::Other { data: verifier, .. }, Some(code)) =
            (completion.pending, &completion.answer.code)
        else {
            return Err(ConnectFailure::Refused.into());
        };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("code_verifier", verifier.expose()),
        ];
        let unavailable = |_| ConnectFailure::Unavailable;
        let answer = self.post("/bearer/token", &form).await.map_err(unavailable)?;
        Ok(Redeemed::Other(Secret::new(answer.text().await.map_err(unavailable)?)))
    }

    async fn identify(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<NewConnection, ConnectError> {
        let body = issued(redeemed)?;
        let credentials = self.credentials(&body, "").ok_or(ConnectFailure::Refused)?;
        let subject = body["sub"].as_str().ok_or(ConnectFailure::Malformed)?.to_owned();
        if !completion.subjects.is_empty() && !completion.subjects.contains(&subject.as_str()) {
            return Err(ConnectFailure::OtherAccount.into());
        }
        Ok(NewConnection { binding: binding(subject), credentials, account: NewAccount::default() })
    }

    async fn give_back(&self, _: &TenantId, redeemed: &Redeemed) -> Result<(), NoAnswer> {
        let body = issued(redeemed).map_err(NoAnswer::because)?;
        match self.credentials(&body, "") {
            Some(credentials) => self.end(&credentials).await.map_err(NoAnswer::because),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Kept for BearerProvider {
    fn policy(&self, _: &SessionHead, credentials: &Credentials) -> Policy {
        self.own_policy().for_credentials(credentials)
    }

    async fn renew(&self, _: &SessionHead, credentials: &Credentials) -> Result<Renewed, RenewalFailure> {
        let passing = |_| RenewalFailure::Passing { retry_after: None };
        let spent = match (&credentials.refresh_token, &credentials.access) {
            (Some(refresh), _) => ("refresh_token", refresh),
            (None, access) => ("access_token", access.secret()),
        };
        let form = [("grant_type", "refresh_token"), (spent.0, spent.1.expose())];
        let answer = self.post("/bearer/token", &form).await.map_err(passing)?;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body: Value = answer.json().await.map_err(passing)?;
        match (self.credentials(&body, &credentials.scope), body["error"].as_str()) {
            (Some(mut renewed), _) => {
                if credentials.refresh_token.is_none() {
                    renewed.refresh_token = None;
                }
                Ok(Renewed { credentials: renewed, flaw: None, update: None, onto: None })
            }
            (None, Some("invalid_grant")) => Err(RenewalFailure::Over { with: "invalid_grant".to_owned() }),
            _ => Err(RenewalFailure::Passing { retry_after }),
        }
    }

    async fn revoke(&self, _: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer> {
        self.end(credentials).await.map_err(NoAnswer::because)
    }

    fn sign_in_url(&self, issuer: &str, head: &SessionHead) -> String {
        format!("{issuer}/connect/{BEARER}?client_id={}", head.client_id)
    }
}

#[async_trait]
impl Called for BearerProvider {
    async fn permit(&self, call: &PermitRequest<'_>, _: &mut RelayRequest) -> Result<Permit, RelayError> {
        let (own, granted) = (call.scope.to_string(), call.live.credentials.scope.as_str());
        if !own.split(' ').any(|value| value == granted) {
            return Err(RelayError::TokenScope { scope: granted.to_owned() });
        }
        Ok(Permit { strip: Strip::Nothing, may_be_page: true, refused_again: RefusedAgain::Error })
    }

    fn inject(
        &self,
        live: &UsableSession,
        request: &RelayRequest,
        _: Option<&str>,
        headers: &mut HeaderMap,
    ) -> Result<Injected, CallError> {
        let RelayTarget::Path { path, .. } = &request.target else {
            return Err(Internal::Inconsistent("not a call to this provider").into());
        };
        let token = format!("Bearer {}", live.credentials.access.secret().expose());
        let token = HeaderValue::from_str(&token).map_err(|_| CallError::Refused("header".to_owned()))?;
        headers.insert(AUTHORIZATION, token);
        let url = self.at(&format!("/bearer/api{path}?{}", request.query))?;
        Ok(Injected { url, challenge: None, may_redirect: false, shows_path: true, body: None })
    }

    fn examine(&self, _: &RelayRequest, answer: Answer<'_>) -> Verdict {
        if answer.status == 401 { Verdict::CredentialsRefused } else { Verdict::Pass }
    }
}

/// The token answer.
fn issued(redeemed: &Redeemed) -> Result<Value, ConnectError> {
    let malformed = |_| ConnectFailure::Malformed;
    Ok(serde_json::from_str(redeemed.other()?.expose()).map_err(malformed)?)
}

fn binding(subject: String) -> Binding {
    Binding::Other(OtherBinding {
        provider: BEARER.to_owned(),
        subject,
        data: "{}".to_owned(),
        idle_seconds: None,
    })
}

impl TestApp {
    /// Begins a session of a client at the [`BearerProvider`], active, for a user of this name.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn begin_bearer_session(
        &self,
        upstream: &ScriptedUpstream,
        client_id: &str,
        subject: &str,
        kind: SessionKind,
    ) -> Result<SessionHead> {
        let (now, renewal) = (self.ctx.now(), self.provider.own_policy().renewal);
        let (token, refresh) = upstream.grant(subject);
        let has_refresh_token = matches!(renewal, Renewal::SingleUse { .. } | Renewal::Reusable);
        let credentials = Credentials {
            access: UpstreamAccess::Bearer(Secret::new(token)),
            refresh_token: has_refresh_token.then(|| Secret::new(refresh)),
            created_at: now,
            expires_at: Some(now.plus(3600)),
            scope: "read".to_owned(),
        };
        let account = NewAccount::default();
        let connection = NewConnection { binding: binding(subject.to_owned()), credentials, account };
        self.store_bearer_session(client_id, connection, kind).await
    }

    /// Connects a user's account at the [`BearerProvider`] to a client, as its user does in a browser.
    ///
    /// # Errors
    /// When it is not connected.
    pub async fn connect_bearer(
        &self,
        client_id: &str,
        subject: &str,
        kind: SessionKind,
    ) -> Result<SessionHead> {
        let id = ClientId::new(client_id);
        let find = move |c: &mut _| clients::find_client(c, &TenantId::default_tenant(), &id);
        let client = self.store().read::<_, StoreError, _>(find).await?.context("no such client")?;
        let state = OauthState::random(&SystemRng);
        let request = BeginRequest {
            client: &client,
            state: &state,
            purpose: Purpose::SignIn(SignInRequest {
                scope: &Scope::default(),
                named: subject,
                is_chosen: true,
                login: false,
                select_account: false,
                required: None,
            }),
        };
        let (begun_at, begun) = (self.ctx.now(), self.provider.begin(&request).await?);
        let back = Agent::default().get(begun.url.as_str()).await?.location().context("no way back")?;
        let params: BTreeMap<_, _> = Url::parse(&back)?.query_pairs().into_owned().collect();
        ensure!(params.get("state").is_some_and(|given| given == state.as_str()), "{params:?}");
        let code = params.get("code").map(|code| Secret::new(code.as_str()));
        let completion = Completion {
            tenant_id: &TenantId::default_tenant(),
            pending: &begun.pending,
            answer: &CallbackParams { code, ..CallbackParams::default() },
            subjects: &[subject],
            begun_at,
        };
        let redeemed = self.provider.redeem(&completion).await?;
        let identified = self.provider.identify(&completion, &redeemed).await;
        if identified.is_err() {
            self.provider.give_back(completion.tenant_id, &redeemed).await?;
        }
        let connection = identified?;
        self.store_bearer_session(client_id, connection, kind).await
    }

    async fn store_bearer_session(
        &self,
        client_id: &str,
        connection: NewConnection,
        kind: SessionKind,
    ) -> Result<SessionHead> {
        let (now, NewConnection { binding, credentials, .. }) = (self.ctx.now(), connection);
        let head = SessionHead {
            session_id: UpstreamSessionId::issued(&SystemRng, now.into()),
            tenant_id: TenantId::default_tenant(),
            client_id: ClientId::new(client_id),
            kind,
            state: SessionState::Pending,
            browser_id: BrowserSessionId::new("browser"),
            iteration: 1,
            binding,
            created_at: now,
            last_used_at: now,
            cooldown: Cooldown::default(),
            correlation_id: None,
        };
        let policy = self.provider.policy(&head, &credentials);
        let (ring, row) = (self.ring.clone(), head.clone());
        self.store()
            .write::<_, StoreError, _>(move |c| {
                sessions::insert_session(c, &ring, &row, &credentials)?;
                sessions::activate_session(c, &row.session_id, &Scope::default(), None, now)?;
                match policy.keep_alive_at(now, 0) {
                    Some(due) => upkeep::schedule_refresh(c, &row.session_id, due),
                    None => Ok(()),
                }
            })
            .await?;
        Ok(SessionHead { state: SessionState::Active, ..head })
    }
}
