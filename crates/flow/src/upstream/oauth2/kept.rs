//! How connections at these providers are kept.

use async_trait::async_trait;
use causeway_domain::connection::{Registration, RegistrationState};
use causeway_domain::session::{Credentials, Policy, Renewal, SessionHead};
use causeway_providers::oauth::{Flaw, RefusalMeaning, RenewalTokens, TokenContext, TokenError};
use causeway_providers::{FieldValues, OauthClient, Renewal as Means, Rotation, Seconds};
use causeway_store::connections::reconnect;

use super::OauthProvider;
use super::binding::OauthBinding;
use super::registrations::{PROBE_SECONDS, registered};
use super::stored::owned;
use crate::error::Internal;
use crate::upstream::traits::{BindingUpdate, Kept, NoAnswer, RenewalFailure, Renewed};

/// Seconds after which an unused connection is renewed where the definition does not say when access ends that is not.
const KEEP_ALIVE_SECONDS: i64 = 7 * 86_400;

#[async_trait]
impl Kept for OauthProvider {
    fn policy(&self, _: &SessionHead, credentials: &Credentials) -> Policy {
        let Some(client) = self.oauth() else {
            return Policy { renewal: Renewal::None, max_age: None, keep_alive: None };
        };
        policy_of(client).for_credentials(credentials)
    }

    async fn renew(&self, head: &SessionHead, credentials: &Credentials) -> Result<Renewed, RenewalFailure> {
        let bound = self.bound(head).await?;
        let client = self.client_definition()?;
        self.check_pause(head, &bound, credentials).await?;
        let fields = bound.binding.field_values();
        let context = bound.context(client, &fields);
        let tokens = RenewalTokens {
            access_token: credentials.access.secret(),
            refresh_token: credentials.refresh_token.as_ref(),
            scope: &credentials.scope,
        };
        let issued = match self.client.refresh(&context, &tokens).await {
            Ok(issued) => issued,
            Err(error) => return Err(self.failed(head, &bound, &error).await),
        };
        self.note_accepted(&head.tenant_id, &bound.registration, issued.secret).await;
        let answer = issued.answer;
        let flaw = answer.flaws.iter().find_map(|flaw| match flaw {
            Flaw::Bound => Some("token_type is DPoP"),
            _ => None,
        });
        let Some(tokens) = answer.user else {
            return Err(RenewalFailure::Passing { retry_after: None });
        };
        let credentials = tokens.credentials(credentials.refresh_token.as_ref(), &credentials.scope);
        let update = captured(head, bound.binding, &answer.captured)?;
        Ok(Renewed { credentials, flaw, update, onto: None })
    }

    async fn revoke(&self, head: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer> {
        self.revoke_session(head, credentials).await
    }

    fn sign_in_url(&self, issuer: &str, _: &SessionHead) -> String {
        // Its client makes a connect session, which has an address of its own.
        format!("{issuer}/api/connect-sessions")
    }
}

/// A connection's binding with its registration as it is now.
pub(crate) struct Bound {
    pub(crate) binding: OauthBinding,
    pub(crate) registration: Registration,
}

impl Bound {
    /// Whom tokens are requested from, and as whom.
    pub(crate) fn context<'a>(
        &'a self,
        client: &'a OauthClient,
        fields: &'a FieldValues,
    ) -> TokenContext<'a> {
        TokenContext {
            client,
            registered: registered(&self.registration),
            token_endpoint: &self.binding.token_endpoint,
            issuer: self.binding.issuer.as_deref(),
            resource: self.binding.resource.as_deref(),
            fields,
        }
    }
}

impl OauthProvider {
    /// The definition's part for OAuth, which providers of these kinds have.
    pub(crate) fn client_definition(&self) -> Result<&OauthClient, Internal> {
        self.oauth().ok_or(Internal::Inconsistent("the provider is of another kind"))
    }

    /// Reads what a session is bound to.
    pub(crate) async fn bound(&self, head: &SessionHead) -> Result<Bound, Internal> {
        let binding = OauthBinding::of(head)?;
        let registration = self.registrations.find(&head.tenant_id, &binding.registration_id).await?;
        let registration =
            registration.ok_or(Internal::Inconsistent("the registration of a connection is missing"))?;
        Ok(Bound { binding, registration })
    }
}

/// The policy of a definition.
fn policy_of(client: &OauthClient) -> Policy {
    let Some(refresh) = &client.refresh else {
        return Policy { renewal: Renewal::None, max_age: None, keep_alive: None };
    };
    let renewal = match &refresh.renewal {
        Means::RefreshToken { rotation: Rotation::SingleUse { grace }, .. } => {
            Renewal::SingleUse { grace: grace.map(Seconds::as_i64) }
        }
        Means::RefreshToken { rotation: Rotation::Reusable, .. } => Renewal::Reusable,
        Means::AccessToken { not_before } => Renewal::Exchange { not_before: not_before.as_i64() },
    };
    let idle = client.lifetime.idle_end.map(|end| end.as_i64() / 2);
    Policy {
        renewal,
        max_age: refresh.max_age.map(Seconds::as_i64),
        keep_alive: Some(idle.unwrap_or(KEEP_ALIVE_SECONDS).max(1)),
    }
}

/// The binding with what an answer captured anew; `None` when nothing of it has changed.
fn captured(
    head: &SessionHead,
    mut binding: OauthBinding,
    captured: &FieldValues,
) -> Result<Option<BindingUpdate>, Internal> {
    let before = binding.fields.clone();
    binding.fields.extend(owned(captured));
    if binding.fields == before {
        return Ok(None);
    }
    let (tenant_id, data) =
        (head.tenant_id.clone(), binding.to_stored(head.provider(), head.subject())?.data);
    Ok(Some(BindingUpdate::new(move |c, id| {
        reconnect::set_binding(c, &tenant_id, id, &data)?;
        Ok(())
    })))
}

impl OauthProvider {
    /// Refuses a renewal that must not be sent now: the provider does not take our registration, or wants more time
    /// between two of them.
    async fn check_pause(
        &self,
        head: &SessionHead,
        bound: &Bound,
        credentials: &Credentials,
    ) -> Result<(), RenewalFailure> {
        let refresh = self.oauth().and_then(|client| client.refresh.as_ref());
        if let Some(interval) = refresh.and_then(|refresh| refresh.min_interval) {
            let left = interval.as_i64() - self.clock.now().since(credentials.created_at);
            if left > 0 {
                return Err(RenewalFailure::Passing { retry_after: u64::try_from(left).ok() });
            }
        }
        if bound.registration.state == RegistrationState::Misconfigured
            && !self.registrations.claim_probe(&head.tenant_id, &bound.registration).await?
        {
            let retry_after = u64::try_from(PROBE_SECONDS).ok();
            return Err(RenewalFailure::Passing { retry_after });
        }
        Ok(())
    }

    /// The consequence of a refusal. The fault of our registration ends no connection.
    async fn failed(&self, head: &SessionHead, bound: &Bound, error: &TokenError) -> RenewalFailure {
        let with = match error {
            TokenError::Refused(refusal) => {
                refusal.code.clone().unwrap_or_else(|| refusal.status.to_string())
            }
            TokenError::Http(_) => "no_answer".to_owned(),
            TokenError::Request(_) => "definition".to_owned(),
        };
        tracing::warn!(%error, "the provider issued no new credentials");
        if let Err(error) = self.registrations.note_error(head, with.clone()).await {
            tracing::warn!(%error, "the outcome of a refresh was not stored");
        }
        match error.meaning() {
            RefusalMeaning::Over => RenewalFailure::Over { with },
            RefusalMeaning::Misconfigured | RefusalMeaning::Request => {
                self.note_misconfigured(&head.tenant_id, &bound.registration, error).await;
                RenewalFailure::Passing { retry_after: u64::try_from(PROBE_SECONDS).ok() }
            }
            RefusalMeaning::ActionRequired
            | RefusalMeaning::NotRenewable
            | RefusalMeaning::Wait(_)
            | RefusalMeaning::Passing => RenewalFailure::Passing { retry_after: error.retry_after() },
        }
    }
}
