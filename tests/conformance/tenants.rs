//! Tenants, their users and connections: what a client reaches, and what it does not.

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_domain::connection::Erasure;
use causeway_store::connections::{tenants, users, work_queue};
use causeway_store::{Page, PageRequest, StoreError};
use causeway_testkit::{DpopKey, OauthClient, RequestBuilder, TestApp};
use causeway_types::{ClientId, SessionState, TenantId, UpstreamSessionId, UserNamespace};
use serde_json::{Value, json};

use crate::support::{Scene, count, on_each_database};

const ACTIVE: SessionState = SessionState::Active;

async fn own_token(scene: &Scene, client: &OauthClient, more: &[(&str, &str)]) -> Result<String> {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend_from_slice(more);
    let answer = client.post(&scene.agent, "/oauth/token", &form).await?;
    Ok(answer.json()["access_token"].as_str().expect("a token").to_owned())
}

/// Lets a client act in another tenant, too.
async fn admit(scene: &Scene, client: &OauthClient, tenant: &str) -> Result<()> {
    let (tenant, id, now) = (TenantId::new(tenant), ClientId::new(&*client.client_id), scene.app.ctx.now());
    let admit = move |c: &mut _| tenants::insert_tenant_client(c, &tenant, &id, now);
    assert!(scene.app.store().write::<_, StoreError, _>(admit).await?);
    Ok(())
}

fn ids(listed: &Value) -> Vec<&str> {
    let all = listed["connections"].as_array().expect("a list").iter();
    all.map(|it| it["connection_id"].as_str().expect("an id")).collect()
}

on_each_database! {
    /// The client's own authentication, in one of its tenants; nothing defaults for one that manages several.
    async fn who_may_enter(database) {
        let scene = Scene::set(database).await?;
        let url = scene.app.at("/api/connections");
        let client = scene.backend(|_| ()).await?;
        assert_eq!(scene.ask_as(&client, None, "GET", "/api/connections", None).await?.status, 200);
        let token = own_token(&scene, &client, &[]).await?;
        assert_eq!(scene.agent.get_with(&url, &token).await?.status, 200);

        let nobody = scene.agent.get(&url).await?;
        assert_eq!(nobody.refusal(), "401 invalid_client");
        assert!(nobody.header("www-authenticate").starts_with("Basic"), "{nobody:?}");
        let user = scene.agent.get_with(&url, &scene.access_token().await?).await?;
        assert_eq!(user.refusal(), "403 insufficient_scope");
        assert!(user.text.contains("client_credentials"), "it says what to use: {user:?}");
        let public = OauthClient { client_secret: Some(String::new()), ..scene.client.clone() };
        assert_eq!(scene.ask_as(&public, None, "GET", "/api/connections", None).await?.refusal(), "401 invalid_client");
        let wrong = OauthClient { client_secret: Some("cw_cs_wrong".to_owned()), ..client.clone() };
        assert_eq!(scene.ask_as(&wrong, None, "GET", "/api/connections", None).await?.refusal(), "401 invalid_client");

        // A token that is bound to a key needs the proof, each one once.
        let (key, now) = (DpopKey::new(), scene.app.clock.now());
        let proof = key.proof(now, "POST", &scene.app.at("/oauth/token"));
        let form = [("grant_type", "client_credentials")];
        let bound = client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?.json();
        let bound = bound["access_token"].as_str().expect("a token");
        assert_eq!(scene.agent.get_with(&url, bound).await?.refusal(), "401 invalid_token");
        let proof = key.proof_with_token(now, "GET", &url, bound);
        assert_eq!(scene.agent.get_with_proof(&url, bound, &proof).await?.status, 200);
        assert_eq!(scene.agent.get_with_proof(&url, bound, &proof).await?.refusal(), "401 invalid_dpop_proof");

        let (platform, acme) = scene.platform().await?;
        let both = scene.backend(|_| ()).await?;
        admit(&scene, &both, &acme).await?;
        for (client, tenant, expected) in [
            (&platform, None, "400 invalid_request"),
            (&platform, Some(&*acme), ""),
            (&client, Some(&*acme), "404 not_found"),
            (&client, Some("nowhere"), "404 not_found"),
            (&client, Some("default"), ""),
            (&both, None, "400 invalid_request"),
            (&both, Some("default"), ""),
            (&both, Some(&*acme), ""),
        ] {
            let answer = scene.ask_as(client, tenant, "GET", "/api/connections", None).await?;
            let refused = if answer.status == 200 { String::new() } else { answer.refusal() };
            assert_eq!(refused, expected, "{tenant:?}");
        }
        Ok(())
    }

    /// A platform client makes tenants, sees those alone, and deletes them with everything in them.
    async fn a_platform_client(database) {
        let scene = Scene::set(database).await?;
        let (platform, acme) = scene.platform().await?;
        let made = scene.ask_as(&platform, None, "POST", "/api/tenants", Some(json!({ "name": "Globex" }))).await?;
        assert_eq!((made.status, &made.json()["name"]), (201, &json!("Globex")));
        let globex = made.json()["tenant_id"].as_str().expect("a tenant").to_owned();
        let other = scene.backend(|client| client.entitlements.manage_tenants = true).await?;
        let listed = scene.ask_as(&platform, None, "GET", "/api/tenants?limit=2", None).await?.json();
        assert_eq!(listed["tenants"].as_array().unwrap().len(), 2);
        let next = format!("/api/tenants?cursor={}", listed["next"].as_str().unwrap());
        assert_eq!(scene.ask_as(&platform, None, "GET", &next, None).await?.json()["tenants"].as_array().unwrap().len(), 1);
        let path = format!("/api/tenants/{acme}");
        assert_eq!(scene.ask_as(&platform, None, "GET", &path, None).await?.json()["name"], "Acme");
        for method in ["GET", "DELETE"] {
            assert_eq!(scene.ask_as(&other, None, method, &path, None).await?.refusal(), "404 not_found");
        }
        // A client that acts there, too, has not made it.
        admit(&scene, &other, &acme).await?;
        assert_eq!(scene.ask_as(&other, None, "GET", &path, None).await?.status, 200);
        assert_eq!(scene.ask_as(&other, None, "DELETE", &path, None).await?.refusal(), "403 unauthorized_client");
        let plain = scene.backend(|_| ()).await?;
        for (method, path, body) in [
            ("GET", "/api/tenants", None),
            ("POST", "/api/tenants", Some(json!({ "name": "x" }))),
            ("GET", "/api/tenants/default", None),
            ("DELETE", "/api/tenants/default", None),
        ] {
            let refused = scene.ask_as(&plain, None, method, path, body).await?;
            assert_eq!(refused.refusal(), "403 unauthorized_client", "{method} {path}");
        }
        let own = scene.ask_as(&platform, None, "DELETE", "/api/tenants/default", None).await?;
        assert_eq!(own.refusal(), "403 unauthorized_client");
        for body in [json!({ "name": " " }), json!({ "name": "x", "user_namespace": "did" }), json!({}), json!({ "nam": "x" })] {
            let refused = scene.ask_as(&platform, None, "POST", "/api/tenants", Some(body.clone())).await?;
            assert_eq!(refused.status, 400, "{body}");
        }

        scene.connection(&platform, &acme, "17", ACTIVE).await?;
        let survivor = scene.connection(&platform, &globex, "17", ACTIVE).await?;
        assert_eq!(scene.ask_as(&platform, None, "DELETE", &path, None).await?.status, 204);
        let gone = scene.ask_as(&platform, Some(&*acme), "GET", "/api/connections", None).await?;
        assert_eq!(gone.refusal(), "404 not_found", "at once");
        scene.app.ctx.settle().await;
        scene.upkeep().await?;
        assert_eq!(scene.upstream.hits("revoke"), 1, "the one in the deleted tenant");
        assert_eq!(count(&scene.app, "work_queue").await?, 0);
        let alive = scene.ask_as(&platform, Some(&*globex), "GET", "/api/connections", None).await?.json();
        assert_eq!(ids(&alive), [survivor]);
        Ok(())
    }

    /// Every endpoint in a tenant, as the description of the API has them, with the ids of another tenant and with those
    /// that another client of the tenant has: the same 404 as for what does not exist.
    async fn nothing_of_another_tenant(database) {
        let scene = Scene::set(database).await?;
        let (platform, acme) = scene.platform().await?;
        let theirs = scene.connection(&platform, &acme, "theirs", ACTIVE).await?;
        let neighbour = scene.backend(|_| ()).await?;
        let beside = scene.connection(&neighbour, "default", "beside", ACTIVE).await?;
        let caller = scene.backend(|client| client.entitlements.session_export = true).await?;
        let document = scene.agent.get(&scene.app.at("/openapi.json")).await?.json();
        let mut walked = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_tenant = parameters.iter().any(|it| it["name"] == "Causeway-Tenant");
                if !in_tenant || !path.contains('{') {
                    continue;
                }
                walked += 1;
                for (connection, user) in [(&*theirs, "theirs"), (&*beside, "beside"), ("missing", "missing")] {
                    let path = path.replace("{connection_id}", connection).replace("{user_id}", user);
                    let path = path.replace("{path}", "x").replace("{connect_session_id}", "cs_x");
                    let body = (method != "get" && method != "delete").then(|| json!({}));
                    let answer = scene.ask_as(&caller, None, &method.to_uppercase(), &path, body).await?;
                    assert_eq!(answer.refusal(), "404 not_found", "{method} {path}: {answer:?}");
                }
            }
        }
        assert!(walked >= 4, "{walked}");
        let untouched = scene.ask_as(&platform, Some(&*acme), "GET", "/api/connections", None).await?.json();
        assert_eq!(ids(&untouched), [theirs]);
        Ok(())
    }

    /// Listed, shown and ended by the clients that may use them; unconfirmed ones are seen by nobody.
    async fn connections_of_a_client(database) {
        let scene = Scene::set(database).await?;
        let client = scene.backend(|_| ()).await?;
        let first = scene.connection(&client, "default", "17", ACTIVE).await?;
        scene.app.clock.advance(1);
        let second = scene.connection(&client, "default", "18", ACTIVE).await?;
        let pending = scene.connection(&client, "default", "17", SessionState::Pending).await?;
        let list = |query: &str| {
            let path = format!("/api/connections{query}");
            let (scene, client) = (&scene, &client);
            async move { scene.ask_as(client, None, "GET", &path, None).await }
        };
        assert_eq!(ids(&list("").await?.json()), [&*second, &*first]);
        assert_eq!(ids(&list("?user_id=17").await?.json()), [&*first]);
        assert_eq!(ids(&list("?provider=bearer&state=active").await?.json()).len(), 2);
        assert_eq!(ids(&list("?provider=elsewhere").await?.json()).len(), 0);
        let page = list("?limit=1").await?.json();
        let next = list(&format!("?limit=1&cursor={}", page["next"].as_str().unwrap())).await?.json();
        assert_eq!((ids(&page), ids(&next), next.get("next")), (vec![&*second], vec![&*first], None));
        for query in ["?state=pending", "?state=x", "?user_id=%20%01", "?limit=0", "?nonsense=1"] {
            assert_eq!(list(query).await?.refusal(), "400 invalid_request", "{query}");
        }

        let at = |id: &str| format!("/api/connections/{id}");
        let shown = scene.ask_as(&client, None, "GET", &at(&first), None).await?;
        let body = shown.json();
        assert_eq!(
            (&body["user_id"], &body["state"], &body["scope"], &body["credentials"][0]["kind"]),
            (&json!("17"), &json!("active"), &json!("read"), &json!("user")),
            "{body}"
        );
        let secrets = scene.upstream.secrets();
        assert!(secrets.len() >= 6 && !secrets.iter().any(|secret| shown.text.contains(secret)), "{shown:?}");
        for method in ["GET", "DELETE"] {
            assert_eq!(scene.ask_as(&client, None, method, &at(&pending), None).await?.refusal(), "404 not_found");
        }
        let (never, now) = (UpstreamSessionId::new(&*pending), scene.app.ctx.now());
        let end = move |c: &mut _| causeway_store::sessions::end_session(c, &never, now);
        assert!(scene.app.store().write::<_, StoreError, _>(end).await?);
        assert!(ids(&list("?state=ended").await?.json()).is_empty(), "it was never the client's");

        // Another client may use it once the operator has shared it.
        let other = scene.backend(|_| ()).await?;
        assert_eq!(scene.ask_as(&other, None, "GET", &at(&first), None).await?.refusal(), "404 not_found");
        let share = scene.app.at(&format!("/admin/tenants/default/connections/{first}/share"));
        let request = scene.agent.request("POST".parse()?, &share).bearer_auth(TestApp::ADMIN_TOKEN);
        let shared = scene.agent.send(request.json(&json!({ "client_id": other.client_id }))).await?;
        assert_eq!(shared.status, 204, "{shared:?}");
        assert_eq!(scene.ask_as(&other, None, "GET", &at(&first), None).await?.status, 200);

        // The provider does not take the revocation: the end stands, and it is told later.
        scene.upstream.script(|script| script.revoke = causeway_testkit::Fault::Status(500));
        for _ in 0..2 {
            assert_eq!(scene.ask_as(&client, None, "DELETE", &at(&first), None).await?.status, 204);
        }
        let shown = scene.ask_as(&client, None, "GET", &at(&first), None).await?.json();
        assert_eq!((&shown["state"], &shown["credentials"]), (&json!("ended"), &json!([])));
        assert_eq!(ids(&list("").await?.json()), [&*second]);
        assert_eq!(ids(&list("?state=ended").await?.json()), [&*first]);
        Ok(())
    }

    /// A client's users are its own; one who is deleted is gone at once, with what they connected, and comes back empty.
    async fn users_of_a_client(database) {
        let scene = Scene::set(database).await?;
        let (client, other) = (scene.backend(|_| ()).await?, scene.backend(|_| ()).await?);
        let connection = scene.connection(&client, "default", "17", ACTIVE).await?;
        let theirs = scene.connection(&other, "default", "17", ACTIVE).await?;
        let users = scene.ask_as(&client, None, "GET", "/api/users", None).await?.json();
        assert_eq!(users["users"], json!([{ "user_id": "17", "user_namespace": client.client_id }]));
        let export = scene.ask_as(&client, None, "GET", "/api/users/17/export", None).await?.json();
        assert_eq!((&export["user_id"], ids(&export)), (&json!("17"), vec![&*connection]), "{export}");

        assert_eq!(scene.ask_as(&client, None, "DELETE", "/api/users/17", None).await?.status, 204);
        let path = format!("/api/connections/{connection}");
        assert_eq!(scene.ask_as(&client, None, "GET", &path, None).await?.refusal(), "404 not_found");
        for (method, path) in [("DELETE", "/api/users/17"), ("GET", "/api/users/17/export")] {
            assert_eq!(scene.ask_as(&client, None, method, path, None).await?.refusal(), "404 not_found");
        }
        scene.app.ctx.settle().await;
        scene.upkeep().await?;
        assert_eq!(scene.upstream.hits("revoke"), 1, "what the other client has stays");
        assert_eq!(count(&scene.app, "work_queue").await?, 0);
        let path = format!("/api/connections/{theirs}");
        assert_eq!(scene.ask_as(&other, None, "GET", &path, None).await?.json()["state"], "active");
        // After the time for which ended connections are retained, no row of the user is left.
        scene.app.clock.advance(31 * 86_400);
        scene.upkeep().await?;
        scene.upkeep().await?;
        assert_eq!((count(&scene.app, "tenant_user").await?, scene.sessions().await?), (1, 1));
        Ok(())
    }

    /// Where the clients of a tenant share their names for users, one of them deletes no user whom another one has connected.
    async fn users_that_clients_share(database) {
        let scene = Scene::set(database).await?;
        let platform = scene.backend(|client| client.entitlements.manage_tenants = true).await?;
        let body = json!({ "name": "Shared", "user_namespace": "shared" });
        let made = scene.ask_as(&platform, None, "POST", "/api/tenants", Some(body)).await?.json();
        let tenant = made["tenant_id"].as_str().unwrap();
        let other = scene.backend(|_| ()).await?;
        admit(&scene, &other, tenant).await?;
        let shared = UserNamespace::parse("shared").unwrap();
        let theirs = scene.connection_of(&other, tenant, shared.clone(), "17", ACTIVE).await?;
        scene.connection_of(&platform, tenant, shared, "17", ACTIVE).await?;
        let delete = async || scene.ask_as(&platform, Some(tenant), "DELETE", "/api/users/17", None).await;
        assert_eq!(delete().await?.refusal(), "403 unauthorized_client");
        let own = scene.ask_as(&platform, Some(tenant), "GET", "/api/connections", None).await?.json();
        assert_eq!(ids(&own).len(), 1, "nothing has ended");
        let path = format!("/api/connections/{theirs}");
        assert_eq!(scene.ask_as(&other, Some(tenant), "DELETE", &path, None).await?.status, 204);
        assert_eq!(delete().await?.status, 204);
        Ok(())
    }

    /// An erasure that cannot be done holds up no other one, nor the rest of the maintenance.
    async fn an_erasure_that_fails(database) {
        let scene = Scene::set(database).await?;
        let (platform, broken) = scene.platform().await?;
        let whole = scene.ask_as(&platform, None, "POST", "/api/tenants", Some(json!({ "name": "Whole" }))).await?.json();
        let whole = whole["tenant_id"].as_str().unwrap();
        scene.connection(&platform, whole, "17", ACTIVE).await?;
        // Neither this server nor an older one writes such a row.
        let garbled = format!(
            "INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at) VALUES ('{broken}', 'n', 'a\u{1}b', 1)"
        );
        let store = scene.app.store().in_tenant(&TenantId::new(&*broken));
        store.write::<_, StoreError, _>(move |scope| causeway_store::testing::defer(scope.connection(), &garbled)).await?;
        for tenant in [&*broken, whole] {
            let path = format!("/api/tenants/{tenant}");
            assert_eq!(scene.ask_as(&platform, None, "DELETE", &path, None).await?.status, 204);
        }
        scene.app.ctx.settle().await;
        scene.upkeep().await?;
        assert_eq!(scene.upstream.hits("revoke"), 1, "the other one is done");
        assert_eq!(count(&scene.app, "work_queue").await?, 1, "it is tried again later");
        Ok(())
    }

    /// A process that was killed right after the deletion of a tenant was committed is followed by another one.
    async fn a_deletion_is_resumed(database) {
        let scene = Scene::set(database).await?;
        let (platform, acme) = scene.platform().await?;
        for user in ["17", "18"] {
            scene.connection(&platform, &acme, user, ACTIVE).await?;
        }
        let (tenant, now) = (TenantId::new(&*acme), scene.app.ctx.now());
        scene
            .app
            .store()
            .write::<_, StoreError, _>(move |c| {
                assert!(tenants::delete_tenant(c, &tenant, now)?);
                work_queue::put_work(c, &Erasure::Tenant.work(&tenant, now))
            })
            .await?;
        let beside = scene.beside(database).await?;
        causeway_flow::operations::sweep::sweep_all(&beside.ctx).await?;
        beside.ctx.settle().await;
        let store = beside.store().in_tenant(&TenantId::new(&*acme));
        let left = store.read::<Page<_>, StoreError, _>(|scope| {
            users::list_users(scope, None, &PageRequest::first(9))
        });
        assert_eq!(left.await?.items.len(), 0);
        causeway_flow::upstream::revocation::revoke_due(&beside.ctx).await?;
        assert_eq!(scene.upstream.hits("revoke"), 2);
        assert_eq!(count(&beside, "work_queue").await?, 0);
        Ok(())
    }

    /// The operator's tenants over HTTP, each change in the audit log.
    async fn the_operators_tenants(database) {
        let scene = Scene::set(database).await?;
        let client = scene.backend(|_| ()).await?;
        let ask = |method: &str, path: &str, body: Option<Value>| {
            let request = scene.agent.request(method.parse().unwrap(), &scene.app.at(path));
            let request = request.bearer_auth(TestApp::ADMIN_TOKEN);
            scene.agent.send(body.iter().fold(request, RequestBuilder::json))
        };
        let body = json!({ "name": "Acme", "clients": [client.client_id] });
        let made = ask("POST", "/admin/tenants", Some(body)).await?;
        assert_eq!(made.status, 201, "{made:?}");
        let acme = made.json()["tenant_id"].as_str().unwrap().to_owned();
        let unknown = json!({ "name": "Acme", "clients": ["nobody"] });
        assert_eq!(ask("POST", "/admin/tenants", Some(unknown)).await?.refusal(), "400 invalid_request");
        let connection = scene.connection(&client, &acme, "17", ACTIVE).await?;
        let at = |path: &str| format!("/admin/tenants/{acme}{path}");
        assert_eq!(ids(&ask("GET", &at("/connections"), None).await?.json()), [&*connection]);
        let one = at(&format!("/connections/{connection}"));
        assert_eq!(ask("GET", &one, None).await?.json()["user_id"], "17");
        let elsewhere = format!("/admin/tenants/default/connections/{connection}");
        assert_eq!(ask("GET", &elsewhere, None).await?.refusal(), "404 not_found");
        assert_eq!(ask("DELETE", &one, None).await?.status, 204);
        let user = at(&format!("/users/{}/17", client.client_id));
        assert_eq!(ask("GET", &user, None).await?.json()["user_id"], "17");
        assert_eq!(ask("DELETE", &user, None).await?.status, 204);
        assert_eq!(ask("GET", &user, None).await?.refusal(), "404 not_found");
        assert_eq!(ask("DELETE", "/admin/tenants/default", None).await?.refusal(), "400 invalid_request");
        assert_eq!(ask("DELETE", &at(""), None).await?.status, 204);
        assert_eq!(ask("GET", &at(""), None).await?.refusal(), "404 not_found");
        let log = ask("GET", "/admin/audit", None).await?.json();
        let names: Vec<_> = log["events"].as_array().unwrap().iter().rev().map(|it| it["event"].clone()).collect();
        for event in ["tenant_created", "connections_listed", "connection_shown", "connection_ended", "user_exported", "user_deleted", "tenant_deleted"] {
            assert!(names.contains(&json!(event)), "{event}: {names:?}");
        }
        Ok(())
    }
}
