//! Pages use the language of their reader.

use causeway_testkit::{Agent, Answer};

use crate::support::{HANDLE, Scene, on_each_database};

/// GET as a browser whose owner reads these languages.
async fn get(agent: &Agent, url: &str, languages: &str) -> anyhow::Result<Answer> {
    agent.send(agent.request("GET".parse()?, url).header("accept-language", languages)).await
}

/// The language that a page says it is in.
fn lang(page: &Answer) -> &str {
    let (_, rest) = page.text.split_once("<html lang=\"").unwrap_or_else(|| panic!("no page: {page:?}"));
    rest.split('"').next().unwrap_or_default()
}

on_each_database! {
    /// RFC 9110 section 12.5.4: by weight, English when we speak none of them; errors too.
    async fn of_the_browser(database) {
        let scene = Scene::set(database).await?;
        let sign_in = scene.client.authorization(None).url(&scene.app.issuer);
        let error = scene.app.at("/oauth/authorize?client_id=nobody");
        let home = scene.app.at("/");
        for url in [&sign_in, &error, &home] {
            for (languages, expected) in [("", "en"), ("fr,de-AT;q=0.4,en;q=0.3", "de"), ("en,de;q=0.9", "en"), ("fr", "en")] {
                let page = get(&scene.agent, url, languages).await?;
                assert_eq!(lang(&page), expected, "{languages} {url}");
                assert_eq!(page.header("vary"), "Accept-Language", "{url}");
            }
        }
        let refused = get(&scene.agent, &error, "de").await?;
        assert!(refused.text.contains("Diese Anfrage ist ungültig"), "{}", refused.text);
        assert!(refused.text.contains("<span lang=\"en\">No client is registered under this client_id"), "{}", refused.text);
        Ok(())
    }

    /// OpenID Connect Core section 3.1.2.1: a client's `ui_locales` wins, on every page of its request,
    /// and is never a reason to refuse.
    async fn of_the_client(database) {
        let scene = Scene::set(database).await?;
        let asked = |locales: &str, hint| scene.client.authorization(hint).with("ui_locales", Some(locales));
        let page = get(&scene.agent, &asked("fr de", None).url(&scene.app.issuer), "en").await?;
        assert_eq!(lang(&page), "de");
        for locales in ["fr", &"x".repeat(500)] {
            let page = get(&scene.agent, &asked(locales, None).url(&scene.app.issuer), "de").await?;
            assert_eq!((page.status, lang(&page)), (200, "de"));
        }

        let authorization = asked("de", Some(HANDLE));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let page = get(&scene.agent, &consent, "en").await?;
        assert_eq!(lang(&page), "de");

        let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &asked("de", None).form()).await?.json();
        let request_uri = pushed["request_uri"].as_str().unwrap();
        let query = [("client_id", &*scene.client.client_id), ("request_uri", request_uri)];
        let url = url::Url::parse_with_params(&scene.app.at("/oauth/authorize"), query)?;
        assert_eq!(lang(&get(&scene.agent, url.as_str(), "en").await?), "de");

        let refused = asked("de", None).with("response_mode", Some("form_post")).with("scope", Some("repo:nonsense"));
        assert_eq!(lang(&get(&scene.agent, &refused.url(&scene.app.issuer), "en").await?), "de");
        let metadata = scene.agent.get(&scene.app.at("/.well-known/openid-configuration")).await?.json();
        assert_eq!(metadata["ui_locales_supported"], serde_json::json!(["en", "de"]));
        Ok(())
    }
}
