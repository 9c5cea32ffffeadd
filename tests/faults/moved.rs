//! An account moves to another PDS while a session is in use: cached identity data is resolved again when
//! something no longer matches, not only when it expires.

use anyhow::Result;
use causeway_flow::upstream::keeper::refresh_upstream;
use causeway_testkit::ScriptedUpstream;
use serde_json::json;

use crate::support::{DID, HANDLE, Scene, on_each_database};

/// A second PDS, which has the account, too.
fn other_pds() -> Result<ScriptedUpstream> {
    ScriptedUpstream::start(HANDLE, DID)
}

/// The account is on that PDS from now on. The directory is the first upstream's.
fn moves_to(scene: &Scene, pds: &ScriptedUpstream) {
    let to = pds.origin.clone();
    scene.upstream.script(|script| script.pds = Some(to));
}

/// Signs in again, and says at which server.
async fn signs_in_at(scene: &Scene) -> Result<String> {
    let start = scene.client.authorization(Some(HANDLE)).url(&scene.app.issuer);
    let location = scene.agent.get(&start).await?.location()?;
    Ok(location.split("/oauth/").next().unwrap_or_default().to_owned())
}

on_each_database! {
    /// To another authorization server: the old one refuses the tokens. The session ends at once, and a
    /// sign-in goes to the new server.
    async fn to_another_server(database) {
        let scene = Scene::set(database).await?;
        let pds = other_pds()?;
        let token = scene.access_token().await?;
        assert_eq!(scene.read(&token).await?.status, 200);
        moves_to(&scene, &pds);
        scene.upstream.script(|script| script.refuses_tokens = true);
        let refreshes = scene.upstream.hits("token");
        let answer = scene.read(&token).await?;
        assert_eq!(answer.refusal(), "401 reauth_required", "{answer:?}");
        assert_eq!((scene.upstream.hits("token"), pds.hits("token")), (refreshes, 0), "its tokens go nowhere");
        assert!(pds.calls().is_empty());
        assert_eq!(signs_in_at(&scene).await?, pds.origin);
        let tokens = scene.client.sign_in(&scene.agent, &pds, HANDLE).await?;
        assert_eq!(scene.read(&tokens.access_token).await?.status, 200);
        assert_eq!(pds.calls().len(), 1);
        Ok(())
    }

    /// The old PDS is down for good: nothing was sent, and the DID document says where to ask.
    async fn from_a_server_that_is_gone(database) {
        let scene = Scene::set(database).await?;
        let (first, second) = (other_pds()?, other_pds()?);
        moves_to(&scene, &first);
        let token = scene.client.sign_in(&scene.agent, &first, HANDLE).await?.access_token;
        assert_eq!(scene.read(&token).await?.status, 200);
        first.stop().await;
        assert_eq!(scene.read(&token).await?.refusal(), "503 upstream_unavailable", "it may come back");
        moves_to(&scene, &second);
        scene.app.clock.advance(60);
        assert_eq!(scene.read(&token).await?.refusal(), "401 reauth_required");
        assert_eq!(signs_in_at(&scene).await?, second.origin);
        Ok(())
    }

    /// A user who has moved and signs in right away, without any call in between, is sent to the new server;
    /// a change in the old PDS's metadata counts as well.
    async fn sign_in_follows_at_once(database) {
        let scene = Scene::set(database).await?;
        let pds = other_pds()?;
        scene.access_token().await?;
        moves_to(&scene, &pds);
        assert_eq!(signs_in_at(&scene).await?, pds.origin);
        scene.client.sign_in(&scene.agent, &pds, HANDLE).await?;
        // And back: what is cached of the move does not end a session that began after it.
        scene.upstream.script(|script| script.pds = None);
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_eq!(scene.read(&tokens.access_token).await?.status, 200);
        Ok(())
    }

    /// The PDS has another authorization server now, which the user names. What is cached of the old one is looked up
    /// again before the account counts as one of another server.
    async fn the_user_names_the_new_server(database) {
        let scene = Scene::set(database).await?;
        let server = other_pds()?;
        scene.access_token().await?;
        let issuer = server.origin.clone();
        scene.upstream.script(|script| {
            script.authorization_servers = Some(vec![issuer]);
            script.takes_foreign_tokens = true;
        });
        let tokens = scene.client.sign_in(&scene.agent, &server, &server.origin).await?;
        assert_eq!(tokens.answer["sub"], DID);
        assert_eq!(scene.read(&tokens.access_token).await?.status, 200);
        Ok(())
    }

    /// Between hosts of one authorization server: the session goes on, at the new host, whatever the old one says.
    async fn between_hosts_of_one_server(database) {
        let scene = Scene::set(database).await?;
        let host = other_pds()?;
        let issuer = scene.upstream.origin.clone();
        host.script(|script| {
            script.authorization_servers = Some(vec![issuer]);
            script.takes_foreign_tokens = true;
        });
        let token = scene.access_token().await?;
        assert_eq!(scene.read(&token).await?.status, 200);
        moves_to(&scene, &host);
        scene.upstream.script(|script| script.refuses_tokens = true);
        assert_eq!(scene.read(&token).await?.status, 200);
        assert_eq!(host.calls().len(), 1);
        let session = scene.agent.get_with(&scene.app.at("/api/session"), &token).await?.json();
        assert_eq!((&session["session_state"], &session["pds"]), (&json!("active"), &json!(host.origin)));
        assert_eq!(scene.read(&token).await?.status, 200);
        assert_eq!(scene.upstream.hits("token"), 2, "one refresh, and no more");
        Ok(())
    }

    /// Another process has seen where the account was for a while. That is not enough to end a session that lives.
    async fn what_another_process_remembers(database) {
        let scene = Scene::set(database).await?;
        let other = scene.beside(database).await?;
        let pds = other_pds()?;
        moves_to(&scene, &pds);
        let there = scene.client.sign_in(&scene.agent, &pds, HANDLE).await?.access_token;
        refresh_upstream(&other.ctx, &other.bearer(&there).await?).await?;
        scene.upstream.script(|script| script.pds = None);
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        scene.app.clock.advance(200);
        let refreshed = refresh_upstream(&other.ctx, &other.bearer(&tokens.access_token).await?).await?;
        assert_eq!(refreshed.iteration, 2);
        Ok(())
    }
}
