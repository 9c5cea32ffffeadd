//! Everything advertised in the metadata is served.

use crate::support::{Scene, on_each_database};

on_each_database! {
    /// Every endpoint of the metadata document answers something other than 404, the issuer is exact,
    /// and nothing is advertised that is not there yet.
    async fn is_true(database) {
        let scene = Scene::set(database).await?;
        let answer = scene.agent.get(&scene.app.at("/.well-known/oauth-authorization-server")).await?;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        let document = answer.json();
        assert_eq!(document["issuer"], scene.app.issuer.as_str());
        let urls = document.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"));
        let mut seen = 0;
        for (name, url) in urls {
            let url = url.as_str().unwrap();
            assert!(url.starts_with(&scene.app.issuer), "{name}");
            assert_ne!(scene.agent.get(url).await?.status, 404, "{name}");
            seen += 1;
        }
        assert_eq!(seen, 10);
        let openid = scene.agent.get(&scene.app.at("/.well-known/openid-configuration")).await?;
        assert_eq!(openid.json(), document);
        let scopes = document["scopes_supported"].as_array().unwrap();
        for scope in ["atproto", "transition:generic", "openid", "profile", "email", "offline_access"] {
            assert!(scopes.contains(&scope.into()), "{scope}");
        }
        let grants = document["grant_types_supported"].as_array().unwrap();
        assert!(grants.contains(&"urn:ietf:params:oauth:grant-type:token-exchange".into()));
        let resource = scene.agent.get(&scene.app.at("/.well-known/oauth-protected-resource")).await?.json();
        assert_eq!(resource["resource"], scene.app.issuer.as_str());
        let mut of_resource: Vec<_> = resource["scopes_supported"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
        of_resource.sort_unstable();
        assert_eq!(of_resource, ["atproto", "offline_access", "openid", "profile"], "some clients ask for all that is listed here");
        assert_eq!(resource["authorization_servers"][0], scene.app.issuer.as_str());
        let challenge = scene.agent.get(&scene.app.at("/api/session")).await?;
        let way = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource\"", scene.app.issuer);
        assert!(challenge.header("www-authenticate").contains(&way), "{challenge:?}");
        for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/nowhere", 404), ("/oauth-client-metadata.json", 404), ("/oauth-client-metadata/transition/generic.json", 404)] {
            assert_eq!(scene.agent.get(&scene.app.at(path)).await?.status, status, "{path}");
        }
        let wrong_method = scene.agent.get(&scene.app.at("/oauth/token")).await?;
        assert_eq!(wrong_method.status, 405);
        assert_eq!(wrong_method.header("allow"), "POST");
        Ok(())
    }

    /// OpenID Connect Discovery section 3, RFC 8414 sections 2 and 3.2: what has to be there is, and what is
    /// there says something.
    async fn what_has_to_be_there(database) {
        let scene = Scene::set(database).await?;
        let document = scene.agent.get(&scene.app.at("/.well-known/openid-configuration")).await?.json();
        for name in ["issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
            assert!(document[name].is_string(), "{name}");
        }
        for (name, value) in [
            ("response_types_supported", "code"),
            ("subject_types_supported", "public"),
            ("id_token_signing_alg_values_supported", "RS256"),
            ("token_endpoint_auth_methods_supported", "private_key_jwt"),
            ("token_endpoint_auth_signing_alg_values_supported", "RS256"),
            ("code_challenge_methods_supported", "S256"),
            ("dpop_signing_alg_values_supported", "ES256"),
        ] {
            assert!(document[name].as_array().is_some_and(|values| values.contains(&value.into())), "{name}");
        }
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        for (name, values) in document.as_object().unwrap() {
            let values = values.as_array();
            assert!(values.is_none_or(|values| !values.is_empty()), "{name}");
            let unsigned = values.is_some_and(|values| values.contains(&"none".into()));
            assert!(!(unsigned && name.ends_with("_alg_values_supported")), "{name}");
        }
        Ok(())
    }

    /// Endpoints that take a form or a registration accept POST only.
    async fn methods(database) {
        let scene = Scene::set(database).await?;
        for path in ["/oauth/token", "/oauth/par", "/oauth/revoke", "/oauth/introspect", "/oauth/register"] {
            let answer = scene.agent.get(&scene.app.at(path)).await?;
            assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{path}");
        }
        Ok(())
    }
}
