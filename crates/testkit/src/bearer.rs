//! A provider with plain bearer tokens: the smallest kind that the keeper keeps sessions at.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use async_trait::async_trait;
use causeway_domain::Clock as _;
use causeway_domain::session::{
    Binding, Cooldown, Credentials, OtherBinding, Policy, Renewal, SessionHead, UpstreamAccess,
};
use causeway_flow::upstream::traits::{Kept, NoAnswer, RenewalFailure, Renewed};
use causeway_store::StoreError;
use causeway_store::sessions::{self, upkeep};
use causeway_types::{
    BrowserSessionId, ClientId, Scope, Secret, SessionKind, SessionState, SystemRng, TenantId,
    UpstreamSessionId,
};
use serde_json::Value;

use crate::{Environment, MockClock, ScriptedUpstream, TestApp};

/// The provider's name.
pub const BEARER: &str = "bearer";

/// The provider, over the token endpoint of a [`ScriptedUpstream`].
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

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}{path}", self.environment.plc_url);
        self.http.post(url).form(form).timeout(self.environment.timeout).send().await
    }
}

#[async_trait]
impl Kept for BearerProvider {
    fn policy(&self, _: &SessionHead) -> Policy {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew(&self, _: &SessionHead, credentials: &Credentials) -> Result<Renewed, RenewalFailure> {
        let passing = |_| RenewalFailure::Passing { retry_after: None };
        let spent = match (&credentials.refresh_token, &credentials.access) {
            (Some(refresh), _) => ("refresh_token", refresh),
            (None, UpstreamAccess::Bearer(token)) => ("access_token", token),
            (None, _) => return Err(RenewalFailure::Passing { retry_after: None }),
        };
        let form = [("grant_type", "refresh_token"), (spent.0, spent.1.expose())];
        let answer = self.post("/bearer/token", &form).await.map_err(passing)?;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body: Value = answer.json().await.map_err(passing)?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        match (text("access_token"), text("error")) {
            (Some(token), _) => {
                let now = self.clock.now();
                Ok(Renewed {
                    credentials: Credentials {
                        access: UpstreamAccess::Bearer(Secret::new(token)),
                        refresh_token: credentials
                            .refresh_token
                            .as_ref()
                            .and_then(|_| text("refresh_token"))
                            .map(Secret::new),
                        created_at: now,
                        expires_at: body["expires_in"].as_i64().map(|seconds| now.plus(seconds)),
                        scope: text("scope").unwrap_or_else(|| credentials.scope.clone()),
                    },
                    flaw: None,
                })
            }
            (None, Some(with)) if with == "invalid_grant" => Err(RenewalFailure::Over { with }),
            _ => Err(RenewalFailure::Passing { retry_after }),
        }
    }

    async fn revoke(&self, _: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer> {
        let Some(token) = &credentials.refresh_token else { return Ok(()) };
        let answer = self.post("/oauth/revoke", &[("token", token.expose())]).await;
        answer.and_then(reqwest::Response::error_for_status).map_err(NoAnswer::because).map(drop)
    }

    fn sign_in_url(&self, issuer: &str, head: &SessionHead) -> String {
        format!("{issuer}/connect/{BEARER}?client_id={}", head.client_id)
    }
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
        let (now, policy) =
            (self.ctx.now(), *self.provider.policy.lock().unwrap_or_else(PoisonError::into_inner));
        let head = SessionHead {
            session_id: UpstreamSessionId::issued(&SystemRng, now.into()),
            tenant_id: TenantId::default_tenant(),
            client_id: ClientId::new(client_id),
            kind,
            state: SessionState::Pending,
            browser_id: BrowserSessionId::new("browser"),
            iteration: 1,
            binding: Binding::Other(OtherBinding {
                provider: BEARER.to_owned(),
                subject: subject.to_owned(),
                data: "{}".to_owned(),
            }),
            created_at: now,
            last_used_at: now,
            cooldown: Cooldown::default(),
            correlation_id: None,
        };
        let (token, refresh) = upstream.grant(subject);
        let has_refresh_token = matches!(policy.renewal, Renewal::SingleUse { .. } | Renewal::Reusable);
        let credentials = Credentials {
            access: UpstreamAccess::Bearer(Secret::new(token)),
            refresh_token: has_refresh_token.then(|| Secret::new(refresh)),
            created_at: now,
            expires_at: Some(now.plus(3600)),
            scope: "read".to_owned(),
        };
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
