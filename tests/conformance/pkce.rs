//! PKCE, and the `nonce` that may stand for it (OAuth 2.1 section 7.5.1).

use anyhow::{Context as _, Result};
use causeway_testkit::{Answer, Authorization, OauthClient, TestApp, Tokens, decide};
use serde_json::{Value, json};

use super::openid;
use crate::support::{HANDLE, Scene, on_each_database};

const SITE: &str = "https://app.example/cb";

/// A client that authenticates, as the operator enters it.
async fn entered(scene: &Scene, more: Value) -> Result<Answer> {
    let mut body = json!({
        "redirect_uris": [SITE], "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let request = scene.agent.request("POST".parse()?, &scene.app.at("/admin/clients"));
    let request = request.bearer_auth(TestApp::ADMIN_TOKEN).header("content-type", "application/json");
    scene.agent.send(request.body(body.to_string())).await
}

fn client(scene: &Scene, answer: &Answer) -> Result<OauthClient> {
    let body = answer.json();
    Ok(OauthClient {
        issuer: scene.app.issuer.clone(),
        client_id: body["client_id"].as_str().with_context(|| format!("{answer:?}"))?.to_owned(),
        client_secret: body["client_secret"].as_str().map(str::to_owned),
        redirect_uri: SITE.to_owned(),
        in_header: body["token_endpoint_auth_method"] == "client_secret_basic",
        scope: "openid atproto".to_owned(),
    })
}

/// A request without PKCE.
fn bare(client: &OauthClient) -> Authorization {
    let request = client.authorization(Some(HANDLE)).with("nonce", Some("n-1"));
    request.with("code_challenge", None).with("code_challenge_method", None)
}

async fn code(scene: &Scene, client: &OauthClient, request: &Authorization) -> Result<String> {
    let consent = client.reach_consent(&scene.agent, &scene.upstream, request).await?;
    let answer = decide(&scene.agent, &consent, "allow").await?;
    answer.redirect_param("code").with_context(|| format!("{answer:?}"))
}

async fn redeem_bare(scene: &Scene, client: &OauthClient, code: &str) -> Result<Answer> {
    let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", SITE)];
    client.post(&scene.agent, "/oauth/token", &form).await
}

on_each_database! {
    /// With the operator's permission, a request with `openid` and a `nonce` needs no PKCE; one that uses
    /// PKCE is still held to it.
    async fn a_nonce_instead_of_pkce(database) {
        let scene = Scene::set(database).await?;
        let made = entered(&scene, json!({"pkce": "nonce"})).await?;
        assert_eq!(made.json()["pkce"], "nonce", "{made:?}");
        let app = client(&scene, &made)?;
        let first = code(&scene, &app, &bare(&app)).await?;
        let lacking = [("grant_type", "authorization_code"), ("code", &*first)];
        let refused = app.post(&scene.agent, "/oauth/token", &lacking).await?;
        assert_eq!(refused.refusal(), "400 invalid_grant", "the redirect URI binds it");
        let tokens = redeem_bare(&scene, &app, &first).await?;
        let tokens = Tokens::read(&tokens)?;
        assert_eq!(openid::claims(&tokens.answer["id_token"])["nonce"], "n-1");

        // Somebody took the challenge out of the request on its way (RFC 9700 section 2.1.1).
        let request = bare(&app);
        let stripped = code(&scene, &app, &request).await?;
        assert_eq!(app.redeem(&scene.agent, &stripped, &request.verifier).await?.refusal(), "400 invalid_grant");
        Tokens::read(&redeem_bare(&scene, &app, &stripped).await?)?;

        let request = app.authorization(Some(HANDLE)).with("nonce", Some("n-1"));
        let with_pkce = code(&scene, &app, &request).await?;
        assert_eq!(redeem_bare(&scene, &app, &with_pkce).await?.refusal(), "400 invalid_request");
        Tokens::read(&app.redeem(&scene.agent, &with_pkce, &request.verifier).await?)?;

        for lacking in [bare(&app).with("nonce", None), bare(&app).with("scope", Some("atproto")), bare(&app).with("code_challenge_method", Some("S256"))] {
            let answer = scene.agent.get(&lacking.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"), "{answer:?}");
        }
        Ok(())
    }

    /// For nobody else: not by the client's own word, not for one that does not authenticate, and no longer when the
    /// operator takes it back.
    async fn pkce_for_everybody_else(database) {
        let scene = Scene::set(database).await?;
        let usual = client(&scene, &entered(&scene, json!({})).await?)?;
        let own_word = json!({"pkce": "nonce", "redirect_uris": [SITE], "token_endpoint_auth_method": "client_secret_post"});
        let own_word = OauthClient::register_as(&scene.agent, &scene.app.issuer, own_word).await?;
        let own_word = OauthClient { redirect_uri: SITE.to_owned(), scope: "openid atproto".to_owned(), ..own_word };
        for app in [&usual, &own_word] {
            let pushed = app.post(&scene.agent, "/oauth/par", &bare(app).form()[1..]).await?;
            assert_eq!(pushed.refusal(), "400 invalid_request", "{pushed:?}");
            assert!(pushed.text.contains("PKCE with the method S256 is required"), "{pushed:?}");
        }
        let public = entered(&scene, json!({"pkce": "nonce", "token_endpoint_auth_method": "none"})).await?;
        assert_eq!(public.status, 400, "{public:?}");
        assert_eq!(entered(&scene, json!({"pkce": "off"})).await?.status, 400);
        Ok(())
    }
}
