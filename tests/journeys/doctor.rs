//! `causeway doctor` beside a running server.

use anyhow::Result;
use causeway_domain::connection::{Registration, RegistrationOrigin, RegistrationState};
use causeway_store::StoreError;
use causeway_store::connections::registrations::insert_registration;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_testkit::{Agent, Causeway, OauthClient, ScriptedUpstream};
use causeway_types::{RegistrationId, TenantId, Timestamp, TokenEndpointAuthMethod, UpstreamClientId};
use serde_json::json;
use tempfile::tempdir;

use crate::support::{DID, HANDLE, database_arguments, on_each_database, upstream_arguments};

on_each_database! {
    /// An authorization server that no longer accepts our client is named, with what it says and how many sessions it
    /// refuses to refresh.
    async fn who_refuses_our_client(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let directory = tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&upstream.environment()));
        let server = Causeway::serve(directory.path(), &arguments).await?;
        let doctor = async || -> Result<(Option<i32>, String)> {
            let all: Vec<&str> = ["doctor"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
            let output = Causeway::run(directory.path(), &all).await?;
            Ok((output.status.code(), String::from_utf8(output.stdout)?))
        };
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &server.address).await?;
        let token = client.sign_in(&agent, &upstream, HANDLE).await?.access_token;
        let (code, said) = doctor().await?;
        assert!(code == Some(0) && !said.contains("upstream refreshes"), "{said}");

        upstream.script(|script| script.refuses = Some((401, json!({"error": "invalid_client"}))));
        let url = format!("{}/api/session/refresh", server.address);
        let refused = agent.send(agent.request("POST".parse()?, &url).bearer_auth(&token)).await?;
        assert_eq!(refused.refusal(), "503 upstream_unavailable");
        let (code, said) = doctor().await?;
        let line = format!(
            "BAD   upstream refreshes: {} refuses to refresh 1 sessions with invalid_client: it does not accept our client",
            upstream.origin
        );
        assert!(code == Some(1) && said.contains(&line), "{said}");
        assert!(!said.contains("does not accept pr_"), "{said}");

        let ring = EncryptionKeyRing::parse(&std::fs::read_to_string(directory.path().join("ring.key"))?)?;
        let now = Timestamp(1_700_000_000);
        let registration = Registration {
            registration_id: RegistrationId::new("pr_doctor"),
            provider: "github".to_owned(),
            issuer: "https://github.com".to_owned(),
            origin: RegistrationOrigin::Operator,
            client_id: UpstreamClientId::new("ours"),
            client_secret: None,
            next_secret: None,
            token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            redirect_uri: "https://us.example/connect/github/callback".to_owned(),
            registration_access_token: None,
            registration_client_uri: None,
            state: RegistrationState::Misconfigured,
            created_at: now,
            updated_at: now,
            expires_at: None,
        };
        let store = database.store().await.in_tenant(&TenantId::default_tenant());
        store
            .write::<_, StoreError, _>(move |scope| insert_registration(scope, &ring, &registration))
            .await?;
        let (code, said) = doctor().await?;
        let line = "BAD   registration: https://github.com does not accept pr_doctor of github, tenant default";
        assert!(code == Some(1) && said.contains(line), "{said}");
        Ok(())
    }
}
