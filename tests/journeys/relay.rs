//! Calls to a user's PDS with nothing but an access token of ours.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_testkit::{Agent, Answer, Causeway, OauthClient, RealNet, ScriptedUpstream, TestApp, XrpcReply};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, on_each_network, upstream_arguments};

/// A file of 50 MB, up and down, with a slow reader at the other end: the server buffers none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_pass_through() -> Result<()> {
    const LARGE: usize = 50_000_000;
    let directory = tempfile::tempdir()?;
    let upstream = ScriptedUpstream::start(HANDLE, DID)?;
    let server = Causeway::serve(directory.path(), &upstream_arguments(&upstream.environment())).await?;
    let agent = Agent::default();
    let client = OauthClient::register(&agent, &server.address).await?;
    let token = client.sign_in(&agent, &upstream, HANDLE).await?.access_token;
    let to = |path: &str| format!("{}/xrpc/{path}", server.address);
    let (up, down) = (to("com.atproto.repo.uploadBlob"), to("com.atproto.sync.getBlob?did=a&cid=b"));
    let pause = Duration::from_millis(500);
    let script = |filler| {
        let headers = vec![("content-type", "image/png".to_owned())];
        let reply = XrpcReply { headers, pause, filler, body: String::new(), ..XrpcReply::default() };
        upstream.script(|script| script.answer = Some(reply));
    };
    script(1_000_000);
    agent.upload(&up, &token, 1_000_000).await?;
    agent.download(&down, &token, pause).await?;

    let pid = server.pid().context("pid")?;
    let before = peak(pid)?;
    script(0);
    let answer = agent.upload(&up, &token, LARGE).await?;
    assert_eq!((answer.status, upstream.calls().last().map(|call| call.body_length)), (200, Some(LARGE)));
    let after_upload = peak(pid)?;
    script(LARGE);
    assert_eq!(agent.download(&down, &token, pause).await?, LARGE);
    let (up, down) = (after_upload - before, peak(pid)? - before);
    assert!(up < 5000 && down < 5000, "kB: {up} after the upload, {down} after the download");
    Ok(())
}

/// The most memory that a process has had so far, in kB.
fn peak(pid: u32) -> Result<i64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// An app that calls a user's PDS through the relay.
struct Caller<'a> {
    agent: Agent,
    issuer: &'a str,
    token: String,
    did: String,
}

impl Caller<'_> {
    async fn get(&self, path: &str) -> Result<Answer> {
        self.agent.get_with(&format!("{}/xrpc/{path}", self.issuer), &self.token).await
    }

    async fn post(&self, nsid: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Result<Answer> {
        let url = format!("{}/xrpc/{nsid}", self.issuer);
        let request = self.agent.request("POST".parse()?, &url).bearer_auth(&self.token);
        self.agent.send(request.header("content-type", content_type).body(body.into())).await
    }

    /// Writes a record; its address.
    async fn write(&self, text: &str) -> Result<String> {
        let body = json!({
            "repo": self.did,
            "collection": "app.bsky.feed.post",
            "record": {"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-11-21T00:00:00Z"},
        });
        let answer = self.post("com.atproto.repo.createRecord", "application/json", body.to_string()).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json()["uri"].as_str().context("uri")?.to_owned())
    }

    async fn texts(&self) -> Result<Vec<String>> {
        let path =
            format!("com.atproto.repo.listRecords?repo={}&collection=app.bsky.feed.post&limit=100", self.did);
        let answer = self.get(&path).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let records = answer.json()["records"].as_array().cloned().unwrap_or_default();
        Ok(records.iter().filter_map(|record| record["value"]["text"].as_str().map(str::to_owned)).collect())
    }

    async fn session(&self) -> Result<Value> {
        Ok(self.agent.get_with(&format!("{}/api/session", self.issuer), &self.token).await?.json())
    }
}

/// The most time that the network's clock may take past a second's end.
const A_SECOND: Duration = Duration::from_millis(1200);

on_each_network! {
    /// Sign in, write; write with a token that has died at the PDS, with one of our own that was refreshed,
    /// fifty times at once, after a restart, with stale nonces; upload, ask for service tokens; end it, and
    /// see it end at the PDS.
    async fn acting_for_somebody(database, release) {
        let Some(net) = RealNet::start_own(release).await? else { return Ok(()) };
        let account = net.new_account("bob").await?;
        let directory = tempfile::tempdir()?;
        let mut arguments = crate::support::database_arguments(database, directory.path())?;
        arguments.extend(upstream_arguments(&net.environment()));
        let mut server = Causeway::serve(directory.path(), &arguments).await?;
        let port = server.address.rsplit_once(':').context("port")?.1.to_owned();
        let issuer = server.address.clone();
        let client = OauthClient::register(&Agent::default(), &issuer).await?;
        let tokens = client.sign_in(&Agent::default(), &net.user_of(&account), &account.handle).await?;
        let mut me = Caller {
            agent: Agent::default(),
            issuer: &issuer,
            token: tokens.access_token.clone(),
            did: account.did.clone(),
        };
        let mut written = vec!["first".to_owned()];
        assert!(me.write("first").await?.starts_with(&format!("at://{}/app.bsky.feed.post/", account.did)));
        assert_eq!(me.session().await?["head_iteration"], 1);

        // Tokens that the PDS makes from now on live a second. What it made before is refreshed by hand.
        net.control("token-max-age", &json!({"seconds": 1, "pds": 2})).await?;
        let refresh = me.agent.request("POST".parse()?, &format!("{issuer}/api/session/refresh"));
        assert_eq!(me.agent.send(refresh.bearer_auth(&me.token)).await?.json()["head_iteration"], 2);
        tokio::time::sleep(A_SECOND).await;
        net.control("token-max-age", &json!({"seconds": 3600, "pds": 2})).await?;
        me.write("after its end").await?;
        written.push("after its end".to_owned());
        assert_eq!(me.session().await?["head_iteration"], 3);

        let own = causeway_testkit::Tokens::read(&client.refresh(&me.agent, &tokens.refresh_token).await?)?;
        me.token.clone_from(&own.access_token);
        me.write("after our own refresh").await?;
        written.push("after our own refresh".to_owned());

        net.control("token-max-age", &json!({"seconds": 1, "pds": 2})).await?;
        let refresh = me.agent.request("POST".parse()?, &format!("{issuer}/api/session/refresh"));
        assert_eq!(me.agent.send(refresh.bearer_auth(&me.token)).await?.json()["head_iteration"], 4);
        tokio::time::sleep(A_SECOND).await;
        net.control("token-max-age", &json!({"seconds": 3600, "pds": 2})).await?;
        let texts: Vec<String> = (0..50).map(|n| format!("one of fifty: {n}")).collect();
        let uris = futures_util::future::try_join_all(texts.iter().map(|text| me.write(text))).await?;
        assert_eq!(uris.len(), 50);
        written.extend(texts);
        assert_eq!(me.session().await?["head_iteration"], 5, "one refresh for all");

        // Spent again, and the server is killed before it is used.
        net.control("token-max-age", &json!({"seconds": 1, "pds": 2})).await?;
        let refresh = me.agent.request("POST".parse()?, &format!("{issuer}/api/session/refresh"));
        assert_eq!(me.agent.send(refresh.bearer_auth(&me.token)).await?.json()["head_iteration"], 6);
        server.kill().await?;
        tokio::time::sleep(A_SECOND).await;
        net.control("token-max-age", &json!({"seconds": 3600, "pds": 2})).await?;
        arguments.push(format!("--listen=127.0.0.1:{port}"));
        arguments.retain(|argument| argument != "--listen=127.0.0.1:0");
        server = Causeway::serve(directory.path(), &arguments).await?;
        assert_eq!(server.address, issuer);
        me.write("after a restart").await?;
        written.push("after a restart".to_owned());
        assert_eq!(me.session().await?["head_iteration"], 7, "no browser was needed");

        net.control("dpop-rotate", &json!({"pds": 2})).await?;
        me.write("with a new nonce").await?;
        written.push("with a new nonce".to_owned());
        let mut texts = me.texts().await?;
        texts.sort();
        written.sort();
        assert_eq!(texts, written, "each once");

        for bytes in [1_000, 900_000] {
            let blob = me.post("com.atproto.repo.uploadBlob", "image/png", vec![7; bytes]).await?;
            assert_eq!((blob.status, &blob.json()["blob"]["size"]), (200, &json!(bytes)), "{blob:?}");
        }
        let refused = me.post("com.atproto.repo.createRecord", "application/json", "{}").await?;
        assert_eq!(refused.refusal(), "400 InvalidRequest", "{refused:?}");
        assert!(refused.json()["message"].as_str().is_some_and(|text| text.contains("repo")), "{refused:?}");

        let narrow = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &own.refresh_token),
            ("scope", "atproto rpc:com.example.read?aud=*"),
        ];
        let narrow = causeway_testkit::Tokens::read(&client.post(&me.agent, "/oauth/token", &narrow).await?)?;
        let wide = std::mem::replace(&mut me.token, narrow.access_token.clone());
        let service = "com.atproto.server.getServiceAuth?aud=did:web:service.example";
        let granted = me.get(&format!("{service}&lxm=com.example.read")).await?;
        assert!(granted.json()["token"].is_string(), "{granted:?}");
        let refused = me.get(&format!("{service}&lxm=com.example.write")).await?;
        assert_eq!(refused.refusal(), "403 insufficient_scope");
        let challenge = refused.header("www-authenticate");
        assert!(challenge.contains("scope=\"rpc:com.example.write?aud=*\""), "{challenge}");
        assert!(me.write("not allowed").await.is_err());
        me.token = wide;

        assert_eq!(net.sessions(&account.did).await?, 1);
        let revoked = client.post(&me.agent, "/oauth/revoke", &[("token", &narrow.refresh_token)]).await?;
        assert_eq!(revoked.status, 200);
        assert_eq!(net.sessions(&account.did).await?, 0, "it has ended there, too");
        assert!(me.write("over").await.is_err());
        drop(server);
        Ok(())
    }

    /// The PDS ends the session: the response tells the app where to send the user.
    async fn ended_at_the_pds(database, release) {
        let Some(net) = RealNet::start_own(release).await? else { return Ok(()) };
        let account = net.new_account("carol").await?;
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let token = client.sign_in(&agent, &net.user_of(&account), &account.did).await?.access_token;
        let me = Caller { agent, issuer: &app.issuer, token, did: account.did.clone() };
        me.write("before").await?;
        // Sessions of public clients end after two weeks: the PDS says so when the token has expired.
        net.control("token-max-age", &json!({"seconds": 1, "pds": 1})).await?;
        let refresh = me.agent.request("POST".parse()?, &app.at("/api/session/refresh"));
        assert_eq!(me.agent.send(refresh.bearer_auth(&me.token)).await?.json()["head_iteration"], 2);
        net.control("token-max-age", &json!({"seconds": 3600, "pds": 1})).await?;
        net.control("age-sessions", &json!({"seconds": 15 * 86_400, "did": account.did})).await?;
        tokio::time::sleep(A_SECOND).await;
        let over = me.get("com.atproto.server.getSession").await?;
        assert_eq!(over.refusal(), "401 reauth_required", "{over:?}");
        let url = over.json()["sign_in_url"].as_str().context("sign_in_url")?.to_owned();
        assert!(url.contains(&client.client_id) && url.contains("login_hint="), "{url}");
        Ok(())
    }
}
