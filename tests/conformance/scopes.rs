//! Scopes: what a client may request, what is requested upstream, what is granted (RFC 6749 section 3.3,
//! atproto specification "Permissions").

use anyhow::Result;
use causeway_store::clients;
use causeway_testkit::{OauthClient, Tokens};
use causeway_types::{ClientId, TenantId};
use serde_json::json;

use crate::support::{HANDLE, Scene, on_each_database};

/// The scope of a client's sign-in from the start.
async fn granted(scene: &mut Scene, asked: &str) -> Result<String> {
    asked.clone_into(&mut scene.client.scope);
    let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
    Ok(tokens.answer["scope"].as_str().unwrap().to_owned())
}

/// The scope of the last upstream request.
fn asked_upstream(scene: &Scene) -> String {
    scene.upstream.last_pushed().remove("scope").unwrap()
}

on_each_database! {
    /// Each form of a scope is taken for what it means, goes upstream in one text, and is granted.
    async fn narrow_scopes(database) {
        let mut scene = Scene::set(database).await?;
        let asked = "atproto repo?action=create&collection=app.bsky.feed.post blob:image/* \
                     rpc:app.bsky.feed.getTimeline?aud=did:web:api.bsky.app#bsky_appview";
        let canonical = "atproto repo:app.bsky.feed.post?action=create blob:image/* \
                         rpc:app.bsky.feed.getTimeline?aud=did:web:api.bsky.app%23bsky_appview";
        assert_eq!(granted(&mut scene, asked).await?, canonical);
        assert_eq!(asked_upstream(&scene), canonical);
        let client_id = url::Url::parse(&scene.upstream.last_pushed()["client_id"])?;
        let declared = client_id.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
        assert_eq!(declared, canonical, "the document names what is asked for");
        Ok(())
    }

    /// A request of which nothing remains, and one with a malformed scope, is refused before anybody is sent anywhere,
    /// and the text says why.
    async fn refusals(database) {
        let scene = Scene::set(database).await?;
        for (scope, said) in [
            ("identity:*", "not available to this client: identity:*"),
            ("account:email?action=manage", "not available to this client: account:email?action=manage"),
            ("repo:app.bsky", "repo:app.bsky is not a scope: its collection must be an NSID"),
            ("rpc:*?aud=*", "it would allow every method of every service"),
            ("atproto transition:posts", "transition:posts is not a scope: it is unknown to this server"),
            ("background_access mcp:tools", "not available to this client: background_access (available: atproto "),
            ("background_access", "not available to this client: background_access"),
        ] {
            let authorization = scene.client.authorization(Some(HANDLE)).with("scope", Some(scope));
            let answer = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_scope"), "{scope}");
            let description = answer.redirect_param("error_description").unwrap();
            assert!(description.contains(said), "{scope}: {description}");
            if let Some((refused, reach)) = description.split_once(" (available: ") {
                let says_both = |value: &str| reach.trim_end_matches(')').split(' ').any(|own| own == value);
                assert!(!refused.split(' ').any(says_both), "{description}");
            }
            let legal = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(description.bytes().all(legal), "{description}");
        }
        assert_eq!(scene.upstream.hits("par"), 0);
        Ok(())
    }

    /// Stock clients request everything that some document lists, and the scopes of their resource: those not
    /// allowed are left out, in every flow, and the token response says so (RFC 6749 sections 3.3 and 5.1).
    async fn what_is_not_to_be_had_is_left_out(database) {
        let mut scene = Scene::set(database).await?;
        let document = scene.agent.get(&scene.app.at("/.well-known/oauth-authorization-server")).await?.json();
        let listed = document["scopes_supported"].as_array().unwrap();
        assert!(!listed.contains(&json!("background_access")), "few clients may have it: {listed:?}");
        for (asked, grant) in [
            ("openid profile offline_access background_access", "openid profile offline_access"),
            ("atproto identity:* transition:generic", "atproto transition:generic"),
            ("mcp:tools", "atproto"),
            ("openid write:posts read", "openid"),
        ] {
            assert_eq!(granted(&mut scene, asked).await?, grant, "{asked}");
            let authorization = scene.client.authorization(Some(HANDLE)).with("scope", Some(asked));
            let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &authorization.form()).await?;
            assert_eq!(pushed.status, 201, "{asked}: {pushed:?}");
        }
        let device = json!({"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"], "token_endpoint_auth_method": "none"});
        let device = OauthClient::register_as(&scene.agent, &scene.app.issuer, device).await?;
        let begun = device.post(&scene.agent, "/oauth/device_authorization", &[("scope", "openid background_access mcp:tools")]).await?;
        assert_eq!(begun.status, 200, "{begun:?}");
        let refused = device.post(&scene.agent, "/oauth/device_authorization", &[("scope", "background_access")]).await?;
        assert_eq!(refused.refusal(), "400 invalid_scope");
        Ok(())
    }

    /// OpenID Connect is between this server and the client: its scopes are not requested upstream, but
    /// `email` needs permission there to read the email address.
    async fn openid_scopes(database) {
        let mut scene = Scene::set(database).await?;
        let all = "openid profile email offline_access address phone";
        assert_eq!(granted(&mut scene, all).await?, "openid profile email offline_access");
        assert_eq!(asked_upstream(&scene), "atproto account:email");
        scene.upstream.script(|script| script.scope = Some("atproto".to_owned()));
        assert_eq!(granted(&mut scene, all).await?, "openid profile offline_access");
        Ok(())
    }

    /// The upstream grant limits ours, compared by meaning.
    async fn the_grant_is_bounded(database) {
        let mut scene = Scene::set(database).await?;
        for (upstream, asked, grant) in [
            ("atproto transition:generic", "repo:app.bsky.feed.post", "atproto repo:app.bsky.feed.post"),
            ("atproto repo:app.bsky.feed.post", "transition:generic", "atproto repo:app.bsky.feed.post"),
            ("atproto repo:a.b.c?action=create", "repo:a.b.c blob:*/*", "atproto repo:a.b.c?action=create"),
            ("atproto future:thing repo:a.b", "repo:a.b.c", "atproto"),
            // The contents of a permission set, instead of its name.
            ("atproto repo:a.b.c rpc:a.b.d?aud=*", "include:a.b.auth", "atproto include:a.b.auth"),
            ("atproto", "include:a.b.auth", "atproto"),
        ] {
            scene.upstream.script(|script| script.scope = Some(upstream.to_owned()));
            assert_eq!(granted(&mut scene, asked).await?, grant, "{asked} of {upstream}");
        }
        Ok(())
    }

    /// A client that registered a scope asks within it, by meaning; `allow_background_access` is not its to
    /// say.
    async fn registration(database) {
        let mut scene = Scene::set(database).await?;
        let url = scene.app.at("/oauth/register");
        let register = |scope: &'static str| {
            let body = json!({
                "redirect_uris": ["http://127.0.0.1/callback"],
                "grant_types": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_method": "none",
                "scope": scope,
                "allow_background_access": true,
            });
            scene.agent.post_body(&url, "application/json", body.to_string())
        };
        for refused in ["identity:*", "background_access", "atproto repo:a.b", "openid repo:nonsense"] {
            assert_eq!(register(refused).await?.refusal(), "400 invalid_client_metadata", "{refused}");
        }
        // RFC 7591 section 3.2.1: unsupported values are replaced, and the response says so.
        for (named, registered) in [
            ("atproto identity:*", "atproto"),
            ("openid profile background_access", "openid profile"),
            ("mcp:tools", "atproto"),
            ("openid mcp:tools phone", "openid"),
        ] {
            let answer = register(named).await?;
            assert_eq!((answer.status, &answer.json()["scope"]), (201, &json!(registered)), "{named}");
        }
        assert_eq!(register("").await?.json().get("scope"), None, "left out");
        let registered = register("openid repo?collection=app.a.b").await?.json();
        assert_eq!(registered["scope"], "openid repo:app.a.b");
        assert_eq!(registered.get("allow_background_access"), None);
        scene.client.client_id = registered["client_id"].as_str().unwrap().to_owned();
        let asked = "atproto openid email repo:app.a.b?action=delete";
        assert_eq!(granted(&mut scene, asked).await?, "atproto openid repo:app.a.b?action=delete");
        for beyond in ["repo:*", "transition:generic", "background_access"] {
            let authorization = scene.client.authorization(Some(HANDLE)).with("scope", Some(beyond));
            let answer = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_scope"), "{beyond}");
        }
        Ok(())
    }

    /// The operator grants a client `background_access`, and no change by the client removes it.
    async fn background_access(database) {
        let mut scene = Scene::set(database).await?;
        let url = scene.app.at("/oauth/register");
        let body = json!({
            "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let registered = scene.agent.post_body(&url, "application/json", body.to_string()).await?.json();
        let id = ClientId::new(registered["client_id"].as_str().unwrap());
        let found = id.clone();
        let mut client = scene
            .app
            .store()
            .read(move |c| clients::find_client(c, &TenantId::default_tenant(), &found))
            .await?
            .unwrap();
        client.entitlements.background_access = true;
        scene.app.store().write(move |c| clients::update_client(c, &client)).await?;

        let mut changed = body;
        changed["client_id"] = registered["client_id"].clone();
        let own = registered["registration_client_uri"].as_str().unwrap();
        let token = registered["registration_access_token"].as_str().unwrap();
        let request = scene.agent.request("PUT".parse()?, own).bearer_auth(token).json(&changed);
        assert_eq!(scene.agent.send(request).await?.status, 200);
        scene.client.client_id = id.into_string();
        let granted = granted(&mut scene, "openid background_access").await?;
        assert_eq!(granted, "openid background_access");
        assert_eq!(asked_upstream(&scene), "atproto");
        Ok(())
    }

    /// A refresh narrows the access token by meaning and never widens it; the refresh token keeps all.
    async fn refresh_narrows(database) {
        let mut scene = Scene::set(database).await?;
        "openid repo:app.a.b blob:image/*".clone_into(&mut scene.client.scope);
        let mut tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        for (asked, answer) in [
            ("openid repo:app.a.b?action=create", Ok("openid repo:app.a.b?action=create")),
            ("blob:image/png", Ok("blob:image/png")),
            ("repo:*", Err("400 invalid_scope")),
            ("transition:generic", Err("400 invalid_scope")),
            ("repo:app", Err("400 invalid_scope")),
            ("openid profile repo:app.a.b", Ok("openid repo:app.a.b")),
            ("email phone", Ok("openid repo:app.a.b blob:image/*")),
            ("openid groups repo:app.a.b", Ok("openid repo:app.a.b")),
            ("atproto repo:app.a.b", Ok("atproto repo:app.a.b")),
        ] {
            let params =
                [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh_token), ("scope", asked)];
            let refreshed = scene.client.post(&scene.agent, "/oauth/token", &params).await?;
            match answer {
                Ok(scope) => {
                    tokens = Tokens::read(&refreshed)?;
                    assert_eq!(tokens.answer["scope"], scope);
                }
                Err(refusal) => assert_eq!(refreshed.refusal(), refusal, "{asked}"),
            }
        }
        Ok(())
    }

    /// A server from before the permission grammar is asked a second time, for transition scopes; that it
    /// is one is remembered for five minutes. The grant stays as narrow as it was asked for.
    async fn older_servers(database) {
        let mut scene = Scene::set(database).await?;
        let narrow = "atproto repo:app.a.b?action=create blob:image/png openid email";
        let coarse = "atproto transition:generic transition:email";
        let knows = vec!["atproto", "transition:generic", "transition:email", "transition:chat.bsky"];
        scene.upstream.script(|script| script.knows = Some(knows));
        assert_eq!(granted(&mut scene, narrow).await?, narrow);
        assert_eq!((asked_upstream(&scene).as_str(), scene.upstream.hits("par")), (coarse, 2));
        assert_eq!(granted(&mut scene, narrow).await?, narrow);
        assert_eq!((asked_upstream(&scene).as_str(), scene.upstream.hits("par")), (coarse, 3));
        scene.app.clock.advance(300);
        assert_eq!(granted(&mut scene, narrow).await?, narrow);
        assert_eq!(scene.upstream.hits("par"), 5);

        // One that is older still has no scope for the email address.
        scene.app.clock.advance(300);
        scene.upstream.script(|script| script.knows = Some(vec!["atproto", "transition:generic"]));
        let without = "atproto repo:app.a.b?action=create blob:image/png openid";
        assert_eq!(granted(&mut scene, narrow).await?, without);
        assert_eq!(asked_upstream(&scene), "atproto transition:generic");
        Ok(())
    }

    /// Some have words of their own for that. Only those that name the scope make the server an old one.
    async fn older_servers_in_other_words(database) {
        let mut scene = Scene::set(database).await?;
        let (narrow, coarse) = ("atproto repo:app.a.b", "atproto transition:generic");
        for (words, kept) in [
            (("invalid_request", "Invalid scope repo:app.a.b"), true),
            (("InvalidRequest", "unsupported scope"), true),
            (("invalid_request", "no"), false),
            (("InvalidRequest", ""), false),
        ] {
            scene.upstream.script(|script| {
                script.knows = Some(vec!["atproto", "transition:generic"]);
                script.unknown_scope = Some(words);
            });
            let before = scene.upstream.hits("par");
            assert_eq!(granted(&mut scene, narrow).await?, narrow, "{words:?}");
            assert_eq!((asked_upstream(&scene).as_str(), scene.upstream.hits("par") - before), (coarse, 2), "{words:?}");
            granted(&mut scene, narrow).await?;
            assert_eq!(scene.upstream.hits("par") - before, if kept { 3 } else { 4 }, "{words:?}");
            scene.app.clock.advance(300);
        }
        Ok(())
    }

    /// A server that refuses for another reason is asked once, and not taken for an old one.
    async fn other_refusals(database) {
        let mut scene = Scene::set(database).await?;
        for (error, asked) in [("invalid_scope", "include:a.b.auth"), ("invalid_request", "include:a.b.auth"), ("invalid_client", "repo:a.b.c")] {
            scene.upstream.script(|script| script.par = causeway_testkit::Fault::OAuth(error));
            let before = scene.upstream.hits("par");
            let authorization = scene.client.authorization(Some(HANDLE)).with("scope", Some(asked));
            let page = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!((page.header("location"), scene.upstream.hits("par") - before), ("", 1), "{page:?}");
            assert!(page.text.contains("did not accept the sign-in request"), "{}", page.text);
        }
        scene.upstream.script(|script| script.par = causeway_testkit::Fault::None);
        granted(&mut scene, "repo:a.b.c").await?;
        assert_eq!(asked_upstream(&scene), "atproto repo:a.b.c");
        Ok(())
    }
}
