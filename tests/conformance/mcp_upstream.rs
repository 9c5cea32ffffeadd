//! Connections at MCP servers: discovery, registration, authorization, refresh, and calls with the server's own token.

use anyhow::Result;
use causeway_flow::connection::coalesce::AskedBy;
use causeway_flow::connection::error::UseError;
use causeway_flow::connection::mcp::{self, McpAccess, Need, PromptError, demanded_scopes};
use causeway_flow::upstream::relay::RelayError;
use causeway_flow::upstream::session::SessionError;
use causeway_testkit::{Agent, Fault, MetadataPlace};
use futures_util::future::try_join_all;

use crate::support::connecting::{PROVIDER, press};
use crate::support::mcp::{McpScene, like};
use crate::support::{OTHER_DID, OTHER_HANDLE, count, on_each_database};

/// A change of what the server does.
type Change = fn(&mut causeway_testkit::McpScript);

fn needs_reauth(outcome: &Result<causeway_flow::upstream::relay::RelayAnswer, UseError>) -> bool {
    matches!(outcome, Err(UseError::Relay(RelayError::Session(SessionError::ReauthRequired { .. }))))
}

on_each_database! {
    /// From the first need to a call: one registration, the resource byte for byte in both requests, PKCE, and a call with
    /// the server's own token.
    async fn a_user_connects_and_calls(database) {
        let scene = McpScene::set(database).await?;
        let user = scene.user().await?;
        assert!(matches!(mcp::find_for(&scene.app.ctx, &user, PROVIDER).await?, McpAccess::None));
        scene.connect().await?;
        assert_eq!(scene.mcp.registered(), 1);
        assert_eq!(scene.last("register", "application_type").as_deref(), Some("web"));
        let resource = Some(scene.mcp.url());
        assert_eq!(scene.last("authorize", "resource"), resource);
        assert_eq!(scene.last("token", "resource"), resource);
        assert_eq!(scene.last("authorize", "scope").as_deref(), Some("tools:read offline_access"));
        assert_eq!(scene.last("authorize", "code_challenge_method").as_deref(), Some("S256"));
        scene.works().await?;
        let seen = scene.mcp.seen("mcp");
        let call = seen.last().unwrap();
        assert_eq!(call.parameters["method"], "tools/list");
        assert!(call.authorization.as_ref().unwrap().starts_with("Bearer access-"), "{call:?}");
        let dump = scene.app.store().read(causeway_store::testing::dump_text).await?;
        assert!(!scene.mcp.secrets().iter().any(|secret| dump.contains(secret)), "a secret is in the clear");
        Ok(())
    }

    /// Another client of the same user uses the connection once they consent, and nobody goes to the provider again; a client
    /// of another user never does.
    async fn clients_of_one_user_share_a_connection(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        let other = scene.another_client().await?;
        let user = scene.user_of(&other, crate::support::DID).await?;
        let found = mcp::find_for(&scene.app.ctx, &user, PROVIDER).await?;
        let McpAccess::NotGranted(id) = found else { anyhow::bail!("{found:?}") };
        let stranger = scene.user_of(&other, OTHER_DID).await?;
        assert!(matches!(mcp::find_for(&scene.app.ctx, &stranger, PROVIDER).await?, McpAccess::None));
        assert!(matches!(mcp::find_by_id(&scene.app.ctx, &stranger, &id).await?, McpAccess::None));
        assert!(!mcp::grant_access(&scene.app.ctx, &stranger, &id).await?);
        assert!(mcp::grant_access(&scene.app.ctx, &user, &id).await?);
        assert!(matches!(mcp::find_for(&scene.app.ctx, &user, PROVIDER).await?, McpAccess::Ready(_)));
        assert!(matches!(mcp::find_by_id(&scene.app.ctx, &user, &id).await?, McpAccess::Ready(_)));
        assert_eq!(scene.mcp.seen("authorize").len(), 1);
        Ok(())
    }

    /// Metadata at the root, and the revision without any: default endpoints at the origin, and no resource.
    async fn metadata_is_found_where_servers_have_it(database) {
        let scene = McpScene::set(database).await?;
        scene.mcp.script(|script| script.place = MetadataPlace::Root);
        scene.connect().await?;
        assert_eq!(scene.last("token", "resource"), Some(scene.mcp.url()));

        let fresh = like(database);
        let scene = McpScene::set(&fresh).await?;
        scene.mcp.script(|script| {
            (script.place, script.has_server_metadata) = (MetadataPlace::Nowhere, false);
            script.issuer = String::new();
            script.names_issuer = false;
        });
        scene.connect().await?;
        assert_eq!(scene.mcp.seen("token").last().unwrap().target, "POST /token");
        assert_eq!(scene.last("authorize", "resource"), None);
        scene.works().await?;
        Ok(())
    }

    /// Metadata that must not be used is not: nobody is sent anywhere, and the page names the reason.
    async fn bad_metadata_ends_before_the_browser_leaves(database) {
        let cases: [(&str, Change); 7] = [
            ("discovery_failed", |script| script.issuer_name = Some("http://127.0.0.1:1/as".to_owned())),
            ("discovery_failed", |script| script.has_pkce = false),
            ("discovery_failed", |script| script.resource_name = Some("https://other.example/mcp".to_owned())),
            ("discovery_failed", |script| {
                script.authorization_endpoint = Some("https://u:p@a.example/authorize".to_owned());
            }),
            ("discovery_failed", |script| script.has_server_metadata = false),
            ("client_id_required", |script| script.registers = false),
            ("registration_failed", |script| script.registration = Fault::Status(400)),
        ];
        for (code, change) in cases {
            let fresh = like(database);
            let scene = McpScene::set(&fresh).await?;
            scene.mcp.script(change);
            let prompt = scene.prompt(Need::Connection, AskedBy::Hand).await?;
            let page = scene.leave(&prompt).await?;
            assert!(page.status == 502 && page.text.contains(code), "{code}: {page:?}");
            assert!(scene.mcp.seen("token").is_empty());
        }
        Ok(())
    }

    /// A failure that may pass stops discovery: nothing is fallen back to, and the user can try again.
    async fn what_may_pass_stops_discovery(database) {
        let cases: [(&[&str], Change); 3] = [
            (&["resource", "server", "register"], |script| script.mcp = Fault::Status(503)),
            (&["server", "register"], |script| script.resource = Fault::Status(429)),
            (&["register"], |script| script.server = Fault::Status(500)),
        ];
        for (unasked, change) in cases {
            let fresh = like(database);
            let scene = McpScene::set(&fresh).await?;
            scene.mcp.script(change);
            let prompt = scene.prompt(Need::Connection, AskedBy::Hand).await?;
            let page = scene.leave(&prompt).await?;
            assert!(page.status == 502 && page.text.contains("upstream_unavailable"), "{page:?}");
            for endpoint in unasked {
                assert!(scene.mcp.seen(endpoint).is_empty(), "{endpoint}");
            }
            scene.mcp.script(|script| *script = causeway_testkit::McpScript::default());
            assert_eq!(scene.finish(&prompt).await?.status, 200);
        }
        Ok(())
    }

    /// RFC 9207: an issuer that is named has to be the one that was asked; one that is promised has to be named.
    async fn answers_of_another_issuer_are_refused(database) {
        let cases: [(bool, Change); 4] = [
            (false, |script| script.iss = Some("https://other.example".to_owned())),
            (false, |script| script.omits_issuer = true),
            (false, |script| {
                (script.names_issuer, script.iss) = (false, Some("https://other.example".to_owned()));
            }),
            (true, |script| script.names_issuer = false),
        ];
        for (is_taken, change) in cases {
            let fresh = like(database);
            let scene = McpScene::set(&fresh).await?;
            scene.mcp.script(change);
            let prompt = scene.prompt(Need::Connection, AskedBy::Hand).await?;
            let done = scene.finish(&prompt).await?;
            assert_eq!(done.status == 200, is_taken, "{done:?}");
            assert_eq!(scene.mcp.seen("token").len(), usize::from(is_taken));
        }
        Ok(())
    }

    /// The challenge's scope goes before that of the metadata; the scope for refresh tokens is dropped once when it is
    /// refused.
    async fn scopes_come_from_the_challenge(database) {
        let scene = McpScene::set(database).await?;
        scene.mcp.script(|script| {
            script.challenge_scope = Some("files:read".to_owned());
            script.refused_scopes = vec!["offline_access".to_owned()];
        });
        let prompt = scene.prompt(Need::Connection, AskedBy::Hand).await?;
        let again = scene.finish(&prompt).await?.location()?;
        let callback = crate::support::connecting::approve(&again).await?;
        assert_eq!(scene.agent.get(&callback).await?.status, 200);
        let scopes: Vec<_> = scene.mcp.seen("authorize").iter().map(|seen| seen.parameters["scope"].clone()).collect();
        assert_eq!(scopes, ["files:read offline_access", "files:read"]);
        Ok(())
    }

    /// A call that needs more scope leads to one authorization with the union; a server that demands what was granted is not
    /// followed.
    async fn more_scope_is_asked_for_once(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        scene.mcp.script(|script| script.tool_scope = Some("tools:call".to_owned()));
        let answer = scene.call("tools/call").await??;
        let demanded = demanded_scopes(&answer).unwrap();
        assert_eq!(demanded, ["tools:call"]);
        let user = scene.user().await?;
        let McpAccess::Ready(open) = mcp::find_for(&scene.app.ctx, &user, PROVIDER).await? else { anyhow::bail!("none") };
        let id = open.head().session_id.clone();
        let need = Need::Scopes { connection_id: &id, demanded: &demanded };
        let prompt = scene.prompt(need, AskedBy::Itself).await?;
        assert_eq!(scene.finish(&prompt).await?.status, 200);
        assert_eq!(scene.last("authorize", "scope").as_deref(), Some("tools:read offline_access tools:call"));
        assert_eq!(scene.call("tools/call").await??.status(), 200);
        let McpAccess::Ready(open) = mcp::find_for(&scene.app.ctx, &user, PROVIDER).await? else { anyhow::bail!("none") };
        assert_eq!(open.head().session_id, id, "the connection is the same");
        assert!(matches!(scene.prompt(need, AskedBy::Itself).await, Err(PromptError::TooManyStepUps)));
        Ok(())
    }

    /// A server without authorization is connected at once, and called without a token.
    async fn an_open_server_needs_no_authorization(database) {
        let scene = McpScene::set(database).await?;
        scene.mcp.script(|script| (script.is_open, script.place) = (true, MetadataPlace::Nowhere));
        let prompt = scene.prompt(Need::Connection, AskedBy::Hand).await?;
        let back = scene.leave(&prompt).await?.location()?;
        assert!(back.starts_with(&scene.app.issuer), "{back}");
        assert_eq!(scene.agent.get(&back).await?.status, 200);
        scene.works().await?;
        assert!(scene.mcp.all_seen().iter().all(|seen| seen.authorization.is_none()));
        assert!(scene.mcp.seen("token").is_empty() && scene.mcp.seen("register").is_empty());
        Ok(())
    }

    /// A refused token is refreshed once, with the resource, and the call is made again; no discovery asks for more than what
    /// protects the server.
    async fn a_refused_token_is_refreshed(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        scene.mcp.expire_access_tokens();
        scene.mcp.forget();
        scene.works().await?;
        assert_eq!(scene.last("token", "grant_type").as_deref(), Some("refresh_token"));
        assert_eq!(scene.last("token", "resource"), Some(scene.mcp.url()));
        assert_eq!(scene.mcp.seen("token").len(), 1);
        assert!(scene.mcp.seen("authorize").is_empty());
        Ok(())
    }

    /// Once discovery names another issuer, credentials go to neither of the two.
    async fn another_issuer_gets_nothing(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        scene.app.clock.advance(60);
        scene.mcp.script(|script| script.issuer = "/as2".to_owned());
        scene.mcp.expire_access_tokens();
        scene.mcp.forget();
        assert!(needs_reauth(&scene.call("tools/list").await?));
        assert!(scene.mcp.seen("token").is_empty() && scene.mcp.seen("revoke").is_empty());
        let prompt = scene.prompt(Need::Connection, AskedBy::Hand).await?;
        assert_eq!(scene.finish(&prompt).await?.status, 200);
        assert!(scene.mcp.seen("token").iter().all(|seen| seen.target == "POST /as2/token"));
        scene.works().await?;
        Ok(())
    }

    /// A discovery that fails later changes nothing.
    async fn a_failed_rediscovery_changes_nothing(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        scene.app.clock.advance(60);
        scene.mcp.script(|script| script.resource = Fault::Status(503));
        scene.mcp.expire_access_tokens();
        scene.works().await?;
        Ok(())
    }

    /// 50 needs at once on two servers are one connect session; everybody is told what became of it, a decline included,
    /// after which nothing prompts by itself.
    async fn needs_are_coalesced(database) {
        let scene = McpScene::set(database).await?;
        let other = scene.beside(database).await?;
        let user = scene.user().await?;
        let needs = (0..50).map(|n| {
            let app = if n % 2 == 0 { &scene.app } else { &other };
            mcp::prompt(&app.ctx, &user, PROVIDER, Need::Connection, AskedBy::Itself)
        });
        let prompts = try_join_all(needs).await?;
        let first = &prompts[0];
        assert!(prompts.iter().all(|prompt| prompt.connect_url == first.connect_url));
        assert_eq!(prompts.iter().filter(|prompt| prompt.may_open).count(), 1, "one of them may open it");
        assert_eq!(count(&scene.app, "connect_session").await?, 1);
        scene.mcp.script(|script| script.denies = true);
        scene.finish(first).await?;
        for prompt in &prompts {
            assert_eq!(scene.outcome(prompt).await?, "access_denied");
        }
        let automatic = scene.prompt(Need::Connection, AskedBy::Itself).await?;
        assert!(automatic.declined && !automatic.may_open);
        scene.app.clock.advance(3600);
        let later = scene.prompt(Need::Connection, AskedBy::Itself).await?;
        assert!(later.declined && !later.may_open, "time does not undo it");
        let by_hand = scene.prompt(Need::Connection, AskedBy::Hand).await?;
        assert!(by_hand.may_open);
        scene.mcp.script(|script| script.denies = false);
        assert_eq!(scene.finish(&by_hand).await?.status, 200);
        assert_eq!(scene.outcome(&by_hand).await?, "connected");
        Ok(())
    }

    /// Nobody is asked by itself more than once in 5 minutes; the address is in every answer.
    async fn prompts_are_limited(database) {
        let scene = McpScene::set(database).await?;
        let first = scene.prompt(Need::Connection, AskedBy::Itself).await?;
        let again = scene.prompt(Need::Connection, AskedBy::Itself).await?;
        assert_eq!((first.may_open, again.may_open), (true, false));
        assert_eq!(first.connect_url, again.connect_url);
        scene.app.clock.advance(300);
        assert!(scene.prompt(Need::Connection, AskedBy::Itself).await?.may_open);
        assert!(scene.prompt(Need::Connection, AskedBy::Hand).await?.may_open);
        Ok(())
    }

    /// One registration serves all users of a tenant.
    async fn a_registration_serves_all_users(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        scene.upstream.add_account(OTHER_HANDLE, OTHER_DID);
        let browser = Agent::default();
        scene.client.sign_in(&browser, &scene.upstream, OTHER_HANDLE).await?;
        let bob = scene.user_of(&scene.client, OTHER_DID).await?;
        let prompt = mcp::prompt(&scene.app.ctx, &bob, PROVIDER, Need::Connection, AskedBy::Hand).await?;
        let to_provider = press(&browser, &prompt.connect_url, &[("provider", PROVIDER)]).await?.location()?;
        let callback = crate::support::connecting::approve(&to_provider).await?;
        assert_eq!(browser.get(&callback).await?.status, 200);
        assert_eq!((scene.mcp.registered(), scene.mcp.seen("register").len()), (1, 1));
        Ok(())
    }

    /// A link that was sent to somebody else leads them to a sign-in, and never to the provider.
    async fn a_link_works_where_its_user_is_signed_in(database) {
        let scene = McpScene::set(database).await?;
        let prompt = scene.prompt(Need::Connection, AskedBy::Hand).await?;
        let stranger = Agent::default();
        let answer = press(&stranger, &prompt.connect_url, &[("provider", PROVIDER)]).await?;
        let to = answer.location()?;
        assert!(!to.starts_with(&scene.mcp.origin), "{to}");
        assert!(scene.mcp.all_seen().is_empty());
        assert_eq!(scene.finish(&prompt).await?.status, 200, "the link is not used up");
        Ok(())
    }
}

/// A server that fetches our document finds the one redirect URI of that registration, under public https alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_served_where_they_can_be_fetched() -> Result<()> {
    let database = causeway_testkit::TestDatabase::sqlite();
    let environment = causeway_testkit::ScriptedUpstream::start(crate::support::HANDLE, crate::support::DID)?;
    let tune = |parts: &mut causeway_flow::CtxParts| parts.issuer = "https://auth.example".to_owned();
    let app = causeway_testkit::TestApp::start_tuned(&database, &environment.environment(), tune).await?;
    let agent = Agent::default();
    let found = agent.get(&app.at("/connect/clients/reg-1.json")).await?;
    assert_eq!(found.status, 200, "{found:?}");
    let document = found.json();
    assert_eq!(document["client_id"], "https://auth.example/connect/clients/reg-1.json");
    let redirect_uris = serde_json::json!(["https://auth.example/connect/callback/reg-1"]);
    assert_eq!(document["redirect_uris"], redirect_uris);
    for none in ["reg-1", "a%2Fb.json", ".json"] {
        assert_eq!(agent.get(&app.at(&format!("/connect/clients/{none}"))).await?.status, 404, "{none}");
    }
    let local = causeway_testkit::TestApp::start(&database, &environment.environment()).await?;
    assert_eq!(agent.get(&local.at("/connect/clients/reg-1.json")).await?.status, 404);
    Ok(())
}
