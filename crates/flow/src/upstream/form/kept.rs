//! How sessions at sites are kept.

use async_trait::async_trait;
use causeway_domain::session::{Credentials, Policy, Renewal, SessionHead};
use causeway_providers::Seconds;
use causeway_providers::form::{Renewal as Outcome, SessionChange, SiteContext, SiteError};
use causeway_types::Timestamp;

use super::binding::FormBinding;
use super::{FormProvider, kind_of, site_session, with_session};
use crate::error::Internal;
use crate::upstream::traits::{CredentialsUpdate, Kept, NoAnswer, RenewalFailure, Renewed};

/// Seconds after which an unused background session is renewed where the definition says nothing.
const KEEP_ALIVE_SECONDS: i64 = 86_400;

#[async_trait]
impl Kept for FormProvider {
    /// A session is renewed by itself, and never before it was used once without: one that was never renewed counts as old.
    fn policy(&self, _: &SessionHead, credentials: &Credentials) -> Policy {
        let nothing = Policy { renewal: Renewal::None, max_age: None, keep_alive: None };
        let Some(refresh) = self.form().ok().and_then(|form| form.refresh.as_ref()) else { return nothing };
        let max_age = refresh.max_age.map(Seconds::as_i64);
        let is_renewed = site_session(credentials).is_ok_and(|session| session.is_renewed);
        let keep_alive = refresh.keep_alive.map(Seconds::as_i64).or(max_age).unwrap_or(KEEP_ALIVE_SECONDS);
        Policy {
            renewal: Renewal::Exchange { not_before: 0 },
            max_age: max_age.map(|max| if is_renewed { max } else { 0 }),
            keep_alive: Some(keep_alive.max(1)),
        }
    }

    async fn renew(&self, head: &SessionHead, credentials: &Credentials) -> Result<Renewed, RenewalFailure> {
        let form = self.form()?;
        let refresh = form.refresh.as_ref().ok_or(Internal::Inconsistent("the site renews nothing"))?;
        let (binding, session) = (FormBinding::of(head)?, site_session(credentials)?);
        let fields = binding.field_values();
        let context = SiteContext { form, fields: &fields, fingerprint: &binding.fingerprint };
        match self.client.refresh(&context, refresh, &session).await {
            Ok(Outcome::Renewed(change)) => {
                let now = self.clock.now();
                let onto = renewed(change, head.iteration.saturating_add(1), now);
                Ok(Renewed {
                    credentials: onto.apply(credentials)?,
                    flaw: None,
                    update: None,
                    onto: Some(onto),
                })
            }
            Ok(Outcome::LoggedOut) => {
                self.note_error(head, "rejected").await;
                Err(RenewalFailure::Over { with: "rejected".to_owned() })
            }
            Ok(Outcome::Rejected { status }) => {
                let kind = kind_of(head);
                tracing::warn!(
                    provider = self.name,
                    session.kind = kind,
                    status,
                    "the site did not renew a session"
                );
                self.note_error(head, "refresh_rejected").await;
                Err(RenewalFailure::Rejected)
            }
            Err(error) => {
                let kind = kind_of(head);
                tracing::warn!(%error, provider = self.name, session.kind = kind, "a session at a site was not renewed");
                self.note_error(head, "no_answer").await;
                let retry_after = match error {
                    SiteError::Unavailable { retry_after, .. } => retry_after,
                    _ => None,
                };
                Err(RenewalFailure::Passing { retry_after })
            }
        }
    }

    async fn revoke(&self, head: &SessionHead, credentials: &Credentials) -> Result<(), NoAnswer> {
        let form = self.form().map_err(NoAnswer::because)?;
        let binding = FormBinding::of(head).map_err(NoAnswer::because)?;
        let session = site_session(credentials).map_err(NoAnswer::because)?;
        let fields = binding.field_values();
        let context = SiteContext { form, fields: &fields, fingerprint: &binding.fingerprint };
        self.client.logout(&context, &session).await.map_err(NoAnswer::because)
    }

    fn sign_in_url(&self, issuer: &str, _: &SessionHead) -> String {
        // Its client makes a connect session, which has an address of its own.
        format!("{issuer}/api/connect-sessions")
    }
}

impl FormProvider {
    async fn note_error(&self, head: &SessionHead, code: &str) {
        if let Err(error) = self.registrations.note_error(head, code.to_owned()).await {
            tracing::warn!(%error, "the outcome of a refresh was not stored");
        }
    }
}

/// The session after a renewal, on to the cookies that other answers have brought meanwhile.
fn renewed(change: SessionChange, iteration: i64, now: Timestamp) -> CredentialsUpdate {
    CredentialsUpdate::new(move |current| {
        let mut session = site_session(current)?.with(&change, iteration, now);
        session.is_renewed = true;
        let credentials = with_session(current, &session)?;
        Ok(Credentials { created_at: now, ..credentials })
    })
}
