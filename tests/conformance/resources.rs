//! Resource indicators (RFC 8707): a token says where it is to be used, and is refused elsewhere.

use anyhow::Result;
use causeway_domain::resource::ResourceScopes;
use causeway_flow::CtxParts;
use causeway_store::clients;
use causeway_testkit::{
    Agent, Answer, Authorization, OauthClient, ScriptedUpstream, TestApp, Tokens, decide,
};
use causeway_types::{ClientId, Resource, Resources, TenantId};
use serde_json::{Value, json};

use crate::support::{DID, HANDLE, Scene, on_each_database};

const API: &str = "https://api.example/v1";

/// A client that authenticates and may request tokens for one external resource.
pub(crate) async fn trusted(scene: &Scene, metadata: Value) -> Result<OauthClient> {
    let mut metadata = metadata;
    metadata["token_endpoint_auth_method"] = json!("client_secret_post");
    let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
    let id = ClientId::new(client.client_id.clone());
    scene
        .app
        .store()
        .write(move |c| {
            let mut row = clients::find_client(c, &TenantId::default_tenant(), &id)?.expect("the client");
            row.entitlements.allowed_resources = vec![Resource::parse(API).expect("a resource")];
            clients::update_client(c, &row)
        })
        .await?;
    Ok(client)
}

fn naming(client: &OauthClient, resources: &[&str]) -> Authorization {
    let mut authorization = client.authorization(Some(HANDLE));
    let named = resources.iter().map(|resource| ("resource".to_owned(), (*resource).to_owned()));
    authorization.params.extend(named);
    authorization
}

/// A code for a request that names resources.
pub(crate) async fn code_for(
    scene: &Scene,
    client: &OauthClient,
    resources: &[&str],
) -> Result<(String, Authorization)> {
    let authorization = naming(client, resources);
    let consent = client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
    let answer = decide(&scene.agent, &consent, "allow").await?;
    Ok((answer.redirect_param("code").expect("a code"), authorization))
}

async fn redeem(
    scene: &Scene,
    client: &OauthClient,
    code: &(String, Authorization),
    resources: &[&str],
) -> Result<Answer> {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", &*code.0),
        ("code_verifier", code.1.verifier.expose()),
    ];
    form.extend(resources.iter().map(|resource| ("resource", *resource)));
    client.post(&scene.agent, "/oauth/token", &form).await
}

async fn refresh(scene: &Scene, client: &OauthClient, token: &str, resources: &[&str]) -> Result<Answer> {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(resources.iter().map(|resource| ("resource", *resource)));
    client.post(&scene.agent, "/oauth/token", &form).await
}

async fn audience(scene: &Scene, client: &OauthClient, token: &str) -> Result<Value> {
    let answer = client.post(&scene.agent, "/oauth/introspect", &[("token", token)]).await?.json();
    assert_eq!(answer["active"], true, "{answer}");
    Ok(answer["aud"].clone())
}

async fn userinfo(scene: &Scene, token: &str) -> Result<Answer> {
    scene.agent.get_with(&scene.app.at("/oauth/userinfo"), token).await
}

on_each_database! {
    /// The resources of the authorization request limit every later token, and are the default when none is
    /// named (sections 2.1 and 2.2).
    async fn tokens_are_for_what_was_named(database) {
        let scene = Scene::set(database).await?;
        let client = trusted(&scene, json!({})).await?;
        let mcp = scene.app.at("/mcp");
        let code = code_for(&scene, &client, &[&mcp, API, API]).await?;
        for beyond in ["https://other.example", "https://api.example", "/v1", "https://api.example/v1#"] {
            assert_eq!(redeem(&scene, &client, &code, &[beyond]).await?.refusal(), "400 invalid_target", "{beyond}");
        }
        let tokens = Tokens::read(&redeem(&scene, &client, &code, &[API]).await?)?;
        assert_eq!(audience(&scene, &client, &tokens.access_token).await?, API);
        assert_eq!(audience(&scene, &client, &tokens.refresh_token).await?, json!([mcp, API]));

        let beyond = refresh(&scene, &client, &tokens.refresh_token, &[&scene.app.issuer]).await?;
        assert_eq!(beyond.refusal(), "400 invalid_target", "it was not named");
        let all = Tokens::read(&refresh(&scene, &client, &tokens.refresh_token, &[]).await?)?;
        assert_eq!(audience(&scene, &client, &all.access_token).await?, json!([mcp, API]));
        let narrow = Tokens::read(&refresh(&scene, &client, &all.refresh_token, &[&mcp]).await?)?;
        assert_eq!(audience(&scene, &client, &narrow.access_token).await?, mcp);
        assert_eq!(userinfo(&scene, &narrow.access_token).await?.json()["sub"], DID);
        Ok(())
    }

    /// A token for another resource is not accepted here, so its resource server cannot use it (RFC 9068
    /// section 4).
    async fn a_token_for_another_resource_is_nothing_here(database) {
        let scene = Scene::set(database).await?;
        let client = trusted(&scene, json!({})).await?;
        let code = code_for(&scene, &client, &[API]).await?;
        let tokens = Tokens::read(&redeem(&scene, &client, &code, &[]).await?)?;
        for path in ["/oauth/userinfo", "/api/session", "/xrpc/com.atproto.server.getSession"] {
            let answer = scene.agent.get_with(&scene.app.at(path), &tokens.access_token).await?;
            assert_eq!(answer.refusal(), "401 invalid_token", "{path}");
            assert!(answer.text.contains("another resource"), "{answer:?}");
        }
        assert_eq!(scene.upstream.calls().len(), 0);
        Ok(())
    }

    /// The resource asks about the tokens that it is shown (RFC 7662): those that name it, and no others; nobody else does.
    async fn a_resource_asks_about_its_tokens(database) {
        let scene = Scene::set(database).await?;
        let (app, api) = (trusted(&scene, json!({})).await?, trusted(&scene, json!({})).await?);
        let anybody =
            OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        let code = code_for(&scene, &app, &[API, &scene.app.issuer]).await?;
        let tokens = Tokens::read(&redeem(&scene, &app, &code, &[API]).await?)?;
        let asks = async |who: &OauthClient, token: &str| {
            anyhow::Ok(who.post(&scene.agent, "/oauth/introspect", &[("token", token)]).await?.json())
        };
        let told = asks(&api, &tokens.access_token).await?;
        assert_eq!((&told["active"], &told["sub"], &told["aud"]), (&json!(true), &json!(DID), &json!(API)));
        assert_eq!(told["client_id"], app.client_id);
        let nothing = json!({"active": false});
        assert_eq!(asks(&api, &tokens.refresh_token).await?, nothing, "no business of a resource");
        assert_eq!(asks(&anybody, &tokens.access_token).await?, nothing);
        let elsewhere = refresh(&scene, &app, &tokens.refresh_token, &[&scene.app.issuer]).await?;
        assert_eq!(asks(&api, &Tokens::read(&elsewhere)?.access_token).await?, nothing, "not for it");
        Ok(())
    }

    /// A scope that the operator declares for a resource: users read what it allows, and the tokens for the resource carry it,
    /// and no others.
    async fn scopes_of_a_resource(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let declared = format!("{API} mcp:tools Use the tools of Example, and pay for them");
        let tune = |parts: &mut CtxParts| {
            parts.resources = vec![Resource::parse(API).expect("a resource")];
            parts.resource_scopes = ResourceScopes::parse(&[&declared]).expect("a scope");
        };
        let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
        let agent = Agent::default();
        let client = OauthClient::register(&agent, &app.issuer).await?;
        let mut scene = Scene { app, upstream, agent, client };
        let metadata = json!({"scope": "openid mcp:tools mcp:other", "token_endpoint_auth_method": "client_secret_post"});
        let url = scene.app.at("/oauth/register");
        let mut body = metadata.clone();
        body["redirect_uris"] = json!(["http://127.0.0.1/callback"]);
        let registered = scene.agent.post_body(&url, "application/json", body.to_string()).await?.json();
        assert_eq!(registered["scope"], "openid mcp:tools", "what nobody declared is replaced");

        let mut client = trusted(&scene, metadata).await?;
        client.scope = "openid mcp:tools mcp:other".to_owned();
        scene.client = client.clone();
        let authorization = naming(&client, &[API, &scene.app.issuer]);
        let consent = client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let page = scene.agent.get(&consent).await?;
        for said in ["Use the tools of Example, and pay for them", "mcp:tools", API] {
            assert!(page.text.contains(said), "{said}: {page:?}");
        }
        assert_eq!(scene.upstream.last_pushed()["scope"], "atproto", "no business of a PDS");
        let answer = decide(&scene.agent, &consent, "allow").await?;
        let code = (answer.redirect_param("code").expect("a code"), authorization);
        let tokens = Tokens::read(&redeem(&scene, &client, &code, &[API]).await?)?;
        assert_eq!(tokens.answer["scope"], "openid mcp:tools");
        let told = client.post(&scene.agent, "/oauth/introspect", &[("token", &tokens.access_token)]).await?.json();
        assert_eq!((&told["scope"], &told["aud"]), (&json!("openid mcp:tools"), &json!(API)));

        let here = Tokens::read(&refresh(&scene, &client, &tokens.refresh_token, &[&scene.app.issuer]).await?)?;
        assert_eq!(here.answer["scope"], "openid", "not for another resource");
        assert_eq!(userinfo(&scene, &here.access_token).await?.json()["sub"], DID);
        let there = Tokens::read(&refresh(&scene, &client, &here.refresh_token, &[API]).await?)?;
        assert_eq!(there.answer["scope"], "openid mcp:tools", "the refresh token keeps it");

        let without = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_eq!(without.answer["scope"], "openid", "no resource was named");
        Ok(())
    }

    /// A resource that the operator names for every client, as an MCP server needs it whose clients register themselves: it
    /// asks about the tokens that it is shown, and they open nothing here.
    async fn a_resource_for_every_client(database) {
        let upstream = ScriptedUpstream::start(HANDLE, DID)?;
        let tune = |parts: &mut CtxParts| parts.resources = vec![Resource::parse(API).expect("a resource")];
        let app = TestApp::start_tuned(database, &upstream.environment(), tune).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let scene = Scene { app, upstream, agent, client };
        let api = trusted(&scene, json!({})).await?;
        let code = code_for(&scene, &scene.client, &[API]).await?;
        let tokens = Tokens::read(&redeem(&scene, &scene.client, &code, &[API]).await?)?;
        let token = [("token", &*tokens.access_token)];
        let told = api.post(&scene.agent, "/oauth/introspect", &token).await?.json();
        assert_eq!((&told["active"], &told["aud"]), (&json!(true), &json!(API)));
        assert_eq!(userinfo(&scene, &tokens.access_token).await?.refusal(), "401 invalid_token");
        let other = naming(&scene.client, &["https://api.example/v2"]).url(&scene.app.issuer);
        let refused = scene.agent.get(&other).await?;
        assert_eq!(refused.redirect_param("error").as_deref(), Some("invalid_target"));
        let said = refused.redirect_param("error_description").unwrap();
        assert!(said.contains(API) && said.contains(&scene.app.issuer), "it names all that is in reach: {said}");

        // With a slash at the end, as many URL libraries write it: the token is for what the operator wrote.
        let slash = format!("{API}/");
        let code = code_for(&scene, &scene.client, &[&slash]).await?;
        let tokens = Tokens::read(&redeem(&scene, &scene.client, &code, &[&slash]).await?)?;
        let told = api.post(&scene.agent, "/oauth/introspect", &[("token", &*tokens.access_token)]).await?.json();
        assert_eq!((&told["active"], &told["aud"]), (&json!(true), &json!(API)));
        for again in [&*slash, API] {
            assert_eq!(refresh(&scene, &scene.client, &tokens.refresh_token, &[again]).await?.status, 200, "{again}");
        }
        Ok(())
    }

    /// The client of an MCP server names it at every step, with or without a slash; without a resource, it
    /// gets a token for this server.
    async fn our_own_resources_are_for_everybody(database) {
        let scene = Scene::set(database).await?;
        let root = scene.app.at("/");
        for named in [&[][..], &[&*scene.app.issuer], &[&*root], &[&*scene.app.at("/graphql")]] {
            let code = code_for(&scene, &scene.client, named).await?;
            let tokens = Tokens::read(&redeem(&scene, &scene.client, &code, named).await?)?;
            assert_eq!(userinfo(&scene, &tokens.access_token).await?.json()["sub"], DID, "{named:?}");
            Tokens::read(&refresh(&scene, &scene.client, &tokens.refresh_token, named).await?)?;
        }
        let code = code_for(&scene, &scene.client, &[]).await?;
        Tokens::read(&redeem(&scene, &scene.client, &code, &[&root]).await?)?;
        Ok(())
    }

    /// In the front channel and pushed: only what is known for the client, and nothing that is no resource.
    async fn other_resources_are_for_clients_that_have_them(database) {
        let scene = Scene::set(database).await?;
        let asking = json!({"allowed_resources": [API]});
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, asking).await?;
        for resource in [API, "https://api.example/v1#x", "v1", "http://127.0.0.1:1.evil.example/"] {
            let authorization = naming(&client, &[resource]);
            let answer = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_target"), "{resource}");
            let form = authorization.form();
            let form: Vec<_> = form.into_iter().filter(|(name, _)| *name != "client_id").collect();
            assert_eq!(client.post(&scene.agent, "/oauth/par", &form).await?.refusal(), "400 invalid_target", "{resource}");
        }
        let many = (0..=Resources::MAX).map(|n| scene.app.at(&format!("/{n}"))).collect::<Vec<_>>();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let answer = scene.agent.get(&naming(&client, &many).url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_target"));
        Ok(())
    }

    /// Pushed resources come out at the other end, and other parameters are still sent once.
    async fn pushed(database) {
        let scene = Scene::set(database).await?;
        let client = trusted(&scene, json!({})).await?;
        let authorization = naming(&client, &[API, &scene.app.issuer]);
        let form = authorization.form();
        let form: Vec<_> = form.into_iter().filter(|(name, _)| *name != "client_id").collect();
        let pushed = client.post(&scene.agent, "/oauth/par", &form).await?.json();
        let uri = pushed["request_uri"].as_str().expect("a request_uri");
        let url = format!("{}/oauth/authorize?client_id={}&request_uri={uri}", scene.app.issuer, client.client_id);
        let to_upstream = scene.agent.set_out(&url).await?.location()?;
        let callback = causeway_testkit::User::approve(&scene.upstream, &to_upstream).await?;
        let consent = scene.agent.get(&callback).await?.location()?;
        let answer = decide(&scene.agent, &consent, "allow").await?;
        let code = (answer.redirect_param("code").expect("a code"), authorization);
        let tokens = Tokens::read(&redeem(&scene, &client, &code, &[]).await?)?;
        assert_eq!(audience(&scene, &client, &tokens.access_token).await?, json!([API, scene.app.issuer]));

        let twice = client.post(&scene.agent, "/oauth/token", &[("grant_type", "x"), ("grant_type", "x")]).await?;
        assert_eq!(twice.refusal(), "400 invalid_request");
        Ok(())
    }
}
