//! The characters of errors on the wire (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3), whatever a request
//! brings.

use anyhow::Result;
use causeway_testkit::{Answer, OauthClient};
use serde_json::json;
use url::form_urlencoded;

use crate::support::{HANDLE, Scene, on_each_database};

/// Quotation marks, backslashes, what is not ASCII, what tries to begin another header, and far too much.
fn hostile() -> Vec<String> {
    let long = "\"\\é".repeat(2000);
    let texts = [
        "\"",
        "\\",
        "a\", scope=\"atproto",
        "ünïcödé \u{202e}x",
        "\u{1f600}",
        "\u{7f}",
        "a\r\nx: y",
        "a\0b",
        &long,
    ];
    texts.map(str::to_owned).to_vec()
}

/// The characters of `error_description`.
fn is_tame(text: &str) -> bool {
    let allowed = |b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.len() <= 1024 && text.bytes().all(allowed)
}

/// An error in JSON, and its challenge if it has one.
fn check(answer: &Answer) {
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let description = answer.json()["error_description"].as_str().expect("a description").to_owned();
    assert!(is_tame(&description), "{answer:?}");
    for challenge in answer.headers.get_all("www-authenticate") {
        let challenge = challenge.to_str().expect("ASCII");
        let mut quoted = challenge.split('"').skip(1).step_by(2);
        assert!(quoted.all(|value| value.len() <= 2048 && !value.contains('\\')), "{challenge}");
        assert_eq!(challenge.matches('"').count(), 2 * challenge.matches("=\"").count(), "{challenge}");
    }
}

async fn send(scene: &Scene, path: &str, pairs: &[(&str, &str)]) -> Result<Answer> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    scene.agent.post_body(&scene.app.at(path), "application/x-www-form-urlencoded", body).await
}

on_each_database! {
    /// Names and values that an answer repeats, or might.
    async fn hostile_parameters(database) {
        let scene = Scene::set(database).await?;
        let id = scene.client.client_id.as_str();
        for text in hostile() {
            for path in ["/oauth/token", "/oauth/par", "/oauth/device_authorization", "/oauth/revoke"] {
                check(&send(&scene, path, &[(&text, "1"), (&text, "2")]).await?);
                check(&send(&scene, path, &[("client_id", &text)]).await?);
                check(&send(&scene, path, &[("client_id", id), ("client_assertion", &text)]).await?);
            }
            check(&send(&scene, "/oauth/token", &[("client_id", id), ("grant_type", &text)]).await?);
            for name in ["scope", "resource", "claims", "redirect_uri", "response_mode", "request", "prompt"] {
                let authorization = scene.client.authorization(None).with(name, Some(&text));
                check(&send(&scene, "/oauth/par", &authorization.form()).await?);
            }
            for name in ["redirect_uris", "scope", "jwks_uri", "token_endpoint_auth_method", "jwks"] {
                let mut metadata = json!({ "redirect_uris": ["https://app.example/cb"] });
                metadata[name] = json!(text);
                let url = scene.app.at("/oauth/register");
                let answer = scene.agent.post_body(&url, "application/json", metadata.to_string()).await?;
                check(&answer);
            }
        }
        scene.still_works().await
    }

    /// Errors that reach the client through the browser.
    async fn hostile_redirects(database) {
        let scene = Scene::set(database).await?;
        // Control characters are refused before it is known where an answer could go.
        for text in hostile().iter().filter(|text| !text.chars().any(char::is_control)) {
            for name in ["scope", "resource", "claims", "request"] {
                let authorization = scene.client.authorization(None).with(name, Some(text));
                let answer = scene.agent.get(&authorization.url(&scene.app.issuer)).await?;
                let description = answer.redirect_param("error_description").expect("a description");
                assert!(is_tame(&description), "{name} {text:?}: {description}");
            }
        }
        Ok(())
    }

    /// Challenges of resources, and of the token endpoint.
    async fn hostile_challenges(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let narrow = scene.client.clone();
        let narrow = OauthClient { scope: "atproto".to_owned(), ..narrow };
        let narrow = narrow.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        for text in hostile().iter().filter(|text| text.len() < 4000) {
            let escaped: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            for token in [&tokens.access_token, &narrow.access_token] {
                for path in [format!("a.b.c{escaped}"), format!("com.atproto.repo.listRecords?collection={escaped}")] {
                    let answer = scene.agent.send(scene.xrpc("POST", &path, token).body("{}")).await?;
                    if answer.status != 200 {
                        check(&answer);
                    }
                }
            }
            let url = scene.app.at("/oauth/token");
            let basic = scene.agent.request("POST".parse()?, &url).basic_auth(&escaped, Some(&escaped));
            check(&scene.agent.send(basic.form(&[("grant_type", "refresh_token")])).await?);
        }
        for content_type in ["video/mp4", "video/\"x\\y\""] {
            let upload = scene.xrpc("POST", "com.atproto.repo.uploadBlob", &narrow.access_token);
            let refused = scene.agent.send(upload.header("content-type", content_type).body("x")).await?;
            check(&refused);
            assert_eq!(refused.refusal(), "403 insufficient_scope", "{refused:?}");
            assert!(refused.header("www-authenticate").contains(", scope=\"blob:"), "{refused:?}");
        }
        Ok(())
    }
}
