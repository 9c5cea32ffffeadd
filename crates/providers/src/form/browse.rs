//! Requests as a browser makes them: cookies go along, and redirects are followed inside the declared origins.

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::Clock;
use causeway_outbound::budget::Held;
use causeway_outbound::header::{ACCEPT, COOKIE, HeaderMap, HeaderValue, LOCATION};
use causeway_outbound::{
    HttpClient, HttpError, Method as HttpMethod, Shows, StreamingBody, StreamingCall, read_into, retry_after,
};
use tokio::time::timeout;
use url::{Origin, Url};

use super::error::SiteError;
use super::jar::{Change, CookieJar, changes};
use crate::definition::rule::CredentialKind;
use crate::json::Document;
use crate::request::ProviderRequest;
use crate::rules::Described;
use crate::values::http::Method;

/// The most redirects after a request.
const REDIRECTS: usize = 5;
/// The most bytes of an answer that are read.
const CAP: usize = 1024 * 1024;
/// Budget bytes charged for each byte of an answer: one for itself, the rest for its parsed JSON.
const TIMES: usize = 8;
const ACCEPTED: HeaderValue =
    HeaderValue::from_static("text/html, application/xhtml+xml, application/json;q=0.9, */*;q=0.8");

/// The client of sites with definitions. It stores nothing and tries nothing again. Clones share connections.
///
/// # Cancellation
/// A renewal must not be dropped half-way: run it detached from the request that needs it.
#[derive(Clone)]
pub struct SiteClient {
    pub(super) http: HttpClient,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadline: Duration,
}

/// An answer that was read to its end.
pub(super) struct Page {
    /// The address that it came from, after redirects.
    pub(super) url: Url,
    pub(super) status: u16,
    pub(super) retry_after: Option<u64>,
    pub(super) body: Held,
    /// Changes of the cookies by it and the redirects before it.
    pub(super) cookies: Vec<Change>,
}

impl Page {
    /// Its JSON, if it is some.
    pub(super) fn json(&self) -> Option<Document> {
        Document::json(&self.body)
    }

    /// Runs with the answer as rules see it.
    pub(super) fn described<T>(&self, run: impl FnOnce(Described<'_>) -> T) -> T {
        let document = self.json();
        run(Described { status: self.status, document: document.as_ref(), credential: CredentialKind::User })
    }

    /// Whether the site cannot answer now.
    pub(super) const fn is_unavailable(&self) -> bool {
        matches!(self.status, 429 | 500..)
    }
}

/// Cookies, and the origins that they and everything else may be sent to.
pub(super) struct Browser<'a> {
    pub(super) client: &'a SiteClient,
    pub(super) origins: &'a [Origin],
    pub(super) jar: CookieJar,
    /// The iteration of the session that the answers are to.
    pub(super) iteration: i64,
}

impl Browser<'_> {
    /// Sends a request, and follows redirects by GET. One with a body that the site wants sent again elsewhere is not: it may
    /// be a password.
    pub(super) async fn send(&mut self, request: ProviderRequest) -> Result<Page, SiteError> {
        let mut page = self.send_once(request).await?;
        let mut cookies = std::mem::take(&mut page.page.cookies);
        for _ in 0..REDIRECTS {
            let Some(to) = page.redirect.take() else {
                return Ok(Page { cookies, ..page.page });
            };
            let request =
                ProviderRequest { method: Method::Get, url: to, headers: HeaderMap::new(), body: None };
            page = self.send_once(request).await?;
            cookies.append(&mut page.page.cookies);
        }
        Err(SiteError::Malformed("it redirects again and again"))
    }

    async fn send_once(&mut self, request: ProviderRequest) -> Result<Sent, SiteError> {
        let ProviderRequest { method, url, mut headers, body } = request;
        if !self.origins.contains(&url.origin()) {
            return Err(SiteError::Malformed("it leads to an origin that the definition does not name"));
        }
        let now = self.client.clock.now();
        headers.entry(ACCEPT).or_insert(ACCEPTED);
        if let Some(cookies) = self.jar.header(&url, now) {
            let mut value = HeaderValue::from_str(&cookies)
                .map_err(|_| SiteError::Malformed("its cookies cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
        let has_body = body.is_some();
        let method = match method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
            Method::Delete => HttpMethod::DELETE,
        };
        let http = &self.client.http;
        let room = Held::new(&http.budgets().answers.of(None), 1);
        let room = room.map_err(|_| HttpError::NoRoom { sent: false })?;
        let sending = async {
            let call = StreamingCall {
                method,
                url: &url,
                headers,
                body: body.map(StreamingBody::Whole),
                passes_redirects: true,
                shows: Shows::Host,
                answer_timeout: None,
            };
            let response = http.send_streaming(call).await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let room = room.expecting(response.content_length());
            let mut body = read_into(room, response, CAP).await?;
            body.count_times(TIMES).map_err(|_| HttpError::NoRoom { sent: true })?;
            Ok::<_, HttpError>((status, headers, body))
        };
        let sent = timeout(self.client.deadline, sending).await.unwrap_or(Err(HttpError::Timeout));
        let (status, headers, body) = sent?;
        let cookies = changes(&url, &headers, now);
        self.jar.merge(&cookies, self.iteration, now);
        let redirect = target(&url, status, has_body, &headers)?;
        let page = Page { url, status, retry_after: retry_after(&headers), body, cookies };
        Ok(Sent { page, redirect })
    }
}

struct Sent {
    page: Page,
    redirect: Option<Url>,
}

fn target(from: &Url, status: u16, has_body: bool, headers: &HeaderMap) -> Result<Option<Url>, SiteError> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    if has_body && matches!(status, 307 | 308) {
        return Err(SiteError::Malformed("it wants the form to be sent to another address"));
    }
    let to = headers.get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|to| from.join(to).ok());
    let mut to = to.ok_or(SiteError::Malformed("it redirects to no address"))?;
    to.set_fragment(None);
    if !to.username().is_empty() || to.password().is_some() {
        return Err(SiteError::Malformed("it redirects to an address with a user name"));
    }
    Ok(Some(to))
}
