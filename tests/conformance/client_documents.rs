//! Clients by the document at their `client_id` (draft-ietf-oauth-client-id-metadata-document), and
//! development clients by the `client_id` itself (atproto OAuth specification, "Localhost Client Development").

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use causeway_testkit::{
    Agent, Answer, DocumentServer, Environment, OauthClient, ScriptedUpstream, TestApp, TestDatabase, Tokens,
    decide, strict_outbound,
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::{DID, HANDLE, Scene, count, on_each_database};

/// A scene whose client is known by its document.
async fn documented(database: &TestDatabase) -> Result<(Scene, DocumentServer)> {
    let mut scene = Scene::set(database).await?;
    let server = DocumentServer::start()?;
    scene.client.client_id = server.client_id();
    Ok((scene, server))
}

impl Scene {
    /// The first answer to an authorization request of the client.
    async fn ask(&self) -> Result<Answer> {
        self.agent.get(&self.client.authorization(Some(HANDLE)).url(&self.app.issuer)).await
    }

    /// The same by a pushed request.
    async fn push(&self) -> Result<Answer> {
        let pushed = self.client.authorization(Some(HANDLE));
        self.agent.post(&self.app.at("/oauth/par"), &pushed.form()).await
    }

    fn by_name(&self, client_id: &str, redirect_uri: &str) -> OauthClient {
        let (client_id, redirect_uri) = (client_id.to_owned(), redirect_uri.to_owned());
        OauthClient { client_id, redirect_uri, scope: "atproto".to_owned(), ..self.client.clone() }
    }
}

on_each_database! {
    /// A whole sign-in without registration, the refresh included; one fetch serves it all.
    async fn a_document_is_enough(database) {
        let (scene, server) = documented(database).await?;
        let authorization = scene.client.authorization(Some(HANDLE));
        let consent = scene.client.reach_consent(&scene.agent, &scene.upstream, &authorization).await?;
        let page = scene.agent.get(&consent).await?;
        let host = server.origin.strip_prefix("http://").unwrap();
        for shown in ["Documented app", "not verified", host] {
            assert!(page.text.contains(shown), "{shown}: {}", page.text);
        }
        let answer = decide(&scene.agent, &consent, "allow").await?;
        let code = answer.redirect_param("code").unwrap();
        let tokens = Tokens::read(&scene.client.redeem(&scene.agent, &code, &authorization.verifier).await?)?;
        assert_eq!(tokens.answer["sub"], DID);
        assert_eq!(scene.client.refresh(&scene.agent, &tokens.refresh_token).await?.status, 200);
        assert_eq!(scene.push().await?.status, 201);
        assert_eq!(server.hits(), 1);
        let metadata = scene.agent.get(&scene.app.at("/.well-known/oauth-authorization-server")).await?.json();
        assert_eq!(metadata["client_id_metadata_document_supported"], true);
        Ok(())
    }

    /// Nothing but a public document about this very client, of a client that keeps no secret.
    async fn hostile_documents(database) {
        let (scene, server) = documented(database).await?;
        let good = server.document();
        let with = |name: &str, value: serde_json::Value| {
            let mut document = good.clone();
            document[name] = value;
            document.to_string()
        };
        let origin = &server.origin;
        for (body, says) in [
            (with("client_id", json!(format!("{origin}/other.json"))), "in the client document is not the URL"),
            (with("client_id", json!(format!("{origin}/client.json/"))), "in the client document is not the URL"),
            (with("redirect_uris", json!(["http://127.0.0.1/callback", "javascript:alert(1)"])), "redirect_uris"),
            (with("redirect_uris", json!([])), "redirect_uris"),
            (with("token_endpoint_auth_method", json!("client_secret_basic")), "must be none or private_key_jwt"),
            (with("token_endpoint_auth_method", json!("client_secret_post")), "must be none or private_key_jwt"),
            (with("client_secret", json!("public secret")), "it must not hold a client_secret"),
            (with("token_endpoint_auth_method", json!("private_key_jwt")), "private_key_jwt needs your public keys"),
            (with("filler", json!("x".repeat(5 * 1024 * 1024))), "sent more than 32 KiB"),
            ("<html>hello</html>".to_owned(), "did not respond with application/json"),
            ("[]".to_owned(), "not a JSON object"),
        ] {
            server.change(|published| published.body = body);
            scene.app.clock.advance(11);
            let page = scene.ask().await?;
            assert_eq!((page.status, page.header("location")), (400, ""), "{says}");
            assert!(page.text.contains(says) && page.text.contains("invalid_client"), "{says}: {}", page.text);
            let pushed = scene.push().await?;
            assert_eq!(pushed.refusal(), "401 invalid_client", "{says}");
        }
        server.publish(&good);
        for (change, says) in [
            ((302, "application/json", Some(format!("{origin}/elsewhere.json"))), "redirect"),
            ((404, "application/json", None), "status 404"),
            ((200, "text/html", None), "application/json"),
            ((500, "application/json", None), "cannot be reached"),
        ] {
            server.change(|published| (published.status, published.content_type, published.location) = change);
            scene.app.clock.advance(11);
            let page = scene.ask().await?;
            assert!(page.status == 400 && page.text.contains(says), "{says}: {page:?}");
        }
        assert_eq!(count(&scene.app, "oauth_client").await?, 1, "nothing of it was kept");
        server.change(|published| (published.status, published.content_type) = (200, "application/json"));
        scene.app.clock.advance(11);
        assert_eq!(scene.ask().await?.status, 303);
        Ok(())
    }

    /// Without dev mode nothing is sent to where only we can go, and the answer does not say what is there.
    async fn private_addresses_are_not_asked(database) {
        let upstream = causeway_testkit::ScriptedUpstream::start(HANDLE, DID)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let app = TestApp::start_tuned(database, &upstream.environment(), |parts| {
            parts.outbound = strict_outbound().unwrap();
        }).await?;
        let agent = Agent::default();
        let client = app.client(&agent).await?;
        let mut texts = Vec::new();
        for id in [
            format!("https://127.0.0.1:{port}/client.json"),
            format!("https://localhost:{port}/client.json"),
            format!("https://[::1]:{port}/client.json"),
            "https://169.254.169.254/latest/meta-data".to_owned(),
            "https://10.0.0.1/client.json".to_owned(),
        ] {
            let client = OauthClient { client_id: id.clone(), ..client.clone() };
            let page = agent.get(&client.authorization(None).url(&app.issuer)).await?;
            assert!(page.status == 400 && page.text.contains("cannot be reached from here"), "{id}: {page:?}");
            let pushed = agent.post(&app.at("/oauth/par"), &client.authorization(None).form()).await?;
            texts.push(pushed.json()["error_description"].clone());
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(listener.accept().is_err(), "nobody came");
        for id in ["http://127.0.0.1/client.json", "http://app.example/client.json", "https://app.example"] {
            let client = OauthClient { client_id: id.to_owned(), ..client.clone() };
            assert_eq!(agent.get(&client.authorization(None).url(&app.issuer)).await?.status, 400, "{id}");
        }
        Ok(())
    }

    /// Kept as long as its server says within bounds; read again then, and what it says then counts at once.
    async fn a_changed_document_counts(database) {
        let (scene, server) = documented(database).await?;
        server.change(|published| published.cache_control = Some("max-age=300"));
        assert_eq!(scene.ask().await?.status, 303);
        let mut moved = server.document();
        moved["redirect_uris"] = json!(["https://moved.example/cb"]);
        server.publish(&moved);
        scene.app.clock.advance(299);
        assert_eq!((scene.ask().await?.status, server.hits()), (303, 1));
        scene.app.clock.advance(1);
        let page = scene.ask().await?;
        assert!(page.status == 400 && page.text.contains("is not registered for this client"), "{page:?}");
        assert_eq!(server.hits(), 2);
        // Not kept at all is kept for a minute, and forever for a day.
        server.publish(&server.document());
        server.change(|published| published.cache_control = Some("no-store"));
        scene.app.clock.advance(300);
        assert_eq!((scene.ask().await?.status, server.hits()), (303, 3));
        scene.app.clock.advance(59);
        assert_eq!((scene.ask().await?.status, server.hits()), (303, 3));
        server.change(|published| published.cache_control = Some("max-age=99999999"));
        scene.app.clock.advance(1);
        assert_eq!((scene.ask().await?.status, server.hits()), (303, 4));
        scene.app.clock.advance(86_400);
        assert_eq!((scene.ask().await?.status, server.hits()), (303, 5));
        assert_eq!(count(&scene.app, "oauth_client").await?, 2);
        Ok(())
    }

    /// A server that is down for a while signs nobody out; one that has withdrawn the document does.
    async fn a_failed_check(database) {
        let (scene, server) = documented(database).await?;
        let tokens = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        server.change(|published| published.status = 503);
        scene.app.clock.advance(601);
        assert_eq!(scene.ask().await?.status, 303);
        assert_eq!(scene.ask().await?.status, 303);
        assert_eq!(server.hits(), 2, "not asked again at once");
        let refreshed = Tokens::read(&scene.client.refresh(&scene.agent, &tokens.refresh_token).await?)?;
        scene.app.clock.advance(10);
        scene.ask().await?;
        assert_eq!(server.hits(), 3);
        scene.app.clock.advance(86_400 - 612);
        assert_eq!(scene.ask().await?.status, 303);
        scene.app.clock.advance(11);
        assert_eq!(scene.ask().await?.status, 400, "a day after it was last good");
        server.change(|published| published.status = 200);
        scene.app.clock.advance(11);
        assert_eq!(scene.ask().await?.status, 303);
        server.change(|published| published.status = 410);
        scene.app.clock.advance(601);
        assert_eq!(scene.ask().await?.status, 400);
        let refused = scene.client.refresh(&scene.agent, &refreshed.refresh_token).await?;
        assert_eq!(refused.refusal(), "401 invalid_client");
        Ok(())
    }

    /// Many at once cause one fetch, and unknown documents of one host only so many.
    async fn fetches_are_bounded(database) {
        let (scene, server) = documented(database).await?;
        let pushes = (0..20).map(|_| scene.push());
        for pushed in futures_util::future::try_join_all(pushes).await? {
            assert_eq!(pushed.status, 201, "{pushed:?}");
        }
        assert_eq!(server.hits(), 1);
        let mut refusals = Vec::new();
        for n in 0..25 {
            let client = scene.by_name(&format!("{}/{n}", server.origin), &scene.client.redirect_uri);
            let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &client.authorization(None).form()).await?;
            refusals.push(pushed.refusal());
        }
        assert_eq!(server.hits(), 20);
        assert_eq!((&*refusals[0], &*refusals[24]), ("401 invalid_client", "503 temporarily_unavailable"));
        let busy = scene.by_name(&format!("{}/again", server.origin), &scene.client.redirect_uri);
        let page = scene.agent.get(&busy.authorization(None).url(&scene.app.issuer)).await?;
        assert_eq!(page.status, 503);
        assert_eq!(scene.ask().await?.status, 303, "who is known is not held up");
        Ok(())
    }

    /// Eighteen connections name 180 hosts that never answer: a new client gets in meanwhile.
    async fn slow_hosts_keep_nobody_out(database) {
        let (scene, _server) = documented(database).await?;
        let (was_asked, mut asked) = mpsc::unbounded_channel();
        let mut slow = Vec::new();
        for n in 0..180 {
            let host = tokio::net::TcpListener::bind((std::net::Ipv4Addr::new(127, 0, 1, n), 0)).await?;
            slow.push(format!("http://{}/c", host.local_addr()?));
            let was_asked = was_asked.clone();
            tokio::spawn(async move {
                let first = host.accept().await;
                let _ = was_asked.send(());
                // It stays open, and so do those that nobody accepts.
                std::future::pending::<()>().await;
                drop((host, first));
            });
        }
        let naming = slow.chunks(10).map(async |ids| {
            for id in ids.iter().cycle().take(15) {
                let client = scene.by_name(id, &scene.client.redirect_uri);
                scene.agent.post(&scene.app.at("/oauth/par"), &client.authorization(None).form()).await?;
            }
            anyhow::Ok(())
        });
        let attack = futures_util::future::join_all(naming);
        let good = async {
            // Every connection of the attack waits for a host by now.
            for _ in slow.chunks(10) {
                asked.recv().await;
            }
            for _ in 0..3 {
                // Each one is new, at a host of its own.
                let server = DocumentServer::start()?;
                let client = scene.by_name(&server.client_id(), &scene.client.redirect_uri);
                let begun = std::time::Instant::now();
                let pushed = scene.agent.post(&scene.app.at("/oauth/par"), &client.authorization(None).form()).await?;
                assert_eq!(pushed.status, 201, "{pushed:?}");
                assert!(begun.elapsed() < std::time::Duration::from_secs(6), "{:?}", begun.elapsed());
            }
            anyhow::Ok(())
        };
        tokio::select! {
            outcome = good => outcome,
            _ = attack => anyhow::bail!("the attack ended first"),
        }
    }

    /// Off, they are unknown like any other name, and nothing is fetched.
    async fn can_be_switched_off(database) {
        let upstream = causeway_testkit::ScriptedUpstream::start(HANDLE, DID)?;
        let app = TestApp::start_tuned(database, &upstream.environment(), |parts| parts.client_documents = false).await?;
        let (agent, server) = (Agent::default(), DocumentServer::start()?);
        let registered = app.client(&agent).await?;
        for id in [server.client_id(), "http://localhost".to_owned()] {
            let client = OauthClient { client_id: id.clone(), ..registered.clone() };
            let page = agent.get(&client.authorization(None).url(&app.issuer)).await?;
            assert!(page.status == 400 && page.text.contains("registered under this client_id"), "{id}: {page:?}");
        }
        assert_eq!(server.hits(), 0);
        let metadata = agent.get(&app.at("/.well-known/openid-configuration")).await?.json();
        assert_eq!(metadata["client_id_metadata_document_supported"], false);
        Ok(())
    }

    /// Clients without registration are deleted when nobody has signed in to them for a day; others are not.
    async fn the_unused_are_swept(database) {
        let (scene, server) = documented(database).await?;
        let used = scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        let unused = DocumentServer::start()?;
        for (client_id, path) in [(unused.client_id(), "callback"), ("http://localhost".to_owned(), "")] {
            let client = scene.by_name(&client_id, &format!("http://127.0.0.1:49152/{path}"));
            scene.agent.post(&scene.app.at("/oauth/par"), &client.authorization(None).form()).await?;
        }
        assert_eq!(count(&scene.app, "oauth_client").await?, 4);
        scene.app.clock.advance(86_399);
        scene.upkeep().await?;
        assert_eq!(count(&scene.app, "oauth_client").await?, 4);
        scene.app.clock.advance(1);
        scene.upkeep().await?;
        assert_eq!(count(&scene.app, "oauth_client").await?, 2);
        assert_eq!(scene.client.refresh(&scene.agent, &used.refresh_token).await?.status, 200);
        assert_eq!(server.hits(), 2);
        Ok(())
    }

    /// `http://localhost` says where its answers go, which is this machine and nowhere else, and is asked about
    /// each time: any app on the machine can go by its name.
    async fn loopback_clients(database) {
        let scene = Scene::set(database).await?;
        let id = "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A3000%2Fcb&scope=atproto+transition%3Ageneric";
        let client = scene.by_name(id, "http://127.0.0.1:49152/cb");
        let tokens = client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert_eq!(client.refresh(&scene.agent, &tokens.refresh_token).await?.status, 200);
        let silent = client.authorization(Some(DID)).with("prompt", Some("none"));
        let answer = scene.agent.get(&silent.url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("consent_required"));
        let consent = client.reach_consent(&scene.agent, &scene.upstream, &client.authorization(Some(HANDLE))).await?;
        let page = scene.agent.get(&consent).await?;
        assert!(page.text.contains("not verified") && page.text.contains("on this device"), "{}", page.text);

        let bare = scene.by_name("http://localhost", "http://[::1]:5000/");
        assert_eq!(scene.agent.set_out(&bare.authorization(Some(HANDLE)).url(&scene.app.issuer)).await?.status, 303);
        let too_much = bare.authorization(None).with("scope", Some("transition:generic"));
        let answer = scene.agent.get(&too_much.url(&scene.app.issuer)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("invalid_scope"));
        for (id, redirect_uri) in [
            ("http://localhost", "http://localhost:5000/"),
            ("http://localhost", "https://evil.example/"),
            ("http://localhost", "http://127.0.0.1:5000/cb"),
            ("http://localhost?redirect_uri=https://evil.example/", "https://evil.example/"),
            ("http://localhost?redirect_uri=http://localhost/cb", "http://localhost/cb"),
            ("http://localhost?redirect_uri=com.example.app:/cb", "com.example.app:/cb"),
            ("http://localhost?client_name=Bank", "http://127.0.0.1/"),
            ("http://localhost:3000", "http://127.0.0.1/"),
            ("http://localhost.evil.example/", "http://127.0.0.1/"),
        ] {
            let client = scene.by_name(id, redirect_uri);
            let page = scene.agent.get(&client.authorization(None).url(&scene.app.issuer)).await?;
            assert_eq!((page.status, page.header("location")), (400, ""), "{id} {redirect_uri}");
        }
        Ok(())
    }

    /// The host of the `client_id` is verified if the response is delivered to that host. On a device any app
    /// can claim to be this client, so there it is not.
    async fn the_identity_is_the_host(database) {
        let (scene, server) = documented(database).await?;
        let mut document = server.document();
        let redirect_uris = ["https://app.example/cb", "http://127.0.0.1/callback", "com.example.app:/cb"];
        document["redirect_uris"] = json!(redirect_uris);
        server.publish(&document);
        let host = server.origin.strip_prefix("http://").unwrap();
        for (redirect_uri, verified) in redirect_uris.into_iter().zip([true, false, false]) {
            let client = scene.by_name(&scene.client.client_id, redirect_uri);
            let consent = client.reach_consent(&scene.agent, &scene.upstream, &client.authorization(Some(HANDLE))).await?;
            let page = scene.agent.get(&consent).await?;
            assert!(page.text.contains(host), "{redirect_uri}: {}", page.text);
            assert_eq!(page.text.contains("address verified"), verified, "{redirect_uri}");
            assert_eq!(page.text.contains("not verified"), !verified, "{redirect_uri}");
        }
        Ok(())
    }
}

/// Four documents of one host are fetched at once. Whoever waits three seconds in vain for the end of one of them is
/// told to come back, before those that were fetched have failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wait_for_a_turn_ends() -> Result<()> {
    let database = TestDatabase::sqlite();
    let upstream = ScriptedUpstream::start(HANDLE, DID)?;
    // As patient with other servers as it is in earnest.
    let environment = Environment { timeout: Duration::from_secs(10), ..upstream.environment() };
    let app = TestApp::start(&database, &environment).await?;
    let agent = Agent::default();
    let client = app.client(&agent).await?;
    let scene = Scene { app, upstream, agent, client };
    let host = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let origin = format!("http://{}", host.local_addr()?);
    let push = async |n: usize| {
        let client = scene.by_name(&format!("{origin}/{n}"), &scene.client.redirect_uri);
        scene.agent.post(&scene.app.at("/oauth/par"), &client.authorization(None).form()).await
    };
    let fetched = futures_util::future::join_all((0..4).map(push));
    let late = async {
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(host.accept().await?);
        }
        let begun = std::time::Instant::now();
        let answer = push(4).await?;
        assert_eq!(answer.refusal(), "503 temporarily_unavailable", "{answer:?}");
        assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
        anyhow::Ok(())
    };
    tokio::select! {
        outcome = late => outcome,
        _ = fetched => anyhow::bail!("those that were fetched have failed first"),
    }
}
