//! `private_key_jwt` (RFC 7523 section 3, OpenID Connect Core section 9): a client proves itself by its key,
//! and by nothing else.

use anyhow::Result;
use causeway_domain::Clock as _;
use causeway_jose::{EcKey, SigningKey};
use causeway_testkit::{Answer, KeyServer, OauthClient, Tokens};
use causeway_types::{SigningAlg, Timestamp};
use serde_json::{Value, json};

use crate::forge;
use crate::support::{HANDLE, Scene, on_each_database};

const TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

/// A client with a key, and what it signs.
struct Signer {
    client: OauthClient,
    key: EcKey,
}

impl Signer {
    async fn register(scene: &Scene) -> Result<Self> {
        let key = EcKey::generate()?;
        let keys = json!({"keys": [key.published_jwk()]});
        let metadata = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys});
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
        assert_eq!(client.client_secret, None, "it has a key");
        Ok(Self { client, key })
    }

    fn claims(&self, now: Timestamp, changes: &[(&str, Value)]) -> Value {
        let claims = json!({
            "iss": self.client.client_id, "sub": self.client.client_id, "aud": self.client.issuer,
            "exp": now.plus(60).as_secs(), "iat": now.as_secs(), "jti": forge::jti(),
        });
        forge::change(claims, changes)
    }

    fn assertion(&self, now: Timestamp, changes: &[(&str, Value)]) -> String {
        forge::signed(&self.key, &json!({"kid": self.key.thumbprint()}), &self.claims(now, changes))
    }
}

/// Pushes a request with an assertion and whatever else: 201, or the reason against it.
async fn push(scene: &Scene, client: &OauthClient, more: &[(&str, &str)]) -> Result<Answer> {
    let authorization = client.authorization(None);
    let mut form = authorization.form();
    form.extend(more);
    scene.agent.post(&scene.app.at("/oauth/par"), &form).await
}

on_each_database! {
    /// At each endpoint, and without client_id in the form: the assertion names the client.
    async fn at_every_endpoint(database) {
        let scene = Scene::set(database).await?;
        let signer = Signer::register(&scene).await?;
        let now = scene.app.clock.now();
        let (code, authorization) = signer.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let send = |path: &'static str, form: Vec<(&'static str, String)>, changes: Vec<(&'static str, Value)>| {
            let assertion = signer.assertion(now, &changes);
            let (agent, url) = (&scene.agent, scene.app.at(path));
            async move {
                let mut form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                form.extend([TYPE, ("client_assertion", assertion.as_str())]);
                agent.post(&url, &form).await
            }
        };
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("code_verifier", authorization.verifier.expose().to_owned()),
        ];
        let aud = json!(scene.app.at("/oauth/token"));
        let tokens = Tokens::read(&send("/oauth/token", form, vec![("aud", aud)]).await?)?;
        let form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", tokens.refresh_token)];
        let aud = json!([scene.app.issuer]);
        let tokens = Tokens::read(&send("/oauth/token", form, vec![("aud", aud)]).await?)?;
        let revoke = || vec![("token", tokens.refresh_token.clone())];
        let aud = json!(scene.app.issuer);
        assert_eq!(send("/oauth/revoke", revoke(), vec![("aud", aud)]).await?.status, 200);
        let aud = json!(scene.app.at("/oauth/token"));
        assert_eq!(send("/oauth/revoke", revoke(), vec![("aud", aud)]).await?.status, 200);
        let mut pushed = signer.client.authorization(None).with("client_id", None).params;
        pushed.extend([(TYPE.0.to_owned(), TYPE.1.to_owned())]);
        let assertion = signer.assertion(now, &[]);
        pushed.push(("client_assertion".to_owned(), assertion));
        let form: Vec<(&str, &str)> = pushed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(scene.agent.post(&scene.app.at("/oauth/par"), &form).await?.status, 201);
        Ok(())
    }

    /// Every line of the specifications: each of these assertions is refused.
    async fn assertions_that_do_not_hold(database) {
        let scene = Scene::set(database).await?;
        let signer = Signer::register(&scene).await?;
        let stranger = Signer::register(&scene).await?;
        let now = scene.app.clock.now();
        let at = |seconds: i64| json!(now.plus(seconds).as_secs());
        let good = signer.assertion(now, &[]);
        let with = |changes: &[(&str, Value)]| signer.assertion(now, changes);
        let public = signer.key.public_jwk();
        let typ = |typ: &str| forge::signed(&signer.key, &json!({"typ": typ}), &signer.claims(now, &[]));
        let other_key = forge::signed(&stranger.key, &json!({}), &signer.claims(now, &[]));
        let other_kid = forge::signed(&signer.key, &json!({"kid": "unknown"}), &signer.claims(now, &[]));
        for (name, assertion) in [
            ("not a JWT", "abc".to_owned()),
            ("all-zero signature", forge::with_zero_signature(&good)),
            ("no signature", good.rsplit_once('.').unwrap().0.to_owned() + "."),
            ("alg none", forge::unsigned(&good, "none")),
            ("alg NONE", forge::unsigned(&good, "NONE")),
            ("HS256 over the public key", forge::hmac(&good, public.to_string().as_bytes())),
            ("HS256 over its x", forge::hmac(&good, public["x"].as_str().unwrap().as_bytes())),
            ("alg RS256", forge::unsigned(&good, "RS256") + "AAAA"),
            ("another client's key", other_key),
            ("unknown kid", other_kid),
            ("typ of a proof", typ("dpop+jwt")),
            ("typ of an access token", typ("at+jwt")),
            ("expired", with(&[("exp", at(-30))])),
            ("without end", with(&[("exp", json!(null))])),
            ("for a year", with(&[("exp", at(31_536_000))])),
            ("exp as text", with(&[("exp", json!("tomorrow"))])),
            ("iat in the future", with(&[("iat", at(301))])),
            ("nbf in the future", with(&[("nbf", at(301))])),
            ("for another server", with(&[("aud", json!("https://other.example"))])),
            ("for another endpoint", with(&[("aud", json!(scene.app.at("/oauth/revoke")))])),
            ("for the endpoint that it is sent to", with(&[("aud", json!(scene.app.at("/oauth/par")))])),
            ("for others, too", with(&[("aud", json!([scene.app.issuer, "https://other.example"]))])),
            ("for the token endpoint, too", with(&[("aud", json!([scene.app.issuer, scene.app.at("/oauth/token")]))])),
            ("for nobody, in a list", with(&[("aud", json!([]))])),
            ("for a longer URL", with(&[("aud", json!(format!("{}/", scene.app.issuer)))])),
            ("for nobody", with(&[("aud", json!(null))])),
            ("by another", with(&[("iss", json!(stranger.client.client_id))])),
            ("by nobody", with(&[("iss", json!(null))])),
            ("about another", with(&[("sub", json!(stranger.client.client_id))])),
            ("about nobody", with(&[("sub", json!(null))])),
            ("about an unknown client", with(&[("sub", json!("nobody")), ("iss", json!("nobody"))])),
            ("without jti", with(&[("jti", json!(null))])),
            ("with an empty jti", with(&[("jti", json!(""))])),
        ] {
            let answer = push(&scene, &signer.client, &[TYPE, ("client_assertion", &assertion)]).await?;
            assert_eq!(answer.refusal(), "401 invalid_client", "{name}: {answer:?}");
        }
        // With nothing else that names the client: a database is not asked for what it cannot hold.
        let nul = with(&[("sub", json!("a\0b")), ("iss", json!("a\0b"))]);
        let form = [TYPE, ("client_assertion", &*nul), ("grant_type", "client_credentials")];
        let answer = scene.agent.post(&scene.app.at("/oauth/token"), &form).await?;
        assert_eq!(answer.refusal(), "401 invalid_client", "{answer:?}");
        for typ in ["JWT", "jwt", "application/client-authentication+jwt"] {
            let assertion = forge::signed(&signer.key, &json!({"typ": typ}), &signer.claims(now, &[]));
            let answer = push(&scene, &signer.client, &[TYPE, ("client_assertion", &assertion)]).await?;
            assert_eq!(answer.status, 201, "{typ}: {answer:?}");
        }
        let answer = push(&scene, &signer.client, &[TYPE, ("client_assertion", &good)]).await?;
        assert_eq!(answer.status, 201, "nothing was used up: {answer:?}");
        Ok(())
    }

    /// `jti` once, at whichever endpoint, and for each client by itself.
    async fn an_assertion_works_once(database) {
        let scene = Scene::set(database).await?;
        let (signer, other) = (Signer::register(&scene).await?, Signer::register(&scene).await?);
        let now = scene.app.clock.now();
        let changes = [("jti", json!("one")), ("aud", json!(scene.app.at("/oauth/token")))];
        let assertion = signer.assertion(now, &changes);
        let refused = push(&scene, &signer.client, &[TYPE, ("client_assertion", &assertion), ("request_uri", "urn:x")]).await?;
        assert_eq!(refused.refusal(), "400 invalid_request", "a request that brings nothing uses nothing up");
        assert_eq!(push(&scene, &signer.client, &[TYPE, ("client_assertion", &assertion)]).await?.status, 201);
        let again = push(&scene, &signer.client, &[TYPE, ("client_assertion", &assertion)]).await?;
        assert_eq!(again.refusal(), "401 invalid_client");
        assert!(again.text.contains("used before"), "{again:?}");
        let changes = [("jti", json!("one")), ("aud", json!(scene.app.issuer))];
        let elsewhere = signer.assertion(now, &changes);
        for path in ["/oauth/revoke", "/oauth/introspect"] {
            let form = [TYPE, ("client_assertion", &*elsewhere), ("token", "nonsense")];
            let answer = scene.agent.post(&scene.app.at(path), &form).await?;
            assert_eq!(answer.refusal(), "401 invalid_client", "{path}");
            assert!(answer.text.contains("used before"), "{path}: {answer:?}");
        }
        let altered = signer.assertion(now, &[("jti", json!("one")), ("exp", json!(now.plus(90).as_secs()))]);
        let altered = push(&scene, &signer.client, &[TYPE, ("client_assertion", &altered)]).await?;
        assert_eq!(altered.refusal(), "401 invalid_client", "the name counts, not the rest");
        let theirs = other.assertion(now, &changes);
        assert_eq!(push(&scene, &other.client, &[TYPE, ("client_assertion", &theirs)]).await?.status, 201);
        Ok(())
    }

    /// A client of this method accepts nothing else, and no other client accepts this; two ways at once are
    /// no way (RFC 6749 section 2.3).
    async fn one_method_and_no_other(database) {
        let scene = Scene::set(database).await?;
        let signer = Signer::register(&scene).await?;
        let secret = OauthClient::register_with(&scene.agent, &scene.app.issuer, "client_secret_post").await?;
        let now = scene.app.clock.now();
        let par = scene.app.at("/oauth/par");
        assert_eq!(push(&scene, &signer.client, &[]).await?.refusal(), "401 invalid_client");
        let with_secret = push(&scene, &signer.client, &[("client_secret", "x")]).await?;
        assert_eq!(with_secret.refusal(), "401 invalid_client");
        for client in [&secret, &scene.client] {
            let claims = json!({"iss": client.client_id, "sub": client.client_id, "aud": client.issuer,
                "exp": now.plus(60).as_secs(), "jti": forge::jti()});
            let foreign = forge::signed(&signer.key, &json!({}), &claims);
            let answer = push(&scene, client, &[TYPE, ("client_assertion", &foreign)]).await?;
            assert_eq!(answer.refusal(), "401 invalid_client");
        }
        let assertion = signer.assertion(now, &[]);
        let both = push(&scene, &signer.client, &[TYPE, ("client_assertion", &assertion), ("client_secret", "x")]).await?;
        assert_eq!(both.refusal(), "400 invalid_request");
        let authorization = signer.client.authorization(None);
        let mut form = authorization.form();
        form.extend([TYPE, ("client_assertion", &*assertion)]);
        let basic = scene.agent.request("POST".parse()?, &par).basic_auth("x", Some("y")).form(&form);
        assert_eq!(scene.agent.send(basic).await?.refusal(), "400 invalid_request");
        for more in [
            vec![("client_assertion", &*assertion)],
            vec![("client_assertion", &*assertion), (TYPE.0, "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")],
            vec![TYPE],
        ] {
            assert_eq!(push(&scene, &signer.client, &more).await?.refusal(), "400 invalid_request", "{more:?}");
        }
        let other_name = push(&scene, &scene.client, &[TYPE, ("client_assertion", &assertion)]).await?;
        assert_eq!(other_name.refusal(), "401 invalid_client", "client_id and sub differ");
        assert_eq!(push(&scene, &signer.client, &[TYPE, ("client_assertion", &assertion)]).await?.status, 201);
        Ok(())
    }

    /// Each of the four methods, by a client of each: its own one is accepted, and no other, though all that it sends
    /// is right.
    async fn each_method_against_each_other(database) {
        let scene = Scene::set(database).await?;
        let par = scene.app.at("/oauth/par");
        let keyed = Signer::register(&scene).await?;
        let mut clients = vec![("private_key_jwt", keyed.client.clone())];
        for method in ["none", "client_secret_basic", "client_secret_post"] {
            clients.push((method, OauthClient::register_with(&scene.agent, &scene.app.issuer, method).await?));
        }
        for (registered, client) in &clients {
            let secret = client.client_secret.as_deref().unwrap_or("cw_cs_x");
            let signer = Signer { client: client.clone(), key: keyed.key.clone() };
            let assertion = signer.assertion(scene.app.clock.now(), &[]);
            let authorization = client.authorization(None);
            for (used, _) in &clients {
                let mut form = authorization.form();
                let mut request = scene.agent.request("POST".parse()?, &par);
                match *used {
                    "client_secret_basic" => request = request.basic_auth(&client.client_id, Some(secret)),
                    "client_secret_post" => form.push(("client_secret", secret)),
                    "private_key_jwt" => form.extend([TYPE, ("client_assertion", &*assertion)]),
                    _ => {}
                }
                let answer = scene.agent.send(request.form(&form)).await?;
                if used == registered {
                    assert_eq!(answer.status, 201, "{registered}: {answer:?}");
                } else {
                    assert_eq!(answer.refusal(), "401 invalid_client", "{registered}, by {used}");
                    let says = format!("is registered with {registered}, but the request used {used}");
                    assert!(answer.text.contains(&says), "{answer:?}");
                }
            }
        }
        Ok(())
    }

    /// RS256, and the algorithm that the client registered.
    async fn algorithms(database) {
        let scene = Scene::set(database).await?;
        let now = scene.app.clock.now();
        let rsa = SigningKey::generate(SigningAlg::Rs256)?;
        let ec = SigningKey::generate(SigningAlg::Es256)?;
        let metadata = |alg: Option<&str>| json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [rsa.published_jwk(), ec.published_jwk()]},
            "token_endpoint_auth_signing_alg": alg,
        });
        for (registered, with_rsa, with_ec) in
            [(None, 201, 201), (Some("RS256"), 201, 401), (Some("ES256"), 401, 201), (Some("PS256"), 401, 401)]
        {
            let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata(registered)).await?;
            for (key, status) in [(&rsa, with_rsa), (&ec, with_ec)] {
                let claims = json!({"iss": client.client_id, "sub": client.client_id, "aud": client.issuer,
                    "exp": now.plus(60).as_secs(), "jti": forge::jti()});
                let assertion = key.sign("JWT", &claims)?;
                let answer = push(&scene, &client, &[TYPE, ("client_assertion", &assertion)]).await?;
                assert_eq!(answer.status, status, "{registered:?}: {answer:?}");
            }
        }
        Ok(())
    }

    /// `jwks_uri`: fetched on demand, cached as long as its response allows, fetched again for a new `kid`,
    /// but at most every ten seconds, whichever client asks.
    async fn published_keys(database) {
        let scene = Scene::set(database).await?;
        let (old, new) = (EcKey::generate()?, EcKey::generate()?);
        let server = KeyServer::start(&[old.published_jwk()])?;
        let metadata = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": server.jwks_uri});
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
        assert_eq!(server.hits(), 0);
        let try_key = |key: EcKey| {
            let (scene, client) = (&scene, client.clone());
            async move {
                let signer = Signer { client, key };
                let assertion = signer.assertion(scene.app.clock.now(), &[]);
                anyhow::Ok(push(scene, &signer.client, &[TYPE, ("client_assertion", &assertion)]).await?.status)
            }
        };
        assert_eq!((try_key(old.clone()).await?, server.hits()), (201, 1));
        assert_eq!((try_key(old.clone()).await?, server.hits()), (201, 1));
        for _ in 0..5 {
            assert_eq!((try_key(new.clone()).await?, server.hits()), (401, 1), "too soon to ask again");
        }
        server.publish(&[new.published_jwk()]);
        scene.app.clock.advance(10);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 2), "a new kid is looked up");
        assert_eq!((try_key(old.clone()).await?, server.hits()), (401, 2), "a key that is gone is gone");

        // Kept for ten minutes unless it says otherwise, and within a minute and a day whatever it says.
        scene.app.clock.advance(599);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 2));
        server.cache_control("no-store");
        scene.app.clock.advance(1);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 3));
        scene.app.clock.advance(59);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 3));
        server.cache_control("public, max-age=99999999");
        scene.app.clock.advance(1);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 4));
        scene.app.clock.advance(86_399);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 4));
        scene.app.clock.advance(1);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 5));

        // A server that fails: what was fetched lives to its end and no longer.
        server.answer(503, String::new());
        scene.app.clock.advance(86_399);
        assert_eq!((try_key(old.clone()).await?, server.hits()), (401, 6));
        assert_eq!((try_key(new.clone()).await?, server.hits()), (201, 6));
        scene.app.clock.advance(60);
        assert_eq!((try_key(new.clone()).await?, server.hits()), (401, 7));
        let leaked: Value = serde_json::from_str(new.private_jwk().expose())?;
        for (status, body) in [
            (200, json!({"keys": [leaked]}).to_string()),
            (200, json!({"keys": [{"kty": "oct", "k": "AAAA"}]}).to_string()),
            (200, "<html>".to_owned()),
            (200, format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(70_000))),
            (302, String::new()),
        ] {
            server.answer(status, body);
            scene.app.clock.advance(86_400);
            assert_eq!(try_key(new.clone()).await?, 401, "{status}");
        }
        server.publish(&[new.published_jwk()]);
        scene.app.clock.advance(86_400);
        assert_eq!(try_key(new).await?, 201);
        Ok(())
    }

    /// Registration accepts and returns the keys and the method.
    async fn registration(database) {
        let scene = Scene::set(database).await?;
        let key = EcKey::generate()?;
        let jwks = json!({"keys": [key.published_jwk()]});
        let private: Value = serde_json::from_str(key.private_jwk().expose())?;
        let register = |more: Value| {
            let mut body = json!({"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "private_key_jwt"});
            for (name, value) in more.as_object().unwrap() {
                body[name] = value.clone();
            }
            let (agent, url) = (&scene.agent, scene.app.at("/oauth/register"));
            async move { agent.post_body(&url, "application/json", body.to_string()).await }
        };
        let answer = register(json!({"jwks": jwks, "token_endpoint_auth_signing_alg": "ES256", "dpop_bound_access_tokens": true})).await?;
        let body = answer.json();
        assert_eq!((answer.status, &body["jwks"]), (201, &jwks), "{body}");
        assert_eq!((&body["token_endpoint_auth_signing_alg"], &body["dpop_bound_access_tokens"]), (&json!("ES256"), &json!(true)));
        assert_eq!((body.get("client_secret"), body.get("client_secret_expires_at")), (None, None));
        let uri = "https://app.example/jwks.json";
        assert_eq!(register(json!({"jwks_uri": uri})).await?.json()["jwks_uri"], uri);
        for more in [
            json!({}),
            json!({"jwks": jwks, "jwks_uri": uri}),
            json!({"jwks": {"keys": []}}),
            json!({"jwks": {"keys": [private]}}),
            json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}),
            json!({"jwks": {"keys": [key.published_jwk(), {"kty": "oct", "k": "AAAA"}]}}),
            json!({"jwks": [key.published_jwk()]}),
            json!({"jwks_uri": "http://app.example/jwks.json"}),
            json!({"jwks_uri": "file:///etc/passwd"}),
            json!({"jwks": jwks, "token_endpoint_auth_signing_alg": "none"}),
            json!({"jwks": jwks, "token_endpoint_auth_signing_alg": "HS256"}),
            json!({"jwks": jwks, "dpop_bound_access_tokens": "yes"}),
            json!({"jwks": jwks, "dpop_nonce_policy": "always"}),
        ] {
            assert_eq!(register(more.clone()).await?.refusal(), "400 invalid_client_metadata", "{more}");
        }
        Ok(())
    }
}
