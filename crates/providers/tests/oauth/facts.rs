//! Facts about providers: the client does what each of them needs.

use std::collections::BTreeMap;

use causeway_outbound::testing::Reply;
use causeway_providers::oauth::{
    Account, Flaw, Issued, RefusalMeaning, TokenError, Tokens, capture_callback, missing_scopes, refresh_end,
    requested_scopes,
};
use causeway_types::{Secret, Timestamp};
use serde_json::{Value, json};

use crate::provider::{NOW, Provider, REDIRECT_URI, VERIFIER};

const DAY: i64 = 86_400;

fn user(issued: Result<Issued, TokenError>) -> Tokens {
    issued.unwrap().answer.user.unwrap()
}

fn life(tokens: &Tokens) -> Option<i64> {
    tokens.expires_at.map(|at| at.since(NOW))
}

async fn refused(name: &str, status: u16, body: Value) -> RefusalMeaning {
    Provider::of(name).await.refresh(status, &body).await.unwrap_err().meaning()
}

/// Code, short-lived token, long-lived token; the lifetime may be missing, and then there is no known end.
#[tokio::test]
async fn facebook_exchanges_its_short_lived_token() {
    let facebook = Provider::of("facebook").await;
    let path = "/v24.0/oauth/access_token";
    let short = json!({"access_token": "short", "token_type": "bearer", "expires_in": 3600});
    let long = json!({"access_token": "long", "token_type": "bearer"});
    facebook.upstream.script_path(path, [Reply::json(200, &short), Reply::json(200, &long)]);
    let first = facebook.redeem_code().await.unwrap().answer;
    let form = facebook.last(path).form;
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("our-id", "s+cret"));
    assert!(!form.contains_key("code_verifier"));
    let second = facebook.client.exchange(&facebook.context(), &Secret::new("short")).await.unwrap().unwrap();
    let target = facebook.last(path).target;
    assert!(target.contains("grant_type=fb_exchange_token") && target.contains("fb_exchange_token=short"));
    let tokens = first.exchanged(second.answer).user.unwrap();
    assert_eq!((tokens.access_token.expose(), tokens.expires_at, tokens.refresh_token), ("long", None, None));
}

/// Refreshed with the access token itself; the same string may return.
#[tokio::test]
async fn instagram_and_threads_renew_the_access_token_itself() {
    for name in ["instagram", "threads"] {
        let provider = Provider::of(name).await;
        let body = json!({"access_token": "old-access", "token_type": "bearer", "expires_in": 5_184_000});
        provider.upstream.on("/refresh_access_token", &body);
        let tokens = user(provider.refresh_with(None).await);
        assert_eq!((tokens.access_token.expose(), life(&tokens)), ("old-access", Some(60 * DAY)));
        assert!(provider.last("/refresh_access_token").target.contains("access_token=old-access"), "{name}");
    }
}

/// Users untick scopes; the answer to a refresh has no refresh token; `error_subtype` says why.
#[tokio::test]
async fn google_grants_less_than_was_asked_for() {
    let google = Provider::of("google").await;
    let asked = requested_scopes(&google.oauth().scopes, &[], true);
    let body =
        json!({"access_token": "at", "expires_in": 3599, "refresh_token": "1//x", "scope": "openid profile"});
    let tokens = user(google.redeem(200, &body).await);
    assert_eq!(missing_scopes(&asked, tokens.scope.as_deref()), ["email"]);
    let renewed = user(google.refresh(200, &json!({"access_token": "at2", "expires_in": 3599})).await);
    let kept = renewed.credentials(tokens.refresh_token.as_ref(), "openid profile");
    assert_eq!((kept.refresh_token.unwrap().expose(), &*kept.scope), ("1//x", "openid profile"));
    let rapt = json!({"error": "invalid_grant", "error_subtype": "invalid_rapt"});
    assert_eq!(refused("google", 400, rapt).await, RefusalMeaning::Over);
}

/// The scope is sent at a refresh; an expired secret is the registration's fault, whatever the code.
#[tokio::test]
async fn microsoft_wants_a_scope_and_tells_in_the_description() {
    let microsoft = Provider::with("microsoft", &[("tenant", "common")]).await;
    let body = json!({"access_token": "at", "refresh_token": "rt2", "expires_in": 3600, "scope": "openid User.Read"});
    assert_eq!(user(microsoft.refresh(200, &body).await).scope.unwrap(), ["openid", "User.Read"]);
    assert_eq!(microsoft.last_token_request().form["scope"], "read write");
    let expired = json!({"error": "invalid_client", "error_description": "AADSTS7000222: The provided client secret keys are expired."});
    assert_eq!(refused("microsoft", 401, expired).await, RefusalMeaning::Misconfigured);
    let suberror =
        json!({"error": "invalid_grant", "suberror": "basic_action", "error_description": "AADSTS50076"});
    assert_eq!(refused("microsoft", 400, suberror).await, RefusalMeaning::Over);
}

/// JSON only if asked for; errors at 200; 8 hours and 6 months.
#[tokio::test]
async fn github_answers_errors_with_200() {
    let github = Provider::of("github").await;
    let body = json!({"access_token": "ghu", "expires_in": 28_800, "refresh_token": "ghr",
                      "refresh_token_expires_in": 15_897_600, "scope": "", "token_type": "bearer"});
    let tokens = user(github.refresh(200, &body).await);
    assert_eq!(tokens.refresh_expires_at, Some(NOW.plus(184 * DAY)));
    assert_eq!(github.last_token_request().headers["accept"], "application/json");
    github.answers(Reply::new(
        200,
        "application/x-www-form-urlencoded",
        "access_token=ghu&expires_in=28800&scope=",
    ));
    assert_eq!(life(&user(github.refresh_with(Some("ghr")).await)), Some(28_800), "a form nevertheless");
    let over = json!({"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect or expired."});
    assert_eq!(refused("github", 200, over).await, RefusalMeaning::Over);
    let ours = json!({"error": "incorrect_client_credentials"});
    assert_eq!(refused("github", 200, ours).await, RefusalMeaning::Misconfigured);
}

/// Tokens of bot and user in one answer, each with its own life; a refresh is answered otherwise; `ok: false` at 200.
#[tokio::test]
async fn slack_has_two_credentials() {
    let slack = Provider::of("slack").await;
    let body = json!({"ok": true, "access_token": "xoxe.xoxb", "refresh_token": "xoxe-b", "expires_in": 43_200,
                      "scope": "chat:write", "bot_user_id": "B1", "team": {"id": "T1", "name": "Acme"},
                      "authed_user": {"id": "U1", "access_token": "xoxe.xoxp", "refresh_token": "xoxe-p",
                                      "expires_in": 40_000, "scope": "users:read"}});
    let answer = slack.redeem(200, &body).await.unwrap().answer;
    let (tokens, bot) = (answer.user.unwrap(), &answer.pages[0]);
    assert_eq!((tokens.access_token.expose(), life(&tokens)), ("xoxe.xoxp", Some(40_000)));
    assert_eq!((bot.tokens.access_token.expose(), life(&bot.tokens)), ("xoxe.xoxb", Some(43_200)));
    assert_eq!(bot.account.as_ref().unwrap().subject, "B1");
    assert_eq!(answer.account.unwrap(), Account { subject: "U1".to_owned(), name: Some("Acme".to_owned()) });
    let flat = json!({"ok": true, "access_token": "new", "refresh_token": "new-r", "expires_in": 43_200});
    assert_eq!(user(slack.refresh(200, &flat).await).refresh_token.unwrap().expose(), "new-r");
    let revoked = json!({"ok": false, "error": "token_revoked"});
    assert_eq!(refused("slack", 200, revoked).await, RefusalMeaning::Over);
    assert_eq!(
        refused("slack", 200, json!({"ok": false, "error": "internal_error"})).await,
        RefusalMeaning::Passing
    );
}

/// Basic at a refresh, too.
#[tokio::test]
async fn x_authenticates_in_the_header() {
    let x = Provider::of("x").await;
    let body =
        json!({"access_token": "at", "refresh_token": "rt", "expires_in": 7200, "scope": "tweet.read"});
    assert_eq!(life(&user(x.refresh(200, &body).await)), Some(7200));
    let seen = x.last_token_request();
    // "our-id:s%2Bcret"
    assert_eq!(seen.headers["authorization"], "Basic b3VyLWlkOnMlMkJjcmV0");
    assert!(!seen.form.contains_key("client_id"));
    x.redeem(200, &body).await.unwrap();
    assert_eq!(x.last_token_request().form["code_verifier"], VERIFIER);
}

/// `client_key`; `open_id` is the account; the refresh token has an end, and may be another one.
#[tokio::test]
async fn tiktok_has_names_of_its_own() {
    let tiktok = Provider::of("tiktok").await;
    let body = json!({"access_token": "act", "expires_in": 86_400, "open_id": "o-1", "refresh_token": "rft",
                      "refresh_expires_in": 31_536_000, "scope": "user.info.basic,video.list", "token_type": "Bearer"});
    let answer = tiktok.redeem(200, &body).await.unwrap().answer;
    let tokens = answer.user.unwrap();
    assert_eq!((answer.account.unwrap().subject, tokens.scope.unwrap().len()), ("o-1".to_owned(), 2));
    assert_eq!(tokens.refresh_expires_at, Some(NOW.plus(365 * DAY)));
    let form = tiktok.last_token_request().form;
    assert!(
        form["client_key"] == "our-id"
            && !form.contains_key("client_id")
            && form["client_secret"] == "s+cret"
    );
}

/// Refresh tokens for some apps only, and a year that no refresh extends. Spotify: no rotation, ends after 6 months. Zoom:
/// ends after 15 hours without use.
#[tokio::test]
async fn ends_that_only_the_user_moves() {
    let linkedin = Provider::of("linkedin").await;
    let tokens = user(linkedin.redeem(200, &json!({"access_token": "at", "scope": "openid,profile"})).await);
    assert_eq!((life(&tokens), tokens.refresh_token), (Some(60 * DAY), None));
    let body = json!({"access_token": "at", "expires_in": 5_184_000, "refresh_token_expires_in": 300 * DAY});
    let answered = user(linkedin.refresh(200, &body).await).refresh_expires_at;
    let connected = Timestamp(NOW.as_secs() - 100 * DAY);
    let end = refresh_end(&linkedin.oauth().lifetime, answered, NOW, connected);
    assert_eq!(end, Some(NOW.plus(265 * DAY)), "a year from the sign-in");

    let spotify = Provider::of("spotify").await;
    let kept = user(spotify.refresh(200, &json!({"access_token": "at", "expires_in": 3600})).await);
    let kept = kept.credentials(Some(&Secret::new("old-refresh")), "");
    assert_eq!(kept.refresh_token.unwrap().expose(), "old-refresh");
    assert_eq!(refresh_end(&spotify.oauth().lifetime, None, NOW, connected), Some(NOW.plus(80 * DAY)));

    let zoom = Provider::of("zoom").await;
    assert_eq!(refresh_end(&zoom.oauth().lifetime, None, NOW, connected), Some(NOW.plus(15 * 3600)));
    let mastodon = Provider::with("mastodon", &[("instance", "m.example")]).await;
    let tokens = user(mastodon.redeem(200, &json!({"access_token": "at", "created_at": 1})).await);
    assert_eq!((tokens.expires_at, tokens.refresh_token), (None, None), "tokens do not end");
}

/// JSON with Basic and a version. Atlassian: JSON with the secret in it.
#[tokio::test]
async fn some_want_json() {
    for (name, has_secret) in [("notion", false), ("atlassian", true)] {
        let provider = Provider::of(name).await;
        let body = json!({"access_token": "at", "refresh_token": "rt", "bot_id": "b"});
        provider.redeem(200, &body).await.unwrap();
        let seen = provider.last_token_request();
        let sent: BTreeMap<String, String> = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(seen.headers["content-type"], "application/json");
        assert_eq!((sent["code"].as_str(), sent["redirect_uri"].as_str()), ("the-code", REDIRECT_URI));
        assert_eq!(
            (sent.contains_key("client_secret"), seen.headers.contains_key("authorization")),
            (has_secret, !has_secret)
        );
        assert_eq!(seen.headers.contains_key("notion-version"), name == "notion");
    }
}

/// Dead refresh tokens, in the words of each.
#[tokio::test]
async fn refusals_of_dead_refresh_tokens() {
    let description = "Old refresh token used.";
    for (name, status, body, meaning) in [
        ("shopify", 401, json!({"error": "invalid_request"}), RefusalMeaning::Over),
        ("shopify", 400, json!({"error": "invalid_request"}), RefusalMeaning::Request),
        (
            "hubspot",
            400,
            json!({"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid"}),
            RefusalMeaning::Over,
        ),
        (
            "atlassian",
            403,
            json!({"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}),
            RefusalMeaning::Over,
        ),
        (
            "exact-online",
            401,
            json!({"error": "unauthorized_client", "error_description": description}),
            RefusalMeaning::Over,
        ),
        ("exact-online", 400, json!({"error": "unauthorized_client"}), RefusalMeaning::Misconfigured),
        ("tesla", 400, json!({"error": "server_error"}), RefusalMeaning::Passing),
        (
            "salesforce",
            400,
            json!({"error": "invalid_grant", "error_description": "expired access/refresh token"}),
            RefusalMeaning::Over,
        ),
    ] {
        let fields = [("shop", "acme.myshopify.com"), ("login_host", "login.salesforce.com")];
        let provider = Provider::with(name, &fields).await;
        let error = provider.refresh(status, &body).await.unwrap_err();
        assert_eq!(error.meaning(), meaning, "{name} {status} {body}");
        assert_eq!(error.may_be_spent(), meaning == RefusalMeaning::Passing, "{name}");
    }
}

/// No `expires_in`; `instance_url` may change; no scope at a refresh.
#[tokio::test]
async fn salesforce_names_the_address_of_its_api() {
    let salesforce = Provider::with("salesforce", &[("login_host", "login.salesforce.com")]).await;
    let body = |url: &str| json!({"access_token": "at", "refresh_token": "rt", "instance_url": url, "signature": "x"});
    let answer = salesforce.redeem(200, &body("https://acme.my.salesforce.com")).await.unwrap().answer;
    assert_eq!((life(answer.user.as_ref().unwrap()), answer.flaws.len()), (Some(7200), 0));
    let moved = salesforce.refresh(200, &body("https://acme2.my.salesforce.com")).await.unwrap().answer;
    assert_eq!(moved.captured.get("instance_url"), Some("https://acme2.my.salesforce.com"));
    assert!(!salesforce.last_token_request().form.contains_key("scope"));
    let evil = salesforce.redeem(200, &body("https://evil.example")).await.unwrap().answer;
    assert!(evil.user.is_some() && evil.flaws.iter().any(Flaw::ends_sign_in));
}

/// The data centre is in the callback, and decides where the code goes. QuickBooks: the company is in the callback. Amazon:
/// the seller, and the code has another name.
#[tokio::test]
async fn callbacks_carry_more_than_a_code() {
    let callback = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let zoho = Provider::of("zoho").await;
    let captures = &zoho.oauth().captures;
    let captured =
        capture_callback(captures, &callback("accounts-server", "https://accounts.zoho.eu")).unwrap();
    let Some(causeway_providers::Endpoints::Fixed { token, .. }) = endpoints(&zoho) else {
        panic!("endpoints")
    };
    let address = token.fill(|name| captured.get(name.as_str())).unwrap();
    assert_eq!(address.as_str(), "https://accounts.zoho.eu/oauth/v2/token");
    for evil in ["https://accounts.zoho.eu.evil.example", "https://evil.example", "http://accounts.zoho.eu"] {
        assert!(capture_callback(captures, &callback("accounts-server", evil)).is_err(), "{evil}");
    }

    let quickbooks = Provider::of("quickbooks").await;
    let captures = &quickbooks.oauth().captures;
    let captured = capture_callback(captures, &callback("realmId", "4620816365")).unwrap();
    assert_eq!(captured.get("realm_id"), Some("4620816365"));
    assert!(capture_callback(captures, &BTreeMap::new()).is_err());
    let body = json!({"access_token": "at", "refresh_token": "rt", "expires_in": 3600,
                      "x_refresh_token_expires_in": 8_726_400});
    assert_eq!(user(quickbooks.refresh(200, &body).await).refresh_expires_at, Some(NOW.plus(101 * DAY)));

    let amazon = Provider::of("amazon-sp-api").await;
    let captured = capture_callback(&amazon.oauth().captures, &callback("selling_partner_id", "A1")).unwrap();
    assert_eq!(
        (captured.get("selling_partner_id"), &*amazon.oauth().authorization.code_parameter),
        (Some("A1"), "spapi_oauth_code")
    );
}

fn endpoints(provider: &Provider) -> Option<causeway_providers::Endpoints> {
    match &provider.definition.kind {
        causeway_providers::Kind::Oauth2(oauth) => Some(oauth.endpoints.clone()),
        _ => None,
    }
}

/// `BAD_REFRESH_TOKEN` in `status`; a refresh omits `hub_id`, and the old one goes on.
#[tokio::test]
async fn hubspot_omits_the_account_later() {
    let hubspot = Provider::of("hubspot").await;
    let first =
        hubspot.redeem(200, &json!({"access_token": "at", "refresh_token": "rt", "hub_id": 62_515})).await;
    let first = first.unwrap().answer;
    assert_eq!(
        (first.account.unwrap().subject, first.captured.get("hub_id")),
        ("62515".to_owned(), Some("62515"))
    );
    let later =
        hubspot.refresh(200, &json!({"access_token": "at2", "refresh_token": "rt"})).await.unwrap().answer;
    assert!(later.flaws.is_empty() && later.captured.get("hub_id").is_none());
    let mut values = first.captured;
    values.extend(later.captured);
    assert_eq!(values.get("hub_id"), Some("62515"));
}

/// Lifetimes that are absolute, in milliseconds, or in the token; an address for refreshes; JSON; `redirect_uri` again.
#[tokio::test]
async fn anything_may_be_otherwise() {
    let strava = Provider::of("strava").await;
    let body = json!({"access_token": "at", "expires_at": NOW.as_secs() + 21_600, "expires_in": 1, "athlete": {"id": 7}});
    let answer = strava.redeem(200, &body).await.unwrap().answer;
    assert_eq!(
        (life(&answer.user.unwrap()), answer.account.unwrap().subject),
        (Some(21_600), "7".to_owned())
    );

    let odd = Provider::of("odd").await;
    let tokens = user(odd.redeem(200, &json!({"access_token": "at", "lifetime": 60_000})).await);
    assert_eq!(life(&tokens), Some(60));
    odd.upstream.on("/renew", &json!({"access_token": "e30.eyJleHAiOjE4MDAwMDM2MDB9.x"}));
    assert_eq!(life(&user(odd.refresh_with(Some("rt")).await)), Some(3600));
    let sent: BTreeMap<String, String> = serde_json::from_slice(&odd.last("/renew").body).unwrap();
    assert_eq!((sent["redirect_uri"].as_str(), sent["grant_type"].as_str()), (REDIRECT_URI, "refresh_token"));
}
