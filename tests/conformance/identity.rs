//! Identity: accepted only with proof (invariants 1 and 2).

use anyhow::Result;
use causeway_testkit::{Answer, ScriptedUpstream, User as _};

use crate::support::{DID, HANDLE, OTHER_DID, Scene, on_each_database};

/// Signs in up to our answer to the callback.
async fn come_back(scene: &Scene, hint: &str) -> Result<Answer> {
    let start = scene.client.authorization(Some(hint)).url(&scene.app.issuer);
    let to_upstream = scene.agent.get(&start).await?.location()?;
    scene.agent.get(&scene.upstream.approve(&to_upstream).await?).await
}

async fn denied(scene: &Scene, answer: &Answer) -> Result<()> {
    assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"), "{answer:?}");
    assert_eq!(scene.sessions().await?, 0, "nothing is stored");
    Ok(())
}

on_each_database! {
    /// The callback must come from the server that was asked (RFC 9207).
    async fn another_issuer(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.script(|script| script.iss = Some("https://evil.example".to_owned()));
        denied(&scene, &come_back(&scene, HANDLE).await?).await?;
        assert_eq!(scene.upstream.hits("token"), 0, "the code went nowhere");
        scene.upstream.script(|script| script.iss = None);
        scene.still_works().await
    }

    /// A server that vouches for an account which was not asked for.
    async fn another_account(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.add_account("bob.test", OTHER_DID);
        scene.upstream.script(|script| script.sub = Some(OTHER_DID.to_owned()));
        denied(&scene, &come_back(&scene, HANDLE).await?).await?;
        assert_eq!(scene.upstream.live_grants(), 0, "the tokens were given back");
        scene.upstream.script(|script| script.sub = None);
        scene.still_works().await
    }

    /// A hostile server, asked by its address, vouches for an account that lives elsewhere.
    async fn foreign_account(database) {
        let scene = Scene::set(database).await?;
        let hostile = ScriptedUpstream::start("mallory.test", OTHER_DID)?;
        hostile.script(|script| script.sub = Some(DID.to_owned()));
        let start = scene.client.authorization(Some(&hostile.origin)).url(&scene.app.issuer);
        let to_upstream = scene.agent.get(&start).await?.location()?;
        assert!(to_upstream.starts_with(&hostile.origin));
        let answer = scene.agent.get(&hostile.approve(&to_upstream).await?).await?;
        denied(&scene, &answer).await?;
        scene.still_works().await
    }

    /// A server asked by its address may vouch for an account of its own.
    async fn by_server_address(database) {
        let scene = Scene::set(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, &scene.upstream.origin).await?;
        assert_eq!(tokens.answer["sub"], DID);
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &tokens.access_token).await?.json();
        assert_eq!(userinfo["preferred_username"], HANDLE);
        Ok(())
    }

    /// OpenID Connect Core section 2: a `sub` has 255 ASCII characters at most. A `did:web` may be longer: nobody signs in
    /// with one, however they come by it.
    async fn longer_than_a_sub(database) {
        let scene = Scene::set(database).await?;
        let did = |letters: usize| {
            let label = "a".repeat(61);
            format!("did:web:{label}.{label}.{label}.{}.test", "b".repeat(letters))
        };
        let (fits, long) = (did(56), did(57));
        assert_eq!((fits.len(), long.len()), (255, 256));
        scene.upstream.add_account("long.test", &long);
        for typed in [&long, "long.test"] {
            let page = scene.agent.get(&scene.client.authorization(Some(typed)).url(&scene.app.issuer)).await?;
            assert_eq!(page.status, 400, "{page:?}");
            assert!(page.text.contains("longer than 255 characters"), "{page:?}");
        }
        let page = scene.agent.get(&scene.client.authorization(Some(&fits)).url(&scene.app.issuer)).await?;
        assert!(!page.text.contains("longer than 255 characters"), "it was looked up: {page:?}");

        scene.upstream.script(|script| script.sub = Some(long.clone()));
        let answer = come_back(&scene, &scene.upstream.origin).await?;
        let description = answer.redirect_param("error_description").expect("a description");
        assert!(description.contains("255 characters"), "{description}");
        denied(&scene, &answer).await?;
        assert_eq!(scene.upstream.live_grants(), 0, "the tokens were given back");
        scene.upstream.script(|script| script.sub = None);
        scene.still_works().await
    }

    /// The account's PDS names another authorization server than the one that answered.
    async fn pds_names_another_server(database) {
        let scene = Scene::set(database).await?;
        let other = ScriptedUpstream::start("x.test", OTHER_DID)?;
        let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
        let callback = scene.upstream.approve(&scene.agent.get(&start).await?.location()?).await?;
        let elsewhere = vec![other.origin.clone()];
        scene.upstream.script(|script| script.authorization_servers = Some(elsewhere));
        scene.app.clock.advance(400); // past the cache
        denied(&scene, &scene.agent.get(&callback).await?).await?;
        scene.upstream.script(|script| script.authorization_servers = None);
        scene.app.clock.advance(400);
        scene.still_works().await
    }

    /// A typed handle must be the account's own; a typed DID signs in without the handle.
    async fn handle_does_not_point_back(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.script(|script| script.also_known_as = Some("somebody-else.test".to_owned()));
        let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
        let page = scene.agent.get(&start).await?;
        assert_eq!(page.status, 400);
        assert!(page.text.contains("role=\"alert\""));
        assert_eq!(scene.upstream.hits("par"), 0);

        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, DID).await?;
        let userinfo = scene.agent.get_with(&scene.app.at("/oauth/userinfo"), &tokens.access_token).await?.json();
        assert_eq!((&userinfo["sub"], userinfo.get("preferred_username")), (&DID.into(), None));
        Ok(())
    }

    /// An answer whose scope lacks `atproto` is not a sign-in.
    async fn no_atproto_scope(database) {
        let scene = Scene::set(database).await?;
        scene.upstream.script(|script| script.scope = Some("transition:generic".to_owned()));
        let answer = come_back(&scene, HANDLE).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("server_error"));
        assert_eq!(scene.sessions().await?, 0);
        Ok(())
    }
}
