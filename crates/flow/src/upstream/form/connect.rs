//! How users sign in at sites: with what they typed on a page of ours.

use std::collections::BTreeMap;

use async_trait::async_trait;
use causeway_domain::session::{Binding, Credentials, OtherBinding, OtherKind, UpstreamAccess};
use causeway_jose::hmac_sha256;
use causeway_providers::form::{Asked, SignIn, SiteContext, SiteError, SiteSession};
use causeway_providers::{FieldValues, Form, FormField, Seconds};
use causeway_types::{Rng, Secret, SessionKind, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::FormProvider;
use super::binding::FormBinding;
use crate::error::Internal;
use crate::upstream::connect::failure::{ConnectFailure, SignInError};
use crate::upstream::oauth2::offered_parameters;
use crate::upstream::traits::{
    AskedOffer, BeginRequest, Begun, Completion, ConnectError, Connected, FormAnswer, FormRequest,
    NewAccount, NewConnection, NoAnswer, Offer, OfferError, Redeemed, SignInField, SignInForm,
};

/// The purpose of the key that fingerprints of background sessions are made with.
const FINGERPRINT: &str = "form background fingerprint";

/// A sign-in that succeeded, until it is judged; or one that waits for a further step.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    binding: FormBinding,
    kind: SessionKind,
    account: Option<String>,
    state: T,
}

#[async_trait]
impl Connected for FormProvider {
    async fn begin(&self, _: &BeginRequest<'_>) -> Result<Begun, SignInError> {
        Err(SignInError::Internal(OtherKind.into()))
    }

    fn step_form(&self, step: &Secret) -> Option<SignInForm> {
        let form = self.form().ok()?;
        let kept = read::<Asked>(step).ok()?;
        let step = form.next.get(kept.state.step)?;
        shown(form, &step.fields, &kept.binding.field_values())
    }

    async fn sign_in_with(&self, request: &FormRequest<'_>) -> Result<FormAnswer, ConnectError> {
        let form = self.form()?;
        let (binding, asked) = match request.step {
            Some(step) => {
                let kept: Kept<Asked> = read(step)?;
                (kept.binding, Some(kept.state))
            }
            None => (self.binding(request)?, None),
        };
        let fields = binding.field_values();
        let context = SiteContext { form, fields: &fields, fingerprint: &binding.fingerprint };
        let outcome = match asked {
            Some(asked) => self.client.go_on(&context, asked, request.typed).await,
            None => self.client.sign_in(&context, request.typed).await,
        };
        let outcome = outcome.map_err(|error| {
            tracing::warn!(%error, provider = self.name, session.kind = request.kind.as_str(), "no sign-in at a site");
            failure(&error)
        })?;
        let kind = request.kind;
        match outcome {
            SignIn::Done(done) => {
                let kept = Kept { binding, kind, account: done.account, state: done.session };
                Ok(FormAnswer::Done(Redeemed::Other(written(&kept)?)))
            }
            SignIn::Asks(asked) => {
                let step = form.next.get(asked.step).ok_or(ConnectFailure::Malformed)?;
                let shown = shown(form, &step.fields, &fields).ok_or(ConnectFailure::Misconfigured)?;
                let step = written(&Kept { binding, kind, account: None, state: asked })?;
                Ok(FormAnswer::Asks { form: shown, step })
            }
        }
    }

    async fn redeem(&self, _: &Completion<'_>) -> Result<Redeemed, ConnectError> {
        Err(OtherKind.into())
    }

    async fn identify(
        &self,
        completion: &Completion<'_>,
        redeemed: &Redeemed,
    ) -> Result<NewConnection, ConnectError> {
        let form = self.form()?;
        let Kept { binding, kind, account, state } = read::<SiteSession>(redeemed.other()?)?;
        let known = completion.subjects.first().map(|&subject| subject.to_owned());
        let subject = account.or(known).unwrap_or_else(|| (&*self.rng as &dyn Rng).base64url::<16>());
        let issuer = origin(form, &binding.field_values()).ok_or(ConnectFailure::Misconfigured)?;
        let is_device = kind == SessionKind::Device;
        let idle = form.lifetime.idle_end.map(Seconds::as_i64).or_else(|| kind.idle_seconds());
        let data = serde_json::to_string(&binding)
            .map_err(|_| Internal::Inconsistent("the binding of a connection cannot be written"))?;
        let access =
            state.to_secret().ok_or(Internal::Inconsistent("a session at a site cannot be written"))?;
        Ok(NewConnection {
            binding: Binding::Other(OtherBinding {
                provider: self.name.clone(),
                subject: subject.clone(),
                data,
                idle_seconds: idle.filter(|_| is_device),
            }),
            credentials: Credentials {
                access: UpstreamAccess::CookieJar(access),
                refresh_token: None,
                created_at: self.clock.now(),
                expires_at: None,
                scope: String::new(),
            },
            account: NewAccount {
                issuer,
                display_name: Some(subject),
                device_slot: if is_device { binding.fingerprint } else { String::new() },
                is_complete: true,
                ..NewAccount::default()
            },
        })
    }

    /// Ends the session at the site.
    async fn give_back(&self, _: &TenantId, redeemed: &Redeemed) -> Result<(), NoAnswer> {
        let form = self.form().map_err(NoAnswer::because)?;
        let kept: Kept<SiteSession> =
            read(redeemed.other().map_err(NoAnswer::because)?).map_err(NoAnswer::because)?;
        let fields = kept.binding.field_values();
        let context = SiteContext { form, fields: &fields, fingerprint: &kept.binding.fingerprint };
        self.client.logout(&context, &kept.state).await.map_err(NoAnswer::because)
    }

    fn offer(&self, asked: &AskedOffer<'_>) -> Result<Offer, OfferError> {
        let parameters = offered_parameters(&self.definition, asked)?;
        let host = self.definition.chosen_host(&fields_of(&parameters));
        let form = self.form().map_err(|_| OfferError::NotOffered)?;
        let form = shown(form, &form.login.fields, &fields_of(&parameters));
        let title = self.definition.title.clone();
        Ok(Offer { title, host, scopes: Vec::new(), parameters, form })
    }
}

impl FormProvider {
    fn binding(&self, request: &FormRequest<'_>) -> Result<FormBinding, Internal> {
        let fingerprint = match request.kind {
            SessionKind::Device => request.device(),
            SessionKind::Background => self.background_fingerprint(request)?,
        };
        let values = request.parameters.iter();
        let fields: BTreeMap<_, _> =
            values.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        Ok(FormBinding { fingerprint, fields })
    }

    /// The fingerprint of a user's background sessions, the same at every sign-in: it names neither the user nor us.
    fn background_fingerprint(&self, request: &FormRequest<'_>) -> Result<String, Internal> {
        let keys = self.registrations.ring().derive_keys(FINGERPRINT);
        // The oldest key, so that a new one changes nothing.
        let key = keys.ok().and_then(|keys| keys.into_iter().next_back());
        let key = key.ok_or(Internal::Inconsistent("no key for fingerprints can be derived"))?;
        let user = request.user;
        let parts = [
            request.tenant_id.as_str(),
            request.client_id.as_str(),
            user.namespace.as_str(),
            user.user_id.as_str(),
            &self.name,
        ];
        let mac = hmac_sha256(&key[..], parts.join("\0").as_bytes());
        let mac = mac.map_err(|_| Internal::Inconsistent("a fingerprint cannot be made"))?;
        Ok(mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The origin that passwords are sent to.
fn origin(form: &Form, values: &FieldValues) -> Option<String> {
    let url = form.login.url.fill(|name| values.get(name.as_str())).ok()?;
    Some(url.origin().ascii_serialization())
}

/// The values of a definition's parameters, for templates.
fn fields_of(parameters: &Map<String, Value>) -> FieldValues {
    parameters.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}

fn failure(error: &SiteError) -> ConnectFailure {
    match error {
        SiteError::Refused { .. } => ConnectFailure::Refused,
        SiteError::Unavailable { .. } | SiteError::Http(_) => ConnectFailure::Unavailable,
        SiteError::Malformed(_) => ConnectFailure::Malformed,
        SiteError::Request(_) => ConnectFailure::Misconfigured,
    }
}

fn written(value: &impl Serialize) -> Result<Secret, Internal> {
    serde_json::to_string(value)
        .map(Secret::new)
        .map_err(|_| Internal::Inconsistent("a sign-in cannot be written"))
}

fn read<T: for<'de> Deserialize<'de>>(text: &Secret) -> Result<Kept<T>, Internal> {
    serde_json::from_str(text.expose()).map_err(|_| Internal::Inconsistent("a stored sign-in cannot be read"))
}

/// A form as the page shows it; `None`: the site's origin is not known.
fn shown(form: &Form, fields: &[FormField], values: &FieldValues) -> Option<SignInForm> {
    let fields = fields.iter().map(|field| SignInField {
        name: field.name.clone(),
        label: field.label.clone(),
        kind: field.kind,
    });
    Some(SignInForm { origin: origin(form, values)?, fields: fields.collect() })
}
