//! RFC 9700 section 4.11.2: a link of ours leads nobody to a site that anybody could have registered, before they have
//! signed in or decided to go there.

use anyhow::Result;
use causeway_testkit::{Agent, Answer, Authorization, OauthClient, Tokens, decide};
use serde_json::json;

use crate::support::{DID, HANDLE, Scene, enter, on_each_database, within_a_second};

const SITE: &str = "https://app.example/cb";

/// A client that has registered itself, with a site of its own.
async fn stranger(scene: &Scene) -> Result<OauthClient> {
    let metadata = json!({ "redirect_uris": [SITE], "token_endpoint_auth_method": "none" });
    let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
    Ok(OauthClient { redirect_uri: SITE.to_owned(), ..client })
}

/// A request that nobody can answer with a sign-in.
fn wrong(client: &OauthClient) -> Authorization {
    client.authorization(Some(HANDLE)).with("response_type", Some("token"))
}

/// By whom nothing is known.
async fn ask(scene: &Scene, authorization: &Authorization) -> Result<Answer> {
    Agent::default().get(&authorization.url(&scene.app.issuer)).await
}

fn is_redirect(answer: &Answer) {
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(answer.redirect_param("error").as_deref(), Some("unsupported_response_type"), "{answer:?}");
}

on_each_database! {
    /// The page shows the error and where the app wants to receive it: the user decides.
    async fn errors_of_strangers(database) {
        let scene = Scene::set(database).await?;
        let client = stranger(&scene).await?;
        let authorization = wrong(&client);
        let page = ask(&scene, &authorization).await?;
        assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");
        let link = format!("href=\"{SITE}?error=unsupported_response_type&#38;error_description=");
        assert!(page.text.contains(&link) && page.text.contains("Continue to app.example"), "{}", page.text);
        assert!(page.text.contains(&format!("&#38;state={}&#38;", authorization.state)), "{}", page.text);
        assert!(page.text.contains("response_type is not supported"), "{}", page.text);

        let form = wrong(&client).with("response_mode", Some("form_post"));
        let page = ask(&scene, &form).await?;
        assert_eq!(page.status, 400);
        assert!(page.text.contains(&format!("<form method=\"post\" action=\"{SITE}\"")), "{}", page.text);
        assert!(!page.text.contains("<script"), "it waits for the user: {}", page.text);
        assert!(!page.header("content-security-policy").contains("form-action"));
        Ok(())
    }

    /// Apps on this device, apps that this browser has signed in to, and apps that the operator has entered
    /// get the redirect of RFC 6749 section 4.1.2.1.
    async fn errors_that_are_redirected(database) {
        let scene = Scene::set(database).await?;
        let client = stranger(&scene).await?;
        let on_device = OauthClient::register(&scene.agent, &scene.app.issuer).await?;
        is_redirect(&ask(&scene, &wrong(&on_device)).await?);

        let before = scene.agent.get(&wrong(&client).url(&scene.app.issuer)).await?;
        assert_eq!(before.status, 400, "{before:?}");
        scene.still_works().await?;
        let other = scene.agent.get(&wrong(&client).url(&scene.app.issuer)).await?;
        assert_eq!(other.status, 400, "a sign-in to another app says nothing of this one: {other:?}");
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        is_redirect(&scene.agent.get(&wrong(&client).url(&scene.app.issuer)).await?);
        client.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        is_redirect(&scene.agent.get(&wrong(&client).url(&scene.app.issuer)).await?);
        assert_eq!(ask(&scene, &wrong(&client)).await?.status, 400, "in another browser nobody is signed in");

        let known = stranger(&scene).await?;
        enter(&scene.app, &known).await?;
        is_redirect(&ask(&scene, &wrong(&known)).await?);
        Ok(())
    }

    /// `prompt=none` forbids pages, and does not bypass the check: an app that this browser has never signed
    /// in to gets a response only if the user follows the link. One that it has signed in to gets it also
    /// when nobody is signed in any more.
    async fn silence_of_strangers(database) {
        let scene = Scene::set(database).await?;
        let client = stranger(&scene).await?;
        let on_device = OauthClient::register(&scene.agent, &scene.app.issuer).await?;
        let silent = |client: &OauthClient| client.authorization(None).with("prompt", Some("none")).with("scope", Some("atproto"));
        for (client, code) in [(&client, "login_required"), (&on_device, "consent_required")] {
            for request in [silent(client), silent(client).with("response_mode", Some("form_post")), silent(client).with("login_hint", Some(HANDLE))] {
                let page = ask(&scene, &request).await?;
                assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");
                assert!(page.text.contains(code) && page.text.contains("data-testid=\"onward\""), "{}", page.text);
                assert!(!page.text.contains("<script"), "it waits for the user: {}", page.text);
            }
        }
        let page = ask(&scene, &wrong(&client).with("prompt", Some("none"))).await?;
        assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");

        scene.still_works().await?;
        assert_eq!(scene.agent.get(&silent(&client).url(&scene.app.issuer)).await?.status, 400);
        let asked = client.authorization(Some(HANDLE)).with("scope", Some("atproto"));
        client.reach_consent(&scene.agent, &scene.upstream, &asked).await?;
        let page = scene.agent.get(&silent(&client).url(&scene.app.issuer)).await?;
        assert_eq!(page.status, 400, "nobody has agreed to anything: {page:?}");
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let answer = scene.agent.get(&silent(&client).url(&scene.app.issuer)).await?;
        assert!(answer.redirect_param("code").is_some(), "{answer:?}");
        client.post(&scene.agent, "/oauth/revoke", &[("token", &tokens.refresh_token)]).await?;
        let answer = scene.agent.get(&silent(&client).url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("login_required"), "{answer:?}");

        let known = stranger(&scene).await?;
        enter(&scene.app, &known).await?;
        let answer = ask(&scene, &silent(&known)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("login_required"), "{answer:?}");
        Ok(())
    }

    /// A link of ours that names an account leads no browser to whatever that account's documents name: for an app that
    /// has registered itself or is under development, the sign-in page stands between, filled in, and one press goes on.
    async fn accounts_that_strangers_name(database) {
        let scene = Scene::set(database).await?;
        let registered = stranger(&scene).await?;
        let on_device = OauthClient::register(&scene.agent, &scene.app.issuer).await?;
        let redirect_uri = "http://127.0.0.1/";
        let loopback = OauthClient { client_id: "http://localhost".to_owned(), redirect_uri: redirect_uri.to_owned(), scope: "atproto".to_owned(), ..on_device.clone() };
        let host = scene.upstream.origin.trim_start_matches("http://");
        for client in [&registered, &on_device, &loopback] {
            let agent = Agent::default();
            for request in [
                client.authorization(Some(HANDLE)),
                client.authorization(Some(DID)).with("max_age", Some("0")),
                client.authorization(Some(HANDLE)).with("prompt", Some("select_account")),
            ] {
                let pushes = scene.upstream.hits("par");
                let url = request.url(&scene.app.issuer);
                let page = agent.get(&url).await?;
                assert_eq!((page.status, page.header("location")), (200, ""), "{page:?}");
                assert!(page.text.contains(host), "it names the host: {}", page.text);
                assert!(page.text.contains("value=\"alice.test\"") || page.text.contains(DID), "filled in: {}", page.text);
                assert_eq!(scene.upstream.hits("par"), pushes, "nothing has begun there");
                let away = agent.set_out(&url).await?.location()?;
                assert!(away.starts_with(&scene.upstream.origin), "{away}");
            }
        }
        // The same when the request was pushed, or names the account by an id_token.
        let form = registered.authorization(Some(HANDLE));
        let pushed = registered.post(&scene.agent, "/oauth/par", &form.form()[1..]).await?.json();
        let query = [("client_id", &*registered.client_id), ("request_uri", pushed["request_uri"].as_str().unwrap())];
        let url = url::Url::parse_with_params(&scene.app.at("/oauth/authorize"), query)?;
        assert_eq!(scene.agent.get(url.as_str()).await?.status, 200);
        let asked = registered.authorization(Some(HANDLE)).with("scope", Some("openid atproto"));
        let consent = registered.reach_consent(&scene.agent, &scene.upstream, &asked).await?;
        let code = decide(&scene.agent, &consent, "allow").await?.redirect_param("code").unwrap();
        let tokens = Tokens::read(&registered.redeem(&scene.agent, &code, &asked.verifier).await?)?;
        let hinted = registered.authorization(None).with("id_token_hint", tokens.answer["id_token"].as_str());
        assert_eq!(scene.agent.get(&hinted.url(&scene.app.issuer)).await?.status, 200, "also where they have signed in");

        // An account that leads nowhere is said on the same page, as ever; an app of the operator's needs none.
        let page = ask(&scene, &registered.authorization(Some("nobody.test"))).await?;
        assert_eq!(page.status, 400, "{page:?}");
        enter(&scene.app, &registered).await?;
        within_a_second(async || {
            let away = ask(&scene, &registered.authorization(Some(HANDLE))).await?.location();
            Ok(away.is_ok_and(|away| away.starts_with(&scene.upstream.origin)))
        }).await
    }
}
