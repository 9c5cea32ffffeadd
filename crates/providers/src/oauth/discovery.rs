//! Discovery of authorization servers and their keys.

use causeway_jose::{JwkError, JwkSet};
use causeway_outbound::HttpError;
use thiserror::Error;
use url::Url;

use super::client::{ProviderClient, Reply};
use super::metadata::{MetadataError, ServerMetadata, WellKnown, well_known};
use crate::definition::oauth::Discovery;
use crate::definition::request::RequestBody;
use crate::fields::FieldValues;
use crate::json::Document;
use crate::request::{Draft, ProviderRequest};
use crate::values::fill::FillError;
use crate::values::http::Method;
use crate::values::url_template::UrlTemplate;

/// Why a server was not discovered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiscoveryError {
    /// The address of the issuer lacks a value.
    #[error("the issuer cannot be filled: {0}")]
    Issuer(#[from] FillError),
    /// There is no metadata: every address was answered by something else.
    #[error("the issuer has no metadata")]
    Absent,
    /// Nobody knows: there was no answer that tells. What was known before stands.
    #[error("the metadata cannot be fetched at the moment: {0}")]
    Unknown(HttpError),
    /// There is metadata, and it must not be used.
    #[error("the metadata of the issuer is invalid: {0}")]
    Invalid(#[from] MetadataError),
    /// The keys must not be used.
    #[error("the keys of the issuer are invalid: {0}")]
    Keys(#[from] JwkError),
}

/// The answer to the request for a document.
pub(crate) enum Found {
    /// It is there.
    Document(Document),
    /// The server has none at this address.
    Absent,
}

impl ProviderClient {
    /// Discovers an issuer.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    #[tracing::instrument(name = "provider.discover", skip_all)]
    pub async fn discover(
        &self,
        discovery: &Discovery,
        order: WellKnown,
        fields: &FieldValues,
    ) -> Result<ServerMetadata, DiscoveryError> {
        let issuer = discovery.issuer.fill(|name| fields.get(name.as_str()))?;
        self.discover_issuer(&issuer, discovery.issuer_pattern.as_ref(), order).await
    }

    /// The same for an issuer that is known. `pattern` is that of the issuer in metadata where it differs.
    pub(crate) async fn discover_issuer(
        &self,
        issuer: &Url,
        pattern: Option<&UrlTemplate>,
        order: WellKnown,
    ) -> Result<ServerMetadata, DiscoveryError> {
        for url in well_known(issuer, order) {
            if let Found::Document(document) = self.document(url).await? {
                return Ok(ServerMetadata::read(&document, pattern, issuer, self.http.dev_mode())?);
            }
        }
        Err(DiscoveryError::Absent)
    }

    /// Fetches the keys of an issuer.
    ///
    /// # Errors
    /// [`DiscoveryError::Absent`], [`DiscoveryError::Unknown`] and [`DiscoveryError::Keys`].
    #[tracing::instrument(name = "provider.keys", skip_all)]
    pub async fn keys(&self, jwks_uri: &Url) -> Result<JwkSet, DiscoveryError> {
        match self.document(jwks_uri.clone()).await? {
            Found::Document(document) => Ok(JwkSet::parse(document.root())?),
            Found::Absent => Err(DiscoveryError::Absent),
        }
    }

    /// Fetches a document: it is there, or it is not.
    ///
    /// # Errors
    /// [`DiscoveryError::Unknown`].
    pub(crate) async fn document(&self, url: Url) -> Result<Found, DiscoveryError> {
        let request: ProviderRequest = Draft::new(Method::Get, url, RequestBody::Query).finish();
        match self.send_for_document(request).await {
            Ok(reply) => found(&reply),
            Err(HttpError::Redirected) => Ok(Found::Absent),
            Err(error) => Err(DiscoveryError::Unknown(error)),
        }
    }
}

/// Whether a document is there: 4xx and what is not JSON mean that it is not; everything that may pass means nothing.
fn found(reply: &Reply) -> Result<Found, DiscoveryError> {
    let Reply { status, retry_after, ref body, .. } = *reply;
    match status {
        408 | 425 | 429 | 500.. => Err(DiscoveryError::Unknown(HttpError::Status { status, retry_after })),
        200 => Ok(Document::strict_json(body).map_or(Found::Absent, Found::Document)),
        _ => Ok(Found::Absent),
    }
}
