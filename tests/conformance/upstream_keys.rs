//! The client keys that authorization servers know us by (atproto OAuth specification, "Confidential Client
//! Authentication"): a session is bound to the key that it began with (invariant 16).

use std::sync::Arc;

use anyhow::{Context as _, Result};
use causeway_domain::Clock as _;
use causeway_jose::EcKey;
use causeway_store::StoreError;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::operations::keys;
use causeway_testkit::{Agent, MockClock, OauthClient, ScriptedUpstream, TestApp, TestDatabase, Tokens};
use causeway_types::SystemRng;
use serde_json::Value;

use crate::support::{DID, HANDLE, on_each_database};

/// A confidential deployment: one database and its keys, whichever process serves.
struct Deployment<'a> {
    database: &'a TestDatabase,
    upstream: ScriptedUpstream,
    clock: MockClock,
    ring: Arc<EncryptionKeyRing>,
    agent: Agent,
}

impl<'a> Deployment<'a> {
    fn of(database: &'a TestDatabase) -> Result<Self> {
        let ring = Arc::new(EncryptionKeyRing::parse(&EncryptionKeyRing::generate(&SystemRng))?);
        let (upstream, clock) = (ScriptedUpstream::start(HANDLE, DID)?, MockClock::now_or_never());
        Ok(Self { database, upstream, clock, ring, agent: Agent::default() })
    }

    async fn serve(&self) -> Result<TestApp> {
        let environment = self.upstream.environment();
        TestApp::start_confidential(self.database, &environment, self.clock.clone(), Arc::clone(&self.ring))
            .await
    }

    /// The names of the keys that a process publishes.
    async fn published(&self, app: &TestApp) -> Result<Vec<String>> {
        let document = self.agent.get(&app.at("/oauth/atp/jwks")).await?.json();
        let keys = document["keys"].as_array().context("keys")?;
        keys.iter().map(|key| Ok(key["kid"].as_str().context("kid")?.to_owned())).collect()
    }

    /// Puts a new key in the place of the one that signs.
    async fn rotate(&self, app: &TestApp) -> Result<String> {
        let (fresh, ring) = (EcKey::generate()?, Arc::clone(&self.ring));
        let key = keys::StoredKey {
            kid: fresh.thumbprint().to_owned(),
            purpose: "atp_client".to_owned(),
            alg: "ES256".to_owned(),
            public_jwk: fresh.public_jwk().to_string(),
            private_jwk: fresh.private_jwk(),
            created_at: self.clock.now(),
            retired_at: None,
        };
        let kid = key.kid.clone();
        app.store().write::<_, StoreError, _>(move |c| keys::rotate_signing_key(c, &ring, &key)).await?;
        Ok(kid)
    }

    /// Refreshes the session at its authorization server.
    async fn refresh(&self, app: &TestApp, tokens: &Tokens) -> Result<Value> {
        let request = self.agent.request("POST".parse()?, &app.at("/api/session/refresh"));
        Ok(self.agent.send(request.bearer_auth(&tokens.access_token)).await?.json())
    }
}

on_each_database! {
    /// A key that was rotated out, and even withdrawn, stays published and is used for the sessions that began with it,
    /// by whichever process; a new session begins with the new one. The scripted server refuses any other key.
    async fn a_session_keeps_its_key(database) {
        let deployment = Deployment::of(database)?;
        let first = deployment.serve().await?;
        let client = OauthClient::register(&deployment.agent, &first.issuer).await?;
        let old = deployment.published(&first).await?;
        assert_eq!(old.len(), 1, "it has made one");
        let tokens = client.sign_in(&deployment.agent, &deployment.upstream, HANDLE).await?;
        assert_eq!(deployment.refresh(&first, &tokens).await?["head_iteration"], 2);

        let new = deployment.rotate(&first).await?;
        let kid = old[0].clone();
        let second = deployment.serve().await?;
        let published = deployment.published(&second).await?;
        assert!(published.contains(&kid) && published.contains(&new), "{published:?}");
        assert_eq!(deployment.refresh(&second, &tokens).await?["head_iteration"], 3);

        let withdrawn = first.store().write::<_, StoreError, _>(move |c| keys::withdraw_signing_key(c, &kid)).await?;
        assert!(withdrawn);
        let third = deployment.serve().await?;
        assert!(deployment.published(&third).await?.contains(&old[0]), "a session lives");
        assert_eq!(deployment.refresh(&third, &tokens).await?["head_iteration"], 4);

        let own = OauthClient { issuer: third.issuer.clone(), ..client };
        let later = own.sign_in(&deployment.agent, &deployment.upstream, HANDLE).await?;
        let pushed = deployment.upstream.last_pushed();
        let header = pushed["client_assertion"].split('.').next().context("a header")?;
        let header: Value = serde_json::from_slice(&base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header)?)?;
        assert_eq!(header["kid"], new.as_str(), "what begins now has the key of now");
        assert_eq!(deployment.refresh(&third, &later).await?["head_iteration"], 2);
        Ok(())
    }
}
