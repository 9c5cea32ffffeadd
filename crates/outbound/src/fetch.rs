//! Whole documents: fetched up to a cap, or posted.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use causeway_types::Timestamp;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use url::Url;

use crate::answer::{expect_ok, redirect, status_error};
use crate::client::{Call, HttpClient};
use crate::error::HttpError;
use crate::media_type::{is_json, media_type};
use crate::sent::Shows;
use crate::times;

/// A JSON document and how long its server allows it to be cached.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The content.
    pub json: serde_json::Value,
    /// Its media type, without parameters, in lower case.
    pub media_type: String,
    /// Seconds for which it may be cached; `None`: the server did not say.
    pub max_age: Option<u64>,
}

impl HttpClient {
    /// Fetches a JSON document of at most `cap` bytes; anything but status 200 is an error.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url, cap: usize) -> Result<T, HttpError> {
        self.get_json_showing(url, cap, Shows::Address).await
    }

    /// Same as [`HttpClient::get_json`]; `shows` limits what the log and traces show of the address.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn get_json_showing<T: DeserializeOwned>(
        &self,
        url: &Url,
        cap: usize,
        shows: Shows,
    ) -> Result<T, HttpError> {
        let response = self.send(Call { shows, ..Call::get(url, "application/json") }).await?;
        expect_ok(&response)?;
        if !is_json(response.headers()) {
            return Err(HttpError::NotJson);
        }
        let body = self.read(response, cap).await?;
        serde_json::from_slice(&body).map_err(|_| HttpError::NotJson)
    }

    /// Reads a server's clock from the `Date` header of its response (RFC 9110 section 6.6.1), whatever the
    /// status.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`; [`HttpError::NotJson`] when it does not say.
    pub async fn time_at(&self, url: &Url) -> Result<Timestamp, HttpError> {
        let response = self.send(Call::get(url, "*/*")).await?;
        let since = times::date(response.headers())
            .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
            .ok_or(HttpError::NotJson)?;
        Ok(Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Fetches a JSON document of at most `cap` bytes, with how long it may be cached; anything but status
    /// 200 is an error.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn get_document(&self, url: &Url, cap: usize) -> Result<Document, HttpError> {
        let response = self.send(Call::get(url, "application/json")).await?;
        expect_ok(&response)?;
        if !is_json(response.headers()) {
            return Err(HttpError::NotJson);
        }
        let (media_type, max_age) = (media_type(response.headers()), times::max_age(response.headers()));
        let body = self.read(response, cap).await?;
        let json = serde_json::from_slice(&body).map_err(|_| HttpError::NotJson)?;
        Ok(Document { json, media_type, max_age })
    }

    /// Posts a form; any status that is not a success is an error. The response body is not read.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn post_form(&self, url: &Url, form: String) -> Result<(), HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = Some(Bytes::from(form));
        let call = Call { method: Method::POST, url, accept: "*/*", headers, body, shows: Shows::Host };
        let response = self.send(call).await?;
        if response.status().is_success() { Ok(()) } else { Err(status_error(&response)) }
    }

    /// Fetches a text of at most `cap` bytes; any status that is not a success is an error. Up to `redirects` redirects
    /// are followed, each to an address that this client may connect to ([`HttpClient::check`], and the addresses of
    /// its host).
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`; [`HttpError::Redirected`] for one redirect too many, or one that leads nowhere.
    pub async fn get_text(&self, url: &Url, cap: usize, redirects: u8) -> Result<String, HttpError> {
        let mut url = url.clone();
        for _ in 0..=redirects {
            let response = self
                .send_once(Call { shows: Shows::Nobody, ..Call::get(&url, "text/plain, */*;q=0.5") })
                .await?;
            if let Some(next) = redirect(&url, &response)? {
                url = next;
                continue;
            }
            if !response.status().is_success() {
                return Err(status_error(&response));
            }
            let body = self.read(response, cap).await?;
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        Err(HttpError::Redirected)
    }

    /// Posts JSON to a server that answers with a status; the response body is not read.
    ///
    /// # Errors
    /// Any [`HttpError`] but `Setup`.
    pub async fn post_json(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<u16, HttpError> {
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value =
                HeaderValue::from_str(value).map_err(|_| HttpError::Blocked("a header is malformed"))?;
            all.insert(*name, value);
        }
        let call = Call {
            method: Method::POST,
            url,
            accept: "*/*",
            headers: all,
            body: Some(Bytes::from(body)),
            shows: Shows::Host,
        };
        Ok(self.send(call).await?.status().as_u16())
    }
}
