//! Signed request objects (RFC 9101), and clients that want their requests protected.

use causeway_jose::{EcKey, sign_jwt};
use causeway_testkit::{Agent, Answer, Tokens, decide};
use causeway_types::{CodeVerifier, SystemRng};
use serde_json::{Map, Value, json};
use url::Url;

use crate::forge;
use crate::support::{DID, HANDLE, Scene, enter, on_each_database};

/// A client with a key, and the claims of a request that holds up.
struct Signer {
    scene: Scene,
    key: EcKey,
    verifier: CodeVerifier,
}

impl Signer {
    async fn set(database: &causeway_testkit::TestDatabase, extra: Value) -> anyhow::Result<Self> {
        let mut scene = Scene::set(database).await?;
        let key = EcKey::generate()?;
        let mut metadata = json!({
            "redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "jwks": { "keys": [key.published_jwk()] },
        });
        for (name, value) in extra.as_object().into_iter().flatten() {
            metadata[name] = value.clone();
        }
        let url = scene.app.at("/oauth/register");
        let client = scene.agent.post_body(&url, "application/json", metadata.to_string()).await?;
        assert_eq!(client.status, 201, "{client:?}");
        scene.client.client_id = client.json()["client_id"].as_str().unwrap().to_owned();
        enter(&scene.app, &scene.client).await?;
        Ok(Self { scene, key, verifier: CodeVerifier::random(&SystemRng) })
    }

    fn claims(&self) -> Value {
        let now = self.scene.app.ctx.now().as_secs();
        json!({
            "iss": self.scene.client.client_id, "aud": self.scene.app.issuer, "iat": now, "exp": now + 60,
            "jti": forge::jti(), "client_id": self.scene.client.client_id, "redirect_uri": self.scene.client.redirect_uri,
            "response_type": "code", "scope": "atproto", "state": "from the object", "login_hint": HANDLE,
            "code_challenge": self.verifier.challenge().as_str(), "code_challenge_method": "S256",
        })
    }

    fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        Ok(sign_jwt(&self.key, Map::new(), claims)?)
    }

    async fn ask(&self, object: &str, beside: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let mut url = Url::parse(&self.scene.app.at("/oauth/authorize"))?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.scene.client.client_id)
            .append_pair("request", object)
            .extend_pairs(beside);
        self.scene.agent.get(url.as_str()).await
    }

    async fn refused(&self, object: &str) -> anyhow::Result<String> {
        let answer = self.ask(object, &[("redirect_uri", &self.scene.client.redirect_uri)]).await?;
        Ok(answer.redirect_param("error").unwrap_or_else(|| format!("{answer:?}")))
    }

    async fn finish(&self, to_upstream: &str) -> anyhow::Result<()> {
        use causeway_testkit::User as _;
        let callback = self.scene.upstream.approve(to_upstream).await?;
        let consent = self.scene.agent.get(&callback).await?.location()?;
        let answer = decide(&self.scene.agent, &consent, "allow").await?;
        assert_eq!(answer.redirect_param("state").as_deref(), Some("from the object"));
        let code = answer.redirect_param("code").expect("a code");
        let answer = self.scene.client.redeem(&self.scene.agent, &code, &self.verifier).await?;
        assert_eq!(Tokens::read(&answer)?.answer["sub"], DID);
        Ok(())
    }
}

on_each_database! {
    /// The parameters in the object are the request; those beside it are ignored.
    async fn by_value(database) {
        let signer = Signer::set(database, json!({})).await?;
        let object = signer.sign(&signer.claims())?;
        let answer = signer.ask(&object, &[("state", "from beside"), ("scope", "transition:generic")]).await?;
        signer.finish(&answer.location()?).await
    }

    /// RFC 9101 section 10.2: an object works once, whichever way it comes, but for a reload in the browser that brought it.
    async fn once(database) {
        let signer = Signer::set(database, json!({})).await?;
        let (client, issuer) = (signer.scene.client.clone(), signer.scene.app.issuer.clone());
        let beside = [("redirect_uri", &*client.redirect_uri)];
        let push = async |object: &str| client.post(&signer.scene.agent, "/oauth/par", &[("request", object)]).await;
        let claims = signer.claims();
        let object = signer.sign(&claims)?;
        for _ in 0..2 {
            let answer = signer.ask(&object, &beside).await?;
            assert!(answer.location()?.starts_with(&signer.scene.upstream.origin), "a reload: {answer:?}");
        }
        let mut url = Url::parse(&format!("{issuer}/oauth/authorize"))?;
        url.query_pairs_mut().extend_pairs(beside).extend_pairs([("client_id", &*client.client_id), ("request", &object)]);
        let thief = Agent::default();
        for _ in 0..2 {
            let page = thief.get(url.as_str()).await?;
            let error = page.redirect_param("error");
            assert!(error.as_deref() == Some("invalid_request_object") || page.text.contains("used before"), "{page:?}");
        }
        assert_eq!(push(&object).await?.refusal(), "400 invalid_request_object", "nor pushed");
        let mut altered = claims;
        altered["state"] = json!("another");
        assert_eq!(push(&signer.sign(&altered)?).await?.refusal(), "400 invalid_request_object", "the name counts");

        let pushed = signer.sign(&signer.claims())?;
        assert_eq!(push(&pushed).await?.status, 201);
        assert_eq!(push(&pushed).await?.refusal(), "400 invalid_request_object");
        assert_eq!(signer.refused(&pushed).await?, "invalid_request_object", "nor in the front channel");
        Ok(())
    }

    /// The same object, pushed.
    async fn pushed(database) {
        let signer = Signer::set(database, json!({})).await?;
        let object = signer.sign(&signer.claims())?;
        let pushed = signer.scene.client.post(&signer.scene.agent, "/oauth/par", &[("request", &object)]).await?;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        let body = pushed.json();
        let query = [
            ("client_id", &*signer.scene.client.client_id),
            ("request_uri", body["request_uri"].as_str().unwrap()),
        ];
        let url = Url::parse_with_params(&signer.scene.app.at("/oauth/authorize"), query)?;
        let answer = signer.scene.agent.get(url.as_str()).await?;
        signer.finish(&answer.location()?).await
    }

    /// Parameters that only affect pages are read from the object, too: their languages.
    async fn languages(database) {
        let signer = Signer::set(database, json!({})).await?;
        let mut claims = signer.claims();
        claims.as_object_mut().unwrap().remove("login_hint");
        claims["ui_locales"] = json!("de");
        let object = signer.sign(&claims)?;
        let page = signer.ask(&object, &[]).await?;
        assert!(page.text.contains("<html lang=\"de\">"), "{page:?}");
        let client = &signer.scene.client;
        claims["jti"] = json!(forge::jti());
        let object = signer.sign(&claims)?;
        let pushed = client.post(&signer.scene.agent, "/oauth/par", &[("request", &object)]).await?.json();
        let query = [("client_id", &*client.client_id), ("request_uri", pushed["request_uri"].as_str().unwrap())];
        let url = Url::parse_with_params(&signer.scene.app.at("/oauth/authorize"), query)?;
        let page = signer.scene.agent.get(url.as_str()).await?;
        assert!(page.text.contains("<html lang=\"de\">"), "{page:?}");
        Ok(())
    }

    /// RFC 9126 section 3: a pushed object is checked like any other. What was made for something else is none.
    async fn pushed_and_refused(database) {
        let signer = Signer::set(database, json!({})).await?;
        let (client, agent) = (&signer.scene.client, &signer.scene.agent);
        let by_a_stranger = sign_jwt(&EcKey::generate()?, Map::new(), &signer.claims())?;
        let mut claims = signer.claims();
        claims["client_id"] = json!("another");
        let of_another = signer.sign(&claims)?;
        let header = Map::from_iter([("typ".to_owned(), json!("dpop+jwt"))]);
        let proof = sign_jwt(&signer.key, header, &signer.claims())?;
        for object in ["nonsense", &by_a_stranger, &of_another, &proof] {
            let form = [("request", object), ("redirect_uri", &*client.redirect_uri)];
            assert_eq!(client.post(agent, "/oauth/par", &form).await?.refusal(), "400 invalid_request_object", "{object}");
        }
        Ok(())
    }

    /// An object that is not the client's own, fresh and for us is refused.
    async fn refusals(database) {
        let signer = Signer::set(database, json!({})).await?;
        let object = signer.sign(&signer.claims())?;
        let (signed, _) = object.rsplit_once('.').unwrap();
        let zeros = format!("{signed}.{}", "A".repeat(86));
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", object.split('.').nth(1).unwrap());
        for forged in [&*zeros, &unsigned, "nonsense", &sign_jwt(&EcKey::generate()?, Map::new(), &signer.claims())?] {
            assert_eq!(signer.refused(forged).await?, "invalid_request_object", "{forged}");
        }
        let now = signer.scene.app.ctx.now().as_secs();
        for (name, value) in [
            ("iss", json!("another")),
            ("aud", json!("https://as.example")),
            ("exp", json!(now - 61)),
            ("exp", json!(null)),
            ("exp", json!(now + 3700)),
            ("jti", json!(null)),
            ("jti", json!("")),
            ("iat", json!(now + 120)),
            ("client_id", json!("another")),
            ("request_uri", json!("urn:x")),
        ] {
            let mut claims = signer.claims();
            claims[name] = value;
            assert_eq!(signer.refused(&signer.sign(&claims)?).await?, "invalid_request_object", "{name}");
        }
        let mut claims = signer.claims();
        claims["redirect_uri"] = json!("https://evil.example/cb");
        let answer = signer.ask(&signer.sign(&claims)?, &[]).await?;
        assert_eq!(answer.status, 400, "a page, no redirect: {answer:?}");
        let without_keys = signer.scene.app.client(&signer.scene.agent).await?;
        let mut url = Url::parse(&without_keys.authorization(None).url(&signer.scene.app.issuer))?;
        url.query_pairs_mut().append_pair("request", &object);
        let answer = signer.scene.agent.get(url.as_str()).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request_object"));
        Ok(())
    }

    /// RFC 9101 sections 6 and 7: whatever is wrong with an object is said by its own code, also where nobody can be
    /// redirected, since the redirect URI may be in what cannot be read.
    async fn without_a_redirect_uri(database) {
        let signer = Signer::set(database, json!({})).await?;
        let by_a_stranger = sign_jwt(&EcKey::generate()?, Map::new(), &signer.claims())?;
        for object in ["nonsense", &by_a_stranger] {
            for beside in [&[][..], &[("redirect_uri", "https://evil.example/cb")]] {
                let page = signer.ask(object, beside).await?;
                assert_eq!((page.status, page.text.contains("invalid_request_object")), (400, true), "{page:?}");
                let form = [&[("request", object)], beside].concat();
                let pushed = signer.scene.client.post(&signer.scene.agent, "/oauth/par", &form).await?;
                assert_eq!(pushed.refusal(), "400 invalid_request_object");
            }
        }
        let mut claims = signer.claims();
        claims.as_object_mut().unwrap().remove("redirect_uri");
        let page = signer.ask(&signer.sign(&claims)?, &[]).await?;
        assert!(page.status == 400 && page.text.contains("redirect_uri is missing"), "this one was read: {page:?}");
        Ok(())
    }

    /// OpenID Connect Core section 6.2: a `request_uri` of the client's is not fetched, and the client gets
    /// an error, by redirect if its redirect URI is given beside it.
    async fn at_an_address(database) {
        let scene = Scene::set(database).await?;
        let document = scene.agent.get(&scene.app.at("/.well-known/openid-configuration")).await?.json();
        assert_eq!(document["request_uri_parameter_supported"], false, "left out it would be true");
        for request_uri in ["https://app.example/request.jwt#sha256", "http://127.0.0.1:1/x", "urn:x", "nonsense"] {
            let authorization = scene.client.authorization(None).with("request_uri", Some(request_uri));
            let answer = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some("request_uri_not_supported"), "{answer:?}");
            assert_eq!(answer.redirect_param("state"), Some(authorization.state));
            for beside in [None, Some("https://evil.example/cb")] {
                let authorization = scene.client.authorization(None).with("request_uri", Some(request_uri));
                let page = scene.agent.get(&authorization.with("redirect_uri", beside).url(&scene.app.issuer)).await?;
                assert_eq!((page.status, page.text.contains("request_uri_not_supported")), (400, true), "{page:?}");
            }
            let authorization = scene.client.authorization(None).with("request_uri", Some(request_uri));
            let pushed = scene.client.post(&scene.agent, "/oauth/par", &authorization.form()).await?;
            assert_eq!(pushed.refusal(), "400 invalid_request", "RFC 9126 section 2.1");
        }
        Ok(())
    }

    /// Control characters, which no form could send either, are refused: databases reject NUL, and logs are
    /// lines.
    async fn control_characters(database) {
        let signer = Signer::set(database, json!({})).await?;
        for (name, value) in [
            ("state", json!("a\0b")),
            ("nonce", json!("a\nb")),
            ("login_hint", json!("\u{7f}")),
            ("resource", json!([signer.scene.app.issuer, "urn:a:\0"])),
        ] {
            let mut claims = signer.claims();
            claims[name] = value;
            assert_eq!(signer.refused(&signer.sign(&claims)?).await?, "invalid_request_object", "{name}");
        }
        Ok(())
    }

    /// Repeatable parameters are a list in an object, or one string (RFC 8707 section 2); those beside the
    /// object are ignored.
    async fn resources(database) {
        let signer = Signer::set(database, json!({})).await?;
        let own = signer.scene.app.at("/mcp");
        for beyond in [json!("https://api.example"), json!([own, "https://api.example"]), json!(1), json!([{}])] {
            let mut claims = signer.claims();
            claims["resource"] = beyond.clone();
            assert_eq!(signer.refused(&signer.sign(&claims)?).await?, "invalid_target", "{beyond}");
        }
        let mut claims = signer.claims();
        claims["resource"] = json!([own, signer.scene.app.issuer]);
        let answer = signer.ask(&signer.sign(&claims)?, &[("resource", "https://api.example")]).await?;
        signer.finish(&answer.location()?).await
    }

    /// Browsers carry a request object: it must not be one that authenticates the client.
    async fn no_client_assertion(database) {
        let signer = Signer::set(database, json!({})).await?;
        let mut claims = signer.claims();
        claims["sub"] = json!(signer.scene.client.client_id);
        let answer = signer.ask(&signer.sign(&claims)?, &[]).await?;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text.contains("must not name the client as its sub"), "{answer:?}");
        claims["sub"] = json!("alice");
        let answer = signer.ask(&signer.sign(&claims)?, &[]).await?;
        assert!(answer.location()?.starts_with(&signer.scene.upstream.origin), "{answer:?}");
        Ok(())
    }

    /// A client that registered that its requests are signed, or pushed, is held to it.
    async fn demands(database) {
        let signer = Signer::set(database, json!({"require_signed_request_object": true})).await?;
        let plain = signer.scene.client.authorization(None);
        let answer = signer.scene.agent.get(&plain.url(&signer.scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"));
        let pushed = signer.scene.agent.post(&signer.scene.app.at("/oauth/par"), &plain.form()).await?;
        assert_eq!(pushed.refusal(), "400 invalid_request");
        let object = signer.sign(&signer.claims())?;
        assert!(signer.ask(&object, &[]).await?.location()?.starts_with(&signer.scene.upstream.origin));

        let signer = Signer::set(database, json!({"require_pushed_authorization_requests": true})).await?;
        let plain = signer.scene.client.authorization(Some(HANDLE));
        let answer = signer.scene.agent.get(&plain.url(&signer.scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_request"));
        let pushed = signer.scene.agent.post(&signer.scene.app.at("/oauth/par"), &plain.form()).await?;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        Ok(())
    }
}
