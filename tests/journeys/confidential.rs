//! The confidential client: the binary behind a TLS front, under a name, against PDSes over https
//! that fetch our metadata and verify our assertions.

use anyhow::Result;
use causeway_testkit::{Agent, Causeway, OauthClient, RealNet, TlsProxy, Tokens};
use serde_json::json;

use crate::support::{database_arguments, on_each_database};

on_each_database! {
    /// Sign in, refresh at the PDS, kill the server, come back, refresh again, revoke.
    async fn over_tls_names(database) {
        let Some(net) = RealNet::start_tls().await? else { return Ok(()) };
        let mut front = TlsProxy::start(&net).await?;
        let directory = tempfile::tempdir()?;
        let environment = net.environment();
        let names = ["pds1", "pds2", "plc", "directory"].map(|name| format!("--resolve={name}.realnet.internal=127.0.0.1"));
        let mut arguments = database_arguments(database, directory.path())?;
        arguments.extend([
            "--listen=127.0.0.1:0".to_owned(),
            format!("--external-url={}", front.url),
            format!("--plc-url={}", environment.plc_url),
            format!("--handle-resolver={}", environment.handle_resolver),
            format!("--extra-ca={}", net.ca_path()),
        ]);
        arguments.extend(names);
        let server = serve(directory.path(), &arguments, &mut front).await?;

        let agent = Agent::new(Some(&net.ca()?));
        let metadata = agent.get(&format!("{}/oauth-client-metadata.json", front.url)).await?.json();
        assert_eq!(metadata["token_endpoint_auth_method"], "private_key_jwt");
        let jwks = agent.get(&format!("{}/oauth/atp/jwks", front.url)).await?.json();
        assert_eq!((jwks["keys"][0]["crv"].as_str(), jwks["keys"][0].get("d")), (Some("P-256"), None));

        let client = OauthClient::register(&agent, &front.url).await?;
        let tokens = client.sign_in(&agent, &net.person("alice")?, "alice.test").await?;
        assert_eq!(refresh(&agent, &front.url, &tokens).await?["head_iteration"], json!(2));
        server.kill().await?;
        let server = serve(directory.path(), &arguments, &mut front).await?;
        let tokens = Tokens::read(&client.refresh(&agent, &tokens.refresh_token).await?)?;
        assert_eq!(refresh(&agent, &front.url, &tokens).await?["head_iteration"], json!(3));
        let revoked = client.post(&agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        assert_eq!(revoked.status, 200);
        assert!(server.log()?.contains("session revoked at its server"));
        Ok(())
    }
}

/// Starts the binary behind the front; it prints its external address, so the port is in the log.
async fn serve(directory: &std::path::Path, arguments: &[String], front: &mut TlsProxy) -> Result<Causeway> {
    let server = Causeway::serve(directory, arguments).await?;
    assert_eq!(server.address, front.url);
    front.point_at(&server.bound()?).await?;
    Ok(server)
}

async fn refresh(agent: &Agent, issuer: &str, tokens: &Tokens) -> Result<serde_json::Value> {
    let request = agent.request("POST".parse()?, &format!("{issuer}/api/session/refresh"));
    Ok(agent.send(request.bearer_auth(&tokens.access_token)).await?.json())
}
