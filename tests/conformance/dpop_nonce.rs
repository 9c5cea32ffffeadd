//! Nonces of the server in DPoP proofs (RFC 9449 sections 8 and 9), for clients that registered so.

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_jose::{EcKey, NONCE_SECONDS};
use causeway_testkit::{Answer, DpopKey, OauthClient, TestApp, Tokens};
use serde_json::json;

use crate::forge;
use crate::support::{HANDLE, Scene, on_each_database};

const TOKEN: &str = "/oauth/token";

async fn strict_client(scene: &Scene) -> Result<OauthClient> {
    let metadata = json!({"token_endpoint_auth_method": "none", "dpop_nonce_policy": "required"});
    OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await
}

fn nonce(answer: &Answer) -> String {
    let nonce = answer.header("dpop-nonce");
    assert!(!nonce.is_empty(), "{answer:?}");
    assert_eq!(answer.headers.get_all("dpop-nonce").iter().count(), 1, "section 8: one at most");
    nonce.to_owned()
}

on_each_database! {
    /// A proof without our nonce is refused with a nonce; with that nonce it is accepted, and the `jti` was
    /// not used up.
    async fn at_the_token_endpoint(database) {
        let scene = Scene::set(database).await?;
        let client = strict_client(&scene).await?;
        let key = DpopKey::new();
        let (code, authorization) = client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let form = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", authorization.verifier.expose())];
        let with = |nonce: Option<&str>| {
            let nonce = nonce.map(|nonce| ("nonce", json!(nonce)));
            let changes: Vec<_> = [("jti", json!("the same"))].into_iter().chain(nonce).collect();
            forge::proof(&key.0, scene.app.clock.now(), &scene.app.at(TOKEN), &[], &changes)
        };
        let send = |proof: String| {
            let (client, agent) = (&client, &scene.agent);
            async move { client.post_with_proof(agent, TOKEN, &form, &proof).await }
        };
        let asked = send(with(None)).await?;
        assert_eq!(asked.refusal(), "400 use_dpop_nonce");
        let given = nonce(&asked);
        for wrong in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(send(with(Some(wrong))).await?.refusal(), "400 use_dpop_nonce", "{wrong}");
        }
        let done = send(with(Some(&given))).await?;
        assert_eq!(done.status, 200, "{done:?}");
        assert_eq!(nonce(&done), given, "the next one, while it lasts");
        // Refusals carry it, too.
        let refused = send(with(Some(&given))).await?;
        assert_eq!(refused.refusal(), "400 invalid_dpop_proof");
        assert_eq!(nonce(&refused), given);

        // It is accepted for another period, and then no more.
        let tokens = Tokens::read(&done)?;
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token)];
        let with_old = || key.proof_with_nonce(scene.app.clock.now(), "POST", &scene.app.at(TOKEN), &given);
        scene.app.clock.advance(NONCE_SECONDS);
        let late = client.post_with_proof(&scene.agent, TOKEN, &refresh, &with_old()).await?;
        assert_eq!(late.status, 200);
        assert_ne!(nonce(&late), given);
        scene.app.clock.advance(NONCE_SECONDS);
        let old = client.post_with_proof(&scene.agent, TOKEN, &refresh, &with_old()).await?;
        assert_eq!(old.refusal(), "400 use_dpop_nonce");
        Ok(())
    }

    /// A client assertion that came with a proof without nonce is not used up: it may be sent again.
    async fn an_assertion_survives_the_question(database) {
        let scene = Scene::set(database).await?;
        let signer = EcKey::generate()?;
        let metadata = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [signer.published_jwk()]},
            "dpop_nonce_policy": "required",
        });
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
        let key = DpopKey::new();
        let (now, url) = (scene.app.clock.now(), scene.app.at("/oauth/par"));
        let claims = json!({
            "iss": client.client_id, "sub": client.client_id, "aud": scene.app.issuer,
            "exp": now.plus(60).as_secs(), "iat": now.as_secs(), "jti": forge::jti(),
        });
        let assertion = forge::signed(&signer, &json!({"kid": signer.thumbprint()}), &claims);
        let authorization = client.authorization(None);
        let mut form = authorization.form();
        form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        form.push(("client_assertion", &assertion));
        let asked = scene.agent.post_with_proof(&url, &form, &key.proof(now, "POST", &url)).await?;
        assert_eq!(asked.refusal(), "400 use_dpop_nonce");
        let proof = key.proof_with_nonce(now, "POST", &url, &nonce(&asked));
        let pushed = scene.agent.post_with_proof(&url, &form, &proof).await?;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        nonce(&pushed);
        let proof = key.proof_with_nonce(now, "POST", &url, &nonce(&asked));
        assert_eq!(scene.agent.post_with_proof(&url, &form, &proof).await?.refusal(), "401 invalid_client");
        Ok(())
    }

    /// At a resource it is 401 with a challenge. Every server of the deployment knows the nonce.
    async fn at_a_resource(database) {
        let scene = Scene::set(database).await?;
        let client = strict_client(&scene).await?;
        let key = DpopKey::new();
        let (code, authorization) = client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let form = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", authorization.verifier.expose())];
        let now = scene.app.clock.now();
        let asked = client.post_with_proof(&scene.agent, TOKEN, &form, &key.proof(now, "POST", &scene.app.at(TOKEN))).await?;
        let given = nonce(&asked);
        let proof = key.proof_with_nonce(now, "POST", &scene.app.at(TOKEN), &given);
        let token = Tokens::read(&client.post_with_proof(&scene.agent, TOKEN, &form, &proof).await?)?.access_token;

        let url = scene.app.at("/oauth/userinfo");
        let asked = scene.agent.get_with_proof(&url, &token, &key.proof_with_token(now, "GET", &url, &token)).await?;
        assert_eq!(asked.refusal(), "401 use_dpop_nonce");
        assert!(asked.header("www-authenticate").starts_with("DPoP realm=\"causeway\""), "{asked:?}");
        assert!(asked.header("www-authenticate").contains(", algs="), "{asked:?}");
        assert!(asked.header("www-authenticate").contains("error=\"use_dpop_nonce\""), "{asked:?}");
        let proof = key.sign(now, "GET", &url, Some(&nonce(&asked)), Some(&token));
        let answer = scene.agent.get_with_proof(&url, &token, &proof).await?;
        assert_eq!(answer.status, 200);
        nonce(&answer);

        let other = TestApp::start_with(
            database, &scene.upstream.environment(), scene.app.clock.clone(), scene.app.ring.clone(), None,
        ).await?;
        let url = other.at("/oauth/userinfo");
        let proof = key.sign(now, "GET", &url, Some(&given), Some(&token));
        assert_eq!(scene.agent.get_with_proof(&url, &token, &proof).await?.status, 200);
        Ok(())
    }

    /// Clients that did not opt in to nonces never get one, and nonces in their proofs are ignored.
    async fn off_by_default(database) {
        let scene = Scene::set(database).await?;
        let key = DpopKey::new();
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let form = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", authorization.verifier.expose())];
        let proof = key.proof_with_nonce(scene.app.clock.now(), "POST", &scene.app.at(TOKEN), "old");
        let answer = scene.client.post_with_proof(&scene.agent, TOKEN, &form, &proof).await?;
        assert_eq!((answer.status, answer.header("dpop-nonce")), (200, ""));
        Ok(())
    }
}
