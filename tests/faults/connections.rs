//! Connections in use: kept alive without anybody's help, refreshed once whoever needs it, and ended by the provider's word.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::session::SessionHead;
use causeway_flow::operations::sweep::sweep_all;
use causeway_flow::upstream::keeper::keep_alive::refresh_due_sessions;
use causeway_jose::hmac_sha256;
use causeway_store::sessions::{self, upkeep};
use causeway_store::{StoreError, testing};
use causeway_testkit::{Answer, GRAPH, ScriptedProvider, TestConnection};
use causeway_types::{SessionKind, SessionState};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Relay, on_each_database};

const DAY: i64 = 86_400;

async fn head(relay: &Relay, connection: &TestConnection) -> Result<SessionHead> {
    let (id, tenant) = (connection.head.session_id.clone(), connection.head.tenant_id.clone());
    let find = move |c: &mut _| sessions::find_session_of_token(c, &tenant, &id);
    Ok(relay.app.store().read::<_, StoreError, _>(find).await?.unwrap())
}

/// A request of Facebook's form with this payload.
async fn signed(
    relay: &Relay,
    connection: &TestConnection,
    what: &str,
    payload: &Value,
    key: &str,
) -> Result<Answer> {
    let binding: Value = serde_json::from_str(&connection.head.other()?.data)?;
    let registration = binding["registration_id"].as_str().unwrap();
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    let mac = URL_SAFE_NO_PAD.encode(hmac_sha256(key.as_bytes(), payload.as_bytes())?);
    let url = relay.app.at(&format!("/connect/scripted/{registration}/{what}"));
    let request = relay.agent.request("POST".parse()?, &url);
    relay.agent.send(request.form(&[("signed_request", format!("{mac}.{payload}"))])).await
}

on_each_database! {
    /// Fifty calls at two servers find the access token expired: one refresh is made, and every call is answered.
    async fn fifty_calls_make_one_refresh(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let other = relay.beside(database).await?;
        let connection = relay.connect("user-17").await?;
        relay.app.clock.advance(3600);
        let path = format!("/relay/{}/api/x", connection.id());
        let calls = (0..50).map(|number| {
            let app = if number % 2 == 0 { &relay.app } else { &other };
            relay.agent.send(Relay::request_to(app, &relay.agent, &relay.client, "GET", &path))
        });
        for answer in join_all(calls).await {
            let answer = answer?;
            assert_eq!((answer.status, &answer.json()["by"]), (200, &json!("user-17")), "{answer:?}");
        }
        assert_eq!((relay.provider.requests().len(), relay.provider.calls().len()), (1, 50));
        assert_eq!(head(&relay, &connection).await?.iteration, 2);
        Ok(())
    }

    /// A connection ends by nobody's idleness: it is refreshed while nobody uses it, whatever its kind.
    async fn unused_connections_are_kept(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let device = relay.app.add_connection(&relay.provider, &relay.client.client_id, "a", SessionKind::Device).await?;
        let background = relay.connect("b").await?;
        for connection in [&device, &background] {
            let (id, due) = (connection.head.session_id.clone(), relay.app.ctx.now().plus(7 * DAY));
            let schedule = move |c: &mut _| upkeep::schedule_refresh(c, &id, due);
            relay.app.store().write::<_, StoreError, _>(schedule).await?;
        }
        for round in 1..=5 {
            relay.app.clock.advance(7 * DAY);
            assert_eq!(refresh_due_sessions(&relay.app.ctx).await?, 2, "round {round}");
            sweep_all(&relay.app.ctx).await?;
        }
        for connection in [&device, &background] {
            let head = head(&relay, connection).await?;
            assert_eq!((head.state_at(relay.app.ctx.now()), head.iteration), (SessionState::Active, 6));
            assert_eq!(relay.call("GET", connection, "/api/x").await?.status, 200);
        }
        Ok(())
    }

    /// A user removes the app, or wants their data deleted: what the registration signed ends the connections of that
    /// account, once; nothing else does.
    async fn the_provider_ends_connections(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let (connection, other) = (relay.connect("user-17").await?, relay.connect("user-18").await?);
        let (page, _) = relay.app.add_page(&relay.provider, &connection, "page-1").await?;
        let payload = json!({"algorithm": "HMAC-SHA256", "user_id": "user-17", "issued_at": 1});
        let key = ScriptedProvider::CLIENT_SECRET;
        for (payload, key) in [
            (&payload, "another secret"),
            (&json!({"algorithm": "none", "user_id": "user-17"}), key),
            (&json!({"algorithm": "HMAC-SHA256"}), key),
        ] {
            for what in ["deauthorize", "data-deletion"] {
                assert_eq!(signed(&relay, &connection, what, payload, key).await?.refusal(), "400 invalid_request");
            }
        }
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.status, 200);
        for _ in 0..2 {
            assert_eq!(signed(&relay, &connection, "deauthorize", &payload, key).await?.status, 200);
        }
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.refusal(), "404 not_found");
        let request = relay.request("GET", &format!("/relay/{}/api/x", connection.id()));
        assert_eq!(relay.agent.send(request.header("causeway-account", page.as_str())).await?.refusal(), "404 not_found");
        assert_eq!(relay.call("GET", &other, "/api/x").await?.status, 200, "another account");

        let mut codes = Vec::new();
        for _ in 0..2 {
            let deletion = signed(&relay, &connection, "data-deletion", &payload, key).await?;
            let body = deletion.json();
            let status = relay.agent.get(body["url"].as_str().unwrap()).await?;
            assert!(status.status == 200 && status.text.contains("Your data is deleted"), "{status:?}");
            codes.push(body["confirmation_code"].clone());
        }
        assert_eq!(codes[0], codes[1]);
        let url = relay.app.at("/connect/scripted/pr_none/data-deletion/abc.def");
        assert_eq!(relay.agent.get(&url).await?.status, 404);
        relay.app.ctx.settle().await;
        assert_eq!(relay.provider.live_grants(), 1, "the access that is left is given back");
        Ok(())
    }

    /// No secret of the provider is in the database in the clear, nor in anything that a caller gets.
    async fn no_secret_is_stored_in_the_clear(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        relay.app.add_page(&relay.provider, &connection, "page-1").await?;
        let mut seen = Vec::new();
        for (method, path) in [("GET", "/api/x"), ("GET", "/me/accounts"), ("POST", "/api/x"), ("GET", "/token")] {
            seen.push(format!("{:?}", relay.call(method, &connection, path).await?));
        }
        relay.provider.expire_access_tokens();
        seen.push(format!("{:?}", relay.call("GET", &connection, "/api/x").await?));
        relay.provider.script(|script| script.graph_error = Some((400, 190, None)));
        seen.push(format!("{:?}", relay.call("GET", &connection, "/api/x").await?));
        let rows = relay.app.store().read::<_, StoreError, _>(testing::dump_text).await?;
        let secrets = relay.provider.secrets();
        assert!(secrets.len() > 4, "{}", secrets.len());
        for secret in secrets.iter().map(String::as_str).chain([ScriptedProvider::CLIENT_SECRET]) {
            assert!(!seen.iter().any(|answer| answer.contains(secret)), "a caller got {secret}");
            assert!(!rows.contains(secret), "the database has {secret}");
        }
        Ok(())
    }
}
