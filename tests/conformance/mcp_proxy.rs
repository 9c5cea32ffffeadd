//! MCP servers of users, called through this one.

use anyhow::Result;
use causeway_domain::client::Client;
use causeway_store::connections::access;
use causeway_store::{StoreError, TenantScope, clients};
use causeway_testkit::{Agent, Answer, OauthClient, Response};
use causeway_types::{ClientId, TenantId};
use serde_json::{Value, json};

use crate::support::mcp_scene::{McpScene, SERVER, authorization_for, call_of, param, until};
use crate::support::on_each_database;

/// The challenge of an answer.
fn challenge(answer: &Answer) -> &str {
    answer.header("www-authenticate")
}

/// The URL at which the user connects, in whatever form it came.
fn connect_url(answer: &Answer) -> String {
    let body = answer.json();
    let places = ["/error/data/connect_url", "/result/inputRequests/connect/params/url"];
    let found = places.iter().find_map(|place| body.pointer(place)).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no URL: {answer:?}")).to_owned()
}

/// Changes what the operator has entered about the client, which has not come yet.
async fn change_client(scene: &McpScene, change: fn(&mut Client)) -> Result<()> {
    let id = ClientId::new(&*scene.client.client_id);
    let store = scene.app.store();
    store
        .write::<_, StoreError, _>(move |c| {
            let mut client = clients::find_client(c, &TenantId::default_tenant(), &id)?.unwrap();
            change(&mut client);
            clients::update_client(c, &client)
        })
        .await?;
    Ok(())
}

/// Waits for the next part of a stream.
async fn next(response: &mut Response) -> Result<String> {
    let part = tokio::time::timeout(std::time::Duration::from_secs(30), response.chunk()).await??;
    Ok(String::from_utf8(part.unwrap_or_default().to_vec())?)
}

on_each_database! {
    /// One authorization leads from our consent page to the upstream and back to the client, and calls go through from then
    /// on, with the upstream's token and without the client's.
    async fn the_first_time_is_one_flow(database) {
        let scene = McpScene::set(database).await?;
        let (agent, endpoint) = (&scene.agent, scene.endpoint(SERVER));
        let authorization = authorization_for(&scene.client, &endpoint);
        let consent = scene.client.reach_consent(agent, &scene.upstream, &authorization).await?;
        let page = agent.get(&consent).await?;
        assert!(page.text.contains("The Tools"), "{page:?}");
        assert_eq!(scene.server.authorizations(), 0, "nothing before consent");
        let tokens = scene.tokens_for(agent, &scene.client, &endpoint).await?;
        assert_eq!(scene.server.authorizations(), 1);
        scene.server.take_seen();

        let answer = scene.call(&tokens.access_token).await?;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(17)), "{answer:?}");
        assert_eq!(answer.json()["result"]["content"][0]["text"], "done");
        let seen = scene.server.take_seen().remove(0);
        assert!(seen.headers["authorization"].starts_with("Bearer mcp-access-"), "{seen:?}");
        assert!(!format!("{seen:?}").contains(&tokens.access_token), "the caller's token stays here");
        assert!(!answer.text.contains("mcp-access") && !tokens.answer.to_string().contains("mcp-"));

        let again = Agent::default();
        let second = scene.token_of(&again, &scene.client).await?;
        assert_eq!((scene.call(&second).await?.status, scene.server.authorizations()), (200, 1), "it is connected");
        Ok(())
    }

    /// Several agents of one user share a connection: the second asks on our page, and the upstream is not asked again.
    async fn agents_share_a_connection(database) {
        let scene = McpScene::set(database).await?;
        scene.token().await?;
        let (agent, other) = (Agent::default(), OauthClient::register_as(&scene.agent, &scene.app.issuer, json!({})).await?);
        let authorization = authorization_for(&other, &scene.endpoint(SERVER));
        let consent = other.reach_consent(&agent, &scene.upstream, &authorization).await?;
        let page = agent.get(&consent).await?.text;
        assert!(page.contains("Use your connection to <bdi>The Tools</bdi>"), "{page}");
        let token = scene.token_of(&agent, &other).await?;
        let answer = scene.call(&token).await?;
        assert_eq!((answer.status, scene.server.authorizations()), (200, 1), "{answer:?}");
        Ok(())
    }

    /// An end at the upstream is an error for the client, in words.
    async fn a_declined_upstream_ends_the_authorization(database) {
        let scene = McpScene::set(database).await?;
        scene.server.script(|script| script.declines = true);
        let authorization = authorization_for(&scene.client, &scene.endpoint(SERVER));
        let answer = scene.allow(&scene.agent, &scene.client, &authorization).await?;
        let back = scene.follow(&scene.agent, &scene.client, answer).await?;
        assert_eq!(param(&back, "error").as_deref(), Some("access_denied"), "{back}");
        assert!(param(&back, "error_description").unwrap().contains("The Tools"), "{back}");
        assert_eq!(param(&back, "state"), Some(authorization.state), "{back}");
        scene.server.script(|script| (script.declines, script.is_gone) = (false, true));
        let scene = McpScene::set(database).await?;
        scene.server.script(|script| script.is_gone = true);
        let authorization = authorization_for(&scene.client, &scene.endpoint(SERVER));
        let answer = scene.allow(&scene.agent, &scene.client, &authorization).await?;
        let back = scene.follow(&scene.agent, &scene.client, answer).await?;
        assert_eq!(param(&back, "error").as_deref(), Some("temporarily_unavailable"), "{back}");
        Ok(())
    }

    /// Nobody skips consent by the address to which the upstream sends the browser.
    async fn the_way_back_needs_consent(database) {
        let scene = McpScene::set(database).await?;
        let authorization = authorization_for(&scene.client, &scene.endpoint(SERVER));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let request = param(&url::Url::parse(&consent)?, "request").unwrap();
        for forged in ["", "1 0", "v1.k.AAAA"] {
            let url = scene.app.at(&format!("/oauth/continue?request={request}&consent={forged}"));
            assert_eq!(scene.agent.get(&url).await?.status, 400, "{forged}");
        }
        Ok(())
    }

    /// RFC 9728: the challenge leads to the metadata of this endpoint. Names that there are not look alike everywhere; paths of
    /// connections look alike whether or not there is one.
    async fn metadata_of_each_endpoint(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        let connection = scene.agent.get_with(&scene.app.at("/api/mcp"), &token).await?;
        assert_eq!(connection.status, 401, "a token for an endpoint is none for the server: {connection:?}");
        for path in ["tools", "others", "c/cs_17", "c/another"] {
            let answer = scene.agent.post_body(&scene.endpoint(path), "application/json", "{}").await?;
            let metadata = scene.app.at(&format!("/.well-known/oauth-protected-resource/mcp/{path}"));
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(
                challenge(&answer),
                format!("Bearer realm=\"causeway\", resource_metadata=\"{metadata}\", scope=\"atproto\"")
            );
            let document = scene.agent.get(&metadata).await?.json();
            assert_eq!(document["resource"], scene.endpoint(path));
            assert_eq!(document["authorization_servers"], json!([scene.app.issuer]));
        }
        for unknown in ["nothing", "facebook", "c"] {
            let metadata = scene.app.at(&format!("/.well-known/oauth-protected-resource/mcp/{unknown}"));
            assert_eq!(scene.agent.get(&metadata).await?.status, 404, "{unknown}");
            let answer = scene.agent.post_body(&scene.endpoint(unknown), "application/json", "{}").await?;
            assert_eq!(answer.status, 404, "{unknown}");
            let authorization = authorization_for(&scene.client, &scene.endpoint(unknown));
            let refused = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert!(refused.text.contains("invalid_target") || refused.redirect_param("error").as_deref() == Some("invalid_target"), "{refused:?}");
        }
        Ok(())
    }

    /// RFC 8707: a token for one endpoint is none for another, for the relay, for XRPC, or for the server itself; and one that
    /// names no endpoint is none for any.
    async fn a_token_is_for_one_endpoint(database) {
        let scene = McpScene::set(database).await?;
        let tokens = scene.tokens_for(&scene.agent, &scene.client, &scene.endpoint(SERVER)).await?;
        for path in ["/mcp/others", "/mcp/c/cs_17", "/oauth/userinfo", "/api/session", "/xrpc/com.atproto.server.getSession", "/relay/cs_17/me", "/api/mcp"] {
            let answer = scene.agent.get_with(&scene.app.at(path), &tokens.access_token).await?;
            assert_eq!(answer.refusal(), "401 invalid_token", "{path}");
        }
        assert_eq!(scene.upstream.calls().len(), 0);
        let plain = scene.client.sign_in(&scene.agent, &scene.upstream, crate::support::HANDLE).await?;
        let answer = scene.call(&plain.access_token).await?;
        assert_eq!(answer.refusal(), "401 invalid_token", "{answer:?}");
        assert!(challenge(&answer).contains("/.well-known/oauth-protected-resource/mcp/tools"), "{answer:?}");
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*plain.refresh_token), ("resource", &scene.endpoint(SERVER))];
        let widened = scene.client.post(&scene.agent, "/oauth/token", &form).await?;
        assert_eq!(widened.refusal(), "400 invalid_target", "the user was not asked");
        Ok(())
    }

    /// Headers of the protocol and of traces pass, and nothing that is the caller's own; nothing of the server's authorization
    /// or cookies comes back.
    async fn headers(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        scene.server.take_seen();
        let passing = [
            ("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/call"), ("mcp-name", "read"),
            ("mcp-param-region", "eu"), ("last-event-id", "7"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let stopped = [("cookie", "causeway=x"), ("x-user-email", "a@b.c"), ("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4")];
        let request = passing.iter().chain(&stopped).fold(scene.ask("POST", &token).json(&call_of("read")), |request, (name, value)| request.header(*name, *value));
        let answer = scene.agent.send(request).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = scene.server.take_seen().remove(0);
        for (name, value) in passing {
            assert_eq!(seen.headers.get(name).map(String::as_str), Some(value), "{name}");
        }
        for (name, _) in stopped {
            assert_eq!(seen.headers.get(name), None, "{name}");
        }
        assert_eq!(seen.headers["accept"], "application/json, text/event-stream");
        for name in ["www-authenticate", "set-cookie"] {
            assert_eq!(answer.header(name), "", "{name}");
        }
        assert_eq!(answer.header("cache-control"), "private, no-store");
        Ok(())
    }

    /// Scripts call from the client's own sites and from those that the operator allows, and read what they need to.
    async fn origins(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        let own = url::Url::parse(&scene.client.redirect_uri)?.origin().ascii_serialization();
        for (origin, status) in [(&*own, 200), ("https://evil.example", 403), ("null", 403)] {
            let request = scene.ask("POST", &token).json(&call_of("read")).header("origin", origin);
            let answer = scene.agent.send(request).await?;
            assert_eq!(answer.status, status, "{origin}");
            let exposed = answer.header("access-control-expose-headers").to_lowercase();
            assert!(exposed.contains("mcp-session-id") && exposed.contains("www-authenticate"), "{origin}: {exposed}");
        }
        let request = scene.agent.request("OPTIONS".parse()?, &scene.endpoint(SERVER)).header("origin", "https://evil.example");
        let request = request.header("access-control-request-method", "POST").header("access-control-request-headers", "authorization,mcp-protocol-version,content-type");
        let preflight = scene.agent.send(request).await?;
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, "*"), "{preflight:?}");
        let answer = scene.agent.send(scene.agent.request("POST".parse()?, &scene.endpoint(SERVER)).header("origin", "https://evil.example")).await?;
        assert_eq!(answer.status, 401, "without a token anybody learns where to get one");
        Ok(())
    }

    /// Sessions of the server are ours for the client: bound to user, client and connection, good after a restart and at
    /// another node.
    async fn sessions(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        scene.server.script(|script| script.sessions = true);
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
        let session = scene.send(&token, None, &initialize).await?.header("mcp-session-id").to_owned();
        assert!(!session.is_empty() && !session.contains("upstream-session"), "{session}");
        assert_eq!(scene.call(&token).await?.status, 404, "the server wants its session");
        let call = async |at: &str, token: &str, session: &str| {
            let request = scene.agent.request("POST".parse()?, &format!("{at}/mcp/{SERVER}")).bearer_auth(token);
            scene.agent.send(request.header("mcp-session-id", session).json(&call_of("read"))).await
        };
        assert_eq!(call(&scene.app.issuer, &token, &session).await?.status, 200);
        assert_eq!(scene.server.take_seen().pop().unwrap().headers["mcp-session-id"], "upstream-session-1");
        let beside = scene.beside(database).await?;
        assert_eq!(call(&beside.issuer, &token, &session).await?.status, 200, "another node, as after a restart");
        let other = OauthClient::register_as(&scene.agent, &scene.app.issuer, json!({})).await?;
        let of_other = scene.token_of(&Agent::default(), &other).await?;
        let refused = call(&scene.app.issuer, &of_other, &session).await?;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (404, &json!(-32001)), "another client's: {refused:?}");
        for forged in ["upstream-session-1", "x", &session[..session.len() - 2]] {
            assert_eq!(call(&scene.app.issuer, &token, forged).await?.status, 404, "{forged}");
        }
        let request = scene.ask("DELETE", &token).header("mcp-session-id", &session);
        assert_eq!(scene.agent.send(request).await?.status, 204);
        assert_eq!(call(&scene.app.issuer, &token, &session).await?.status, 404, "it has ended");
        Ok(())
    }

    /// Streams begin at once, have no end of their own, tell proxies not to hold them, and end when the caller leaves.
    async fn streams(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        let mut response = scene.ask("GET", &token).header("last-event-id", "6").send().await?;
        assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"text/event-stream".parse()?));
        assert_eq!(&response.headers()["x-accel-buffering"], "no");
        assert_eq!(next(&mut response).await?, "id: 7\ndata: {\"method\":\"begun\"}\n\n");
        assert_eq!(scene.server.take_seen().pop().unwrap().headers["last-event-id"], "6");
        assert_eq!(scene.server.open_streams(), 1);
        drop(response);
        until(|| scene.server.open_streams() == 0).await?;
        scene.server.script(|script| script.events = true);
        let answer = scene.call(&token).await?;
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert!(answer.text.starts_with("event: message\ndata: {") && answer.text.ends_with("\n\n"), "{answer:?}");
        Ok(())
    }

    /// A refused access token is renewed once, and the message sent again.
    async fn a_refused_token_is_renewed(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        scene.app.clock.advance(120);
        scene.server.forget_tokens();
        scene.server.take_seen();
        let answer = scene.call(&token).await?;
        assert_eq!((answer.status, &answer.json()["result"]["content"][0]["text"]), (200, &json!("done")), "{answer:?}");
        let seen = scene.server.take_seen();
        assert_eq!(seen.iter().map(|seen| &*seen.body).collect::<Vec<_>>(), [&*call_of("read").to_string(), &*call_of("read").to_string()]);
        assert_eq!(scene.server.authorizations(), 1);
        Ok(())
    }

    /// A connection that has ended is an answer in the words of each revision, with the URL, status 200 and the request's id.
    async fn the_user_has_to_connect_again(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        scene.app.clock.advance(7200);
        scene.server.script(|script| script.no_refresh = true);
        scene.server.forget_tokens();

        let other = scene.call(&token).await?;
        let error = &other.json()["error"];
        assert_eq!((other.status, &other.json()["id"]), (200, &json!(17)), "{other:?}");
        assert!((-32019..=-32000).contains(&error["code"].as_i64().unwrap()), "{other:?}");
        let url = connect_url(&other);
        assert!(url.starts_with(&scene.app.at("/connect/")) && error["message"].as_str().unwrap().contains(&url), "{other:?}");

        let elicited = scene.send(&token, Some("2025-11-25"), &call_of("read")).await?;
        let error = &elicited.json()["error"];
        assert_eq!((elicited.status, &error["code"]), (200, &json!(-32042)), "{elicited:?}");
        assert_eq!(error["data"]["elicitations"][0]["mode"], "url");
        assert_eq!(error["data"]["elicitations"][0]["url"], url, "the same prompt");
        assert!(error["data"]["elicitations"][0]["elicitationId"].is_string());

        let asked = scene.send(&token, Some("2026-07-28"), &call_of("read")).await?;
        let result = &asked.json()["result"];
        assert_eq!((asked.status, &result["resultType"]), (200, &json!("input_required")), "{asked:?}");
        assert_eq!(result["inputRequests"]["connect"]["method"], "elicitation/create");
        assert_eq!(result["inputRequests"]["connect"]["params"]["mode"], "url");
        assert_eq!(connect_url(&asked), url);
        let list = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"});
        let listed = scene.send(&token, Some("2026-07-28"), &list).await?;
        assert_eq!((&listed.json()["id"], &listed.json()["error"]["data"]["connect_url"]), (&json!("a"), &json!(url)), "{listed:?}");
        let mut without = call_of("read");
        without["params"]["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities": {}});
        let answer = scene.send(&token, Some("2026-07-28"), &without).await?;
        assert!(answer.json()["error"]["data"]["connect_url"].is_string(), "it cannot ask: {answer:?}");
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(scene.send(&token, None, &note).await?.status, 403, "never 401");

        let mut declined = call_of("read");
        declined["params"]["requestState"] = result["requestState"].clone();
        declined["params"]["inputResponses"] = json!({"connect": {"action": "decline"}});
        let answer = scene.send(&token, Some("2026-07-28"), &declined).await?;
        assert_eq!(answer.json()["error"]["data"]["connect_url"], url, "not asked again: {answer:?}");

        scene.server.script(|script| script.no_refresh = false);
        scene.server.take_seen();
        scene.reconnect(&url).await?;
        let mut accepted = declined;
        accepted["params"]["inputResponses"] = json!({"connect": {"action": "accept"}});
        let answer = scene.send(&token, Some("2026-07-28"), &accepted).await?;
        assert_eq!(answer.json()["result"]["content"][0]["text"], "done", "{answer:?}");
        let seen = scene.server.take_seen().pop().unwrap();
        assert!(!seen.body.contains("requestState") && !seen.body.contains("inputResponses"), "{seen:?}");
        Ok(())
    }

    /// A demand for more scopes is a prompt as well.
    async fn a_server_demands_more_scopes(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        scene.server.script(|script| script.demands = Some("write"));
        let answer = scene.send(&token, Some("2025-11-25"), &call_of("write")).await?;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!(-32042)), "{answer:?}");
        assert!(connect_url(&answer).starts_with(&scene.app.at("/connect/")));
        assert_eq!(challenge(&answer), "");
        Ok(())
    }

    /// A client without access to the user's connection is told to connect, and never uses it.
    async fn access_is_the_clients(database) {
        let scene = McpScene::set(database).await?;
        let token = scene.token().await?;
        let id = ClientId::new(&*scene.client.client_id);
        let servers = scene.servers().await?;
        let connection = causeway_types::UpstreamSessionId::new(servers["servers"][1]["connection_id"].as_str().unwrap());
        let (store, now) = (scene.app.store().in_tenant(&TenantId::default_tenant()), scene.app.ctx.now());
        store.write::<_, StoreError, _>(move |scope: &mut TenantScope<'_>| access::delete_access(scope, &connection, &id, now)).await?;
        scene.server.take_seen();
        let answer = scene.call(&token).await?;
        assert!(connect_url(&answer).starts_with(&scene.app.at("/connect/")), "{answer:?}");
        assert_eq!(scene.server.take_seen().len(), 0);
        Ok(())
    }

    /// `/mcp/c/{connection_id}` serves one connection; another user's, and one that there is not, are the same to everybody.
    async fn one_connection(database) {
        let scene = McpScene::set(database).await?;
        scene.token().await?;
        let connection = scene.servers().await?["servers"][1]["connection_id"].as_str().unwrap().to_owned();
        let endpoint = scene.endpoint(&format!("c/{connection}"));
        let token = scene.tokens_for(&scene.agent, &scene.client, &endpoint).await?.access_token;
        let request = |url: &str, token: &str| scene.agent.request("POST".parse().unwrap(), url).bearer_auth(token).json(&call_of("read"));
        let answer = scene.agent.send(request(&endpoint, &token)).await?;
        assert_eq!((answer.status, &answer.json()["result"]["content"][0]["text"]), (200, &json!("done")), "{answer:?}");
        assert_eq!(scene.agent.send(request(&scene.endpoint(SERVER), &token)).await?.status, 401);
        let nobodys = scene.endpoint("c/nobodys");
        let token = scene.tokens_for(&scene.agent, &scene.client, &nobodys).await?.access_token;
        assert_eq!(scene.agent.send(request(&nobodys, &token)).await?.refusal(), "404 not_found");
        Ok(())
    }

    /// The user's servers, with their states and the pages to connect at.
    async fn the_list_of_servers(database) {
        let scene = McpScene::set(database).await?;
        let servers = scene.servers().await?;
        let of = |servers: &Value, n: usize| (servers["servers"][n]["provider"].clone(), servers["servers"][n]["state"].clone());
        assert_eq!(of(&servers, 0), (json!("others"), json!("not_connected")), "{servers}");
        assert_eq!(of(&servers, 1), (json!("tools"), json!("not_connected")), "{servers}");
        assert_eq!(servers["servers"][1]["url"], scene.endpoint(SERVER));
        assert!(servers["servers"][1]["connect_url"].as_str().unwrap().starts_with(&scene.app.at("/connect/")), "{servers}");
        scene.token().await?;
        let servers = scene.servers().await?;
        assert_eq!(of(&servers, 1), (json!("tools"), json!("connected")), "{servers}");
        assert_eq!(servers["servers"][1]["connect_url"], Value::Null);
        Ok(())
    }

    /// The operator says which tools a client may call: others are neither listed nor called.
    async fn tools_of_a_client(database) {
        let scene = McpScene::set(database).await?;
        change_client(&scene, |client| {
            client.entitlements.mcp_tools = [("tools".to_owned(), vec!["read".to_owned()])].into();
        })
        .await?;
        let token = scene.token().await?;
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        for events in [false, true] {
            scene.server.script(|script| script.events = events);
            let answer = scene.send(&token, None, &list).await?;
            assert!(answer.text.contains("\"read\"") && !answer.text.contains("\"write\""), "{answer:?}");
        }
        scene.server.take_seen();
        assert_eq!(scene.call(&token).await?.status, 200);
        let refused = scene.send(&token, None, &call_of("write")).await?;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (200, &json!(-32011)), "{refused:?}");
        let batch = json!([call_of("read"), call_of("write")]);
        assert!(scene.send(&token, None, &batch).await?.json()[0]["error"].is_object(), "none of it is sent");
        assert_eq!(scene.server.take_seen().len(), 1);
        let long = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "write", "arguments": {"x": "y".repeat(3 << 20)}}});
        assert_eq!(scene.send(&token, None, &long).await?.status, 413);
        Ok(())
    }
}
