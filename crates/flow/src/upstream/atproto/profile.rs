//! Our identity as a client of authorization servers: the atproto loopback client on a laptop, a confidential
//! client with published keys everywhere else (atproto OAuth specification, "Clients").

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_atproto::{UpstreamAuthKey, UpstreamIdentity};
use causeway_domain::Clock;
use causeway_domain::client::Client;
use causeway_domain::session::{UpstreamAuth, UpstreamBinding};
use causeway_jose::EcKey;
use causeway_store::Store;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::keys;
use causeway_types::{ClientId, Scope, UpstreamClientId};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::authorization::scopes::Declares;
use crate::error::Internal;
use crate::upstream::atproto::metadata::{self, CALLBACK_PATH, Document, UpstreamClient};

const KEY_PURPOSE: &str = "atp_client";

/// Why the profile could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The database failed, or a key in it is unusable.
    #[error(transparent)]
    Internal(#[from] Internal),
}

/// Our current identity as a client of authorization servers. An earlier session keeps its own binding.
#[derive(Debug)]
pub struct UpstreamProfile {
    origin: String,
    redirect_uri: String,
    auth: UpstreamAuth,
    keys: BTreeMap<String, EcKey>,
    mode: UpstreamClient,
    metadata: Option<Value>,
    max_token_age: Option<i64>,
}

/// The scope to request from an authorization server, and the `client_id` to request it as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    pub(crate) client_id: UpstreamClientId,
    pub(crate) scope: Scope,
}

impl UpstreamProfile {
    /// The loopback client: its `client_id` carries its own metadata. `page_origin` is a loopback
    /// *address*: a PDS refuses `localhost` in a redirect URI (RFC 8252 section 8.3).
    pub fn loopback(page_origin: &str) -> Self {
        Self {
            origin: page_origin.to_owned(),
            redirect_uri: format!("{page_origin}{CALLBACK_PATH}"),
            auth: UpstreamAuth::None,
            keys: BTreeMap::new(),
            mode: UpstreamClient::Shared,
            metadata: None,
            max_token_age: None,
        }
    }

    /// The confidential client of an https deployment, whose shared document lists `scope`. Its key is
    /// created at the first start.
    ///
    /// # Errors
    /// When the database does not answer, or a stored key cannot be opened.
    pub async fn confidential(
        issuer: &str,
        mode: UpstreamClient,
        scope: &Scope,
        store: &Store,
        ring: &Arc<EncryptionKeyRing>,
        clock: &dyn Clock,
    ) -> Result<Self, SetUpError> {
        let stored = ensure_key(store, ring, clock).await?;
        let mut keys = BTreeMap::new();
        let mut current = None;
        for key in stored {
            let parsed = EcKey::from_private_jwk(&key.private_jwk).map_err(Internal::from)?;
            if key.retired_at.is_none() {
                current.get_or_insert_with(|| key.kid.clone());
            }
            keys.insert(key.kid, parsed);
        }
        let kid = current.ok_or(Internal::Inconsistent("no live client key after creating one"))?;
        let shared = Document { client: None, coarse: None };
        let metadata = metadata::document(issuer, &shared.client_id(issuer), None, scope);
        Ok(Self {
            origin: issuer.to_owned(),
            redirect_uri: format!("{issuer}{CALLBACK_PATH}"),
            auth: UpstreamAuth::PrivateKeyJwt { kid },
            keys,
            mode,
            metadata: Some(metadata),
            max_token_age: None,
        })
    }

    /// The `kid` of the key that new sessions authenticate with; `None`: it is created at the first start.
    ///
    /// # Errors
    /// When the database does not answer, or a stored key cannot be opened.
    pub async fn key_in_use(
        store: &Store,
        ring: &Arc<EncryptionKeyRing>,
    ) -> Result<Option<String>, SetUpError> {
        let ring = Arc::clone(ring);
        let stored = store
            .read(move |c| keys::list_signing_keys(c, &ring, KEY_PURPOSE).map_err(Internal::from))
            .await?;
        Ok(stored.into_iter().find(|key| key.retired_at.is_none()).map(|key| key.kid))
    }

    /// The redirect URI that users return to.
    pub(crate) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Whether clients share one upstream identity or have one each.
    pub(crate) fn mode(&self) -> UpstreamClient {
        self.mode
    }

    /// The scopes that our client document lists.
    pub(crate) fn declares(&self) -> Declares {
        match (&self.metadata, self.mode) {
            (None, _) => Declares::Asked,
            (Some(_), UpstreamClient::Shared) => Declares::Maximum,
            (Some(_), UpstreamClient::PerClient) => Declares::Registered,
        }
    }

    /// Requests a scope on behalf of a client, with the client document that lists it.
    pub(crate) fn asking(&self, client: &Client, scope: Scope) -> Asking {
        self.asking_as(&Document { client: self.document_of(client), coarse: None }, scope)
    }

    /// The same, for an authorization server that knows the transition scopes only.
    pub(crate) fn asking_coarse(&self, client: &Client, scope: Scope) -> Asking {
        self.asking_as(&Document::coarse(self.document_of(client), &scope), scope)
    }

    fn document_of(&self, client: &Client) -> Option<ClientId> {
        (self.mode == UpstreamClient::PerClient).then(|| client.client_id.clone())
    }

    fn asking_as(&self, document: &Document, scope: Scope) -> Asking {
        let client_id = match self.metadata {
            Some(_) => document.client_id(&self.origin),
            None => loopback_client_id(&self.redirect_uri, &scope),
        };
        Asking { client_id, scope }
    }

    /// Our client metadata document; `None` for the loopback client, whose `client_id` says it all.
    pub fn metadata(&self) -> Option<&Value> {
        self.metadata.as_ref()
    }

    /// Sets the age in seconds at which access tokens are renewed, long before they expire: for servers that
    /// restrict old tokens. A PDS does not.
    pub const fn set_max_token_age(&mut self, seconds: Option<i64>) {
        self.max_token_age = seconds;
    }

    /// The age in seconds at which an access token is renewed; `None`: only its expiry counts.
    pub(crate) const fn max_token_age(&self) -> Option<i64> {
        self.max_token_age
    }

    /// The public keys that our assertions verify with (RFC 7517 section 5).
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.keys.values().map(EcKey::published_jwk).collect::<Vec<_>>() })
    }

    /// Whether a key is published today.
    pub fn has_key(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// The binding of a session that begins now.
    pub(crate) fn bind(
        &self,
        client_id: UpstreamClientId,
        issuer: &str,
        pds: Option<&str>,
    ) -> UpstreamBinding {
        UpstreamBinding {
            issuer: issuer.to_owned(),
            pds: pds.unwrap_or_default().to_owned(),
            client_id,
            auth: self.auth.clone(),
            redirect_uri: self.redirect_uri.clone(),
        }
    }

    /// The credentials for a session with this binding; `None` when its key is not published any more.
    pub(crate) fn identity<'a>(&'a self, binding: &'a UpstreamBinding) -> Option<UpstreamIdentity<'a>> {
        let auth = match &binding.auth {
            UpstreamAuth::None => UpstreamAuthKey::None,
            UpstreamAuth::PrivateKeyJwt { kid } => {
                UpstreamAuthKey::PrivateKeyJwt { key: self.keys.get(kid)?, kid }
            }
        };
        Some(UpstreamIdentity { client_id: &binding.client_id, auth })
    }
}

/// The `client_id` of the loopback client, which is its document too: it lists just the requested scope.
fn loopback_client_id(redirect_uri: &str, scope: &Scope) -> UpstreamClientId {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", &scope.to_string())
        .finish();
    UpstreamClientId::new(format!("http://localhost?{query}"))
}

/// Lists the client keys, the live one first; creates it if there is none. If several processes start at
/// once, one creates it and all use it.
async fn ensure_key(
    store: &Store,
    ring: &Arc<EncryptionKeyRing>,
    clock: &dyn Clock,
) -> Result<Vec<keys::StoredKey>, Internal> {
    let fresh = EcKey::generate()?;
    let now = clock.now();
    let ring = Arc::clone(ring);
    store
        .write(move |c| {
            let stored = keys::list_signing_keys(c, &ring, KEY_PURPOSE)?;
            if stored.iter().any(|key| key.retired_at.is_none()) {
                return Ok(stored);
            }
            let key = keys::StoredKey {
                kid: fresh.thumbprint().to_owned(),
                purpose: KEY_PURPOSE.to_owned(),
                alg: "ES256".to_owned(),
                public_jwk: fresh.public_jwk().to_string(),
                private_jwk: fresh.private_jwk(),
                created_at: now,
                retired_at: None,
            };
            keys::insert_signing_key(c, &ring, &key)?;
            keys::list_signing_keys(c, &ring, KEY_PURPOSE).map_err(Internal::from)
        })
        .await
}
