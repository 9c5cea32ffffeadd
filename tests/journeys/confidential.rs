//! The confidential client: the binary behind a TLS front, under a name, against PDSes over https
//! that fetch our metadata and verify our assertions.

use std::time::Duration;

use anyhow::Result;
use causeway_testkit::{Agent, Causeway, OauthClient, RealNet, TestDatabase, TlsProxy, Tokens};
use serde_json::json;

use crate::support::{database_arguments, on_each_network};

on_each_network! {
    /// Sign in, refresh at the PDS, kill the server, come back, refresh again, revoke.
    async fn over_tls_names(database, release) {
        let Some(net) = RealNet::start_tls(release).await? else { return Ok(()) };
        let mut front = TlsProxy::start(&net).await?;
        let directory = tempfile::tempdir()?;
        let arguments = arguments(database, directory.path(), &net, &front)?;
        let server = serve(directory.path(), &arguments, &mut front).await?;

        let agent = Agent::new(Some(&net.ca()?));
        let metadata = agent.get(&format!("{}/oauth-client-metadata.json", front.url)).await?.json();
        assert_eq!(metadata["token_endpoint_auth_method"], "private_key_jwt");
        let jwks = agent.get(&format!("{}/oauth/atp/jwks", front.url)).await?.json();
        assert_eq!((jwks["keys"][0]["crv"].as_str(), jwks["keys"][0].get("d")), (Some("P-256"), None));

        let client = OauthClient::register(&agent, &front.url).await?;
        let tokens = client.sign_in(&agent, &net.user("alice")?, "alice.test").await?;
        assert_eq!(refresh(&agent, &front.url, &tokens).await?["head_iteration"], json!(2));
        server.kill().await?;
        let server = serve(directory.path(), &arguments, &mut front).await?;
        let tokens = Tokens::read(&client.refresh(&agent, &tokens.refresh_token).await?)?;
        assert_eq!(refresh(&agent, &front.url, &tokens).await?["head_iteration"], json!(3));
        let revoked = client.post(&agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        assert_eq!(revoked.status, 200);
        assert!(server.log()?.contains("session revoked upstream"));
        Ok(())
    }

    /// A PDS that refuses a scope (its copy of our document predates a change of the maximum scope) is asked
    /// for transition scopes, with a client document that declares no others; the session works like any
    /// other.
    async fn as_the_transition_client(database, release) {
        let Some(net) = RealNet::start_own_tls(release).await? else { return Ok(()) };
        let mut front = TlsProxy::start(&net).await?;
        let directory = tempfile::tempdir()?;
        let arguments = arguments(database, directory.path(), &net, &front)?;
        let server = serve(directory.path(), &arguments, &mut front).await?;
        let agent = Agent::new(Some(&net.ca()?));
        let mut client = OauthClient::register(&agent, &front.url).await?;
        client.sign_in(&agent, &net.user("alice")?, "alice.test").await?;
        server.kill().await?;

        let max_scope = "--atp-scopes=atproto transition:generic repo:app.bsky.feed.post".to_owned();
        let changed = [&arguments[..], &[max_scope]].concat();
        let server = serve(directory.path(), &changed, &mut front).await?;
        "openid repo:app.bsky.feed.post?action=create".clone_into(&mut client.scope);
        let to_pds = agent.set_out(&client.authorization(Some("alice.test")).url(&front.url)).await?.location()?;
        let document = url::Url::parse(&to_pds)?.query_pairs().find(|(name, _)| name == "client_id").unwrap().1.into_owned();
        assert_eq!(document, format!("{}/oauth-client-metadata/transition/generic.json", front.url));
        assert_eq!(agent.get(&document).await?.json()["scope"], "atproto transition:generic");
        let tokens = client.sign_in(&agent, &net.user("alice")?, "alice.test").await?;
        assert_eq!(tokens.answer["scope"], "openid repo:app.bsky.feed.post?action=create");
        assert_eq!(refresh(&agent, &front.url, &tokens).await?["head_iteration"], json!(2));
        assert_eq!(server.log()?.matches("pushing the request again with transition scopes").count(), 1);
        Ok(())
    }

    /// One upstream client for each of ours: the PDS shows its name and is asked for its scopes. A session
    /// keeps the client that it began as, through a change of the setting, until it is revoked.
    async fn as_its_own_client(database, release) {
        let Some(net) = RealNet::start_tls(release).await? else { return Ok(()) };
        let mut front = TlsProxy::start(&net).await?;
        let directory = tempfile::tempdir()?;
        let arguments = arguments(database, directory.path(), &net, &front)?;
        let own = [&arguments[..], &["--upstream-client=per_client".to_owned()]].concat();
        let server = serve(directory.path(), &own, &mut front).await?;

        let agent = Agent::new(Some(&net.ca()?));
        let mut client = OauthClient::register(&agent, &front.url).await?;
        let body = json!({
            "client_name": "Garden of Forking Paths",
            "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
            "scope": "openid email repo:app.bsky.feed.post",
        });
        let url = format!("{}/oauth/register", front.url);
        let registered = agent.post_body(&url, "application/json", body.to_string()).await?.json();
        client.client_id = registered["client_id"].as_str().unwrap().to_owned();
        let document = format!("{}/oauth-client-metadata/clients/{}.json", front.url, client.client_id);
        let published = agent.get(&document).await?.json();
        assert_eq!(published["client_id"], document.as_str());
        assert_eq!(published["client_name"], "Garden of Forking Paths");
        assert_eq!(published["scope"], "atproto account:email repo:app.bsky.feed.post");

        "openid email repo:app.bsky.feed.post?action=create".clone_into(&mut client.scope);
        let to_pds = agent.set_out(&client.authorization(Some("alice.test")).url(&front.url)).await?.location()?;
        let page = agent.request("GET".parse()?, &to_pds).header("sec-fetch-mode", "navigate");
        let page = agent.send(page.header("sec-fetch-dest", "document").header("sec-fetch-site", "cross-site")).await?;
        assert!(page.text.contains("Garden of Forking Paths"), "{page:?}");

        let tokens = client.sign_in(&agent, &net.user("alice")?, "alice.test").await?;
        assert_eq!(tokens.answer["scope"], "openid email repo:app.bsky.feed.post?action=create");
        server.kill().await?;
        let server = serve(directory.path(), &arguments, &mut front).await?;
        net.control("forget-clients", &json!({})).await?;
        assert_eq!(refresh(&agent, &front.url, &tokens).await?["head_iteration"], json!(2));

        // The client is deleted: its document stays until the PDS, which fetches it again, has revoked the session.
        server.kill().await?;
        let command = [&["clients", "delete", &client.client_id].map(str::to_owned)[..], &arguments].concat();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        assert!(Causeway::run(directory.path(), &command).await?.status.success());
        net.control("forget-clients", &json!({})).await?;
        let server = serve(directory.path(), &arguments, &mut front).await?;
        let gone = async {
            while agent.get(&document).await?.status != 404 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await??;
        assert!(server.log()?.contains("session revoked upstream"));
        Ok(())
    }

    /// The doctor reads what a PDS reads, and names what is in the way.
    async fn doctor_reads_what_a_pds_reads(database, release) {
        let Some(net) = RealNet::start_tls(release).await? else { return Ok(()) };
        let mut front = TlsProxy::start(&net).await?;
        let directory = tempfile::tempdir()?;
        let mut arguments = arguments(database, directory.path(), &net, &front)?;
        arguments.extend(["--upstream-client=per_client", "--dev-mode", "--resolve=causeway.apps.internal=127.0.0.1"].map(str::to_owned));
        let _server = serve(directory.path(), &arguments, &mut front).await?;
        let client = OauthClient::register(&Agent::new(Some(&net.ca()?)), &front.url).await?;
        let doctor = async |more: &[&str]| {
            let arguments: Vec<&str> =
                ["doctor"].into_iter().chain(arguments.iter().map(String::as_str)).chain(more.iter().copied()).collect();
            let output = Causeway::run(directory.path(), &arguments).await?;
            anyhow::Ok((output.status.code(), String::from_utf8(output.stdout)?))
        };
        let (code, said) = doctor(&[]).await?;
        assert_eq!(code, Some(0), "{said}");
        let own = format!("{}/oauth-client-metadata/clients/{}.json is served", front.url, client.client_id);
        for line in ["ok    upstream client:", "ok    upstream client keys:", "holds the key in use", &own] {
            assert!(said.contains(line), "{said}");
        }
        let (code, said) = doctor(&["--atp-scopes", "atproto repo:app.bsky.feed.post"]).await?;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("scope lacks repo:app.bsky.feed.post"), "{said}");
        front.block("/oauth/atp/jwks").await?;
        let (code, said) = doctor(&[]).await?;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("BAD   upstream client keys: jwks_uri") && said.contains("status 403"), "{said}");
        front.block(&format!("/oauth-client-metadata/clients/{}.json", client.client_id)).await?;
        let (code, said) = doctor(&[]).await?;
        assert!(code == Some(1) && said.contains("BAD   upstream client of a client"), "{said}");
        Ok(())
    }
}

/// Arguments for the binary: the database, the network, and its external URL.
pub(super) fn arguments(
    database: &TestDatabase,
    directory: &std::path::Path,
    net: &RealNet,
    front: &TlsProxy,
) -> Result<Vec<String>> {
    let environment = net.environment();
    let mut arguments = database_arguments(database, directory)?;
    arguments.extend([
        "--listen=127.0.0.1:0".to_owned(),
        format!("--external-url={}", front.url),
        format!("--plc-url={}", environment.plc_url),
        format!("--handle-resolver={}", environment.handle_resolver),
        format!("--extra-ca={}", net.ca_path()),
    ]);
    let names = ["pds1", "pds2", "plc", "directory"];
    arguments.extend(names.map(|name| format!("--resolve={name}.realnet.internal=127.0.0.1")));
    Ok(arguments)
}

/// Starts the binary behind the front; it prints its external address, so the port is in the log.
pub(super) async fn serve(
    directory: &std::path::Path,
    arguments: &[String],
    front: &mut TlsProxy,
) -> Result<Causeway> {
    let server = Causeway::serve(directory, arguments).await?;
    assert_eq!(server.address, front.url);
    front.point_at(&server.bound()?).await?;
    Ok(server)
}

async fn refresh(agent: &Agent, issuer: &str, tokens: &Tokens) -> Result<serde_json::Value> {
    let request = agent.request("POST".parse()?, &format!("{issuer}/api/session/refresh"));
    Ok(agent.send(request.bearer_auth(&tokens.access_token)).await?.json())
}
