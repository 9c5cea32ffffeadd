//! A stock OpenID Connect provider on loopback: node-oidc-provider, of the package in `tests/realnet`.

use anyhow::{Context as _, Result};
use tokio::process::Child;

use crate::Agent;
use crate::realnet::{first_line, left_out, node};

/// A running provider. It stops when this is dropped.
#[derive(Debug)]
pub struct OidcProvider {
    /// Its issuer.
    pub issuer: String,
    /// It stops when this pipe closes.
    _process: Child,
}

impl OidcProvider {
    /// The `client_id` that it knows.
    pub const CLIENT_ID: &'static str = "causeway";
    /// The secret of that client.
    pub const CLIENT_SECRET: &'static str = "a secret of forty characters for causeway";

    /// Starts it with a client of this redirect URI. `None` when these tests are skipped.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(redirect_uri: &str) -> Result<Option<Self>> {
        if left_out() {
            return Ok(None);
        }
        let mut process = node("oidc-provider.mjs")
            .args(["--client-id", Self::CLIENT_ID, "--client-secret", Self::CLIENT_SECRET])
            .args(["--redirect-uri", redirect_uri])
            .spawn()
            .context("node: is it installed?")?;
        let (ready, _) = first_line(&mut process).await.context("node-oidc-provider")?;
        let issuer = ready["issuer"].as_str().context("issuer")?.to_owned();
        Ok(Some(Self { issuer, _process: process }))
    }

    /// Its only user signs in and consents: follows its redirects until they leave it, and returns where to.
    ///
    /// # Errors
    /// When they do not.
    pub async fn approve(&self, authorize_url: &str) -> Result<String> {
        let browser = Agent::default();
        let mut url = url::Url::parse(authorize_url)?;
        while url.as_str().starts_with(&self.issuer) {
            url = url.join(&browser.get(url.as_str()).await?.location()?)?;
        }
        Ok(url.into())
    }
}
