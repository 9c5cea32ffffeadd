//! `/xrpc/{nsid}`: what passes to the PDS and back, what does not, and which calls a token allows.

use causeway_domain::Clock as _;
use causeway_testkit::{DpopKey, Tokens, XrpcReply, decide};
use serde_json::json;

use crate::support::{DID, HANDLE, Scene, on_each_database};

/// Headers of a request that pass, with what arrives.
const PASS: [(&str, &str); 11] = [
    ("accept", "application/json;q=0.9"),
    ("accept-encoding", "gzip, br"),
    ("accept-language", "de, en;q=0.5"),
    ("atproto-accept-labelers", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa;redact"),
    ("atproto-content-labelers", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"),
    ("atproto-proxy", "did:web:api.bsky.app#bsky_appview"),
    ("atproto-repo-rev", "3jzfcijpj2z2a"),
    ("content-encoding", "identity"),
    ("content-type", "application/json; charset=utf-8"),
    ("if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ("if-none-match", "\"etag\""),
];
/// And those that do not.
const STAY: [(&str, &str); 15] = [
    ("cookie", "causeway=cw_br_x; other=1"),
    ("dpop", "proof.of.theclient"),
    ("forwarded", "for=192.0.2.1"),
    ("origin", "https://app.example"),
    ("proxy-authorization", "Basic eDp5"),
    ("referer", "https://app.example/secret"),
    ("te", "trailers"),
    ("connection", "keep-alive, x-hop"),
    ("x-hop", "1"),
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-host", "evil.example"),
    ("x-real-ip", "192.0.2.1"),
    ("x-causeway-user", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"),
    ("x-authenticated-user", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"),
    ("keep-alive", "timeout=5"),
];

/// Headers of every answer that say nothing of the method's.
const OURS_TOO: [&str; 4] = ["access-control-expose-headers", "date", "vary", "x-request-id"];

on_each_database! {
    async fn headers_of_a_request(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let mut request = scene.xrpc("POST", "app.bsky.feed.sendInteractions?q=a%20b&q=%2F&empty=", &token);
        for (name, value) in PASS.iter().chain(&STAY) {
            request = request.header(*name, *value);
        }
        let answer = scene.agent.send(request.body(r#"{"a":1}"#)).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let calls = scene.upstream.calls();
        let [seen] = calls.as_slice() else { panic!("{calls:?}") };
        assert_eq!((&*seen.method, &*seen.nsid), ("POST", "app.bsky.feed.sendInteractions"));
        assert_eq!(seen.query, "q=a%20b&q=%2F&empty=");
        for (name, value) in PASS {
            assert_eq!(seen.headers.get(name).map(String::as_str), Some(value), "{name}");
        }
        let own = ["authorization", "dpop", "host", "content-length", "user-agent"];
        let known: Vec<&str> = PASS.iter().map(|(name, _)| *name).chain(own).collect();
        let more: Vec<_> = seen.headers.keys().filter(|name| !known.contains(&name.as_str())).collect();
        assert!(more.is_empty(), "{more:?}");
        assert!(seen.headers["authorization"].starts_with("DPoP upstream-access-"));
        assert!(!seen.headers["dpop"].contains("theclient"));
        assert!(seen.headers["user-agent"].starts_with("Causeway/"));
        assert_eq!(seen.body_length, 7);
        Ok(())
    }

    async fn headers_of_an_answer(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let pass = [
            ("atproto-repo-rev", "3jzfcijpj2z2a"),
            ("atproto-content-labelers", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"),
            ("content-disposition", "attachment; filename=\"x\""),
            ("content-language", "de"),
            ("content-type", "image/svg+xml"),
            ("etag", "W/\"1\""),
            ("last-modified", "Sat, 29 Oct 1994 19:43:31 GMT"),
            ("ratelimit-limit", "3000"),
            ("ratelimit-remaining", "2999"),
            ("ratelimit-reset", "1700000000"),
            ("ratelimit-policy", "3000;w=300"),
            ("retry-after", "3"),
        ];
        let stay = [
            ("set-cookie", "session=theirs"),
            ("access-control-allow-origin", "https://pds.example"),
            ("access-control-allow-credentials", "true"),
            ("cache-control", "public, max-age=9999"),
            ("content-security-policy", "default-src *"),
            ("dpop-nonce", "theirs"),
            ("www-authenticate", "DPoP"),
            ("location", "https://evil.example"),
            ("refresh", "0;url=https://evil.example"),
            ("clear-site-data", "\"*\""),
            ("strict-transport-security", "max-age=1"),
            ("x-powered-by", "Express"),
            ("link", "<https://evil.example>; rel=preload"),
            ("alt-svc", "h3=\":1\""),
            ("server", "theirs"),
            ("x-request-id", "theirs"),
        ];
        let mut reply = XrpcReply { headers: Vec::new(), body: "<svg/>".to_owned(), ..XrpcReply::default() };
        for (name, value) in pass.iter().chain(&stay) {
            reply = reply.header(name, value);
        }
        scene.upstream.script(|script| script.answer = Some(reply));
        let answer = scene.read(&token).await?;
        assert_eq!((answer.status, &*answer.text), (200, "<svg/>"));
        for (name, value) in pass {
            assert_eq!(answer.header(name), value, "{name}");
        }
        let ours = [
            ("cache-control", "private, no-store"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("x-content-type-options", "nosniff"),
            ("content-length", "6"),
        ];
        for (name, value) in ours {
            let values: Vec<_> = answer.headers.get_all(name).iter().collect();
            assert_eq!(values, [value], "{name}");
        }
        assert_ne!(answer.header("x-request-id"), "theirs");
        let known: Vec<&str> = pass.iter().chain(&ours).map(|(name, _)| *name).chain(OURS_TOO).collect();
        let more: Vec<_> = answer.headers.keys().filter(|name| !known.contains(&name.as_str())).collect();
        assert!(more.is_empty(), "{more:?}");
        Ok(())
    }

    /// The client gets the method's response unchanged, errors included.
    async fn answers_arrive_unchanged(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for (status, error) in [
            (400, "InvalidRequest"),
            (400, "invalid_token"),
            (401, "AccountTakedown"),
            (403, "ScopeMissingError"),
            (404, "RecordNotFound"),
            (413, "PayloadTooLarge"),
            (429, "RateLimitExceeded"),
            (500, "InternalServerError"),
            (501, "MethodNotImplemented"),
            (502, "UpstreamFailure"),
            (503, "NotEnoughResources"),
        ] {
            let body = json!({"error": error, "message": "übersetzt", "details": [1, null]});
            let reply = XrpcReply::json(status, &body).header("retry-after", "9").header("ratelimit-reset", "5");
            scene.upstream.script(|script| script.answer = Some(reply));
            let answer = scene.read(&token).await?;
            assert_eq!((answer.status, &answer.text), (status, &body.to_string()));
            assert_eq!((answer.header("retry-after"), answer.header("ratelimit-reset")), ("9", "5"));
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
        for status in [204, 304] {
            let reply = XrpcReply { status, body: String::new(), ..XrpcReply::default() }.header("etag", "\"1\"");
            scene.upstream.script(|script| script.answer = Some(reply));
            let answer = scene.read(&token).await?;
            assert_eq!((answer.status, &*answer.text, answer.header("etag")), (status, "", "\"1\""));
        }
        Ok(())
    }

    /// Responses that concern only our connection to the PDS do not reach the client: to switch protocols, to
    /// redirect, to retry. Every final status is one that the client can act on.
    async fn only_final_answers_pass(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let answer = async |status: u16| {
            let reply = XrpcReply { status, ..XrpcReply::default() }.header("upgrade", "websocket");
            scene.upstream.script(|script| script.answer = Some(reply));
            scene.read(&token).await
        };
        for status in [101, 300, 301, 302, 303, 305, 307, 308, 399, 407, 408, 421, 425, 600, 700, 999] {
            let refused = answer(status).await?;
            assert_eq!(refused.refusal(), "502 upstream_invalid", "{status} {refused:?}");
            assert_eq!((refused.header("upgrade"), refused.header("connection")), ("", ""), "{status}");
        }
        for status in [200, 201, 203, 206, 400, 402, 404, 406, 409, 410, 422, 426, 428, 429, 451, 499, 500, 505, 511, 599] {
            let passed = answer(status).await?;
            assert_eq!((passed.status, &*passed.text, passed.header("upgrade")), (status, r#"{"ok":true}"#, ""));
        }
        for status in [204, 205] {
            let passed = answer(status).await?;
            assert_eq!((passed.status, &*passed.text), (status, ""), "some readers expect no body");
        }
        Ok(())
    }

    /// Headers that a client names in `Connection` stop here, and so does an upgrade.
    async fn what_stays_at_its_hop(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let request = scene.xrpc("GET", "app.bsky.feed.getTimeline", &token);
        let request = request.header("connection", "Upgrade, Accept-Language,atproto-PROXY").header("upgrade", "websocket");
        let request = request.header("accept-language", "de").header("atproto-repo-rev", "3jzfcijpj2z2a");
        let answer = scene.agent.send(request.header("atproto-proxy", "did:web:api.bsky.app#bsky_appview")).await?;
        assert_eq!((answer.status, answer.header("upgrade")), (200, ""), "{answer:?}");
        let calls = scene.upstream.calls();
        let seen = &calls[0].headers;
        for name in ["connection", "upgrade", "accept-language", "atproto-proxy"] {
            assert_eq!(seen.get(name), None, "{name}");
        }
        assert_eq!(seen["atproto-repo-rev"], "3jzfcijpj2z2a");
        Ok(())
    }

    /// A PDS shows a session its user's email address; a token without that scope does not get it.
    async fn account_data_beyond_the_scope(database) {
        let scene = Scene::set(database).await?;
        let account = json!({
            "handle": HANDLE, "did": DID, "email": "alice@mail.example", "emailConfirmed": true,
            "emailAuthFactor": false, "active": true,
        });
        let less = json!({"handle": HANDLE, "did": DID, "active": true});
        let answers = |reply: XrpcReply| scene.upstream.script(|script| script.answer = Some(reply));
        answers(XrpcReply::json(200, &account).header("etag", "\"1\""));
        let asked = scene.client.authorization(Some(HANDLE)).with("scope", Some("openid email transition:email"));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &asked).await?;
        let code = decide(&scene.agent, &consent, "allow").await?.redirect_param("code").unwrap();
        let tokens = Tokens::read(&scene.client.redeem(&scene.agent, &code, &asked.verifier).await?)?;
        let with = async |scope: &str| {
            let form = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token), ("scope", scope)];
            anyhow::Ok(Tokens::read(&scene.client.post(&scene.agent, "/oauth/token", &form).await?)?.access_token)
        };
        for (scope, expected) in [
            ("openid email transition:email", &account),
            ("openid transition:email", &account),
            ("openid email", &account),
            ("openid", &less),
            ("atproto", &less),
        ] {
            let token = with(scope).await?;
            for method in ["com.atproto.server.getSession", "com.atproto.SERVER.getsession"] {
                let request = scene.xrpc("GET", method, &token).header("accept-encoding", "gzip");
                let answer = scene.agent.send(request.header("if-none-match", "\"1\"")).await?;
                assert_eq!((answer.status, &answer.json()), (200, expected), "{scope}");
                let seen = scene.upstream.calls().pop().unwrap();
                let is_whole = expected == &account;
                assert_eq!(seen.headers.contains_key("accept-encoding"), is_whole, "it has to be read");
                assert_eq!(answer.header("etag").is_empty(), !is_whole, "it is another one");
            }
        }
        let narrow = with("openid").await?;
        let who = |token: &str| scene.agent.send(scene.xrpc("GET", "com.atproto.server.getSession", token));
        for unreadable in [
            XrpcReply::json(200, &account).header("content-encoding", "gzip"),
            XrpcReply::json(200, &json!([account])),
            XrpcReply { body: "alice@mail.example".to_owned(), ..XrpcReply::default() },
            XrpcReply { filler: 100_000, ..XrpcReply::json(200, &account) },
        ] {
            answers(unreadable);
            let refused = who(&narrow).await?;
            assert_eq!(refused.refusal(), "502 upstream_invalid");
            assert!(!refused.text.contains("alice@"), "{refused:?}");
        }
        answers(XrpcReply::json(400, &json!({"error": "InvalidRequest", "message": "m"})));
        assert_eq!(who(&narrow).await?.refusal(), "400 InvalidRequest");
        Ok(())
    }

    /// A PDS finds a method by its name without regard to case: so does every rule.
    async fn methods_in_any_spelling(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for (method, call) in [
            ("GET", "CHAT.bsky.convo.listConvos"),
            ("POST", "chat.BSKY.convo.sendMessage"),
            ("GET", "com.atproto.server.getServiceAuth?aud=did:web:api.bsky.chat&lxm=CHAT.bsky.convo.getLog"),
            ("GET", "com.atproto.server.GETSERVICEAUTH?aud=did:web:api.bsky.chat&lxm=chat.Bsky.convo.getLog"),
            ("POST", "com.atproto.Server.createAppPassword"),
            ("POST", "COM.atproto.server.DELETEACCOUNT"),
            ("POST", "Com.atproto.identity.signPlcOperation"),
        ] {
            let answer = scene.agent.send(scene.xrpc(method, call, &token)).await?;
            assert_eq!(answer.refusal(), "403 insufficient_scope", "{call}");
        }
        assert!(scene.upstream.calls().is_empty());
        Ok(())
    }

    /// Nobody but us would read an array as a record: it is not read, and not sent.
    async fn an_array_is_no_record(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let scope = "atproto repo:app.bsky.feed.post";
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh_token), ("scope", scope)];
        let narrow = Tokens::read(&scene.client.post(&scene.agent, "/oauth/token", &form).await?)?.access_token;
        for (method, body) in [
            ("createRecord", r#"["app.bsky.feed.post"]"#),
            ("putRecord", r#"["app.bsky.feed.post"]"#),
            ("applyWrites", r#"[[["com.atproto.repo.applyWrites#create","app.bsky.feed.post"]]]"#),
            ("applyWrites", r#"{"writes":[["com.atproto.repo.applyWrites#create","app.bsky.feed.post"]]}"#),
        ] {
            let request = scene.xrpc("POST", &format!("com.atproto.repo.{method}"), &narrow);
            let answer = scene.agent.send(request.header("content-type", "application/json").body(body)).await?;
            assert_eq!(answer.refusal(), "400 invalid_request", "{body}");
        }
        assert!(scene.upstream.calls().is_empty());
        Ok(())
    }

    /// A file may be a web page; nothing else is, unless it was asked for.
    async fn pages(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        let page = XrpcReply { headers: vec![("content-type", "text/html; charset=utf-8".to_owned())], ..XrpcReply::default() };
        scene.upstream.script(|script| script.answer = Some(page));
        let answer = scene.read(&token).await?;
        assert_eq!(answer.refusal(), "502 upstream_invalid");
        let blob = scene.agent.send(scene.xrpc("GET", "com.atproto.sync.getBlob?did=a&cid=b", &token)).await?;
        assert_eq!((blob.status, blob.header("content-security-policy")), (200, "default-src 'none'; sandbox"));
        let asked = scene.xrpc("GET", "com.example.getPage", &token).header("accept", "text/html");
        assert_eq!(scene.agent.send(asked).await?.status, 200);
        Ok(())
    }

    async fn what_is_no_call(database) {
        let scene = Scene::set(database).await?;
        let token = scene.access_token().await?;
        for nsid in ["com", "com.atproto", "com.atproto.repo.", "com..repo.x", "com.atproto.repo.a%2Fb", "com.atproto.repo.a_b", "%20"] {
            let answer = scene.agent.send(scene.xrpc("GET", nsid, &token)).await?;
            assert_eq!(answer.refusal(), "400 invalid_request", "{nsid}");
            assert_eq!(answer.json()["message"], answer.json()["error_description"]);
        }
        for method in ["PUT", "DELETE", "PATCH", "HEAD"] {
            let answer = scene.agent.send(scene.xrpc(method, "com.atproto.server.getSession", &token)).await?;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, POST"), "{method}");
        }
        let url = scene.app.at("/xrpc/com.atproto.server.getSession");
        let none = scene.agent.get(&url).await?;
        let document = scene.app.at("/.well-known/oauth-protected-resource");
        let challenge = format!("Bearer realm=\"causeway\", resource_metadata=\"{document}\"");
        assert_eq!((none.status, none.header("www-authenticate")), (401, &*challenge));
        assert_eq!(scene.read("cw_at_wrong").await?.refusal(), "401 invalid_token");
        let twice = scene.xrpc("POST", "com.example.x", &token);
        let twice = twice.header("content-type", "image/png").header("content-type", "text/html").body("x");
        assert_eq!(scene.agent.send(twice).await?.refusal(), "400 invalid_request");
        assert!(scene.upstream.calls().is_empty());
        Ok(())
    }

    /// A token is limited to its scope, and a refusal names the missing scope.
    async fn scopes(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let narrow = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &tokens.refresh_token),
            ("scope", "atproto repo:app.bsky.feed.post?action=create blob:image/*"),
        ];
        let narrow = Tokens::read(&scene.client.post(&scene.agent, "/oauth/token", &narrow).await?)?.access_token;
        let write = |token: &str, collection: &str| {
            let body = json!({"repo": "x", "collection": collection, "record": {}}).to_string();
            let request = scene.xrpc("POST", "com.atproto.repo.createRecord", token);
            scene.agent.send(request.header("content-type", "application/json").body(body))
        };
        let lacking = |answer: &causeway_testkit::Answer, scope: &str| {
            assert_eq!(answer.refusal(), "403 insufficient_scope", "{answer:?}");
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.ends_with(&format!("scope=\"{scope}\"")), "{challenge}");
            assert!(answer.json()["message"].as_str().unwrap().contains(scope));
        };
        assert_eq!(write(&tokens.access_token, "app.bsky.feed.like").await?.status, 200);
        assert_eq!(write(&narrow, "app.bsky.feed.post").await?.status, 200);
        let before = scene.upstream.calls().len();
        lacking(&write(&narrow, "app.bsky.feed.like").await?, "repo:app.bsky.feed.like?action=create");
        let upload = |content_type: &str| {
            let request = scene.xrpc("POST", "com.atproto.repo.uploadBlob", &narrow);
            scene.agent.send(request.header("content-type", content_type).body("x".repeat(100_000)))
        };
        lacking(&upload("video/mp4").await?, "blob:video/mp4");
        let chat = scene.agent.send(scene.xrpc("GET", "chat.bsky.convo.listConvos", &tokens.access_token)).await?;
        lacking(&chat, "rpc:chat.bsky.convo.listConvos?aud=*");
        let never = scene.agent.send(scene.xrpc("POST", "com.atproto.server.createAppPassword", &tokens.access_token)).await?;
        assert_eq!(never.refusal(), "403 insufficient_scope");
        let twice = r#"{"repo":"x","collection":"app.bsky.feed.post","collection":"app.bsky.feed.like","record":{}}"#;
        let request = scene.xrpc("POST", "com.atproto.repo.createRecord", &narrow);
        let answer = scene.agent.send(request.header("content-type", "application/json").body(twice)).await?;
        assert_eq!(answer.refusal(), "400 invalid_request");
        let request = scene.xrpc("POST", "com.atproto.repo.createRecord", &narrow);
        let long = format!(r#"{{"collection":"app.bsky.feed.post","record":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
        let answer = scene.agent.send(request.header("content-type", "application/json").body(long)).await?;
        assert_eq!(answer.refusal(), "413 invalid_request");
        assert_eq!(scene.upstream.calls().len(), before, "nothing of it was sent");
        assert_eq!(upload("image/png").await?.status, 200);
        assert_eq!(scene.read(&narrow).await?.status, 200);
        Ok(())
    }

    /// A token that is bound to a key is used with a proof, once a call; the PDS sees a proof of the session's
    /// key, and errors name the client's own scheme.
    async fn bound_tokens(database) {
        let scene = Scene::set(database).await?;
        let key = DpopKey::new();
        let (code, authorization) = scene.client.obtain_code(&scene.agent, &scene.upstream, HANDLE).await?;
        let form = [("grant_type", "authorization_code"), ("code", &*code), ("code_verifier", authorization.verifier.expose())];
        let proof = key.proof(scene.app.clock.now(), "POST", &scene.app.at("/oauth/token"));
        let token = Tokens::read(&scene.client.post_with_proof(&scene.agent, "/oauth/token", &form, &proof).await?)?.access_token;
        let url = scene.app.at("/xrpc/com.atproto.server.getSession");
        let proof = key.proof_with_token(scene.app.clock.now(), "GET", &url, &token);
        let with_query = format!("{url}?a=b");
        assert_eq!(scene.agent.get_with_proof(&with_query, &token, &proof).await?.status, 200);
        let replayed = scene.agent.get_with_proof(&with_query, &token, &proof).await?;
        assert_eq!(replayed.refusal(), "401 invalid_dpop_proof");
        assert_eq!(scene.read(&token).await?.refusal(), "401 invalid_token", "not as a bearer token");
        let calls = scene.upstream.calls();
        assert_eq!(calls.len(), 1);
        assert_ne!(calls[0].headers["dpop"], proof);
        let url = scene.app.at("/xrpc/chat.bsky.convo.listConvos");
        let proof = key.proof_with_token(scene.app.clock.now(), "GET", &url, &token);
        let refused = scene.agent.get_with_proof(&url, &token, &proof).await?;
        assert_eq!(refused.refusal(), "403 insufficient_scope");
        assert!(refused.header("www-authenticate").starts_with("DPoP "), "{refused:?}");
        Ok(())
    }
}
