//! DPoP at the token and PAR endpoints (RFC 9449 sections 4, 5 and 10): a proof is valid for one request, and
//! the issued tokens are bound to its key.

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_domain::token::{REFRESH_RETRY_SECONDS, REFRESH_RETRY_SECONDS_UNPROVEN};
use causeway_testkit::{Answer, DpopKey, OauthClient, TestApp, Tokens};
use serde_json::{Value, json};

use crate::forge;
use crate::support::{DID, HANDLE, Scene, on_each_database};

const TOKEN: &str = "/oauth/token";

impl Scene {
    /// A proof for a POST to one of our endpoints.
    fn proof(&self, key: &DpopKey, path: &str) -> String {
        key.proof(self.app.clock.now(), "POST", &self.app.at(path))
    }

    /// The parameters that redeem a fresh code of `client`.
    async fn code(&self, client: &OauthClient) -> Result<Vec<(String, String)>> {
        let (code, authorization) = client.obtain_code(&self.agent, &self.upstream, HANDLE).await?;
        Ok(redemption(&code, authorization.verifier.expose()))
    }

    async fn token(&self, client: &OauthClient, form: &[(String, String)], proof: &str) -> Result<Answer> {
        client.post_with_proof(&self.agent, TOKEN, &borrowed(form), proof).await
    }

    async fn refresh(&self, client: &OauthClient, token: &str, key: &DpopKey) -> Result<Answer> {
        self.token(client, &refreshing(token), &self.proof(key, TOKEN)).await
    }

    /// Whether an access token works with this key, as a bearer token, or not at all.
    async fn use_of(&self, token: &str, key: &DpopKey) -> Result<(u16, u16)> {
        let url = self.app.at("/oauth/userinfo");
        let proof = key.proof_with_token(self.app.clock.now(), "GET", &url, token);
        let bound = self.agent.get_with_proof(&url, token, &proof).await?;
        Ok((bound.status, self.agent.get_with(&url, token).await?.status))
    }
}

fn redemption(code: &str, verifier: &str) -> Vec<(String, String)> {
    let pairs = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn refreshing(token: &str) -> Vec<(String, String)> {
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn borrowed(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

on_each_database! {
    /// Sections 5 and 6: the tokens of a request with a proof are of the type DPoP and bound to its key, and
    /// so is the refresh token of a public client.
    async fn tokens_are_bound(database) {
        let scene = Scene::set(database).await?;
        let (key, other) = (DpopKey::new(), DpopKey::new());
        let code = scene.code(&scene.client).await?;
        let answer = scene.token(&scene.client, &code, &scene.proof(&key, TOKEN)).await?;
        let first = Tokens::read(&answer)?;
        assert_eq!((&first.answer["token_type"], &first.answer["sub"]), (&json!("DPoP"), &json!(DID)));
        assert_eq!(answer.header("dpop-nonce"), "");
        assert_eq!(scene.use_of(&first.access_token, &key).await?, (200, 401));
        assert_eq!(scene.use_of(&first.access_token, &other).await?, (401, 401));

        // Neither without a proof nor with another key; and that costs nothing.
        let unproven = scene.client.refresh(&scene.agent, &first.refresh_token).await?;
        assert_eq!(unproven.refusal(), "400 invalid_grant");
        assert_eq!(scene.refresh(&scene.client, &first.refresh_token, &other).await?.refusal(), "400 invalid_grant");
        scene.app.clock.advance(REFRESH_RETRY_SECONDS + 1);
        let second = Tokens::read(&scene.refresh(&scene.client, &first.refresh_token, &key).await?)?;
        assert_eq!(second.answer["token_type"], "DPoP");
        assert_eq!(scene.use_of(&second.access_token, &key).await?, (200, 401));
        assert_eq!(scene.use_of(&first.access_token, &key).await?, (200, 401));
        // Not even a spent token in the wrong hands ends the grant.
        assert_eq!(scene.refresh(&scene.client, &first.refresh_token, &other).await?.refusal(), "400 invalid_grant");
        Tokens::read(&scene.refresh(&scene.client, &second.refresh_token, &key).await?)?;
        Ok(())
    }

    /// Section 5: a client that authenticates may change its key, or do without.
    async fn confidential_clients_are_bound_by_their_secret(database) {
        let scene = Scene::set(database).await?;
        let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        let (key, other) = (DpopKey::new(), DpopKey::new());
        let code = scene.code(&client).await?;
        let first = Tokens::read(&scene.token(&client, &code, &scene.proof(&key, TOKEN)).await?)?;
        let second = Tokens::read(&scene.refresh(&client, &first.refresh_token, &other).await?)?;
        assert_eq!(scene.use_of(&second.access_token, &other).await?, (200, 401));
        assert_eq!(scene.use_of(&second.access_token, &key).await?, (401, 401));
        let third = Tokens::read(&client.refresh(&scene.agent, &second.refresh_token).await?)?;
        assert_eq!(third.answer["token_type"], "Bearer");
        assert_eq!(scene.use_of(&third.access_token, &key).await?, (401, 200));
        Ok(())
    }

    /// A public client that had no key may begin to have one.
    async fn a_refresh_may_bring_the_key(database) {
        let scene = Scene::set(database).await?;
        let key = DpopKey::new();
        let first = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let second = Tokens::read(&scene.refresh(&scene.client, &first.refresh_token, &key).await?)?;
        assert_eq!(scene.use_of(&second.access_token, &key).await?, (200, 401));
        let without = scene.client.refresh(&scene.agent, &second.refresh_token).await?;
        assert_eq!(without.refusal(), "400 invalid_grant");
        Ok(())
    }

    /// Section 4.3: each of these proofs is refused, and the code survives all of them.
    async fn proofs_that_do_not_hold(database) {
        let scene = Scene::set(database).await?;
        let (key, other) = (DpopKey::new(), DpopKey::new());
        let (now, htu) = (scene.app.clock.now(), scene.app.at(TOKEN));
        let forge = |header: &[(&str, Value)], payload: &[(&str, Value)]| forge::proof(&key.0, now, &htu, header, payload);
        let good = forge(&[], &[]);
        let private: Value = serde_json::from_str(key.0.private_jwk().expose())?;
        let at = |seconds: i64| json!(now.plus(seconds).as_secs());
        let public = key.0.public_jwk();
        let code = scene.code(&scene.client).await?;
        for (name, proof) in [
            ("nothing", String::new()),
            ("not a JWT", "abc".to_owned()),
            ("two parts", "e30.e30".to_owned()),
            ("all-zero signature", forge::with_zero_signature(&good)),
            ("no signature", good.rsplit_once('.').unwrap().0.to_owned() + "."),
            ("alg none", forge::unsigned(&good, "none")),
            ("alg None", forge::unsigned(&good, "None")),
            ("HS256 over the x of the public key", forge::hmac(&good, public["x"].as_str().unwrap().as_bytes())),
            ("HS256 over the public key", forge::hmac(&good, public.to_string().as_bytes())),
            ("another key's signature", forge(&[("jwk", other.0.public_jwk())], &[])),
            ("private jwk", forge(&[("jwk", private)], &[])),
            ("symmetric jwk", forge(&[("jwk", json!({"kty": "oct", "k": "c2VjcmV0"}))], &[])),
            ("no jwk", forge(&[("jwk", json!(null))], &[])),
            ("kid instead of jwk", forge(&[("jwk", json!(null)), ("kid", json!("k"))], &[])),
            ("typ JWT", forge(&[("typ", json!("JWT"))], &[])),
            ("no typ", forge(&[("typ", json!(null))], &[])),
            ("no jti", forge(&[], &[("jti", json!(null))])),
            ("empty jti", forge(&[], &[("jti", json!(""))])),
            ("jti of a megabyte", forge(&[], &[("jti", json!("j".repeat(4000)))])),
            ("htm GET", forge(&[], &[("htm", json!("GET"))])),
            ("no htm", forge(&[], &[("htm", json!(null))])),
            ("htu of PAR", forge(&[], &[("htu", json!(scene.app.at("/oauth/par")))])),
            ("htu of another host", forge(&[], &[("htu", json!("https://evil.example/oauth/token"))])),
            ("no htu", forge(&[], &[("htu", json!(null))])),
            ("iat too old", forge(&[], &[("iat", at(-301))])),
            ("iat in the future", forge(&[], &[("iat", at(31))])),
            ("no iat", forge(&[], &[("iat", json!(null))])),
            ("iat as text", forge(&[], &[("iat", json!("now"))])),
        ] {
            let answer = scene.token(&scene.client, &code, &proof).await?;
            assert_eq!(answer.refusal(), "400 invalid_dpop_proof", "{name}: {answer:?}");
            assert!(answer.json()["error_description"].as_str().is_some_and(|text| text.contains("DPoP proof")), "{name}");
        }
        let two = scene.agent.request("POST".parse()?, &htu).form(&scene.client.form(&borrowed(&code)));
        let two = two.header("dpop", &good).header("dpop", forge(&[], &[]));
        assert_eq!(scene.agent.send(two).await?.refusal(), "400 invalid_dpop_proof", "two headers");

        // At the ends of the window, and with a query in htu.
        for proof in [forge(&[], &[("iat", at(-300))]), forge(&[], &[("iat", at(30)), ("htu", json!(htu.clone() + "?a=b"))])] {
            let code = scene.code(&scene.client).await?;
            assert_eq!(scene.token(&scene.client, &code, &proof).await?.status, 200);
        }
        assert_eq!(scene.token(&scene.client, &code, &good).await?.status, 200, "the code was not used up");
        Ok(())
    }

    /// Section 11.1: a proof works once in the whole deployment, at whichever endpoint it comes again.
    async fn a_proof_works_once(database) {
        let scene = Scene::set(database).await?;
        let other = TestApp::start_with(
            database, &scene.upstream.environment(), scene.app.clock.clone(), scene.app.ring.clone(), None,
        ).await?;
        let key = DpopKey::new();
        let code = scene.code(&scene.client).await?;
        let proof = scene.proof(&key, TOKEN);
        let first = Tokens::read(&scene.token(&scene.client, &code, &proof).await?)?;
        let refresh = refreshing(&first.refresh_token);
        let again = scene.token(&scene.client, &refresh, &proof).await?;
        assert_eq!(again.refusal(), "400 invalid_dpop_proof");
        assert!(again.text.contains("used before"), "{again:?}");
        // The other server is of the same deployment. Its URL differs here; the key and the name do not.
        let sent = OauthClient { issuer: other.issuer.clone(), ..scene.client.clone() };
        let elsewhere = forge::proof(&key.0, scene.app.clock.now(), &other.at(TOKEN), &[], &[("jti", json!("shared"))]);
        let here = forge::proof(&key.0, scene.app.clock.now(), &scene.app.at(TOKEN), &[], &[("jti", json!("shared"))]);
        assert_eq!(scene.token(&sent, &refresh, &elsewhere).await?.status, 200);
        assert_eq!(scene.token(&scene.client, &refresh, &here).await?.refusal(), "400 invalid_dpop_proof");

        let par = scene.proof(&key, "/oauth/par");
        let authorization = scene.client.authorization(None);
        let (url, form) = (par_url(&scene), authorization.form());
        let nobody = scene.agent.post_with_proof(&url, &[], &par).await?;
        assert_eq!(nobody.status, 401, "without a client nothing is used up");
        let push = || scene.agent.post_with_proof(&url, &form, &par);
        assert_eq!(push().await?.status, 201);
        assert_eq!(push().await?.refusal(), "400 invalid_dpop_proof");

        // Rows of proofs too old to be accepted are deleted.
        assert!(crate::support::count(&scene.app, "replay").await? > 0);
        scene.app.clock.advance(400);
        scene.upkeep().await?;
        assert_eq!(crate::support::count(&scene.app, "replay").await?, 0);
        Ok(())
    }

    /// Section 10: a code that was asked for with a key is redeemed by that key alone.
    async fn codes_are_bound(database) {
        let scene = Scene::set(database).await?;
        let (key, other) = (DpopKey::new(), DpopKey::new());
        let ask = scene.client.authorization(Some(HANDLE)).with("dpop_jkt", Some(key.jkt()));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &ask).await?;
        let code = causeway_testkit::decide(&scene.agent, &consent, "allow").await?.redirect_param("code").unwrap();
        let form = redemption(&code, ask.verifier.expose());
        let unproven = scene.client.post(&scene.agent, TOKEN, &borrowed(&form)).await?;
        assert_eq!(unproven.refusal(), "400 invalid_grant");
        assert_eq!(scene.token(&scene.client, &form, &scene.proof(&other, TOKEN)).await?.refusal(), "400 invalid_grant");
        assert_eq!(scene.token(&scene.client, &form, &scene.proof(&key, TOKEN)).await?.status, 200);
        for bad in ["short", &format!("{}=", &key.jkt()[1..])] {
            let ask = scene.client.authorization(None).with("dpop_jkt", Some(bad));
            let answer = scene.agent.get(&ask.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"), "{bad}");
        }
        Ok(())
    }

    /// Section 10.1: a proof at the PAR endpoint binds the code as `dpop_jkt` does, and has to agree with it.
    async fn pushed_requests_are_bound(database) {
        let scene = Scene::set(database).await?;
        let (key, other) = (DpopKey::new(), DpopKey::new());
        let ask = scene.client.authorization(Some(HANDLE));
        let url = par_url(&scene);
        let differs = scene.client.authorization(None).with("dpop_jkt", Some(other.jkt()));
        let answer = scene.agent.post_with_proof(&url, &differs.form(), &scene.proof(&key, "/oauth/par")).await?;
        assert_eq!(answer.refusal(), "400 invalid_request");
        let wrong = scene.agent.post_with_proof(&url, &ask.form(), &scene.proof(&key, TOKEN)).await?;
        assert_eq!(wrong.refusal(), "400 invalid_dpop_proof");
        let pushed = scene.agent.post_with_proof(&url, &ask.form(), &scene.proof(&key, "/oauth/par")).await?;
        let request_uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let begin = url::Url::parse_with_params(
            &scene.app.at("/oauth/authorize"),
            [("client_id", scene.client.client_id.as_str()), ("request_uri", request_uri.as_str())],
        )?;
        let to_upstream = scene.agent.get(begin.as_str()).await?.location()?;
        let callback = causeway_testkit::User::approve(&scene.upstream, &to_upstream).await?;
        let consent = scene.agent.get(&callback).await?.location()?;
        let code = causeway_testkit::decide(&scene.agent, &consent, "allow").await?.redirect_param("code").unwrap();
        let form = redemption(&code, ask.verifier.expose());
        assert_eq!(scene.token(&scene.client, &form, &scene.proof(&other, TOKEN)).await?.refusal(), "400 invalid_grant");
        assert_eq!(scene.token(&scene.client, &form, &scene.proof(&key, TOKEN)).await?.status, 200);
        Ok(())
    }

    /// Section 5.2: a client that registered so gets no token that is not bound.
    async fn bound_tokens_only(database) {
        let scene = Scene::set(database).await?;
        let client = OauthClient::register_as(
            &scene.agent,
            &scene.app.issuer,
            json!({"token_endpoint_auth_method": "client_secret_post", "dpop_bound_access_tokens": true}),
        ).await?;
        let key = DpopKey::new();
        let code = scene.code(&client).await?;
        let without = client.post(&scene.agent, TOKEN, &borrowed(&code)).await?;
        assert_eq!(without.refusal(), "400 invalid_dpop_proof");
        let tokens = Tokens::read(&scene.token(&client, &code, &scene.proof(&key, TOKEN)).await?)?;
        assert_eq!(client.refresh(&scene.agent, &tokens.refresh_token).await?.refusal(), "400 invalid_dpop_proof");
        assert_eq!(scene.refresh(&client, &tokens.refresh_token, &key).await?.status, 200);
        Ok(())
    }

    /// Section 6.2: introspection names the key that a token is bound to.
    async fn introspection_names_the_key(database) {
        let scene = Scene::set(database).await?;
        let client = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        let key = DpopKey::new();
        let code = scene.code(&client).await?;
        let tokens = Tokens::read(&scene.token(&client, &code, &scene.proof(&key, TOKEN)).await?)?;
        let bound = client.post(&scene.agent, "/oauth/introspect", &[("token", &tokens.access_token)]).await?.json();
        assert_eq!((&bound["active"], &bound["token_type"]), (&json!(true), &json!("DPoP")), "{bound}");
        assert_eq!(bound["cnf"], json!({"jkt": key.jkt()}));
        let plain = Tokens::read(&client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        let plain = client.post(&scene.agent, "/oauth/introspect", &[("token", &plain.access_token)]).await?.json();
        assert_eq!((&plain["token_type"], plain.get("cnf")), (&json!("Bearer"), None), "{plain}");
        Ok(())
    }

    /// Invariant 5: a retry under the same key proves as much as one by a client with a secret.
    async fn a_key_earns_the_longer_retry(database) {
        let scene = Scene::set(database).await?;
        let key = DpopKey::new();
        for (late, status) in [(REFRESH_RETRY_SECONDS_UNPROVEN + 1, 200), (REFRESH_RETRY_SECONDS + 1, 400)] {
            let code = scene.code(&scene.client).await?;
            let first = Tokens::read(&scene.token(&scene.client, &code, &scene.proof(&key, TOKEN)).await?)?;
            let second = Tokens::read(&scene.refresh(&scene.client, &first.refresh_token, &key).await?)?;
            assert_eq!(scene.use_of(&second.access_token, &key).await?.0, 200);
            scene.app.clock.advance(late);
            let retry = scene.refresh(&scene.client, &first.refresh_token, &key).await?;
            assert_eq!(retry.status, status, "{late} s late: {retry:?}");
        }
        Ok(())
    }
}

fn par_url(scene: &Scene) -> String {
    scene.app.at("/oauth/par")
}
