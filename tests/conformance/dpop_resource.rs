//! DPoP at resources (RFC 9449 section 7): a bound token works with a proof for this very request, and never
//! as a bearer token.

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_testkit::{Answer, DpopKey, TestApp, Tokens};
use serde_json::json;

use crate::forge;
use crate::support::{DID, HANDLE, Scene, on_each_database};

/// Signs in with a key.
async fn bound(scene: &Scene, key: &DpopKey) -> Result<String> {
    let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", authorization.verifier.expose()),
    ];
    let proof = key.proof(scene.app.clock.now(), "POST", &scene.app.at("/oauth/token"));
    let answer = scene.client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?;
    Ok(Tokens::read(&answer)?.access_token)
}

fn challenges(answer: &Answer) -> Vec<String> {
    let headers = answer.headers.get_all("www-authenticate");
    headers.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

on_each_database! {
    /// Each resource takes the token with a proof for its own method and URL.
    async fn every_resource(database) {
        let scene = Scene::set(database).await?;
        let key = DpopKey::new();
        let token = bound(&scene, &key).await?;
        for (method, path) in [
            ("GET", "/oauth/userinfo"),
            ("POST", "/oauth/userinfo"),
            ("GET", "/api/session"),
            ("POST", "/api/session/refresh"),
        ] {
            let url = scene.app.at(path);
            let proof = key.proof_with_token(scene.app.clock.now(), method, &url, &token);
            let send = |scheme: &str, query: &str| {
                let request = scene.agent.request(method.parse().unwrap(), &format!("{url}{query}"));
                scene.agent.send(request.header("authorization", format!("{scheme} {token}")).header("dpop", &proof))
            };
            let answer = send("DPoP", "?a=b").await?;
            assert_eq!((answer.status, &answer.json()["sub"]), (200, &json!(DID)), "{method} {path}: {answer:?}");
            assert_eq!(send("DPoP", "").await?.refusal(), "401 invalid_dpop_proof", "{method} {path}: again");
            assert_eq!(send("Bearer", "").await?.refusal(), "401 invalid_token", "{method} {path}: as a bearer token");
        }
        // The relay, whatever the PDS answers to the call itself.
        let url = scene.app.at("/xrpc/com.example.unknown");
        let proof = key.proof_with_token(scene.app.clock.now(), "GET", &url, &token);
        assert_eq!(scene.agent.get_with(&url, &token).await?.status, 401);
        assert_ne!(scene.agent.get_with_proof(&url, &token, &proof).await?.status, 401);
        assert_eq!(scene.agent.get_with_proof(&url, &token, &proof).await?.status, 401);
        let proof = key.proof_with_token(scene.app.clock.now(), "GET", &scene.app.at("/oauth/userinfo"), &token);
        let lower = scene.agent.request("GET".parse()?, &scene.app.at("/oauth/userinfo"));
        let lower = lower.header("authorization", format!("dpop {token}")).header("dpop", proof);
        assert_eq!(scene.agent.send(lower).await?.status, 200, "schemes are case-insensitive");
        Ok(())
    }

    /// The challenges say what to do (section 7.1, RFC 6750 section 3).
    async fn challenges_say_what_to_do(database) {
        let scene = Scene::set(database).await?;
        let key = DpopKey::new();
        let (token, url) = (bound(&scene, &key).await?, scene.app.at("/oauth/userinfo"));
        let algs = "algs=\"ES256 RS256 PS256 EdDSA Ed25519\"";
        let none = scene.agent.get(&url).await?;
        assert_eq!(none.status, 401);
        let document = format!("realm=\"causeway\", resource_metadata=\"{}/.well-known/oauth-protected-resource", scene.app.issuer);
        let said = challenges(&none);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with(&format!("Bearer {document}")) && !said[0].contains("error="), "{said:?}");
        assert!(said[1].starts_with(&format!("DPoP {document}")) && said[1].ends_with(algs), "{said:?}");

        let bearer = scene.agent.get_with(&url, &token).await?;
        let said = challenges(&bearer);
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with("Bearer ") && said[0].contains(", error=\"invalid_token\""), "{said:?}");
        assert!(said[1].starts_with("DPoP ") && said[1].contains(algs), "{said:?}");
        let form = scene.agent.post(&url, &[("access_token", &token)]).await?;
        assert_eq!(form.refusal(), "401 invalid_token", "not in a form either");

        let missing = scene.agent.request("GET".parse()?, &url).header("authorization", format!("DPoP {token}"));
        let missing = scene.agent.send(missing).await?;
        assert_eq!(missing.refusal(), "401 invalid_dpop_proof");
        let said = challenges(&missing);
        assert_eq!(said.len(), 1);
        assert!(said[0].contains(algs) && said[0].contains("error=\"invalid_dpop_proof\""), "{said:?}");

        // A token without a key is a bearer token.
        let plain = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?.access_token;
        let proof = key.proof_with_token(scene.app.clock.now(), "GET", &url, &plain);
        assert_eq!(scene.agent.get_with_proof(&url, &plain, &proof).await?.refusal(), "401 invalid_token");
        assert_eq!(scene.agent.get_with(&url, &plain).await?.status, 200);
        for scheme in ["Basic x", "DPoP", "Bearer", "Token x"] {
            let odd = scene.agent.request("GET".parse()?, &url).header("authorization", scheme);
            assert!([400, 401].contains(&scene.agent.send(odd).await?.status), "{scheme}");
        }
        Ok(())
    }

    /// Section 4.3, with the token: each of these is refused.
    async fn proofs_that_do_not_hold(database) {
        let scene = Scene::set(database).await?;
        let (key, other) = (DpopKey::new(), DpopKey::new());
        let (now, url) = (scene.app.clock.now(), scene.app.at("/oauth/userinfo"));
        let (token, stolen) = (bound(&scene, &key).await?, bound(&scene, &other).await?);
        let good = key.proof_with_token(now, "GET", &url, &token);
        for (name, proof, error) in [
            ("no ath", key.proof(now, "GET", &url), "invalid_dpop_proof"),
            ("ath of another token", key.proof_with_token(now, "GET", &url, &stolen), "invalid_dpop_proof"),
            ("another method", key.proof_with_token(now, "POST", &url, &token), "invalid_dpop_proof"),
            ("another URL", key.proof_with_token(now, "GET", &scene.app.at("/api/session"), &token), "invalid_dpop_proof"),
            ("too old", key.proof_with_token(now.plus(-301), "GET", &url, &token), "invalid_dpop_proof"),
            ("from the future", key.proof_with_token(now.plus(31), "GET", &url, &token), "invalid_dpop_proof"),
            ("zeros", forge::with_zero_signature(&good), "invalid_dpop_proof"),
            ("none", forge::unsigned(&good, "none"), "invalid_dpop_proof"),
            ("another key", other.proof_with_token(now, "GET", &url, &token), "invalid_token"),
        ] {
            let answer = scene.agent.get_with_proof(&url, &token, &proof).await?;
            assert_eq!(answer.refusal(), format!("401 {error}"), "{name}");
        }
        let two = scene.agent.request("GET".parse()?, &url).header("authorization", format!("DPoP {token}"));
        let two = two.header("dpop", &good).header("dpop", key.proof_with_token(now, "GET", &url, &token));
        assert_eq!(scene.agent.send(two).await?.refusal(), "401 invalid_dpop_proof");
        assert_eq!(scene.agent.get_with_proof(&url, &token, &good).await?.status, 200, "nothing was used up");
        Ok(())
    }

    /// A proof works once among all processes that share a database; and a resource does not wait for the
    /// disk to know it.
    async fn once_in_the_deployment(database) {
        let scene = Scene::set(database).await?;
        let key = DpopKey::new();
        let token = bound(&scene, &key).await?;
        let other = TestApp::start_with(
            database, &scene.upstream.environment(), scene.app.clock.clone(), scene.app.ring.clone(), None,
        ).await?;
        let proof = |app: &TestApp| {
            let changes = [("jti", json!("shared")), ("htm", json!("GET")), ("ath", json!(ath(&token)))];
            forge::proof(&key.0, scene.app.clock.now(), &app.at("/oauth/userinfo"), &[], &changes)
        };
        let ask = |app: &TestApp| {
            let (url, proof) = (app.at("/oauth/userinfo"), proof(app));
            let (agent, token) = (&scene.agent, token.clone());
            async move { agent.get_with_proof(&url, &token, &proof).await }
        };
        assert_eq!(ask(&scene.app).await?.status, 200);
        assert_eq!(ask(&scene.app).await?.refusal(), "401 invalid_dpop_proof");
        if scene.app.store().is_shared() {
            assert_eq!(ask(&other).await?.refusal(), "401 invalid_dpop_proof");
        }
        Ok(())
    }
}

fn ath(token: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(openssl::sha::sha256(token.as_bytes()))
}
