//! `/relay/{connection_id}/{path}`: whose connections a client may call with, what passes to the provider and back, what
//! does not, and what is made of the provider's refusals.

use causeway_domain::client::Entitlement;
use causeway_store::{StoreError, connections, sessions};
use causeway_testkit::{GRAPH, XrpcReply};
use causeway_types::{ClientId, SessionState, TenantId};
use serde_json::json;

use crate::support::{Relay, on_each_database, within_a_second};

/// Headers of a call that pass.
const PASS: [(&str, &str); 6] = [
    ("accept", "application/json"),
    ("content-type", "application/json"),
    ("idempotency-key", "k-1"),
    ("if-match", "\"1\""),
    ("accept-language", "de"),
    ("x-version", "2"),
];
/// And those that do not.
const STAY: [(&str, &str); 8] = [
    ("cookie", "a=b"),
    ("forwarded", "for=192.0.2.1"),
    ("origin", "https://app.example"),
    ("proxy-authorization", "Basic eDp5"),
    ("x-user-email", "eve@example.com"),
    ("x-forwarded-for", "192.0.2.1"),
    ("x-authenticated-user", "17"),
    ("causeway-tenant", "default"),
];

on_each_database! {
    /// The story: the client holds nothing, the provider sees the user's token, and its answer comes back.
    async fn a_call_is_made_with_the_users_credential(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let path = format!("/relay/{}/api/feed?fields=a%2Cb&q=%20", connection.id());
        let mut request = relay.request("POST", &path);
        for (name, value) in PASS.iter().chain(&STAY) {
            request = request.header(*name, *value);
        }
        let answer = relay.agent.send(request.body(r#"{"message":"hello"}"#)).await?;
        assert_eq!((answer.status, &answer.json()["by"]), (200, &json!("user-17")), "{answer:?}");
        for (name, value) in [
            ("cache-control", "private, no-store"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), value);
        }
        let calls = relay.provider.calls();
        let [seen] = calls.as_slice() else { panic!("{calls:?}") };
        assert_eq!((&*seen.method, &*seen.target, &*seen.by), ("POST", "/api/feed?fields=a%2Cb&q=%20", "user-17"));
        assert_eq!(seen.body, br#"{"message":"hello"}"#);
        assert_eq!(seen.headers["authorization"], format!("Bearer {}", connection.access_token));
        for (name, value) in PASS {
            assert_eq!(seen.headers.get(name).map(String::as_str), Some(value), "{name}");
        }
        let own = ["authorization", "host", "content-length", "user-agent"];
        let known: Vec<&str> = PASS.iter().map(|(name, _)| *name).chain(own).collect();
        let more: Vec<_> = seen.headers.keys().filter(|name| !known.contains(&name.as_str())).collect();
        assert!(more.is_empty(), "{more:?}");
        for method in ["PUT", "PATCH", "DELETE", "GET", "HEAD"] {
            assert_eq!(relay.call(method, &connection, "/api/x").await?.status, 200, "{method}");
            assert_eq!(relay.provider.calls().last().unwrap().method, method);
        }
        Ok(())
    }

    /// A connection that a client may not use looks like one that does not exist.
    async fn whose_connections(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let not_found = relay.call("GET", &connection, "/api/x").await?.status;
        assert_eq!(not_found, 200);
        let nowhere = relay.agent.send(relay.request("GET", "/relay/us_none/api/x")).await?;
        assert_eq!(nowhere.refusal(), "404 not_found");

        let path = format!("/relay/{}/api/x", connection.id());
        let other = Relay::client_of(&relay.app, &relay.agent).await?;
        let asked = async |client, path: &str| {
            let request = Relay::request_to(&relay.app, &relay.agent, client, "GET", path);
            relay.agent.send(request).await
        };
        let refused = asked(&other, &path).await?;
        assert_eq!((refused.refusal(), &refused.json()["error_description"]), ("404 not_found".to_owned(), &nowhere.json()["error_description"]));
        relay.share(&connection, &other).await?;
        assert_eq!(asked(&other, &path).await?.status, 200, "it is shared");

        // A connection of another tenant, which the client does not act in.
        let (now, id) = (relay.app.ctx.now(), ClientId::new(&*other.client_id));
        let globex = TenantId::new("globex");
        let tenant = causeway_domain::connection::Tenant {
            tenant_id: globex.clone(), name: "Globex".to_owned(), user_namespace: None, created_at: now,
        };
        relay.app.store().write::<_, StoreError, _>(move |c| {
            connections::tenants::insert_tenant(c, &tenant)?;
            connections::tenants::insert_tenant_client(c, &tenant.tenant_id, &id, now).map(drop)
        }).await?;
        let theirs = relay.app.add_connection_in(&relay.provider, &globex, &other.client_id, "user-17", connection.head.kind).await?;
        assert_eq!(relay.call("GET", &theirs, "/api/x").await?.refusal(), "404 not_found");
        let path = format!("/relay/{}/api/x", theirs.id());
        assert_eq!(asked(&other, &path).await?.refusal(), "400 invalid_request", "it acts in two");
        for (tenant, status) in [("default", 404), ("globex", 200)] {
            let named = Relay::request_to(&relay.app, &relay.agent, &other, "GET", &path).header("causeway-tenant", tenant);
            assert_eq!(relay.agent.send(named).await?.status, status, "{tenant}");
        }
        for verb in ["refresh", "verify", "credential"] {
            let request = relay.request("POST", &format!("/api/connections/{}/{verb}", theirs.id()));
            assert_eq!(relay.agent.send(request).await?.refusal(), "404 not_found", "{verb}");
        }

        // Neither without authentication, nor without the operator's entitlement, nor before the user is confirmed.
        let url = relay.app.at(&format!("/relay/{}/api/x", connection.id()));
        assert_eq!(relay.agent.get(&url).await?.status, 401);
        Relay::entitle(&relay.app, &relay.client, |client| client.entitlements.providers.clear()).await?;
        within_a_second(async || Ok(relay.call("GET", &connection, "/api/x").await?.refusal() == "403 access_denied")).await?;
        Ok(())
    }

    /// Where the provider wants it, each call proves that it comes from somebody who has the registration's secret.
    async fn calls_carry_a_proof_of_the_secret(database) {
        let relay = Relay::with(database, &format!("extras = \"facebook\"\n{GRAPH}")).await?;
        let connection = relay.connect("user-17").await?;
        relay.app.add_page(&relay.provider, &connection, "page-1").await?;
        relay.provider.script(|script| script.wants_proof = true);
        for (account, by) in [(None, "user-17"), (Some("page-1"), "page-1")] {
            let request = relay.request("GET", &format!("/relay/{}/api/x?fields=id", connection.id()));
            let request = account.iter().fold(request, |request, account| request.header("causeway-account", *account));
            let answer = relay.agent.send(request).await?;
            assert_eq!((answer.status, &answer.json()["by"]), (200, &json!(by)), "{answer:?}");
        }
        let own = relay.call("GET", &connection, "/api/x?appsecret_proof=own").await?;
        assert_eq!(own.refusal(), "400 invalid_request", "the caller has none of its own");
        Ok(())
    }

    /// A connection that nobody has confirmed yet looks like one that does not exist.
    async fn an_unconfirmed_connection_is_not_called(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let pending = format!("UPDATE upstream_session SET state = 'pending' WHERE session_id = '{}'", connection.id());
        let store = relay.app.store().in_tenant(&connection.head.tenant_id);
        store.write::<_, StoreError, _>(move |scope| causeway_store::testing::defer(scope.connection(), &pending)).await?;
        let called = relay.call("GET", &connection, "/api/x").await?;
        let nothing = relay.agent.send(relay.request("GET", "/relay/us_none/api/x")).await?;
        assert_eq!(called.refusal(), "404 not_found");
        assert_eq!(called.json()["error_description"], nothing.json()["error_description"]);
        for verb in ["refresh", "verify", "credential"] {
            let request = relay.request("POST", &format!("/api/connections/{}/{verb}", connection.id()));
            assert_eq!(relay.agent.send(request).await?.refusal(), "404 not_found", "{verb}");
        }
        assert!(relay.provider.calls().is_empty() && relay.provider.requests().is_empty());
        Ok(())
    }

    /// The path is sent as it was checked, or not at all.
    async fn paths_are_read_in_one_way(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        for path in [
            "/api/../me", "/api/%2e%2e/me", "/api/./x", "/api//x", "//api/x", "/api/%5cx", "/api/a%2fb", "/api/%00", "/api/%0d%0a",
            "/api/%252e%252e/x", "/token", "/token/", "/TOKEN", "/revoke", "/authorize", "/api/introspect", "/api/secret", "/api/secret/x", "/api/x?access_token=own",
            "/api/x?a=b&ACCESS_TOKEN=own", "/api/x?client_secret=own",
        ] {
            assert_eq!(relay.refusal_of_raw(&connection, path).await?, "400 invalid_request", "{path}");
        }
        assert!(relay.provider.calls().is_empty());
        let other = relay.request("GET", &format!("/relay/{}/api/x", connection.id())).header("causeway-origin", "https://evil.example");
        assert_eq!(relay.agent.send(other).await?.refusal(), "400 invalid_request");
        for (name, value) in [("causeway-retry", "yes"), ("causeway-account", "none")] {
            let request = relay.request("GET", &format!("/relay/{}/api/x", connection.id())).header(name, value);
            assert!(relay.agent.send(request).await?.status >= 400, "{name}");
        }
        assert!(relay.provider.calls().is_empty());
        let unchanged = "/api/a%20b;v=1/%C3%A9?x=%2F..%5c&y=";
        assert_eq!(relay.refusal_of_raw(&connection, unchanged).await?, "200 ");
        assert_eq!(relay.provider.calls()[0].target, unchanged);
        Ok(())
    }

    /// No token of the provider is in anything that the caller gets.
    async fn no_token_comes_back(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let listed = relay.call("GET", &connection, "/me/accounts").await?;
        assert_eq!(listed.status, 200);
        assert_eq!(listed.json()["data"][0]["id"], "page-1");
        assert!(listed.json()["paging"]["next"].as_str().unwrap().ends_with("/me/accounts?limit=2&after=2"), "{listed:?}");

        let reply = XrpcReply { headers: Vec::new(), body: r#"{"id":1,"nested":[{"access_token":"TOKEN","b":1e2}]}"#.to_owned(), ..XrpcReply::default() };
        let reply = [
            ("content-type", "application/json"),
            ("link", "<https://a.example/x?access_token=TOKEN&page=2>; rel=\"next\""),
            ("location", "https://a.example/y?access_token=TOKEN"),
            ("x-usage", "https://a.example/z?access_token=TOKEN#a"),
            ("x-ratelimit-remaining", "9"),
            ("set-cookie", "TOKEN=1"), ("www-authenticate", "Bearer TOKEN"), ("alt-svc", "h3=\"TOKEN\""), ("clear-site-data", "\"*\""),
            ("refresh", "0;url=TOKEN"), ("strict-transport-security", "max-age=1"), ("access-control-allow-origin", "TOKEN"), ("x-other", "TOKEN"),
        ].into_iter().fold(reply, |reply, (name, value)| reply.header(name, value));
        relay.provider.script(|script| script.answer = Some(reply));
        let answer = relay.call("GET", &connection, "/api/x").await?;
        assert_eq!((answer.status, &*answer.text), (200, r#"{"id":1,"nested":[{"b":1e2}]}"#));
        assert_eq!(answer.header("link"), "<https://a.example/x?page=2>; rel=\"next\"");
        assert_eq!((answer.header("location"), answer.header("x-usage")), ("https://a.example/y", "https://a.example/z#a"));
        assert_eq!(answer.header("x-ratelimit-remaining"), "9");
        assert!(!format!("{answer:?}").contains("TOKEN"), "{answer:?}");
        for header in ["set-cookie", "www-authenticate", "alt-svc", "clear-site-data", "refresh", "strict-transport-security", "access-control-allow-origin", "x-other"] {
            assert_eq!(answer.header(header), "", "{header}");
        }

        // What may contain one and cannot be read is refused; what is no text passes, however long.
        let reply = |content_type: &str, body: &str, filler| {
            XrpcReply { headers: Vec::new(), body: body.to_owned(), filler, ..XrpcReply::default() }.header("content-type", content_type)
        };
        for (refused, error) in [
            (reply("application/json", "{\"access_token\":\"TOKEN", 0), "502 upstream_invalid"),
            (reply("text/html", "<p>TOKEN", 0), "502 upstream_invalid"),
            (reply("application/json", "{}", 2 * 1024 * 1024), "502 answer_too_large"),
            (reply("application/json", "{}", 0).header("content-encoding", "br"), "502 upstream_invalid"),
        ] {
            relay.provider.script(|script| script.answer = Some(refused));
            let answer = relay.call("GET", &connection, "/api/x").await?;
            assert_eq!(answer.refusal(), error);
            assert!(!answer.text.contains("TOKEN"), "{answer:?}");
        }
        relay.provider.script(|script| script.answer = Some(reply("image/png", "png", 2 * 1024 * 1024)));
        let picture = relay.call("GET", &connection, "/api/x").await?;
        assert_eq!((picture.status, picture.text.len()), (200, 2 * 1024 * 1024 + 3));
        relay.provider.script(|script| script.answer = Some(reply("application/json", "{\"a\":1}", 900 * 1024)));
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.status, 200, "long, and read");
        Ok(())
    }

    /// Redirects of reads are followed where calls may go, with the credential; all others reach the caller.
    async fn redirects(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let to = |location: &str| {
            let reply = XrpcReply { status: 302, headers: Vec::new(), body: String::new(), ..XrpcReply::default() };
            relay.provider.script(|script| script.answer = Some(reply.header("location", location)));
        };
        to("{origin}/me");
        let followed = relay.call("GET", &connection, "/api/x").await?;
        assert_eq!((followed.status, &followed.json()["id"]), (200, &json!("user-17")), "{followed:?}");
        assert_eq!(relay.provider.calls().last().unwrap().headers["authorization"], format!("Bearer {}", connection.access_token));
        to("loop");
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.status, 302);
        assert_eq!(relay.provider.calls().len(), 6, "three of them are followed");
        for elsewhere in ["https://cdn.example/picture?access_token=TOKEN&a=1", "/token", "/api/secret"] {
            to(elsewhere);
            let calls = relay.provider.calls().len();
            let answer = relay.call("GET", &connection, "/api/x").await?;
            assert_eq!((answer.status, relay.provider.calls().len()), (302, calls + 1), "{elsewhere}");
            assert_eq!(answer.header("location"), elsewhere.replace("access_token=TOKEN&", ""));
        }
        to("{origin}/me");
        let written = relay.call("POST", &connection, "/api/x").await?;
        assert_eq!((written.status, written.header("location")), (302, &*format!("{}/me", relay.provider.origin)));
        Ok(())
    }

    /// A page is called with its own token, and what the provider says of that ends the page alone.
    async fn pages_have_a_life_of_their_own(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let (page_id, token) = relay.app.add_page(&relay.provider, &connection, "page-1").await?;
        relay.app.add_page(&relay.provider, &connection, "page-2").await?;
        let post = async |account: &str| {
            let request = relay.request("POST", &format!("/relay/{}/api/feed", connection.id()));
            relay.agent.send(request.header("causeway-account", account).body("{}")).await
        };
        for account in [page_id.as_str(), "page-1"] {
            assert_eq!(post(account).await?.json()["by"], "page-1", "{account}");
            assert_eq!(relay.provider.calls().last().unwrap().headers["authorization"], format!("Bearer {token}"));
        }
        assert_eq!(post("page-9").await?.refusal(), "404 not_found");
        relay.app.add_account(&connection, "page-3").await?;
        let calls = relay.provider.calls().len();
        assert_eq!(post("page-3").await?.refusal(), "401 reauth_required", "it has no token of its own");
        assert_eq!(relay.provider.calls().len(), calls, "and is not called with the user's");

        relay.provider.end_token(&token);
        let calls = relay.provider.requests().len();
        assert_eq!(post("page-1").await?.refusal(), "401 reauth_required");
        assert_eq!(post("page-1").await?.refusal(), "401 reauth_required");
        assert_eq!(relay.provider.requests().len(), calls, "nothing is refreshed for it");
        assert_eq!(post("page-2").await?.json()["by"], "page-2");
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.json()["by"], "user-17");

        // The user's credentials end, and cannot be renewed: the page's do not.
        relay.app.clock.advance(61 * 86_400);
        relay.provider.script(|script| script.refuses = Some((400, json!({"error": "invalid_grant"}))));
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.refusal(), "401 reauth_required");
        assert_eq!(post("page-2").await?.json()["by"], "page-2");
        Ok(())
    }

    /// A refused credential is refreshed once. A call without effect is made again then, another one only when the caller
    /// says so; a new credential that is refused as well ends the connection.
    async fn refused_credentials(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        relay.provider.expire_access_tokens();
        let read = relay.call("GET", &connection, "/api/x").await?;
        assert_eq!((read.status, &read.json()["by"]), (200, &json!("user-17")), "{read:?}");
        assert_eq!(relay.provider.requests().len(), 1);

        relay.app.clock.advance(60);
        relay.provider.expire_access_tokens();
        let path = format!("/relay/{}/api/feed", connection.id());
        let refused = relay.agent.send(relay.request("POST", &path).body("once")).await?;
        assert_eq!((refused.refusal(), refused.header("retry-after")), ("503 resend_request".to_owned(), "1"));
        assert_eq!((relay.provider.requests().len(), relay.provider.calls().len()), (2, 1), "refreshed, and not sent again");
        assert_eq!(relay.agent.send(relay.request("POST", &path).body("again")).await?.status, 200);
        relay.app.clock.advance(60);
        relay.provider.expire_access_tokens();
        let asked = relay.request("POST", &path).header("causeway-retry", "unsafe").body("kept");
        assert_eq!(relay.agent.send(asked).await?.status, 200);
        assert_eq!(relay.provider.calls().last().unwrap().body, b"kept");
        relay.app.clock.advance(60);
        relay.provider.expire_access_tokens();
        let long = relay.request("POST", &path).header("causeway-retry", "unsafe").body("x".repeat(100_000));
        assert_eq!(relay.agent.send(long).await?.refusal(), "503 resend_request", "it was not kept");

        relay.app.clock.advance(60);
        let other = relay.connect("user-18").await?;
        relay.provider.script(|script| script.graph_error = Some((400, 190, None)));
        let requests = relay.provider.requests().len();
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.refusal(), "401 reauth_required");
        assert_eq!(relay.provider.requests().len(), requests + 1, "refreshed once");
        for refusal in ["503 resend_request", "401 reauth_required", "401 reauth_required"] {
            assert_eq!(relay.call("POST", &other, "/api/x").await?.refusal(), refusal);
        }
        assert_eq!(relay.provider.requests().len(), requests + 2, "and once for a call that is not made again");
        relay.provider.script(|script| script.graph_error = None);
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.refusal(), "401 reauth_required", "and no more calls");
        assert_eq!(relay.provider.requests().len(), requests + 2);
        let id = connection.head.session_id.clone();
        let (tenant, kind) = (connection.head.tenant_id.clone(), connection.head.kind);
        let head = relay.app.store().read::<_, StoreError, _>(move |c| sessions::find_session(c, &tenant, &id, kind)).await?;
        assert_eq!(head.unwrap().state, SessionState::ReauthRequired);
        Ok(())
    }

    /// 401 may be about the call alone. Where no rule of the definition tells, the provider is asked, and a credential that
    /// it takes stays.
    async fn an_unauthorized_call_is_no_refused_credential(database) {
        let rule = "refused = [{ status = [200, 400, 401], json = \"/error/code\", equals = [190] }]";
        assert!(GRAPH.contains(rule));
        let relay = Relay::with(database, &GRAPH.replace(rule, "")).await?;
        let connection = relay.connect("user-17").await?;
        relay.app.add_page(&relay.provider, &connection, "page-1").await?;
        let call = async |method: &str, account: Option<&str>| {
            let request = relay.request(method, &format!("/relay/{}/api/x", connection.id()));
            let request = account.iter().fold(request, |request, account| request.header("causeway-account", *account));
            relay.agent.send(request).await
        };
        let unauthorized = XrpcReply::json(401, &json!({"error": "no_such_page"})).header("www-authenticate", "Bearer");
        relay.provider.script(|script| script.answer = Some(unauthorized));
        for (method, account) in [("GET", None), ("POST", None), ("GET", None), ("GET", Some("page-1")), ("POST", Some("page-1"))] {
            let answer = call(method, account).await?;
            assert_eq!((answer.status, &*answer.text), (401, r#"{"error":"no_such_page"}"#), "{method} {account:?}");
            assert_eq!(answer.header("www-authenticate"), "");
        }
        assert!(relay.provider.requests().is_empty(), "nothing is refreshed");
        relay.provider.script(|script| script.answer = None);
        for account in [None, Some("page-1")] {
            assert_eq!(call("GET", account).await?.status, 200, "{account:?} stays");
        }
        // The same status for a credential that has ended.
        relay.provider.expire_access_tokens();
        assert_eq!(call("GET", None).await?.status, 200);
        assert_eq!(relay.provider.requests().len(), 1);
        assert_eq!(call("GET", Some("page-1")).await?.refusal(), "401 reauth_required");
        relay.provider.script(|script| script.graph_error = Some((401, 190, None)));
        relay.app.clock.advance(60);
        assert_eq!(call("GET", None).await?.refusal(), "401 reauth_required");
        assert_eq!(relay.provider.requests().len(), 2);
        Ok(())
    }

    /// What goes with a connection is given back with it, each token where a revocation ends that token alone; later, if
    /// the provider does not answer.
    async fn pages_are_given_back_with_their_connection(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let mut expected = vec![connection.refresh_token.clone()];
        for page in ["page-1", "page-2"] {
            expected.push(relay.app.add_page(&relay.provider, &connection, page).await?.1);
        }
        relay.provider.script(|script| script.revoke = causeway_testkit::Fault::Status(500));
        let end = relay.request("DELETE", &format!("/api/connections/{}", connection.id()));
        assert_eq!(relay.agent.send(end).await?.status, 204);
        relay.app.ctx.settle().await;
        assert!(relay.provider.revoked().is_empty());
        relay.provider.script(|script| script.revoke = causeway_testkit::Fault::None);
        relay.app.clock.advance(301);
        causeway_flow::upstream::revocation::revoke_due(&relay.app.ctx).await?;
        let mut revoked = relay.provider.revoked();
        revoked.sort();
        expected.sort();
        assert_eq!(revoked, expected);
        relay.app.clock.advance(301);
        causeway_flow::upstream::revocation::revoke_due(&relay.app.ctx).await?;
        assert_eq!(relay.provider.revoked().len(), expected.len(), "once");
        Ok(())
    }

    /// Parameters that may not be in the address may not be in a body, either; one that cannot be read is not sent.
    async fn bodies_are_checked_like_addresses(database) {
        let denied = "deny_parameters = [{ parameter = \"fields\", contains = [\"access_token\"] }]\nstrip_members";
        let relay = Relay::with(database, &GRAPH.replace("strip_members", denied)).await?;
        let connection = relay.connect("user-17").await?;
        let post = async |content_type: &str, body: String| {
            let request = relay.request("POST", &format!("/relay/{}/api/x", connection.id()));
            relay.agent.send(request.header("content-type", content_type).body(body)).await
        };
        let (form, json) = ("application/x-www-form-urlencoded", "application/json");
        for (content_type, body, refusal) in [
            (form, "fields=from%7Baccess_token.as(t)%7D&method=get".to_owned(), "400 invalid_request"),
            (form, "access_token=own".to_owned(), "400 invalid_request"),
            (json, r#"{"fields":"access_token","fields":"id"}"#.to_owned(), "400 invalid_request"),
            (json, "{".to_owned(), "400 invalid_request"),
            ("text/plain", "fields=access_token".to_owned(), "400 invalid_request"),
            (form, format!("a={}", "x".repeat(2 * 1024 * 1024)), "413 invalid_request"),
        ] {
            let refused = post(content_type, body).await?;
            assert_eq!(refused.refusal(), refusal, "{content_type}");
        }
        assert!(relay.provider.calls().is_empty());
        for (content_type, body) in [
            (form, format!("message={}", "x".repeat(200_000))),
            (json, r#"{"fields":"id"}"#.to_owned()),
            ("image/png", "access_token".repeat(15_000)),
        ] {
            assert_eq!(post(content_type, body.clone()).await?.status, 200, "{content_type}");
            assert_eq!(relay.provider.calls().last().unwrap().body.len(), body.len(), "unchanged");
        }
        Ok(())
    }

    /// Errors of the provider in ordinary answers, 200 included.
    async fn answers_that_are_about_the_credential(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        for (code, refusal, wait) in [
            (4, "503 upstream_rate_limited", "60"),
            (17, "429 upstream_rate_limited", "60"),
            (459, "403 action_required", ""),
        ] {
            for status in [200, 400] {
                let reply = XrpcReply::json(status, &json!({"error": {"code": code, "message": "TOKEN"}}));
                relay.provider.script(|script| script.answer = Some(reply));
                let answer = relay.call("POST", &connection, "/api/x").await?;
                assert_eq!((&*answer.refusal(), answer.header("retry-after")), (refusal, wait), "{code} {status}");
                assert!(!answer.text.contains("TOKEN"), "{answer:?}");
            }
        }
        let reply = XrpcReply::json(429, &json!({"error": {"code": 17}})).header("retry-after", "9");
        relay.provider.script(|script| script.answer = Some(reply));
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.header("retry-after"), "9");
        for (status, code) in [(403, 10), (404, 803), (500, 2)] {
            let body = json!({"error": {"code": code}});
            relay.provider.script(|script| script.answer = Some(XrpcReply::json(status, &body)));
            let answer = relay.call("GET", &connection, "/api/x").await?;
            assert_eq!((answer.status, answer.text), (status, body.to_string()), "for the caller");
        }
        assert!(relay.provider.requests().is_empty(), "nothing is refreshed");
        // With status 200 it is refused like with any other.
        let reply = XrpcReply::json(200, &json!({"error": {"code": 190}}));
        relay.provider.script(|script| script.answer = Some(reply));
        assert_eq!(relay.call("GET", &connection, "/api/x").await?.refusal(), "401 reauth_required");
        assert_eq!(relay.provider.requests().len(), 1);
        Ok(())
    }

    /// A client asks for a refresh, for the provider's word, and, if it is trusted like this server, for the token.
    async fn refreshed_verified_and_exported(database) {
        let relay = Relay::with(database, GRAPH).await?;
        let connection = relay.connect("user-17").await?;
        let post = async |verb: &str| {
            relay.agent.send(relay.request("POST", &format!("/api/connections/{}/{verb}", connection.id()))).await
        };
        let refreshed = post("refresh").await?.json();
        assert_eq!((&refreshed["iteration"], &refreshed["state"]), (&json!(2), &json!("active")), "{refreshed}");
        assert_eq!(post("verify").await?.json()["status"], "live");
        relay.provider.expire_access_tokens();
        assert_eq!(post("verify").await?.json()["status"], "live", "refreshed, and asked again");
        relay.provider.script(|script| script.api = causeway_testkit::Fault::Status(500));
        assert_eq!(post("verify").await?.json()["status"], "unknown");
        relay.provider.script(|script| script.api = causeway_testkit::Fault::None);

        assert_eq!(post("credential").await?.refusal(), "403 access_denied");
        Relay::entitle(&relay.app, &relay.client, |client| client.entitlements.set(Entitlement::SessionExport, true)).await?;
        within_a_second(async || Ok(post("credential").await?.status == 200)).await?;
        let exported = post("credential").await?.json();
        assert!(relay.provider.takes(exported["access_token"].as_str().unwrap()), "{exported}");
        assert!(exported["expires_in"].as_i64().unwrap() <= 3600, "{exported}");

        relay.provider.script(|script| script.graph_error = Some((401, 190, None)));
        assert_eq!(post("verify").await?.json()["status"], "reauth_required");
        assert_eq!(post("verify").await?.json()["status"], "reauth_required");
        assert_eq!(post("refresh").await?.refusal(), "401 reauth_required");
        Ok(())
    }
}
