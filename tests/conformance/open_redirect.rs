//! RFC 9700 section 4.11.2: a link of ours leads nobody to a site that anybody could have registered, before they have
//! signed in or decided to go there.

use anyhow::Result;
use causeway_testkit::{Agent, Answer, Authorization, OauthClient};
use serde_json::json;

use crate::support::{HANDLE, Scene, enter, on_each_database};

const SITE: &str = "https://app.example/cb";

/// A client that has registered itself, with a site of its own.
async fn stranger(scene: &Scene) -> Result<OauthClient> {
    let metadata = json!({ "redirect_uris": [SITE] });
    let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
    Ok(OauthClient { redirect_uri: SITE.to_owned(), ..client })
}

/// A request that nobody can answer with a sign-in.
fn wrong(client: &OauthClient) -> Authorization {
    client.authorization(Some(HANDLE)).with("response_type", Some("token"))
}

/// By whom nothing is known.
async fn ask(scene: &Scene, authorization: &Authorization) -> Result<Answer> {
    Agent::default().get(&authorization.url(&scene.app.issuer)).await
}

fn is_redirect(answer: &Answer) {
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(answer.redirect_param("error").as_deref(), Some("unsupported_response_type"), "{answer:?}");
}

on_each_database! {
    /// A page says what is wrong and where the app wants to be told: the person decides.
    async fn errors_of_strangers(database) {
        let scene = Scene::set(database).await?;
        let client = stranger(&scene).await?;
        let authorization = wrong(&client);
        let page = ask(&scene, &authorization).await?;
        assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");
        let link = format!("href=\"{SITE}?error=unsupported_response_type&#38;error_description=");
        assert!(page.text.contains(&link) && page.text.contains("Go on to app.example"), "{}", page.text);
        assert!(page.text.contains(&format!("&#38;state={}&#38;", authorization.state)), "{}", page.text);
        assert!(page.text.contains("response_type is not supported"), "{}", page.text);

        let form = wrong(&client).with("response_mode", Some("form_post"));
        let page = ask(&scene, &form).await?;
        assert_eq!(page.status, 400);
        assert!(page.text.contains(&format!("<form method=\"post\" action=\"{SITE}\"")), "{}", page.text);
        assert!(!page.text.contains("<script"), "it waits for the person: {}", page.text);
        assert!(!page.header("content-security-policy").contains("form-action"));
        Ok(())
    }

    /// Who may not be shown anything, whose app runs on this device, who is signed in here, and whose app the operator
    /// has entered is sent on as RFC 6749 section 4.1.2.1 says.
    async fn errors_that_are_redirected(database) {
        let scene = Scene::set(database).await?;
        let client = stranger(&scene).await?;
        is_redirect(&ask(&scene, &wrong(&client).with("prompt", Some("none"))).await?);
        is_redirect(&ask(&scene, &wrong(&scene.client)).await?);

        let before = scene.agent.get(&wrong(&client).url(&scene.app.issuer)).await?;
        assert_eq!(before.status, 400, "{before:?}");
        scene.still_works().await?;
        is_redirect(&scene.agent.get(&wrong(&client).url(&scene.app.issuer)).await?);
        assert_eq!(ask(&scene, &wrong(&client)).await?.status, 400, "in another browser nobody is signed in");

        let known = stranger(&scene).await?;
        enter(&scene.app, &known).await?;
        is_redirect(&ask(&scene, &wrong(&known)).await?);
        Ok(())
    }
}
