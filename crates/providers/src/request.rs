//! Requests to providers, before they are sent.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use causeway_outbound::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use thiserror::Error;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::definition::request::RequestBody;
use crate::fields::Known;
use crate::values::fill::FillError;
use crate::values::http::{HeaderName as DefinedHeader, Method};
use crate::values::name::FieldName;
use crate::values::template::Template;

/// A complete request to a provider. It may contain secrets anywhere but in the host of its address.
#[derive(Clone)]
pub struct ProviderRequest {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// The headers, `Accept` included if the definition sets it.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
}

impl fmt::Debug for ProviderRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderRequest")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// Why a request cannot be made. Nothing was sent. No value is in the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// An address cannot be filled.
    #[error("an address of the provider cannot be filled: {0}")]
    Address(#[from] FillError),
    /// A parameter or a header needs a value that there is not.
    #[error("{{{0}}} has no value")]
    NoValue(FieldName),
    /// A value cannot be in a header.
    #[error("the value of the header {0} has characters that no header may have")]
    Header(String),
    /// The registration lacks the secret or the key that its authentication method needs.
    #[error("the registration has no {0}, which its authentication method needs")]
    NoCredential(&'static str),
    /// The definition renews nothing.
    #[error("the definition renews nothing")]
    NoRenewal,
    /// There is no refresh token to renew with, and the definition renews with one.
    #[error("there is no refresh token")]
    NoRefreshToken,
    /// The assertion cannot be signed.
    #[error("the client assertion cannot be signed: {0}")]
    Sign(#[from] causeway_jose::JoseError),
}

/// A request whose parameters have no place yet.
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    pub(crate) parameters: Parameters,
    /// A body in JSON whose members are no texts; it is instead of the parameters.
    pub(crate) json: Option<Map<String, Value>>,
}

/// Parameters of a request, in their order. Their values are wiped when they are dropped.
#[derive(Default)]
pub(crate) struct Parameters(Vec<(String, Zeroizing<String>)>);

impl Parameters {
    /// Sets a parameter, which takes the place of one with the same name.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = Zeroizing::new(value.into());
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Sets the parameters of a definition.
    ///
    /// # Errors
    /// [`RequestError::NoValue`].
    pub(crate) fn fill(
        &mut self,
        templates: &BTreeMap<String, Template>,
        known: Known<'_>,
    ) -> Result<(), RequestError> {
        templates.iter().try_for_each(|(name, template)| {
            self.set(name, filled(template, known)?);
            Ok(())
        })
    }

    /// The parameters, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds them to the query of an address.
    pub(crate) fn append_to(&self, url: &mut Url) {
        if !self.0.is_empty() {
            url.query_pairs_mut().extend_pairs(self.0.iter().map(|(name, value)| (name, value.as_str())));
        }
    }

    fn form(&self) -> Bytes {
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(4096));
        form.extend_pairs(self.0.iter().map(|(name, value)| (name, value.as_str())));
        Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()))
    }

    fn json(&self) -> Bytes {
        let members = self.0.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let text = Value::Object(members.collect::<Map<_, _>>()).to_string();
        Bytes::from_owner(Zeroizing::new(text.into_bytes()))
    }
}

impl Draft {
    pub(crate) fn new(method: Method, url: Url, body: RequestBody) -> Self {
        Self { method, url, headers: HeaderMap::new(), body, parameters: Parameters::default(), json: None }
    }

    /// Sets the headers of a definition.
    ///
    /// # Errors
    /// [`RequestError::NoValue`] and [`RequestError::Header`].
    pub(crate) fn set_headers(
        &mut self,
        headers: &BTreeMap<DefinedHeader, Template>,
        known: Known<'_>,
    ) -> Result<(), RequestError> {
        headers.iter().try_for_each(|(name, template)| {
            set_header(&mut self.headers, name.as_str(), &Zeroizing::new(filled(template, known)?))
        })
    }

    /// Puts the parameters where they go.
    pub(crate) fn finish(mut self) -> ProviderRequest {
        // A request without a body has its parameters in the address.
        let place = if self.method == Method::Get { RequestBody::Query } else { self.body };
        let (media_type, body) = match place {
            RequestBody::Query => {
                self.parameters.append_to(&mut self.url);
                (None, None)
            }
            RequestBody::Form => (Some("application/x-www-form-urlencoded"), Some(self.parameters.form())),
            RequestBody::Json => {
                let body = self.json.take().map_or_else(
                    || self.parameters.json(),
                    |members| Bytes::from(Value::Object(members).to_string()),
                );
                (Some("application/json"), Some(body))
            }
        };
        if let Some(media_type) = media_type {
            self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        let Self { method, url, headers, .. } = self;
        ProviderRequest { method, url, headers, body }
    }
}

/// Sets a header, which takes the place of one with the same name.
///
/// # Errors
/// [`RequestError::Header`].
pub(crate) fn set_header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), RequestError> {
    let refuse = || RequestError::Header(name.to_owned());
    let own = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| refuse())?;
    value.set_sensitive(true);
    headers.insert(own, value);
    Ok(())
}

/// A template with the values of its fields.
///
/// # Errors
/// [`RequestError::NoValue`], which names the field.
pub(crate) fn filled(template: &Template, known: Known<'_>) -> Result<String, RequestError> {
    template.fill(|name| known.value_of(name)).ok_or_else(|| {
        let missing = template.fields().find(|name| known.value_of(name).is_none());
        missing.map_or(RequestError::NoCredential("value"), |name| RequestError::NoValue(name.clone()))
    })
}
