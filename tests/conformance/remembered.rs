//! Consent that need not be given again, and the choice of an account.

use anyhow::Result;
use causeway_testkit::{Agent, Answer, Authorization, OauthClient, TestDatabase, Tokens, User as _, decide};
use serde_json::json;

use crate::support::{DID, HANDLE, OTHER_DID, OTHER_HANDLE, Scene, count, enter, hidden, on_each_database};

const REDIRECT: &str = "https://app.example/cb";

impl Scene {
    /// A client whose answers nobody else can get.
    async fn with_web_app(database: &TestDatabase) -> Result<Self> {
        let mut scene = Self::with_bob(database).await?;
        scene.client = scene.web_app().await?;
        Ok(scene)
    }

    pub(crate) async fn web_app(&self) -> Result<OauthClient> {
        let metadata = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
        let client = OauthClient::register_as(&self.agent, &self.app.issuer, metadata).await?;
        enter(&self.app, &client).await?;
        Ok(OauthClient {
            redirect_uri: REDIRECT.to_owned(),
            scope: "openid transition:generic".to_owned(),
            ..client
        })
    }

    fn asks(&self, who: &str) -> Authorization {
        self.client.authorization(Some(who))
    }

    /// Follows a sign-in up to the redirect after the callback.
    async fn back_from_server(&self, agent: &Agent, authorization: &Authorization) -> Result<Answer> {
        let away = agent.set_out(&authorization.url(&self.app.issuer)).await?.location()?;
        agent.get(&self.upstream.approve(&away).await?).await
    }

    /// Allows, and does not want to be asked again; the answer to the client.
    async fn remember(&self, agent: &Agent, authorization: &Authorization) -> Result<Answer> {
        let consent = self.back_from_server(agent, authorization).await?.location()?;
        let page = agent.get(&consent).await?;
        let request = hidden(&page, "request");
        let form = [("request", &*request), ("decision", "allow"), ("remember", "yes")];
        agent.post(&self.app.at("/oauth/consent"), &form).await
    }
}

fn is_asked(answer: &Answer) -> bool {
    answer.location().is_ok_and(|location| location.contains("/oauth/consent?request="))
}

on_each_database! {
    /// The same app, account and scope, in any browser: the user authenticates, and that is all. Without the
    /// box ticked, nothing is remembered.
    async fn asked_once(database) {
        let scene = Scene::with_web_app(database).await?;
        let elsewhere = Agent::default();
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert!(is_asked(&scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?), "not ticked");
        let first = scene.remember(&scene.agent, &scene.asks(HANDLE)).await?;
        assert!(first.redirect_param("code").is_some(), "{first:?}");

        let again = scene.asks(HANDLE);
        let answer = scene.back_from_server(&elsewhere, &again).await?;
        let code = answer.redirect_param("code").unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(answer.redirect_param("state").as_ref(), Some(&again.state));
        let tokens = Tokens::read(&scene.client.redeem(&elsewhere, &code, &again.verifier).await?)?;
        assert_eq!((&tokens.answer["sub"], &tokens.answer["scope"]), (&json!(DID), &json!("openid transition:generic")));
        assert!(scene.works(&tokens).await?);
        Ok(())
    }

    /// Whatever is more, or another, is asked for.
    async fn asked_again(database) {
        let scene = Scene::with_web_app(database).await?;
        scene.remember(&scene.agent, &scene.asks(HANDLE)).await?;
        let narrower = scene.asks(HANDLE).with("scope", Some("repo:a.b.c"));
        assert!(!is_asked(&scene.back_from_server(&scene.agent, &narrower).await?), "it is covered");
        for (name, value, who) in [
            ("scope", "openid transition:generic transition:chat.bsky", HANDLE),
            ("scope", "openid email", HANDLE),
            ("prompt", "consent", HANDLE),
            ("prompt", "login consent", HANDLE),
            ("scope", "openid", OTHER_HANDLE),
        ] {
            let asked = scene.back_from_server(&scene.agent, &scene.asks(who).with(name, Some(value))).await?;
            assert!(is_asked(&asked), "{name}={value} {who}: {asked:?}");
        }
        let other = OauthClient { client_id: scene.web_app().await?.client_id, ..scene.client.clone() };
        let asked = scene.back_from_server(&scene.agent, &other.authorization(Some(HANDLE))).await?;
        assert!(is_asked(&asked), "another client");
        // A wider one that is remembered too holds beside the first.
        let wider = scene.asks(HANDLE).with("scope", Some("openid email"));
        scene.remember(&scene.agent, &wider).await?;
        for scope in ["openid email", "openid transition:generic"] {
            let answer = scene.back_from_server(&scene.agent, &scene.asks(HANDLE).with("scope", Some(scope))).await?;
            assert!(!is_asked(&answer), "{scope}");
        }
        scene.app.clock.advance(180 * 86_400);
        assert!(is_asked(&scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?), "half a year later");
        scene.upkeep().await?;
        assert_eq!(count(&scene.app, "consent").await?, 0);
        Ok(())
    }

    /// Where any app on the device can be the client, nothing is remembered, whatever the form says.
    async fn never_where_anybody_could_be_the_app(database) {
        let mut scene = Scene::with_web_app(database).await?;
        for redirect_uri in [
            "http://127.0.0.1/callback", "http://[::1]/callback", "com.example.app:/cb", "example://cb", "https://localhost./cb",
            "https://app.localhost/cb", "https://[::ffff:127.0.0.1]/cb", "https://0.0.0.0/cb", "https://192.168.1.2/cb",
            "https://printer.local/cb",
        ] {
            let metadata = json!({"redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none"});
            let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
            scene.client = OauthClient { redirect_uri: redirect_uri.to_owned(), ..client };
            for _ in 0..2 {
                let consent = scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?;
                assert!(is_asked(&consent), "{redirect_uri}");
                let page = scene.agent.get(&consent.location()?).await?;
                assert!(!page.text.contains("name=\"remember\""), "{redirect_uri}");
                scene.remember(&scene.agent, &scene.asks(HANDLE)).await?;
            }
        }
        assert_eq!(count(&scene.app, "consent").await?, 0);
        Ok(())
    }

    /// After the user has ended an app's access on the account page, the app needs consent again.
    async fn forgotten_with_the_access(database) {
        let scene = Scene::with_web_app(database).await?;
        for (path, field, value) in [("/account/revoke", "session", None), ("/account/revoke-all", "did", Some(DID))] {
            scene.remember(&scene.agent, &scene.asks(HANDLE)).await?;
            assert!(!is_asked(&scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?));
            let page = scene.agent.get(&scene.app.at("/account")).await?;
            let token = hidden(&page, "form_token");
            let value = value.map_or_else(|| hidden(&page, field), str::to_owned);
            let form = [("form_token", &*token), (field, &*value), ("reach", "here")];
            assert_eq!(scene.agent.post(&scene.app.at(path), &form).await?.status, 303);
            assert!(is_asked(&scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?), "{path}");
        }
        Ok(())
    }

    /// Consent is remembered for the redirect host that the user saw: another host of the client, or one
    /// added later, needs new consent.
    async fn for_the_address_that_was_seen(database) {
        let mut scene = Scene::with_bob(database).await?;
        let mut metadata = json!({
            "redirect_uris": [REDIRECT, "https://app.example/other", "https://sibling.example/cb"],
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        });
        let url = scene.app.at("/oauth/register");
        let registered = scene.agent.post_body(&url, "application/json", metadata.to_string()).await?.json();
        let text = |name: &str| registered[name].as_str().unwrap().to_owned();
        scene.client = OauthClient {
            client_id: text("client_id"),
            redirect_uri: REDIRECT.to_owned(),
            ..scene.client
        };
        let to = |redirect_uri: &str| scene.asks(HANDLE).with("redirect_uri", Some(redirect_uri));
        scene.remember(&scene.agent, &to(REDIRECT)).await?;
        for (redirect_uri, asked) in
            [(REDIRECT, false), ("https://app.example/other", false), ("https://sibling.example/cb", true)]
        {
            let answer = scene.back_from_server(&scene.agent, &to(redirect_uri)).await?;
            assert_eq!(is_asked(&answer), asked, "{redirect_uri}: {answer:?}");
        }
        // Both are remembered, and forgotten together.
        scene.remember(&scene.agent, &to("https://sibling.example/cb")).await?;
        assert_eq!(count(&scene.app, "consent").await?, 2);
        assert!(!is_asked(&scene.back_from_server(&scene.agent, &to(REDIRECT)).await?));

        metadata["client_id"] = json!(scene.client.client_id);
        metadata["redirect_uris"] = json!([REDIRECT, "https://later.example/cb"]);
        let put = scene.agent.request("PUT".parse()?, &text("registration_client_uri"));
        let put = put.bearer_auth(text("registration_access_token")).header("content-type", "application/json");
        assert_eq!(scene.agent.send(put.body(metadata.to_string())).await?.status, 200);
        // At a server that has not met the client before: clients are kept in memory for half a second.
        let other = scene.beside(database).await?;
        for (redirect_uri, asked) in [(REDIRECT, false), ("https://later.example/cb", true)] {
            let away = scene.agent.set_out(&to(redirect_uri).url(&other.issuer)).await?.location()?;
            let answer = scene.agent.get(&scene.upstream.approve(&away).await?).await?;
            assert_eq!(is_asked(&answer), asked, "{redirect_uri}: {answer:?}");
        }
        Ok(())
    }

    /// A response without a page is sent only to where the user agreed to; never to a URI that any app on the
    /// device can claim (RFC 8252 section 8.6).
    async fn silent_answers_go_where_it_was_agreed(database) {
        let mut scene = Scene::with_web_app(database).await?;
        let uris = [REDIRECT, "https://app.example/silent", "https://sibling.example/cb", "http://127.0.0.1/callback"];
        let metadata = json!({"redirect_uris": uris, "token_endpoint_auth_method": "none"});
        let client = OauthClient::register_as(&scene.agent, &scene.app.issuer, metadata).await?;
        enter(&scene.app, &client).await?;
        scene.client = OauthClient { client_id: client.client_id, ..scene.client };
        let silent = async |redirect_uri| {
            let request = scene.client.authorization(None).with("prompt", Some("none"));
            let url = request.with("redirect_uri", Some(redirect_uri)).url(&scene.app.issuer);
            let answer = scene.agent.get(&url).await?;
            anyhow::Ok(answer.redirect_param("error").or(answer.redirect_param("code").map(|_| "code".to_owned())))
        };
        for agreed in [None, Some("http://127.0.0.1/callback"), Some(REDIRECT)] {
            if let Some(agreed) = agreed {
                let client = OauthClient { redirect_uri: agreed.to_owned(), ..scene.client.clone() };
                client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
            }
            for uri in uris {
                let answer = silent(uri).await?.unwrap_or_default();
                let expected = match (agreed, uri) {
                    (Some(REDIRECT), REDIRECT | "https://app.example/silent") => "code",
                    (None, uri) if uri.starts_with("https:") => "login_required",
                    _ => "consent_required",
                };
                assert_eq!(answer, expected, "{agreed:?} {uri}");
            }
        }
        Ok(())
    }

    /// Forms of other sites do nothing.
    async fn only_forms_of_our_own(database) {
        let scene = Scene::with_web_app(database).await?;
        let consent = scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?.location()?;
        let request = hidden(&scene.agent.get(&consent).await?, "request");
        for path in ["/oauth/consent", "/oauth/sign-in"] {
            for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
                for decision in ["allow", "deny"] {
                    let form = [("request", &*request), ("decision", decision)];
                    let post = scene.agent.request("POST".parse()?, &scene.app.at(path)).form(&form);
                    let answer = scene.agent.send(post.header(name, value)).await?;
                    assert_eq!((answer.status, answer.header("location")), (403, ""), "{path} {name} {decision}");
                }
            }
        }
        assert!(decide(&scene.agent, &consent, "allow").await?.redirect_param("code").is_some());
        Ok(())
    }

    /// A denial forgets earlier consent, wherever the response went.
    async fn forgotten_with_a_denial(database) {
        let scene = Scene::with_web_app(database).await?;
        scene.remember(&scene.agent, &scene.asks(HANDLE)).await?;
        scene.remember(&scene.agent, &scene.asks(OTHER_HANDLE)).await?;
        let wider = scene.asks(HANDLE).with("scope", Some("openid email"));
        let consent = scene.back_from_server(&scene.agent, &wider).await?.location()?;
        let denied = decide(&scene.agent, &consent, "deny").await?;
        assert_eq!(denied.redirect_param("error").as_deref(), Some("access_denied"));
        assert!(is_asked(&scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?));
        assert!(!is_asked(&scene.back_from_server(&scene.agent, &scene.asks(OTHER_HANDLE)).await?), "another account");
        Ok(())
    }

    /// Another account at the same server gets nothing of it, and neither does an answer that nobody vouches for.
    async fn it_takes_the_proof(database) {
        let scene = Scene::with_web_app(database).await?;
        scene.remember(&scene.agent, &scene.asks(HANDLE)).await?;
        scene.upstream.script(|script| script.sub = Some(OTHER_DID.to_owned()));
        let answer = scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        scene.upstream.script(|script| (script.sub, script.deny) = (None, true));
        let answer = scene.back_from_server(&scene.agent, &scene.asks(HANDLE)).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        Ok(())
    }

    /// A browser that knows several accounts lets the user choose; the choice is sent to that account's
    /// authorization server.
    async fn accounts_to_choose_from(database) {
        let scene = Scene::with_web_app(database).await?;
        let open = async |agent: &Agent, prompt| {
            let request = scene.client.authorization(None).with("prompt", prompt);
            agent.get(&request.url(&scene.app.issuer)).await
        };
        let chooses = |page: &Answer| page.text.contains("Which account?");
        assert!(!chooses(&open(&scene.agent, None).await?));
        assert!(!chooses(&open(&scene.agent, Some("select_account")).await?), "it knows none");
        scene.client.sign_in(&scene.agent, &scene.upstream, HANDLE).await?;
        assert!(!chooses(&open(&scene.agent, None).await?), "it knows one");
        assert!(chooses(&open(&scene.agent, Some("select_account")).await?));
        scene.client.sign_in(&scene.agent, &scene.upstream, OTHER_HANDLE).await?;
        let page = open(&scene.agent, None).await?;
        for shown in [HANDLE, DID, OTHER_HANDLE, OTHER_DID] {
            assert!(chooses(&page) && page.text.contains(shown), "{shown}: {}", page.text);
        }
        assert!(!page.header("content-security-policy").contains("form-action"), "its answer leaves");
        assert!(!chooses(&open(&Agent::default(), Some("select_account")).await?), "a browser sees its own");
        let hinted = scene.asks(HANDLE).with("prompt", Some("select_account")).url(&scene.app.issuer);
        assert_eq!(scene.agent.get(&hinted).await?.status, 303, "who is named is not asked");

        let page = open(&scene.agent, Some("select_account")).await?;
        let request = hidden(&page, "request");
        let post = async |name, value| {
            scene.agent.post(&scene.app.at("/oauth/sign-in"), &[("request", &*request), (name, value)]).await
        };
        let other = post("decision", "other").await?;
        assert!(other.status == 200 && other.text.contains("Your handle"), "{other:?}");
        let away = post("identifier", OTHER_DID).await?.location()?;
        let pushed = scene.upstream.last_pushed();
        assert_eq!((pushed["login_hint"].as_str(), pushed.get("prompt")), (OTHER_DID, None));
        assert!(is_asked(&scene.agent.get(&scene.upstream.approve(&away).await?).await?));
        // A known account is no proof: the user is whoever the authorization server says.
        scene.upstream.script(|script| script.sub = Some(DID.to_owned()));
        let page = open(&scene.agent, None).await?;
        let form = [("request", &*hidden(&page, "request")), ("identifier", OTHER_DID)];
        let away = scene.agent.post(&scene.app.at("/oauth/sign-in"), &form).await?.location()?;
        let answer = scene.agent.get(&scene.upstream.approve(&away).await?).await?;
        assert_eq!(answer.redirect_param("error").as_deref(), Some("access_denied"));
        Ok(())
    }
}
