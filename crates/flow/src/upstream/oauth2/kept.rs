//! How connections at these providers are kept.

use async_trait::async_trait;
use causeway_domain::connection::Registration;
use causeway_domain::session::{Credentials, Policy, Renewal, SessionHead};
use causeway_providers::oauth::{
    Flaw, RefusalMeaning, RenewalTokens, Revoked, RevokedTokens, TokenContext, TokenError,
};
use causeway_providers::{OauthClient, Renewal as Means, Rotation};

use super::OauthProvider;
use super::binding::OauthBinding;
use super::registrations::registered;
use crate::error::Internal;
use crate::upstream::traits::{Kept, NoAnswer, RenewalFailure, Renewed};

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
        let fields = bound.binding.field_values();
        let context = bound.context(self.client_definition()?, &fields);
        let tokens = RenewalTokens {
            access_token: credentials.access.secret(),
            refresh_token: credentials.refresh_token.as_ref(),
            scope: &credentials.scope,
        };
        let issued = self.client.refresh(&context, &tokens).await.map_err(|error| failure(&error))?;
        let answer = issued.answer;
        let flaw = answer.flaws.iter().find_map(|flaw| match flaw {
            Flaw::Bound => Some("token_type is DPoP"),
            _ => None,
        });
        let Some(tokens) = answer.user else {
            return Err(RenewalFailure::Passing { retry_after: None });
        };
        let credentials = tokens.credentials(credentials.refresh_token.as_ref(), &credentials.scope);
        Ok(Renewed { credentials, flaw })
    }

    async fn revoke(&self, head: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer> {
        let bound = self.bound(head).await.map_err(NoAnswer::because)?;
        let fields = bound.binding.field_values();
        let client = self.client_definition().map_err(NoAnswer::because)?;
        let context = bound.context(client, &fields);
        let tokens = RevokedTokens {
            access_token: credentials.access.secret(),
            refresh_token: credentials.refresh_token.as_ref(),
        };
        let discovered = bound.binding.revocation_endpoint.as_ref();
        match self.client.revoke(&context, discovered, &tokens).await.map_err(NoAnswer::because)? {
            Revoked::Done | Revoked::NotPossible => Ok(()),
            Revoked::Refused { status } => Err(NoAnswer::because(format!("status {status}"))),
            Revoked::Passing { .. } => Err(NoAnswer::because("it asked to try later")),
        }
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
        fields: &'a causeway_providers::FieldValues,
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
            Renewal::SingleUse { grace: grace.map(|grace| grace.as_i64()) }
        }
        Means::RefreshToken { rotation: Rotation::Reusable, .. } => Renewal::Reusable,
        Means::AccessToken { not_before } => Renewal::Exchange { not_before: not_before.as_i64() },
    };
    let idle = client.lifetime.idle_end.map(|end| end.as_i64() / 2);
    Policy {
        renewal,
        max_age: refresh.max_age.map(|age| age.as_i64()),
        keep_alive: Some(idle.unwrap_or(KEEP_ALIVE_SECONDS).max(1)),
    }
}

fn failure(error: &TokenError) -> RenewalFailure {
    let with = match error {
        TokenError::Refused(refusal) => refusal.code.clone().unwrap_or_else(|| refusal.status.to_string()),
        TokenError::Http(_) | TokenError::Request(_) => error.to_string(),
    };
    tracing::warn!(%error, "the provider issued no new credentials");
    match error.meaning() {
        RefusalMeaning::Over => RenewalFailure::Over { with },
        RefusalMeaning::ActionRequired
        | RefusalMeaning::Misconfigured
        | RefusalMeaning::NotRenewable
        | RefusalMeaning::Wait(_)
        | RefusalMeaning::Passing => RenewalFailure::Passing { retry_after: error.retry_after() },
    }
}
