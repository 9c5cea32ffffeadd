//! The client of sites: renewal and end of a session. The sign-in has a file of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::Clock;
use causeway_outbound::HttpClient;
use causeway_outbound::header::CONTENT_TYPE;
use causeway_types::Secret;
use url::{Origin, Url};

use super::browse::{Browser, Page, SiteClient};
use super::error::SiteError;
use super::jar::CookieJar;
use super::session::{SessionChange, SiteSession};
use crate::definition::form::{Form, FormRefresh};
use crate::definition::request::RequestBody;
use crate::fields::{FieldValues, Known};
use crate::request::Draft;
use crate::values::fill::FillError;
use crate::values::http::{HeaderName, Method};
use crate::values::template::Template;
use crate::values::url_template::{OriginTemplate, UrlTemplate};

impl fmt::Debug for SiteClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteClient").field("http", &self.http).finish_non_exhaustive()
    }
}

/// The site, and whom its requests are for.
#[derive(Clone, Copy, Debug)]
pub struct SiteContext<'a> {
    /// The definition.
    pub form: &'a Form,
    /// Values of the definition's parameters.
    pub fields: &'a FieldValues,
    /// The fingerprint of the device, or of the background session.
    pub fingerprint: &'a str,
}

/// The outcome of a renewal that was answered.
#[derive(Debug)]
pub enum Renewal {
    /// It was renewed.
    Renewed(SessionChange),
    /// The site has ended the session.
    LoggedOut,
    /// Neither: the answer, by its status, is no success. Nothing has changed.
    Rejected {
        /// The status.
        status: u16,
    },
}

/// A request of a definition to fill.
pub(super) struct Outline<'a> {
    pub(super) method: Method,
    pub(super) url: &'a UrlTemplate,
    pub(super) body: RequestBody,
    pub(super) values: &'a BTreeMap<String, Template>,
    pub(super) headers: &'a BTreeMap<HeaderName, Template>,
}

impl SiteContext<'_> {
    /// Everywhere that requests may be sent: the addresses of the definition, and what may be called.
    pub(super) fn origins(&self) -> Result<Vec<Origin>, SiteError> {
        let origins = self.form.relay.origins.iter().map(OriginTemplate::url);
        let all = self.form.addresses().chain(origins);
        all.map(|url| Ok(self.fill(url)?.origin())).collect()
    }

    /// The addresses that are never relayed to.
    ///
    /// # Errors
    /// [`FillError`].
    pub fn endpoints(&self) -> Result<Vec<Url>, FillError> {
        self.form.endpoints().map(|url| self.fill(url)).collect()
    }

    fn fill(&self, url: &UrlTemplate) -> Result<Url, FillError> {
        url.fill(|name| self.fields.get(name.as_str()))
    }

    /// A request with the values of a session.
    pub(super) fn draft(&self, outline: &Outline<'_>, token: Option<&Secret>) -> Result<Draft, SiteError> {
        let own = [("fingerprint", Some(self.fingerprint)), ("token", token.map(Secret::expose))];
        let known = Known::new(self.fields, &own);
        let mut draft = Draft::new(outline.method, self.fill(outline.url)?, outline.body);
        draft.parameters.fill(outline.values, known)?;
        draft.set_headers(outline.headers, known)?;
        Ok(draft)
    }
}

impl Form {
    /// The addresses that sign in, renew and end.
    fn endpoints(&self) -> impl Iterator<Item = &UrlTemplate> {
        let steps = std::iter::once(&self.login).chain(&self.next).map(|step| &step.url);
        let refresh = self.refresh.iter().map(|refresh| &refresh.url);
        steps.chain(refresh).chain(self.logout.iter().map(|logout| &logout.url))
    }

    /// All addresses of the definition.
    fn addresses(&self) -> impl Iterator<Item = &UrlTemplate> {
        self.prepare.iter().map(|prepare| &prepare.url).chain(self.endpoints())
    }
}

impl SiteClient {
    /// Builds the client, whose requests go through `http`; sends nothing. Each request, with its answer, has to end within
    /// `deadline`.
    pub fn new(http: HttpClient, clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        Self { http, clock, deadline }
    }

    pub(super) fn browser<'a>(
        &'a self,
        origins: &'a [Origin],
        jar: CookieJar,
        iteration: i64,
    ) -> Browser<'a> {
        Browser { client: self, origins, jar, iteration }
    }

    /// Renews a session.
    ///
    /// # Errors
    /// [`SiteError`], never [`SiteError::Refused`].
    #[tracing::instrument(name = "provider.form.refresh", skip_all)]
    pub async fn refresh(
        &self,
        context: &SiteContext<'_>,
        refresh: &FormRefresh,
        session: &SiteSession,
    ) -> Result<Renewal, SiteError> {
        let outline = Outline {
            method: Method::Post,
            url: &refresh.url,
            body: refresh.encoding,
            values: &refresh.body,
            headers: &refresh.headers,
        };
        let request = context.draft(&outline, session.token.as_ref())?.finish();
        let origins = context.origins()?;
        let mut browser = self.browser(&origins, session.cookies.clone(), i64::MAX);
        let page = browser.send(request).await?;
        if refresh.logout.as_ref().is_some_and(|rule| page.described(|answer| answer.is(rule))) {
            return Ok(Renewal::LoggedOut);
        }
        if page.is_unavailable() {
            return Err(SiteError::Unavailable { status: page.status, retry_after: page.retry_after });
        }
        Ok(match renewed_token(refresh, &page) {
            Some(token) => Renewal::Renewed(SessionChange { token, cookies: page.cookies }),
            None => Renewal::Rejected { status: page.status },
        })
    }

    /// Ends a session at the site, if it has a request for that.
    ///
    /// # Errors
    /// [`SiteError`].
    #[tracing::instrument(name = "provider.form.logout", skip_all)]
    pub async fn logout(&self, context: &SiteContext<'_>, session: &SiteSession) -> Result<(), SiteError> {
        let Some(logout) = &context.form.logout else { return Ok(()) };
        let outline = Outline {
            method: logout.method,
            url: &logout.url,
            body: logout.encoding,
            values: &logout.body,
            headers: &logout.headers,
        };
        let mut request = context.draft(&outline, session.token.as_ref())?.finish();
        if request.body.as_ref().is_some_and(|_| logout.body.is_empty()) {
            request.body = None;
            request.headers.remove(CONTENT_TYPE);
        }
        let origins = context.origins()?;
        let page = self.browser(&origins, session.cookies.clone(), i64::MAX).send(request).await?;
        if page.is_unavailable() {
            return Err(SiteError::Unavailable { status: page.status, retry_after: page.retry_after });
        }
        Ok(())
    }
}

/// The new token of an answer that renews, at sites that have one; `None`: it does not renew.
fn renewed_token(refresh: &FormRefresh, page: &Page) -> Option<Option<Secret>> {
    let is_success = match &refresh.success {
        Some(rule) => page.described(|answer| answer.is(rule)),
        None => (200..300).contains(&page.status),
    };
    if !is_success {
        return None;
    }
    match &refresh.token {
        None => Some(None),
        Some(place) => Some(Some(Secret::new(page.json()?.text(place)?))),
    }
}
