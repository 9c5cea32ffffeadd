//! The sign-in: pages before it, the form, and the steps after it that the site asks for.

use std::collections::BTreeMap;
use std::fmt;

use causeway_outbound::header::ACCEPT;
use causeway_types::Secret;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::browse::SiteClient;
use super::browse::{Browser, Page};
use super::client::{Outline, SiteContext};
use super::error::SiteError;
use super::html::input_value;
use super::jar::CookieJar;
use super::session::SiteSession;
use crate::definition::form::{FormAccount, Prepare, PrepareValue, SignInStep};
use crate::fields::FieldValues;
use crate::request::ProviderRequest;
use crate::values::http::Method;

/// The iteration of a session that begins.
const FIRST: i64 = 1;

/// Texts that a user typed, by the names of the site's fields. It is wiped when it is dropped.
#[derive(Clone, Default)]
pub struct Typed(BTreeMap<String, Zeroizing<String>>);

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed(redacted)")
    }
}

impl FromIterator<(String, String)> for Typed {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        Self(values.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }
}

impl Typed {
    /// The text that was typed into a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }
}

/// The outcome of a step.
#[derive(Debug)]
pub enum SignIn {
    /// The user is signed in.
    Done(SignedIn),
    /// The site asks for a further step.
    Asks(Asked),
}

/// A user who is signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The session.
    pub session: SiteSession,
    /// The account; `None`: nothing names it.
    pub account: Option<String>,
}

/// A sign-in that waits for a further step. It holds nothing that was typed but the name of the account.
#[derive(Serialize, Deserialize)]
pub struct Asked {
    /// The number of the step among the definition's.
    pub step: usize,
    account: Option<String>,
    cookies: CookieJar,
    values: BTreeMap<String, String>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("step", &self.step).finish_non_exhaustive()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.values.values_mut().for_each(Zeroize::zeroize);
    }
}

impl SiteClient {
    /// Signs a user in with what they typed.
    ///
    /// # Errors
    /// [`SiteError`].
    #[tracing::instrument(name = "provider.form.sign_in", skip_all)]
    pub async fn sign_in(&self, context: &SiteContext<'_>, typed: &Typed) -> Result<SignIn, SiteError> {
        let form = context.form;
        let origins = context.origins()?;
        let mut browser = self.browser(&origins, CookieJar::default(), FIRST);
        let mut values = BTreeMap::new();
        for prepare in &form.prepare {
            values.append(&mut browser.prepare(context, prepare).await?);
        }
        let account = match &form.account {
            FormAccount::Field(name) => typed.get(name).map(|name| name.trim().to_lowercase()),
            FormAccount::Json(_) | FormAccount::Nowhere => None,
        };
        let page = browser.step(context, &form.login, &values, typed).await?;
        let asked = Asked { step: 0, account, cookies: browser.jar, values };
        self.judge(context, &form.login, &page, asked)
    }

    /// Goes on with a sign-in at the step that the site asked for.
    ///
    /// # Errors
    /// [`SiteError`].
    #[tracing::instrument(name = "provider.form.step", skip_all)]
    pub async fn go_on(
        &self,
        context: &SiteContext<'_>,
        mut asked: Asked,
        typed: &Typed,
    ) -> Result<SignIn, SiteError> {
        let step = context.form.next.get(asked.step);
        let step = step.ok_or(SiteError::Malformed("the definition has no such step any more"))?;
        let origins = context.origins()?;
        let mut browser = self.browser(&origins, std::mem::take(&mut asked.cookies), FIRST);
        let page = browser.step(context, step, &asked.values, typed).await?;
        asked.cookies = browser.jar;
        self.judge(context, step, &page, asked)
    }

    /// Judges the answer to a step: the site asks for another one, has signed the user in, or has not.
    fn judge(
        &self,
        context: &SiteContext<'_>,
        step: &SignInStep,
        page: &Page,
        mut asked: Asked,
    ) -> Result<SignIn, SiteError> {
        let form = context.form;
        if page.is_unavailable() {
            return Err(SiteError::Unavailable { status: page.status, retry_after: page.retry_after });
        }
        let asks = |step: &SignInStep| {
            step.when.as_ref().is_some_and(|when| page.described(|answer| answer.is(when)))
        };
        // The site may ask for the same step again, because what was typed was wrong.
        let is_this = |other: &SignInStep| std::ptr::eq(other, step);
        if let Some(number) = form.next.iter().position(|next| !is_this(next) && asks(next)) {
            asked.step = number;
            return Ok(SignIn::Asks(asked));
        }
        let refused = SiteError::Refused { status: page.status };
        let token = match &step.token {
            None => None,
            Some(place) => match page.json().and_then(|answer| answer.text(place)) {
                Some(token) => Some(Secret::new(token)),
                None => return Err(refused),
            },
        };
        let has_cookie = |name: &String| asked.cookies.has(name, self.clock.now());
        let is_signed_in = match (&step.success, &step.cookie) {
            (Some(rule), _) => page.described(|answer| answer.is(rule)),
            (None, None) if token.is_none() => page.status < 400 && !shows_form(context, page)?,
            (None, _) => page.status < 400,
        };
        if !is_signed_in || !step.cookie.as_ref().is_none_or(has_cookie) {
            return Err(refused);
        }
        let account = match &form.account {
            FormAccount::Json(place) => {
                let named = page.json().and_then(|answer| answer.text(place));
                Some(named.ok_or(SiteError::Malformed("it does not name the account"))?)
            }
            FormAccount::Field(_) | FormAccount::Nowhere => asked.account.take(),
        };
        let cookies = std::mem::take(&mut asked.cookies);
        Ok(SignIn::Done(SignedIn { session: SiteSession { token, cookies, is_renewed: false }, account }))
    }
}

/// Whether the browser is at the form again.
fn shows_form(context: &SiteContext<'_>, page: &Page) -> Result<bool, SiteError> {
    let form = context.form;
    let forms = form.prepare.iter().map(|prepare| &prepare.url).chain([&form.login.url]);
    for url in forms {
        let url = url.fill(|name| context.fields.get(name.as_str()))?;
        if (url.origin(), url.path()) == (page.url.origin(), page.url.path()) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Browser<'_> {
    /// Reads a page before the sign-in: its cookies, and the values that the sign-in has to send.
    async fn prepare(
        &mut self,
        context: &SiteContext<'_>,
        prepare: &Prepare,
    ) -> Result<BTreeMap<String, String>, SiteError> {
        let url = prepare.url.fill(|name| context.fields.get(name.as_str()))?;
        let headers = causeway_outbound::header::HeaderMap::new();
        let page = self.send(ProviderRequest { method: Method::Get, url, headers, body: None }).await?;
        if page.status >= 400 {
            return Err(SiteError::Unavailable { status: page.status, retry_after: page.retry_after });
        }
        let (text, json) = (String::from_utf8_lossy(&page.body), page.json());
        let value = |place: &PrepareValue| match place {
            PrepareValue::Input(name) => input_value(&text, name),
            PrepareValue::Json(place) => json.as_ref()?.text(place),
        };
        let values = prepare.values.iter().map(|(name, place)| {
            let value = value(place).ok_or(SiteError::Malformed("a value for the sign-in is missing"))?;
            Ok((name.as_str().to_owned(), value))
        });
        values.collect()
    }

    /// Sends a form.
    async fn step(
        &mut self,
        context: &SiteContext<'_>,
        step: &SignInStep,
        values: &BTreeMap<String, String>,
        typed: &Typed,
    ) -> Result<Page, SiteError> {
        let mut fields = context.fields.clone();
        fields.extend(
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<FieldValues>(),
        );
        let outline = Outline {
            method: Method::Post,
            url: &step.url,
            body: step.body,
            values: &step.values,
            headers: &step.headers,
        };
        let mut draft = SiteContext { fields: &fields, ..*context }.draft(&outline, None)?;
        for field in &step.fields {
            if let Some(value) = typed.get(&field.name) {
                draft.parameters.set(&field.name, value);
            }
        }
        let mut request = draft.finish();
        if step.body == crate::definition::request::RequestBody::Json {
            let json = causeway_outbound::header::HeaderValue::from_static("application/json");
            request.headers.entry(ACCEPT).or_insert(json);
        }
        self.send(request).await
    }
}
