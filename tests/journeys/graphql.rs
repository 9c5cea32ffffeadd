//! Working with somebody's repository through GraphQL, at a real server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_testkit::{Agent, OauthClient, RealNet, TestApp, Tokens};
use serde_json::{Value, json};

use crate::support::on_each_network;

const POST: &str = "app.bsky.feed.post";
/// The most time that the network's clock may take past a second's end.
const A_SECOND: Duration = Duration::from_millis(1200);

/// An app that queries a user's PDS.
struct Caller<'a> {
    agent: Agent,
    app: &'a TestApp,
    token: String,
}

impl Caller<'_> {
    /// The data of an answer without errors.
    async fn ask(&self, query: &str, variables: Value) -> Result<Value> {
        let answer = self.answer(query, variables).await?;
        ensure!(answer["errors"].is_null(), "{query}: {answer}");
        Ok(answer["data"].clone())
    }

    async fn answer(&self, query: &str, variables: Value) -> Result<Value> {
        let body = json!({"query": query, "variables": variables}).to_string();
        let request = self.agent.request("POST".parse()?, &self.app.at("/graphql")).bearer_auth(&self.token);
        let answer = self.agent.send(request.header("content-type", "application/json").body(body)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json())
    }

    /// Writes a post; its key.
    async fn write(&self, text: &str) -> Result<String> {
        let query = "mutation($c: String!, $r: JSON!) { createRecord(collection: $c, record: $r) { uri validationStatus } }";
        let data = self.ask(query, json!({"c": POST, "r": post(text)})).await?;
        let uri = data["createRecord"]["uri"].as_str().context("uri")?;
        Ok(uri.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// Which token set is in use.
    async fn head(&self) -> Result<Value> {
        let data = self.ask("{ viewer { session { head_iteration } } }", Value::Null).await?;
        Ok(data["viewer"]["session"]["head_iteration"].clone())
    }

    /// The other side's refresh, by hand.
    async fn refresh_session(&self) -> Result<Value> {
        let request = self.agent.request("POST".parse()?, &self.app.at("/api/session/refresh"));
        let answer = self.agent.send(request.bearer_auth(&self.token)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json()["head_iteration"].clone())
    }
}

fn post(text: &str) -> Value {
    json!({"$type": POST, "text": text, "createdAt": "2026-11-21T00:00:00Z"})
}

on_each_network! {
    /// A mutation with an OAuth token works: before anything was refreshed, after the client refreshed its
    /// token, after the session was refreshed, by hand and because its token was over, and after both.
    async fn mutations_work_whatever_was_refreshed(database, release) {
        let Some(net) = RealNet::start_own(release).await? else { return Ok(()) };
        let account = net.new_account("alice").await?;
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let client: OauthClient = app.client(&agent).await?;
        let tokens = client.sign_in(&agent, &net.user_of(&account), &account.handle).await?;
        let mut me = Caller { agent, app: &app, token: tokens.access_token.clone() };
        let viewer = me.ask("{ viewer { did handle pds } }", Value::Null).await?["viewer"].clone();
        assert_eq!((&viewer["did"], &viewer["handle"]), (&json!(account.did), &json!(account.handle)));

        me.write("before").await?;
        assert_eq!(me.head().await?, 1);

        let own = Tokens::read(&client.refresh(&me.agent, &tokens.refresh_token).await?)?;
        me.token.clone_from(&own.access_token);
        me.write("after the client's refresh").await?;

        assert_eq!(me.refresh_session().await?, 2);
        me.write("after the session's refresh").await?;
        assert_eq!(me.head().await?, 2);

        net.control("token-max-age", &json!({"seconds": 1, "pds": 1})).await?;
        net.control("token-max-age", &json!({"seconds": 1, "pds": 2})).await?;
        assert_eq!(me.refresh_session().await?, 3);
        tokio::time::sleep(A_SECOND).await;
        net.control("token-max-age", &json!({"seconds": 3600, "pds": 1})).await?;
        net.control("token-max-age", &json!({"seconds": 3600, "pds": 2})).await?;
        me.write("after its end").await?;
        assert_eq!(me.head().await?, 4);

        let own = Tokens::read(&client.refresh(&me.agent, &own.refresh_token).await?)?;
        me.token.clone_from(&own.access_token);
        me.write("after both").await?;

        let query = "query($c: String!) { records(collection: $c, limit: 100, reverse: true) { records { value } } }";
        let page = me.ask(query, json!({"c": POST})).await?;
        let records = page["records"]["records"].as_array().context("records")?;
        let texts: Vec<_> = records.iter().map(|record| record["value"]["text"].as_str().unwrap_or_default()).collect();
        let all = ["before", "after the client's refresh", "after the session's refresh", "after its end", "after both"];
        assert_eq!(texts, all);
        Ok(())
    }

    /// Each field, as a real server takes and answers it.
    async fn every_field(database, release) {
        let Some(net) = RealNet::start(release).await? else { return Ok(()) };
        let account = net.new_account("alice").await?;
        let app = TestApp::start(database, &net.environment()).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let token = client.sign_in(&agent, &net.user_of(&account), &account.handle).await?.access_token;
        let me = Caller { agent, app: &app, token };

        let upload = "mutation($d: String!) { uploadBlob(data: $d, mimeType: \"image/png\") { blob } }";
        let blob = me.ask(upload, json!({"d": "aGVsbG8="})).await?["uploadBlob"]["blob"].clone();
        assert_eq!((&blob["mimeType"], &blob["size"]), (&json!("image/png"), &json!(5)), "{blob}");
        let mut with_image = post("with an image");
        with_image["embed"] = json!({"$type": "app.bsky.embed.images", "images": [{"alt": "", "image": blob}]});
        let put = "mutation($r: JSON!, $s: String) { putRecord(collection: \"app.bsky.feed.post\", rkey: \"3jzfcijpj2z2a\", \
                   record: $r, swapRecord: $s) { uri cid commit { cid rev } validationStatus } }";
        let written = me.ask(put, json!({"r": with_image, "s": null})).await?["putRecord"].clone();
        assert!(written["commit"]["rev"].is_string() && written["validationStatus"] == "valid", "{written}");
        let again = me.answer(put, json!({"r": post("again"), "s": written["commit"]["cid"]})).await?;
        assert_eq!(again["errors"][0]["extensions"]["code"], "InvalidSwap", "{again}");
        let blobs = me.ask("{ blobs { cids cursor } }", Value::Null).await?;
        assert_eq!(blobs["blobs"]["cids"], json!([blob["ref"]["$link"]]));
        let read = "{ record(collection: \"app.bsky.feed.post\", rkey: \"3jzfcijpj2z2a\") { uri cid value } }";
        let record = me.ask(read, Value::Null).await?["record"].clone();
        assert_eq!((&record["cid"], &record["value"]), (&written["cid"], &with_image));
        me.ask(put, json!({"r": post("replaced"), "s": written["cid"]})).await?;

        let apply = "mutation($w: [Write!]!) { applyWrites(writes: $w) { commit { rev } results { uri cid } } }";
        let writes = json!([
            {"create": {"collection": POST, "rkey": "3jzfcijpj2z2b", "value": post("second")}},
            {"update": {"collection": POST, "rkey": "3jzfcijpj2z2a", "value": post("first")}},
        ]);
        let applied = me.ask(apply, json!({"w": writes})).await?["applyWrites"].clone();
        assert_eq!(applied["results"].as_array().map(Vec::len), Some(2), "{applied}");
        assert!(applied["results"][0]["uri"].as_str().is_some_and(|uri| uri.ends_with("3jzfcijpj2z2b")));
        let writes = json!([{"delete": {"collection": POST, "rkey": "3jzfcijpj2z2b"}}]);
        me.ask(apply, json!({"w": writes})).await?;
        let repo = me.ask("{ describeRepo { did handle didDoc collections handleIsCorrect } }", Value::Null).await?;
        assert_eq!((&repo["describeRepo"]["did"], &repo["describeRepo"]["collections"]), (&json!(account.did), &json!([POST])));
        let delete = "mutation { deleteRecord(collection: \"app.bsky.feed.post\", rkey: \"3jzfcijpj2z2a\") { commit { rev } } }";
        assert!(me.ask(delete, Value::Null).await?["deleteRecord"]["commit"]["rev"].is_string());
        let gone = me.answer(read, Value::Null).await?;
        assert_eq!(gone["errors"][0]["extensions"]["code"], "RecordNotFound", "{gone}");
        let page = me.ask("{ records(collection: \"app.bsky.feed.post\") { records { uri } cursor } }", Value::Null).await?;
        assert_eq!(page["records"], json!({"records": [], "cursor": null}));
        Ok(())
    }
}
