//! `/oauth/register` (RFC 7591).

use serde_json::{Value, json};

use crate::support::{Scene, on_each_database};

on_each_database! {
    /// The answer repeats what was registered and hands out a secret once, to those that have one.
    async fn answers(database) {
        let scene = Scene::set(database).await?;
        let url = scene.app.at("/oauth/register");
        let register = |body: Value| scene.agent.post_body(&url, "application/json", body.to_string());
        let answer = register(json!({"redirect_uris": ["https://app.example/cb"], "client_name": "App", "logo_uri": "https://app.example/l"})).await?;
        assert_eq!(answer.status, 201);
        let body = answer.json();
        assert_eq!(body["token_endpoint_auth_method"], "client_secret_basic");
        assert!(body["client_secret"].as_str().unwrap().starts_with("cw_cs_"));
        assert_eq!(body["client_secret_expires_at"], 0);
        assert_eq!(body["grant_types"], json!(["authorization_code"]));
        assert_eq!(body["response_types"], json!(["code"]));
        assert_eq!((&body["client_name"], &body["logo_uri"]), (&json!("App"), &json!("https://app.example/l")));
        let public = register(json!({"redirect_uris": ["com.example.app:/cb"], "token_endpoint_auth_method": "none"})).await?.json();
        assert_eq!((public.get("client_secret"), public["client_id"].is_string()), (None, true));

        for (body, refusal) in [
            (json!({}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["http://evil.example/cb"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["javascript:alert(1)"]}), "400 invalid_redirect_uri"),
            (json!({"redirect_uris": ["https://a.example"], "scope": "nonsense"}), "400 invalid_client_metadata"),
            (json!({"redirect_uris": "https://a.example"}), "400 invalid_client_metadata"),
            (json!({"redirect_uris": ["https://a.example"], "token_endpoint_auth_method": "private_key_jwt"}), "400 invalid_client_metadata"),
        ] {
            assert_eq!(register(body.clone()).await?.refusal(), refusal, "{body}");
        }
        Ok(())
    }
}
