//! Errors and malformed parameters in a PDS's callback.

use anyhow::Result;
use causeway_testkit::{Agent, Answer, Authorization, Tokens, User as _, decide};

use crate::support::{HANDLE, Scene, on_each_database};

const REQUIRED: [&str; 4] =
    ["account_selection_required", "login_required", "interaction_required", "consent_required"];

/// To the PDS and back: what we answer to its callback.
async fn go_and_return(scene: &Scene, request: &Authorization) -> Result<Answer> {
    let away = scene.agent.get(&request.url(&scene.app.issuer)).await?.location()?;
    scene.agent.get(&scene.upstream.approve(&away).await?).await
}

/// The `prompt` of the last pushed request.
fn prompt(scene: &Scene) -> Option<String> {
    scene.upstream.last_pushed().get("prompt").cloned()
}

on_each_database! {
    /// A PDS that has to show something is asked once more to do so, and the sign-in goes on.
    async fn a_pds_that_wants_to_be_asked_again(database) {
        let scene = Scene::set(database).await?;
        for at_par in [false, true] {
            for (asked, sent, error) in [("select_account", "select_account", REQUIRED[0]), ("", "", REQUIRED[1]), ("", "", REQUIRED[2])] {
                scene.upstream.script(|script| {
                    script.prompts_at_par = at_par;
                    script.prompts = [(sent, error)].into();
                });
                let request = scene.client.authorization(Some(HANDLE)).with("prompt", Some(asked).filter(|asked| !asked.is_empty()));
                let mut answer = go_and_return(&scene, &request).await?;
                assert_eq!(prompt(&scene).as_deref(), Some("login"), "{error}");
                if !at_par {
                    let again = answer.location()?;
                    assert!(again.starts_with(&scene.upstream.origin), "{again}");
                    answer = scene.agent.get(&scene.upstream.approve(&again).await?).await?;
                }
                let answer = decide(&scene.agent, &answer.location()?, "allow").await?;
                let code = answer.redirect_param("code").unwrap_or_else(|| panic!("{error}: {answer:?}"));
                Tokens::read(&scene.client.redeem(&scene.agent, &code, &request.verifier).await?)?;
            }
            scene.upstream.script(|script| script.prompts = [("", "consent_required")].into());
            go_and_return(&scene, &scene.client.authorization(Some(HANDLE))).await?;
            assert_eq!(prompt(&scene).as_deref(), Some("consent"));
            // A request for fresh authentication is never weakened.
            scene.upstream.script(|script| script.prompts = [("login", "consent_required")].into());
            let request = scene.client.authorization(Some(HANDLE)).with("max_age", Some("0"));
            let _ = scene.agent.get(&request.url(&scene.app.issuer)).await?;
            assert_eq!(prompt(&scene).as_deref(), Some("login"));
        }
        Ok(())
    }

    /// One that insists is believed after that: the client learns its own word, never that we have failed.
    async fn a_pds_that_insists(database) {
        let scene = Scene::set(database).await?;
        for error in REQUIRED {
            scene.upstream.script(|script| {
                script.prompts = ["", "login", "consent", "select_account"].map(|prompt| (prompt, error)).into();
            });
            let request = scene.client.authorization(Some(HANDLE));
            let again = go_and_return(&scene, &request).await?.location()?;
            let answer = scene.agent.get(&scene.upstream.approve(&again).await?).await?;
            assert_eq!(answer.redirect_param("error").as_deref(), Some(error), "{answer:?}");
            assert_eq!(answer.redirect_param("state"), Some(request.state), "{answer:?}");
        }
        assert_eq!(scene.sessions().await?, 0);
        Ok(())
    }

    /// The callback of another server than the one that was asked begins nothing.
    async fn only_the_server_that_was_asked(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.script(|script| {
            script.iss = Some("https://evil.example".to_owned());
            script.prompts = [("", "login_required")].into();
        });
        let answer = go_and_return(&scene, &scene.client.authorization(Some(HANDLE))).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"), "{answer:?}");
        assert_eq!(scene.upstream.hits("par"), 1);
        Ok(())
    }

    /// Whatever a server writes beside and into its answer: nobody is shown a page that blames the app.
    async fn odd_characters_in_an_answer(database) {
        let scene = Scene::set(database).await?;
        for junk in ["&error_description=two%0Alines", "&x=%00", "&%0A=1", "&error_uri=%ff%fe", "&x=1&x=2", "&=", "&%zz=%4"] {
            let request = scene.client.authorization(Some(HANDLE));
            let away = scene.agent.get(&request.url(&scene.app.issuer)).await?.location()?;
            let back = format!("{}{junk}", scene.upstream.approve(&away).await?);
            let answer = scene.agent.get(&back).await?;
            assert!(answer.location().is_ok_and(|location| location.contains("/oauth/consent?")), "{junk}: {answer:?}");
        }
        // In parameters that are used: removed, and if the parameter is then unusable, the client gets an
        // error.
        let back = async |change: &dyn Fn(String) -> String| {
            let request = scene.client.authorization(Some(HANDLE));
            let away = scene.agent.get(&request.url(&scene.app.issuer)).await?.location()?;
            let url = change(scene.upstream.approve(&away).await?);
            anyhow::Ok((scene.agent.get(&url).await?, request))
        };
        let harmless: [fn(String) -> String; 3] =
            [|url| url.replace("code=", "code=%0A"), |url| url + "%0D%0A", |url| url.replace("iss=", "iss=%09")];
        for change in harmless {
            let (answer, _) = back(&change).await?;
            assert!(answer.location().is_ok_and(|location| location.contains("/oauth/consent?")), "{answer:?}");
        }
        let fatal: [fn(String) -> String; 4] = [
            |url| url.replace("code=", "error=no%0Asuch%00thing&not="),
            |url| url.replace("code=", "not="),
            |url| url + "&code=another",
            |url| url + "&iss=https%3A%2F%2Fevil.example",
        ];
        for change in fatal {
            let (answer, request) = back(&change).await?;
            assert!(answer.redirect_param("error").is_some(), "{answer:?}");
            assert_eq!(answer.redirect_param("state"), Some(request.state), "{answer:?}");
        }
        // Without a valid state the client is unknown, so the error is shown.
        let nobody = Agent::default().get(&scene.app.at("/oauth/atp/callback?state=%0A&code=%0A")).await?;
        assert_eq!(nobody.status, 400);
        assert!(nobody.text.contains("nonce_invalid_or_reused") && !nobody.text.contains("The app that sent"), "{}", nobody.text);
        Ok(())
    }
}
