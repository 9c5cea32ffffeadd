//! A job that works for a user who is offline, at a real PDS.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_testkit::{Agent, Answer, Causeway, OauthClient, RealNet};
use serde_json::{Value, json};

use crate::support::{database_arguments, on_each_network, upstream_arguments};

/// The most time that the network's clock may take past a second's end.
const A_SECOND: Duration = Duration::from_millis(1200);

/// A client with an access token.
struct Job<'a> {
    agent: Agent,
    issuer: &'a str,
    did: &'a str,
    token: String,
}

impl Job<'_> {
    async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let url = format!("{}{path}", self.issuer);
        let request = self.agent.request("POST".parse()?, &url).bearer_auth(&self.token);
        self.agent.send(request.header("content-type", "application/json").body(body.to_string())).await
    }

    async fn write(&self, text: &str) -> Result<()> {
        let body = json!({"repo": self.did, "collection": "app.bsky.feed.post", "record": post(text)});
        let answer = self.post("/xrpc/com.atproto.repo.createRecord", &body).await?;
        ensure!(answer.status == 200, "{text}: {answer:?}");
        Ok(())
    }

    async fn write_by_graphql(&self, text: &str) -> Result<()> {
        let query = "mutation($c: String!, $r: JSON!) { createRecord(collection: $c, record: $r) { uri } }";
        let variables = json!({"c": "app.bsky.feed.post", "r": post(text)});
        let answer = self.post("/graphql", &json!({"query": query, "variables": variables})).await?;
        ensure!(answer.json()["data"]["createRecord"]["uri"].is_string(), "{text}: {answer:?}");
        Ok(())
    }

    async fn texts(&self) -> Result<Vec<String>> {
        let path =
            format!("com.atproto.repo.listRecords?repo={}&collection=app.bsky.feed.post&limit=100", self.did);
        let answer = self.agent.get_with(&format!("{}/xrpc/{path}", self.issuer), &self.token).await?;
        let records = answer.json()["records"].as_array().cloned().unwrap_or_default();
        Ok(records.iter().filter_map(|record| record["value"]["text"].as_str().map(str::to_owned)).collect())
    }

    async fn session(&self) -> Result<Value> {
        Ok(self.agent.get_with(&format!("{}/api/session", self.issuer), &self.token).await?.json())
    }

    /// Has the tokens of the session end at its server, as after an hour.
    async fn expire(&self, net: &RealNet) -> Result<()> {
        for pds in [1, 2] {
            net.control("token-max-age", &json!({"seconds": 1, "pds": pds})).await?;
        }
        let refreshed = self.post("/api/session/refresh", &Value::Null).await?;
        ensure!(refreshed.status == 200, "{refreshed:?}");
        tokio::time::sleep(A_SECOND).await;
        for pds in [1, 2] {
            net.control("token-max-age", &json!({"seconds": 3600, "pds": pds})).await?;
        }
        Ok(())
    }
}

fn post(text: &str) -> Value {
    json!({"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-11-21T00:00:00Z"})
}

on_each_network! {
    /// Sign in, write both ways; write with expired tokens, fifty times at once, after the server was killed;
    /// sign out, and see the background session live on; write with nobody there; take the permission back, and
    /// see it end at the PDS.
    async fn goes_on_when_its_user_has_signed_out(database, release) {
        let Some(net) = RealNet::start_own(release).await? else { return Ok(()) };
        let account = net.new_account("alice").await?;
        let directory = tempfile::tempdir()?;
        let mut arguments = database_arguments(database, directory.path())?;
        let mut create = vec!["clients", "create", "--name", "Nightly export", "--allow-background-access"];
        create.extend(["--redirect-uri", "http://127.0.0.1/callback"]);
        create.extend(arguments.iter().map(String::as_str));
        // The embedded database is migrated by the template of the tests; a server is not needed yet.
        let made = Causeway::run(directory.path(), &create).await?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: Value = serde_json::from_slice(&made.stdout)?;
        assert_eq!((&made["allow_background_access"], &made["allow_session_export"]), (&json!(true), &json!(false)));

        arguments.extend(upstream_arguments(&net.environment()));
        let mut server = Causeway::serve(directory.path(), &arguments).await?;
        let issuer = server.address.clone();
        let client = OauthClient {
            issuer: issuer.clone(),
            client_id: made["client_id"].as_str().context("client_id")?.to_owned(),
            client_secret: made["client_secret"].as_str().map(str::to_owned),
            in_header: made["token_endpoint_auth_method"] == "client_secret_basic",
            redirect_uri: "http://127.0.0.1:49152/callback".to_owned(),
            scope: "atproto transition:generic background_access".to_owned(),
        };
        let (agent, user) = (Agent::default(), net.user_of(&account));
        let tokens = client.sign_in(&agent, &user, &account.handle).await?;
        let beside = OauthClient { scope: "openid atproto transition:generic".to_owned(), ..client.clone() };
        let device = beside.sign_in(&agent, &user, &account.handle).await?;
        assert_eq!(net.sessions(&account.did).await?, 2, "an authorization each");
        let job = |token: &str| Job { agent: Agent::default(), issuer: &issuer, did: &account.did, token: token.to_owned() };
        let (mut me, on_device) = (job(&tokens.access_token), job(&device.access_token));
        assert_eq!(me.session().await?["session_kind"], "background");
        assert_eq!(on_device.session().await?["session_kind"], "device");
        let mut written = vec!["first".to_owned(), "by graphql".to_owned(), "on the device".to_owned()];
        me.write("first").await?;
        me.write_by_graphql("by graphql").await?;
        on_device.write("on the device").await?;

        me.expire(&net).await?;
        me.write("after its end").await?;
        me.expire(&net).await?;
        let before = me.session().await?["head_iteration"].as_i64().context("head_iteration")?;
        let texts: Vec<String> = (0..50).map(|n| format!("one of fifty: {n}")).collect();
        futures_util::future::try_join_all(texts.iter().map(|text| me.write(text))).await?;
        assert_eq!(me.session().await?["head_iteration"], before + 1, "one refresh for all");
        written.push("after its end".to_owned());
        written.extend(texts);
        assert_eq!(on_device.session().await?["head_iteration"], 1, "the other session is not touched");

        me.expire(&net).await?;
        server.kill().await?;
        let port = issuer.rsplit_once(':').context("port")?.1.to_owned();
        arguments.retain(|argument| argument != "--listen=127.0.0.1:0");
        arguments.push(format!("--listen=127.0.0.1:{port}"));
        server = Causeway::serve(directory.path(), &arguments).await?;
        me.write_by_graphql("after a restart").await?;
        written.push("after a restart".to_owned());

        let hint = device.answer["id_token"].as_str().context("id_token")?;
        let out = agent.get(&format!("{issuer}/oauth/logout?id_token_hint={hint}")).await?;
        assert_eq!(out.status, 200, "{out:?}");
        assert_eq!(net.sessions(&account.did).await?, 1, "the device session has ended there");
        assert!(on_device.write("signed out").await.is_err());
        me.write("after the sign-out").await?;
        written.push("after the sign-out".to_owned());

        let id = me.session().await?["session_id"].as_str().context("session_id")?.to_owned();
        let exchange = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:causeway:token-type:session"),
            ("subject_token", &*id),
        ];
        let exchanged = client.post(&Agent::default(), "/oauth/token", &exchange).await?;
        assert_eq!(exchanged.status, 200, "{exchanged:?}");
        me.token = exchanged.json()["access_token"].as_str().context("access_token")?.to_owned();
        me.write("with nobody there").await?;
        written.push("with nobody there".to_owned());
        let mut texts = me.texts().await?;
        texts.sort();
        written.sort();
        assert_eq!(texts, written, "each once");

        let revoked = client.post(&Agent::default(), "/oauth/revoke", &[("token", &id)]).await?;
        assert_eq!(revoked.status, 200);
        assert_eq!(net.sessions(&account.did).await?, 0, "it has ended there, too");
        assert!(me.write("over").await.is_err());
        assert_eq!(client.post(&Agent::default(), "/oauth/token", &exchange).await?.refusal(), "400 invalid_request");
        assert_eq!(client.refresh(&Agent::default(), &tokens.refresh_token).await?.refusal(), "400 invalid_grant");
        drop(server);
        Ok(())
    }
}
