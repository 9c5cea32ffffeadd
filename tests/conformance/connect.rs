//! A user connects an account at a provider, for a client, in a browser.

use anyhow::Result;
use causeway_domain::connection::RegistrationState;
use causeway_domain::session::SessionHead;
use causeway_flow::upstream::keeper;
use causeway_flow::upstream::session::SessionError;
use causeway_store::connections::heads;
use causeway_store::events::{self, Event};
use causeway_store::{StoreError, TenantScope};
use causeway_testkit::{Agent, Fault, ManagedPage, ProviderScript, TestApp};
use causeway_types::{ClientId, TenantId, UpstreamSessionId};
use serde_json::{Value, json};
use url::Url;

use crate::support::connecting::{
    ACCOUNT, Connecting, PROVIDER, ROTATING, approve, change, client, make, param, press,
};
use crate::support::{count, on_each_database};

async fn head(app: &TestApp, id: &str) -> Result<SessionHead> {
    let id = UpstreamSessionId::new(id);
    let store = app.store().in_tenant(&TenantId::default_tenant());
    let find = move |scope: &mut TenantScope<'_>| heads::find_connection(scope, &id);
    Ok(store.read::<_, StoreError, _>(find).await?.unwrap().head)
}

/// Makes the database refuse new rows of a table, or accept them again.
async fn refuse(scene: &Connecting, table: &'static str, refused: bool) -> Result<()> {
    let refuse = move |c: &mut _| causeway_store::testing::refuse_new_rows(c, table, refused);
    Ok(scene.app.store().write::<_, StoreError, _>(refuse).await?)
}

/// Whether the database holds a secret of the provider in the clear.
async fn leaks(scene: &Connecting) -> Result<bool> {
    let dump = scene.app.store().read(causeway_store::testing::dump_text).await?;
    Ok(scene.provider.secrets().iter().any(|secret| dump.contains(secret)))
}

fn without_refresh_token(answer: &mut Value) {
    drop(answer.as_object_mut().map(|it| it.remove("refresh_token")));
}

/// A change of what the provider does.
type Change = fn(&Connecting);

fn error(back: &Url) -> String {
    param(back, "error").unwrap_or_default()
}

on_each_database! {
    /// The whole story: the page uses nothing up, one press leaves, the provider sends back, the client confirms, and then
    /// the connection is there with its pages.
    async fn a_user_connects_and_the_client_confirms(database) {
        let scene = Connecting::set(database).await?;
        let client_id = ClientId::new(&*scene.client.client_id);
        let (ring, subscriber, now) = (scene.app.ring.clone(), client_id.clone(), scene.app.ctx.now());
        let tenant = TenantId::default_tenant();
        let subscribe = move |c: &mut _| events::subscribe(c, &ring, &tenant, &subscriber, None, now);
        assert!(scene.app.store().write::<_, StoreError, _>(subscribe).await?);
        let (id, url) = scene.open(json!({})).await?;
        let page = scene.agent.get(&url).await?;
        assert_eq!(page.status, 200, "{page:?}");
        for shown in ["Test client", "Scripted", "127.0.0.1:49152", "<code>read</code>", "verified"] {
            assert!(page.text.contains(shown), "{shown}: {}", page.text);
        }
        assert!(!page.text.contains("<script"), "{}", page.text);
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(scene.outcome(&id).await?, ("open".to_owned(), "-".to_owned()));

        let to_provider = Url::parse(&scene.leave(&scene.agent, &url).await?)?;
        assert_eq!(param(&to_provider, "client_id").as_deref(), Some("scripted-client"));
        assert_eq!(param(&to_provider, "scope").as_deref(), Some("read write"));
        assert_eq!(param(&to_provider, "code_challenge_method").as_deref(), Some("S256"));
        assert_eq!(param(&to_provider, "redirect_uri"), Some(scene.app.at("/connect/scripted/callback")));
        assert_eq!(press(&scene.agent, &url, &[]).await.err().map(|_| ()), Some(()), "it is used up");

        let callback = approve(to_provider.as_str()).await?;
        let back = Url::parse(&scene.agent.get(&callback).await?.location()?)?;
        assert!(back.as_str().starts_with(&scene.client.redirect_uri), "{back}");
        assert_eq!((param(&back, "connect_session_id"), param(&back, "state").as_deref()), (Some(id.clone()), Some("their-state")));
        assert_eq!(scene.outcome(&id).await?, ("finished".to_owned(), "connected".to_owned()));
        let listed = scene.agent.send(scene.ask("GET", "/api/connections?user_id=17")).await?.json();
        assert_eq!(listed["connections"], json!([]), "nobody sees it before it is confirmed");
        let replay = scene.agent.get(&callback).await?;
        assert!(replay.status == 400 && replay.text.contains("nonce_invalid_or_reused"), "{replay:?}");

        for wrong in ["18", ""] {
            assert_eq!(scene.confirm(&back, wrong).await?.status, 400, "{wrong}");
        }
        let confirmed = scene.confirm(&back, "17").await?;
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        let shown = confirmed.json();
        assert_eq!(
            [&shown["provider"], &shown["user_id"], &shown["session_kind"], &shown["state"], &shown["account_ref"]],
            [PROVIDER, "17", "background", "active", "scripted-user"]
        );
        assert_eq!(scene.confirm(&back, "17").await?.refusal(), "400 invalid_grant", "once");

        let connection = shown["connection_id"].as_str().unwrap();
        let shown = scene.shown(connection).await?.json();
        let pages = shown["managed_accounts"].as_array().unwrap();
        assert_eq!(pages.len(), ManagedPage::in_four_shapes().len(), "{shown}");
        let live = keeper::use_session(&scene.app.ctx, &head(&scene.app, connection).await?).await?;
        assert!(scene.provider.takes(live.credentials.access.secret().expose()));
        assert_eq!(count(&scene.app, "upstream_credential").await?, 6, "the user's, and one for each page");
        assert!(!leaks(&scene).await?);
        let list = move |c: &mut _| {
            while events::order::order_events(c)? {}
            events::list_events_after(c, &client_id, 0, 100)
        };
        let events = scene.app.store().write::<_, StoreError, _>(list).await?;
        let told = |event: &Event| (event.event.clone(), event.user_id.clone(), event.provider.clone(), event.connection_id.clone());
        let told: Vec<_> = events.iter().map(told).collect();
        let (user, provider) = (Some("17".to_owned()), Some(PROVIDER.to_owned()));
        assert_eq!(
            told,
            [
                ("started".to_owned(), user.clone(), provider.clone(), None),
                ("completed".to_owned(), user, provider, Some(connection.to_owned())),
            ]
        );
        assert!(events.iter().all(|event| event.correlation_id.is_some() && event.correlation_id == events[0].correlation_id));
        Ok(())
    }

    /// What a provider issued is committed before anything else is asked: a process that dies then, or that cannot store
    /// the connection, leaves it to be given back. A short-lived token is exchanged before the account is asked for.
    async fn what_was_issued_is_kept_until_it_is_settled(database) {
        let scene = Connecting::with(database, |provider| {
            let exchange = "[exchange]\nurl = \"ORIGIN/exchange\"\nmethod = \"GET\"\n[exchange.parameters]\n\
                            client_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\n\
                            fb_exchange_token = \"{access_token}\"\n[refresh]\npolicy = \"none\"\n";
            provider.definition(exchange) + ACCOUNT
        })
        .await?;
        scene.provider.script(|script| script.short_lived = true);
        let (_, url) = scene.open(json!({})).await?;
        let agent = Agent::default();
        let callback = approve(&scene.leave(&agent, &url).await?).await?;
        refuse(&scene, "upstream_credential", true).await?;
        let waiting = tokio::spawn(async move { agent.get(&callback).await });
        while scene.provider.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!((count(&scene.app, "upstream_pending").await?, count(&scene.app, "work_queue").await?), (1, 1));
        assert!(!leaks(&scene).await?, "it is kept encrypted");
        waiting.abort();

        let beside = scene.beside(database).await?;
        scene.app.clock.advance(899);
        causeway_flow::upstream::revocation::revoke_due(&beside.ctx).await?;
        assert_eq!(scene.provider.live_grants(), 1);
        scene.app.clock.advance(2);
        causeway_flow::upstream::revocation::revoke_due(&beside.ctx).await?;
        assert_eq!(scene.provider.live_grants(), 0);
        refuse(&scene, "upstream_credential", false).await?;
        scene.app.ctx.settle().await;
        assert_eq!(count(&scene.app, "upstream_credential").await?, 0, "too late");

        let id = scene.connect().await?;
        let live = keeper::use_session(&scene.app.ctx, &head(&scene.app, &id).await?).await?;
        assert!(live.credentials.access.secret().expose().starts_with("long-"));
        Ok(())
    }

    /// A link that was sent to somebody else never attaches their account: only the browser that finished carries the
    /// code, and it lives for 300 seconds. What nobody confirms is revoked and erased after 15 minutes.
    async fn what_is_not_confirmed_is_given_back(database) {
        let scene = Connecting::set(database).await?;
        let (id, url) = scene.open(json!({})).await?;
        let victim = Agent::default();
        let back = scene.run(&victim, &url).await?;
        assert_eq!(scene.outcome(&id).await?.1, "connected");
        assert_eq!(scene.provider.live_grants(), 1);
        scene.app.clock.advance(300);
        assert_eq!(scene.confirm(&back, "17").await?.refusal(), "400 invalid_grant");
        scene.upkeep().await?;
        assert_eq!(scene.provider.live_grants(), 1);
        scene.app.clock.advance(601);
        scene.upkeep().await?;
        assert_eq!(scene.provider.live_grants(), 0, "revoked");
        assert_eq!(count(&scene.app, "work_queue").await?, 0);
        Ok(())
    }

    /// Every way in which it does not work has its code, at the client and in the connect session.
    async fn failures_have_codes(database) {
        let scene = Connecting::with(database, |provider| {
            format!("{}{ACCOUNT}", provider.definition(&format!("required_scopes = [\"write\"]\n{ROTATING}")))
        })
        .await?;
        let cases: [(&str, Change); 6] = [
            ("access_denied", |scene| scene.provider.script(|script| script.deny = true)),
            ("scope_missing", |scene| {
                scene.provider.script(|script| script.edits_tokens = Some(|answer| answer["scope"] = json!("read")));
            }),
            ("temporarily_unavailable", |scene| scene.provider.script(|script| script.token = Fault::Status(503))),
            ("temporarily_unavailable", |scene| scene.provider.script(|script| script.api = Fault::Status(503))),
            ("server_error", |scene| {
                scene.provider.script(|script| script.refuses = Some((400, json!({"error": "invalid_grant"}))));
            }),
            ("provider_misconfigured", |scene| scene.provider.set_client_secrets(&["another"])),
        ];
        for (code, change) in cases {
            scene.provider.script(|script| *script = ProviderScript::default());
            let before = scene.provider.live_grants();
            change(&scene);
            let (id, url) = scene.open(json!({})).await?;
            let back = scene.run(&Agent::default(), &url).await?;
            assert_eq!((error(&back).as_str(), param(&back, "connect_code")), (code, None), "{back}");
            assert_eq!(scene.outcome(&id).await?, ("finished".to_owned(), code.to_owned()));
            scene.provider.script(|script| *script = ProviderScript::default());
            scene.app.clock.advance(1000);
            scene.upkeep().await?;
            assert_eq!(scene.provider.live_grants(), before, "{code}: tokens are given back");
        }
        assert_eq!(count(&scene.app, "upstream_credential").await?, 0);
        Ok(())
    }

    /// The state is for 900 seconds, for one browser and for one callback.
    async fn the_state_is_the_browsers_and_works_once(database) {
        let scene = Connecting::set(database).await?;
        let leave = async |agent: &Agent| -> Result<String> {
            let (_, url) = scene.open(json!({})).await?;
            approve(&scene.leave(agent, &url).await?).await
        };
        let (agent, stranger) = (Agent::default(), Agent::default());
        let callback = leave(&agent).await?;
        let other = stranger.get(&callback).await?;
        assert!(other.status == 400 && other.text.contains("nonce_invalid_or_reused"), "{other:?}");
        // A browser that is known, and is not the one.
        stranger.get(&scene.open(json!({})).await?.1).await?;
        let other = stranger.get(&callback).await?;
        assert!(other.status == 400 && other.text.contains("nonce_invalid_or_reused"), "{other:?}");
        let forged = agent.get(&callback.replace("cw_st_", "cw_st_x")).await?;
        assert_eq!(forged.status, 400);
        scene.app.clock.advance(899);
        let (first, second) = tokio::join!(agent.get(&callback), agent.get(&callback));
        let statuses = [first?.status, second?.status];
        assert!(statuses == [303, 400] || statuses == [400, 303], "{statuses:?}");

        let callback = leave(&agent).await?;
        scene.app.clock.advance(901);
        assert_eq!(agent.get(&callback).await?.status, 400);
        Ok(())
    }

    /// What is pending is committed before the browser leaves, so that another server can complete it; if it cannot be
    /// committed, nobody leaves, and the link still works afterwards.
    async fn the_state_is_committed_before_the_redirect(database) {
        let scene = Connecting::set(database).await?;
        let (_, url) = scene.open(json!({})).await?;
        let page = scene.agent.get(&url).await?;
        let token = crate::support::hidden(&page, "form_token");
        let form = [("provider", PROVIDER), ("form_token", &*token)];
        let refuse = |refused| refuse(&scene, "upstream_pending", refused);
        refuse(true).await?;
        let failed = scene.agent.post(&url, &form).await?;
        assert!(failed.status >= 500 && failed.location().is_err(), "{failed:?}");
        refuse(false).await?;
        let to_provider = scene.agent.post(&url, &form).await?.location()?;

        let beside = scene.beside(database).await?;
        let callback = Url::parse(&approve(&to_provider).await?)?;
        let there = beside.at(&format!("{}?{}", callback.path(), callback.query().unwrap_or_default()));
        let back = scene.agent.get(&there).await?.location()?;
        assert!(back.contains("connect_code="), "{back}");
        Ok(())
    }

    /// Connecting again keeps the connection's identifier and takes its next iteration; another account is refused, and
    /// the old one stays.
    async fn connected_again(database) {
        let scene = Connecting::with(database, |provider| {
            format!("{}{ACCOUNT}reach = \"token\"\n", provider.definition(ROTATING))
        })
        .await?;
        let id = scene.connect().await?;
        let again = json!({"connection_id": id});
        scene.provider.script(|script| script.user = "somebody-else".to_owned());
        let (session, url) = scene.open(again.clone()).await?;
        let back = scene.run(&Agent::default(), &url).await?;
        assert_eq!((error(&back).as_str(), scene.outcome(&session).await?.1.as_str()), ("account_mismatch", "account_mismatch"));
        assert_eq!(head(&scene.app, &id).await?.iteration, 1);

        // The provider does not take the revocation of what is replaced at once: it is repeated.
        scene.provider.script(|script| {
            script.user = "scripted-user".to_owned();
            script.revoke = Fault::Status(503);
        });
        let (_, url) = scene.open(again).await?;
        let back = scene.run(&Agent::default(), &url).await?;
        assert_eq!(head(&scene.app, &id).await?.iteration, 1, "not before it is confirmed");
        let confirmed = scene.confirm(&back, "17").await?;
        assert_eq!(confirmed.json()["connection_id"], id.as_str(), "{confirmed:?}");
        let live = keeper::use_session(&scene.app.ctx, &head(&scene.app, &id).await?).await?;
        assert_eq!(live.head.iteration, 2);
        assert!(scene.provider.takes(live.credentials.access.secret().expose()));
        scene.app.ctx.settle().await;
        scene.provider.script(|script| script.revoke = Fault::None);
        scene.app.clock.advance(600);
        scene.upkeep().await?;
        assert_eq!(scene.provider.live_grants(), 1, "what was replaced is revoked");

        // Without naming it, a new connection takes its place.
        let new = scene.connect().await?;
        assert_ne!(new, id);
        assert_eq!(scene.shown(&id).await?.json()["state"], "ended");
        let listed = scene.agent.send(scene.ask("GET", "/api/connections?user_id=17")).await?.json();
        assert_eq!(listed["connections"].as_array().map(Vec::len), Some(1), "{listed}");
        let stranger = scene.make(json!({"connection_id": new, "user_id": "18"})).await?;
        assert_eq!(stranger.refusal(), "404 not_found");
        Ok(())
    }

    /// The tokens of pages are given back with those that they came with: when a connection is connected again, and when an
    /// answer leads to none. What was begun in a tenant that is deleted meanwhile leads nowhere.
    async fn tokens_of_pages_are_given_back(database) {
        let mut scene = Connecting::with(database, |provider| {
            let credentials = "[[credentials]]\naccount = \"/bot_user_id\"\naccess_token = \"/bot_token\"\n";
            let account = ACCOUNT.replace("ORIGIN/revoke\"\n", "ORIGIN/revoke\"\nreach = \"token\"\n");
            provider.definition(ROTATING) + &account + credentials
        })
        .await?;
        let issued = |scene: &Connecting, prefix: &str| {
            let of_pages = |secret: &String| secret.starts_with(prefix);
            scene.provider.secrets().into_iter().filter(of_pages).collect::<std::collections::BTreeSet<_>>()
        };
        let revoked = |scene: &Connecting, tokens: &std::collections::BTreeSet<String>| {
            let revoked = scene.provider.revoked();
            tokens.iter().filter(|token| revoked.contains(token)).count()
        };
        let id = scene.connect().await?;
        let first = issued(&scene, "page-token-");
        assert_eq!(first.len(), 5);
        let (_, url) = scene.open(json!({"connection_id": id})).await?;
        let back = scene.run(&Agent::default(), &url).await?;
        assert_eq!(revoked(&scene, &first), 0);
        assert_eq!(scene.confirm(&back, "17").await?.status, 200);
        scene.app.ctx.settle().await;
        scene.upkeep().await?;
        assert_eq!(revoked(&scene, &first), 5);
        let second: Vec<_> = issued(&scene, "page-token-").difference(&first).cloned().collect();
        assert!(second.iter().all(|token| scene.provider.takes(token)), "those that took their place live on");

        scene.provider.script(|script| {
            script.edits_tokens = Some(|answer| {
                answer["bot_token"] = json!("bot-token");
                answer["bot_user_id"] = json!("bot");
            });
            script.user = "somebody-else".to_owned();
        });
        let (_, url) = scene.open(json!({"connection_id": id})).await?;
        let back = scene.run(&Agent::default(), &url).await?;
        assert_eq!(error(&back), "account_mismatch");
        scene.app.ctx.settle().await;
        assert!(scene.provider.revoked().contains(&"bot-token".to_owned()));

        scene.enter("globex").await?;
        let ((_, unused), (_, begun), agent) = (scene.open(json!({})).await?, scene.open(json!({})).await?, Agent::default());
        let callback = approve(&scene.leave(&agent, &begun).await?).await?;
        let (tenant, now) = (TenantId::new("globex"), scene.app.ctx.now());
        let delete = move |c: &mut _| causeway_store::connections::tenants::delete_tenant(c, &tenant, now);
        assert!(scene.app.store().write::<_, StoreError, _>(delete).await?);
        let requests = scene.provider.requests().len();
        for gone in [unused, callback] {
            let page = agent.get(&gone).await?;
            assert!(page.status == 400 && page.text.contains("nonce_invalid_or_reused"), "{page:?}");
        }
        assert_eq!(scene.provider.requests().len(), requests, "no code is redeemed");
        Ok(())
    }

    /// Where a revocation ends everything that a user granted, the end of one connection leaves that of another tenant
    /// alive, and the end of the last one revokes.
    async fn a_grant_is_revoked_with_its_last_connection(database) {
        let mut scene = Connecting::set(database).await?;
        scene.provider.script(|script| script.revokes_grant = true);
        let first = scene.connect().await?;
        scene.enter("globex").await?;
        let second = scene.connect().await?;
        assert_eq!(scene.provider.live_grants(), 2);
        assert_eq!(scene.shown(&first).await?.refusal(), "404 not_found", "that is another tenant's");
        let path = |id: &str| format!("/api/connections/{id}");
        assert_eq!(scene.agent.send(scene.ask("DELETE", &path(&second))).await?.status, 204);
        scene.app.ctx.settle().await;
        assert_eq!(scene.provider.live_grants(), 2, "the other one lives of it");
        keeper::use_session(&scene.app.ctx, &head(&scene.app, &first).await?).await?;
        scene.tenant = Some("default");
        assert_eq!(scene.agent.send(scene.ask("DELETE", &path(&first))).await?.status, 204);
        scene.app.ctx.settle().await;
        assert_eq!(scene.provider.live_grants(), 0);
        Ok(())
    }

    /// A secret that the provider does not take makes the registration misconfigured, pauses its refreshes and ends
    /// nothing; the right one serves at once.
    async fn a_wrong_secret_ends_nothing(database) {
        let scene = Connecting::set(database).await?;
        let id = scene.connect().await?;
        // A user who brings a code that the provider cannot read says nothing about the registration.
        let refusal = (400, json!({"error": "invalid_request"}));
        scene.provider.script(|script| script.refuses = Some(refusal));
        let (_, url) = scene.open(json!({"user_id": "18"})).await?;
        assert_eq!(error(&scene.run(&Agent::default(), &url).await?), "provider_misconfigured");
        scene.provider.script(|script| *script = ProviderScript::default());
        assert_eq!(scene.registration().await?.state, RegistrationState::Active);
        let (_, url) = scene.open(json!({"user_id": "18"})).await?;
        let back = scene.run(&Agent::default(), &url).await?;
        let other = scene.confirm(&back, "18").await?.json()["connection_id"].as_str().unwrap().to_owned();
        scene.provider.set_client_secrets(&["another"]);
        scene.app.clock.advance(4000);
        let used = keeper::use_session(&scene.app.ctx, &head(&scene.app, &id).await?).await;
        assert!(matches!(used, Err(SessionError::Unavailable { .. })), "{used:?}");
        let asked = scene.provider.requests().len();
        let used = keeper::use_session(&scene.app.ctx, &head(&scene.app, &other).await?).await;
        assert!(matches!(used, Err(SessionError::Unavailable { .. })), "{used:?}");
        assert_eq!(scene.provider.requests().len(), asked, "refreshes of the registration pause");
        let rows = scene.app.store().read::<_, StoreError, _>(|c| {
            causeway_store::operations::audit::list_audit_events(c, &TenantId::default_tenant(), &causeway_store::operations::audit::AuditFilter::default(), &causeway_store::PageRequest::first(100))
        });
        let told = rows.await?.items.into_iter().filter(|row| row.event == "provider_registration");
        assert_eq!(told.map(|row| row.outcome).collect::<Vec<_>>(), ["misconfigured"], "the operator is told once");
        assert_eq!(scene.shown(&id).await?.json()["state"], "active");
        scene.provider.set_client_secrets(&[causeway_testkit::ScriptedProvider::CLIENT_SECRET]);
        scene.app.clock.advance(600);
        let live = keeper::use_session(&scene.app.ctx, &head(&scene.app, &id).await?).await?;
        assert_eq!(live.head.iteration, 2);
        Ok(())
    }

    /// An authorization without a refresh token does not take the place of a connection that has one: the user is asked
    /// once more, and then it fails.
    async fn a_refreshable_connection_is_not_replaced_by_one_that_is_not(database) {
        let scene = Connecting::with(database, |provider| {
            format!("{}{ACCOUNT}reach = \"token\"\n", provider.definition(ROTATING))
        })
        .await?;
        let id = scene.connect().await?;
        scene.provider.script(|script| script.edits_tokens = Some(without_refresh_token));
        let (session, url) = scene.open(json!({})).await?;
        let agent = Agent::default();
        let callback = approve(&scene.leave(&agent, &url).await?).await?;
        let again = agent.get(&callback).await?.location()?;
        assert!(again.starts_with(&scene.provider.origin), "asked once more: {again}");
        let back = Url::parse(&agent.get(&approve(&again).await?).await?.location()?)?;
        assert_eq!((error(&back).as_str(), scene.outcome(&session).await?.1.as_str()), ("refresh_token_missing", "refresh_token_missing"));
        // When both were under way before either was confirmed, the confirmation finds out.
        for user in ["18", "19"] {
            let more = json!({"user_id": user});
            let without = scene.run(&Agent::default(), &scene.open(more.clone()).await?.1).await?;
            scene.provider.script(|script| script.edits_tokens = None);
            let with = scene.run(&Agent::default(), &scene.open(more).await?.1).await?;
            assert_eq!(scene.confirm(&with, user).await?.status, 200);
            let refused = scene.confirm(&without, user).await?;
            assert_eq!(refused.refusal(), "400 refresh_token_missing", "{user}");
            let path = format!("/api/connections?user_id={user}");
            let listed = scene.agent.send(scene.ask("GET", &path)).await?.json();
            assert_eq!(listed["connections"].as_array().map(Vec::len), Some(1), "{listed}");
            scene.provider.script(|script| script.edits_tokens = Some(without_refresh_token));
        }
        scene.app.ctx.settle().await;
        assert_eq!(scene.provider.live_grants(), 3, "the others were given back");
        scene.app.clock.advance(4000);
        scene.provider.script(|script| script.edits_tokens = None);
        assert_eq!(keeper::use_session(&scene.app.ctx, &head(&scene.app, &id).await?).await?.head.iteration, 2);
        Ok(())
    }

    /// A response counts at the redirect URI of its registration alone: that of one server is not taken for another's.
    async fn each_registration_has_its_callback(database) {
        let scene = Connecting::set(database).await?;
        let (_, url) = scene.open(json!({})).await?;
        let callback = approve(&scene.leave(&scene.agent, &url).await?).await?;
        let id = scene.registration().await?.registration_id;
        let elsewhere = callback.replace("/connect/scripted/callback", &format!("/connect/callback/{id}"));
        assert_ne!(elsewhere, callback);
        let back = Url::parse(&scene.agent.get(&elsewhere).await?.location()?)?;
        assert_eq!((error(&back).is_empty(), param(&back, "connect_code")), (false, None), "{back}");

        let own = scene.own_registration().await?;
        let (_, url) = scene.open(json!({})).await?;
        let to_provider = scene.leave(&scene.agent, &url).await?;
        assert_eq!(param(&Url::parse(&to_provider)?, "redirect_uri"), Some(own.clone()));
        let callback = approve(&to_provider).await?;
        let elsewhere = callback.replace(&own, &scene.app.at("/connect/scripted/callback"));
        assert_ne!(elsewhere, callback);
        let back = Url::parse(&scene.agent.get(&elsewhere).await?.location()?)?;
        assert_eq!((error(&back).is_empty(), param(&back, "connect_code")), (false, None), "{back}");
        let (_, url) = scene.open(json!({})).await?;
        let back = scene.run(&Agent::default(), &url).await?;
        assert!(param(&back, "connect_code").is_some(), "{back}");
        Ok(())
    }

    /// Where nobody names the account, the connection that is connected again stands for it.
    async fn an_account_without_a_name_is_connected_again(database) {
        let scene = Connecting::with(database, |provider| {
            provider.definition(&format!("accounts = \"many\"\n{ROTATING}[identity]\nfrom = \"none\"\n"))
        })
        .await?;
        let id = scene.connect().await?;
        let (_, url) = scene.open(json!({"connection_id": id})).await?;
        let confirmed = scene.confirm(&scene.run(&Agent::default(), &url).await?, "17").await?;
        assert_eq!(confirmed.json()["connection_id"], id.as_str(), "{confirmed:?}");
        scene.connect().await?;
        assert_eq!(scene.shown(&id).await?.json()["state"], "ended", "there is one place");
        Ok(())
    }

    /// Confirmations at once take one place, one after the other; none fails.
    async fn confirmations_at_once_take_one_place(database) {
        let scene = Connecting::set(database).await?;
        for _ in 0..4 {
            let links = [scene.open(json!({})).await?.1, scene.open(json!({})).await?.1, scene.open(json!({})).await?.1];
            let [a, b, c] = [(); 3].map(|()| Agent::default());
            let (a, b, c) = tokio::try_join!(scene.run(&a, &links[0]), scene.run(&b, &links[1]), scene.run(&c, &links[2]))?;
            let (a, b, c) = tokio::try_join!(scene.confirm(&a, "17"), scene.confirm(&b, "17"), scene.confirm(&c, "17"))?;
            assert_eq!([a.status, b.status, c.status], [200; 3], "{a:?} {b:?} {c:?}");
            let listed = scene.agent.send(scene.ask("GET", "/api/connections?user_id=17")).await?.json();
            assert_eq!(listed["connections"].as_array().map(Vec::len), Some(1), "{listed}");
            let id = listed["connections"][0]["connection_id"].as_str().unwrap().to_owned();
            assert_eq!(scene.agent.send(scene.ask("DELETE", &format!("/api/connections/{id}"))).await?.status, 204);
        }
        Ok(())
    }

    /// An entitlement that the operator withdraws is withdrawn from then on, wherever the client's user is.
    async fn a_withdrawn_entitlement_counts_at_each_step(database) {
        let scene = Connecting::set(database).await?;
        let links = [scene.open(json!({})).await?.1, scene.open(json!({})).await?.1];
        let agent = Agent::default();
        let back = scene.run(&agent, &scene.open(json!({})).await?.1).await?;
        let callback = approve(&scene.leave(&agent, &links[1]).await?).await?;
        change(&scene.app, &scene.client, |client| client.entitlements.background_access = false).await?;
        // Clients are cached for a moment: not by a server that starts now.
        let beside = scene.beside(database).await?;
        let there = |url: &str| url.replace(&scene.app.issuer, &beside.at(""));
        let page = agent.get(&there(&links[0])).await?;
        assert!(page.status == 400 && page.text.contains("nonce_invalid_or_reused"), "{page:?}");
        let refused = Url::parse(&agent.get(&there(&callback)).await?.location()?)?;
        assert_eq!((error(&refused).is_empty(), param(&refused, "connect_code")), (false, None), "{refused}");
        let refused = scene.confirm_at(&beside, &back, "17").await?;
        assert_eq!(refused.refusal(), "403 unauthorized_client");
        Ok(())
    }

    /// Requests that a client may make, and those that it may not.
    async fn connect_sessions_are_checked(database) {
        let scene = Connecting::set(database).await?;
        for (more, refusal) in [
            (json!({"user_id": ""}), "400 invalid_request"),
            (json!({"providers": []}), "400 invalid_request"),
            (json!({"providers": ["github"]}), "403 unauthorized_client"),
            (json!({"providers": ["nobody"]}), "403 unauthorized_client"),
            (json!({"session_kind": "forever"}), "400 invalid_request"),
            (json!({"return_uri": "https://evil.example/"}), "400 invalid_request"),
            (json!({"return_uri": Value::Null}), "400 invalid_request"),
            (json!({"parameters": {"host": "x"}}), "400 invalid_request"),
            (json!({"scopes": ["a b"]}), "400 invalid_request"),
            (json!({"connection_id": "us_nothing"}), "404 not_found"),
            (json!({"unknown": 1}), "400 invalid_request"),
        ] {
            assert_eq!(scene.make(more.clone()).await?.refusal(), refusal, "{more}");
        }
        let public = scene.app.client(&scene.agent).await?;
        assert_eq!(make(&scene.app, &public, json!({})).await?.status, 401);
        let other = client(&scene.app, &scene.agent).await?;
        change(&scene.app, &other, |client| client.entitlements.background_access = false).await?;
        let (id, _) = scene.open(json!({})).await?;
        let request = crate::support::connecting::ask(&scene.app, &other, "GET", &format!("/api/connect-sessions/{id}"));
        assert_eq!(scene.agent.send(request).await?.refusal(), "404 not_found");
        assert_eq!(make(&scene.app, &other, json!({})).await?.refusal(), "403 unauthorized_client");
        assert_eq!(make(&scene.app, &other, json!({"session_kind": "device"})).await?.status, 201);
        Ok(())
    }
}
