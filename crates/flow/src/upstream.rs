//! Who we are to people's own servers: the atproto loopback client on a laptop, a confidential
//! client with published keys everywhere else (atproto OAuth specification, "Clients"). And what
//! becomes of the tokens that they answer with.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_atproto::{AuthorizationServer, TokenAnswer, UpstreamAuthKey, UpstreamIdentity};
use causeway_domain::session::{TokenSet, UpstreamAuth, UpstreamBinding};
use causeway_domain::{Clock, Scope, Secret, Timestamp, UpstreamClientId};
use causeway_jose::EcKey;
use causeway_store::seal::SealingKeyRing;
use causeway_store::{Store, keys};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::ctx::Ctx;
use crate::error::Internal;

/// Where people come back to.
pub(crate) const CALLBACK_PATH: &str = "/oauth/atp/callback";
/// Where our client metadata document is.
pub(crate) const CLIENT_METADATA_PATH: &str = "/oauth-client-metadata.json";
/// Where our client's public keys are.
pub(crate) const CLIENT_JWKS_PATH: &str = "/oauth/atp/jwks";

const KEY_PURPOSE: &str = "atp_client";

/// Why the profile could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The database, or a key in it.
    #[error(transparent)]
    Internal(#[from] Internal),
}

/// Who we are to people's own servers today. A session that began earlier keeps its own binding.
#[derive(Debug)]
pub struct UpstreamProfile {
    client_id: UpstreamClientId,
    redirect_uri: String,
    auth: UpstreamAuth,
    keys: BTreeMap<String, EcKey>,
    metadata: Option<Value>,
}

impl UpstreamProfile {
    /// The loopback client: its `client_id` carries its own metadata. `page_origin` is a loopback
    /// *address*: a PDS refuses `localhost` in a redirect URI (RFC 8252 section 8.3).
    pub fn loopback(page_origin: &str, scope: &Scope) -> Self {
        let redirect_uri = format!("{page_origin}{CALLBACK_PATH}");
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("scope", &scope.to_string())
            .finish();
        Self {
            client_id: UpstreamClientId::new(format!("http://localhost?{query}")),
            redirect_uri,
            auth: UpstreamAuth::None,
            keys: BTreeMap::new(),
            metadata: None,
        }
    }

    /// The confidential client of an https deployment. Makes its key at the first start.
    ///
    /// # Errors
    /// When the database does not answer, or a stored key cannot be opened.
    pub async fn confidential(
        issuer: &str,
        scope: &Scope,
        store: &Store,
        ring: &Arc<SealingKeyRing>,
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
        let kid = current.ok_or(Internal::Inconsistent("no live client key after making one"))?;
        let client_id = format!("{issuer}{CLIENT_METADATA_PATH}");
        let redirect_uri = format!("{issuer}{CALLBACK_PATH}");
        let metadata = json!({
            "client_id": client_id,
            "client_name": "Causeway",
            "client_uri": issuer,
            "application_type": "web",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": scope.to_string(),
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "dpop_bound_access_tokens": true,
            "jwks_uri": format!("{issuer}{CLIENT_JWKS_PATH}"),
        });
        Ok(Self {
            client_id: UpstreamClientId::new(client_id),
            redirect_uri,
            auth: UpstreamAuth::PrivateKeyJwt { kid },
            keys,
            metadata: Some(metadata),
        })
    }

    /// Our client metadata document; `None` for the loopback client, whose `client_id` says it all.
    pub fn metadata(&self) -> Option<&Value> {
        self.metadata.as_ref()
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
    pub(crate) fn bind(&self, issuer: &str, pds: Option<&str>) -> UpstreamBinding {
        UpstreamBinding {
            issuer: issuer.to_owned(),
            pds: pds.unwrap_or_default().to_owned(),
            client_id: self.client_id.clone(),
            auth: self.auth.clone(),
            redirect_uri: self.redirect_uri.clone(),
        }
    }

    /// How to authenticate for a session with this binding; `None` when its key is gone.
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

/// The client keys, the live one first; makes it when there is none. Of several processes that start
/// at once, one makes it and all use it.
async fn ensure_key(
    store: &Store,
    ring: &Arc<SealingKeyRing>,
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

/// The token set that an answer makes.
pub(crate) fn token_set(answer: &TokenAnswer, dpop_key: &Secret, dpop_jkt: &str, now: Timestamp) -> TokenSet {
    TokenSet {
        access_token: answer.access_token.clone(),
        refresh_token: answer.refresh_token.clone(),
        created_at: now,
        expires_at: answer.expires_in.map(|seconds| now.plus(seconds)),
        scope: answer.scope.clone(),
        dpop_key: dpop_key.clone(),
        dpop_jkt: dpop_jkt.to_owned(),
    }
}

/// Gives back tokens that nobody will use. Nothing of them is stored, so one try is all there is.
pub(crate) async fn give_back(
    ctx: &Ctx,
    server: &AuthorizationServer,
    me: &UpstreamIdentity<'_>,
    dpop: &EcKey,
    answer: &TokenAnswer,
) {
    let token = answer.refresh_token.as_ref().unwrap_or(&answer.access_token);
    if let Err(error) = ctx.atproto().revoke(server, me, dpop, token).await {
        tracing::warn!(%error, "unused upstream tokens were not revoked");
    }
}
