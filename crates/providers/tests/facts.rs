//! Known facts about providers, and the definitions that say them: for the built-in ones, and for others as an operator
//! would write them (`tests/definitions`).

use std::path::Path;

use causeway_providers::{
    Accounts, AnswerFormat, Catalog, ClientAuthentication, CredentialKind, Definition, Expectation,
    ExpiryUnit, Extras, Identity, Kind, Method, OauthClient, Paging, ParameterValue, PathTemplate, Pkce,
    Reach, Registration, Renewal, RequestBody, Rotation, Rule, Scalar, Seconds, UrlPlace, WaitScope,
};

fn catalog() -> Catalog {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions");
    Catalog::load(Some(&directory)).unwrap_or_else(|error| panic!("{error}"))
}

fn definition(name: &str) -> Definition {
    catalog().find(name).unwrap_or_else(|| panic!("no {name}")).definition.clone()
}

fn client(name: &str) -> OauthClient {
    definition(name).kind.oauth().unwrap_or_else(|| panic!("{name} is no OAuth client")).clone()
}

fn mcp(name: &str) -> OauthClient {
    match definition(name).kind {
        Kind::Mcp(mcp) => mcp.client,
        other => panic!("{name} is {}", other.name()),
    }
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn seconds(duration: Option<Seconds>) -> Option<i64> {
    duration.map(Seconds::as_i64)
}

/// The renewal in short: `single_use`, `reusable`, `access_token` or `none`, a grace or an age, and whether a refresh
/// token is optional.
fn renewal(name: &str) -> (&'static str, Option<i64>, bool) {
    let definition = definition(name);
    let Some(refresh) = definition.kind.refresh() else { return ("none", None, false) };
    match refresh.renewal {
        Renewal::RefreshToken { rotation: Rotation::SingleUse { grace }, optional } => {
            ("single_use", seconds(grace), optional)
        }
        Renewal::RefreshToken { rotation: Rotation::Reusable, optional } => ("reusable", None, optional),
        Renewal::AccessToken { not_before } => ("access_token", Some(not_before.as_i64()), false),
    }
}

/// Returns whether one of the rules has this test.
fn has(rules: &[Rule], json: &str, value: impl Into<Value>) -> bool {
    let value = value.into().0;
    rules.iter().flat_map(|rule| &rule.tests).any(|test| {
        test.json.to_string() == json
            && match &test.expected {
                Expectation::Equals(values) => values.contains(&value),
                Expectation::Contains(texts) => texts.iter().any(|text| Scalar::Text(text.clone()) == value),
                Expectation::Present(_) => false,
            }
    })
}

struct Value(Scalar);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(Scalar::Text(text.to_owned()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(Scalar::Integer(number))
    }
}

/// Renewal of the credential of each, and the time after which it ends whatever is done.
#[test]
fn renewals() {
    for (name, expected) in [
        // Facebook: code, short-lived token, long-lived token; nothing renews it.
        ("facebook", ("none", None, false)),
        // Instagram and Threads: refreshed with the access token itself, from 24 hours on.
        ("instagram", ("access_token", Some(DAY), false)),
        ("threads", ("access_token", Some(DAY), false)),
        ("google", ("reusable", None, false)),
        ("microsoft", ("reusable", None, false)),
        // GitHub App: refresh ends the old tokens; without expiry there is no refresh token.
        ("github", ("single_use", None, true)),
        // GitLab: both rotate.
        ("gitlab", ("single_use", None, false)),
        // Slack: rotation is a setting of the app.
        ("slack", ("single_use", None, true)),
        // X: single use, a replay ends the family.
        ("x", ("single_use", None, false)),
        // TikTok: may rotate.
        ("tiktok", ("single_use", None, false)),
        // LinkedIn: for some apps only.
        ("linkedin", ("reusable", None, true)),
        // Spotify: no rotation.
        ("spotify", ("reusable", None, false)),
        ("notion", ("single_use", None, true)),
        // Notion's MCP server: reuse ends the family.
        ("notion-mcp", ("single_use", None, false)),
        // Mastodon: tokens do not end.
        ("mastodon", ("none", None, false)),
        ("shopify", ("single_use", None, false)),
        // Salesforce: rotation is a setting of the app, and recommended.
        ("salesforce", ("single_use", None, false)),
        ("zoho", ("reusable", None, false)),
        // QuickBooks: the value changes daily.
        ("quickbooks", ("single_use", Some(DAY), false)),
        ("hubspot", ("reusable", None, false)),
        // Atlassian: 10 minutes of leeway.
        ("atlassian", ("single_use", Some(10 * MINUTE), false)),
        // Linear's MCP server: 30 minutes of grace.
        ("linear-mcp", ("single_use", Some(30 * MINUTE), false)),
    ] {
        assert_eq!(renewal(name), expected, "{name}");
    }
}

/// Lives and ends, in seconds: of an access token whose answer has none, without use, in any case, of the data.
#[test]
fn lifetimes() {
    for (name, access_token, idle_end, absolute_end, access_end) in [
        // Facebook: the lifetime may be missing, then there is no known end; data access ends after 90 days.
        ("facebook", None, None, None, Some(90 * DAY)),
        ("instagram", Some(60 * DAY), None, None, None),
        // Google: 6 months without use.
        ("google", None, Some(180 * DAY), None, None),
        // LinkedIn: a year from the sign-in that no refresh extends.
        ("linkedin", Some(60 * DAY), None, Some(365 * DAY), None),
        // Spotify: ends after 6 months.
        ("spotify", None, None, Some(180 * DAY), None),
        // Mastodon: tokens do not end.
        ("mastodon", None, None, None, None),
        // Salesforce: no expires_in.
        ("salesforce", Some(2 * HOUR), None, None, None),
        // QuickBooks: 100 days without use, 5 years in any case.
        ("quickbooks", None, Some(100 * DAY), Some(5 * 365 * DAY), None),
        // Xero: 30 minutes, 60 days without use.
        ("xero", Some(30 * MINUTE), Some(60 * DAY), None, None),
        // Atlassian: 365 days.
        ("atlassian", None, Some(90 * DAY), Some(365 * DAY), None),
        // Zoom: a refresh token dies after 15 hours without use.
        ("zoom", None, Some(15 * HOUR), None, None),
        // Shopify: 1 hour and 90 days.
        ("shopify", Some(HOUR), Some(90 * DAY), None, None),
    ] {
        let lifetime = client(name).lifetime;
        let found = [lifetime.access_token, lifetime.idle_end, lifetime.absolute_end, lifetime.access_end];
        assert_eq!(found.map(seconds), [access_token, idle_end, absolute_end, access_end], "{name}");
    }
    // Linear's MCP server: 24 hours.
    assert_eq!(seconds(mcp("linear-mcp").lifetime.access_token), Some(DAY));
}

/// The grants that an account may have for one registration, and what a revocation ends.
#[test]
fn limits_and_reach() {
    for (name, grants, reach) in [
        ("facebook", None, Reach::Grant),
        // Google: 100 for each account and client, the oldest dies; a revocation ends all.
        ("google", Some(100), Reach::Grant),
        // GitHub: 10 for each user and app.
        ("github", Some(10), Reach::Grant),
        ("discord", None, Reach::Grant),
        // Notion: a second authorization ends the first.
        ("notion", Some(1), Reach::Grant),
        // Shopify: one for each app and shop.
        ("shopify", Some(1), Reach::Grant),
        // Salesforce: 5 approvals.
        ("salesforce", Some(5), Reach::Token),
        // Zoho: 20 refresh tokens.
        ("zoho", Some(20), Reach::Grant),
        // Strava: deauthorize ends all.
        ("strava", None, Reach::Grant),
        ("slack", None, Reach::Token),
        ("hubspot", None, Reach::Grant),
    ] {
        let client = client(name);
        let found = client.grants_per_account.map(std::num::NonZeroU32::get);
        assert_eq!((found, client.revocation.reach), (grants, reach), "{name}");
    }
    // Miro's MCP server: one valid token for each user.
    assert_eq!(mcp("miro-mcp").grants_per_account.map(std::num::NonZeroU32::get), Some(1));
    // Zoho: 10 refreshes in 10 minutes.
    assert_eq!(seconds(client("zoho").refresh.unwrap().min_interval), Some(MINUTE));
}

/// Facebook: a second exchange; 459 and 490 keep the token; the error of a page ends that page alone; the address of the
/// next page holds the token; two ways to ask again; pages of a portfolio need a second list; its own behaviour.
#[test]
fn facebook() {
    let facebook = client("facebook");
    let exchange = facebook.exchange.unwrap();
    assert_eq!(exchange.method, Method::Get);
    assert_eq!(exchange.parameters["grant_type"].to_string(), "fb_exchange_token");
    assert_eq!(facebook.extras, Some(Extras::Facebook));
    let again =
        |parameters: &std::collections::BTreeMap<String, _>| parameters.keys().cloned().collect::<Vec<_>>();
    assert_eq!(facebook.authorization.force_reauth["auth_type"].to_string(), "reauthenticate");
    assert_eq!(facebook.authorization.add_accounts["auth_type"].to_string(), "rerequest");
    assert_eq!(again(&facebook.authorization.add_accounts), ["auth_type"]);

    let relay = facebook.relay.unwrap();
    assert!(has(&relay.refused, "/error/code", 190) && has(&relay.refused, "/error/code", 102));
    let checkpoint = &relay.action_required[0];
    assert!(has(std::slice::from_ref(checkpoint), "/error/code", 190));
    assert!(has(std::slice::from_ref(checkpoint), "/error/error_subcode", 459));
    assert!(has(std::slice::from_ref(checkpoint), "/error/error_subcode", 490));
    for (code, scope) in
        [(4, WaitScope::App), (341, WaitScope::App), (17, WaitScope::User), (32, WaitScope::Account)]
    {
        let rule = relay.wait.iter().find(|wait| has(std::slice::from_ref(&wait.rule), "/error/code", code));
        assert_eq!(rule.unwrap().scope, scope, "{code}");
    }
    let pages = &facebook.managed_accounts[0];
    assert!(matches!(&pages.paging, Paging::Next(next) if next.to_string() == "/paging/next"));
    assert!(pages.token.is_some() && pages.tasks.is_some());
    let (url, text) =
        ("https://graph.facebook.com/v24.0/me/businesses", catalog().find("facebook").unwrap().text.clone());
    let second = format!(
        "{text}\n[[managed_accounts]]\nurl = \"{url}?fields=owned_pages%7Bid,access_token%7D\"\n\
         items = \"/data/*/owned_pages/data\"\ntoken = \"/access_token\"\n"
    );
    let second = Definition::parse("facebook.toml", &second).unwrap();
    assert_eq!(second.kind.oauth().unwrap().managed_accounts.len(), 2);

    let page_only = text.replace("equals = [102, 190] }", "equals = [102, 190], credential = \"page\" }");
    let page_only = Definition::parse("facebook.toml", &page_only).unwrap();
    let refused = &page_only.kind.oauth().unwrap().relay.as_ref().unwrap().refused;
    assert_eq!(refused[0].credential, Some(CredentialKind::Page));
}

/// Callers of the Graph API choose what an answer contains and where: tokens and the addresses of further pages, which
/// hold the token, are taken out at any depth.
#[test]
fn no_token_leaves_the_graph_apis() {
    for name in ["facebook", "instagram", "threads"] {
        let relay = client(name).relay.unwrap();
        assert_eq!(relay.strip_members, ["access_token"], "{name}");
        for member in ["next", "previous"] {
            let place = UrlPlace::Member(member.to_owned());
            let strip = relay.strip_urls.iter().find(|strip| strip.place == place).unwrap();
            assert!(strip.parameters.contains(&"access_token".to_owned()), "{name}");
        }
    }
}

/// Returns whether the relay would call a path.
fn is_called(name: &str, path: &str) -> bool {
    let relay = client(name).relay.unwrap_or_else(|| panic!("{name} has no relay"));
    let begins = |paths: &[PathTemplate]| {
        let begins = |beginning: &PathTemplate| beginning.is_beginning_of(path, |_| None);
        paths.iter().any(|beginning| begins(beginning).unwrap_or_else(|error| panic!("{beginning}: {error}")))
    };
    (relay.prefixes.is_empty() || begins(&relay.prefixes)) && !begins(&relay.deny)
}

/// The endpoints of OAuth are not called under another path either, such as that of another version. A batch of calls of
/// the Graph API goes to a root.
#[test]
fn endpoints_that_are_not_relayed() {
    for (name, api, others) in [
        (
            "facebook",
            &["/v24.0/me", "/v24.0/123/feed"][..],
            &["/", "/v24.0", "/v24.0/", "/v23.0/me", "/oauth/access_token", "/v24.0/oauth/access_token"][..],
        ),
        (
            "instagram",
            &["/v24.0/me"],
            &["/", "/v24.0/", "/access_token", "/v23.0/access_token", "/v24.0/access_token"],
        ),
        ("instagram", &[], &["/refresh_access_token", "/v24.0/refresh_access_token"]),
        (
            "threads",
            &["/v1.0/me"],
            &["/", "/v1.0/", "/oauth/access_token", "/v1.0/oauth/access_token", "/v1.0/access_token"],
        ),
        ("threads", &[], &["/refresh_access_token", "/v1.0/refresh_access_token"]),
        (
            "discord",
            &["/api/v10/users/@me"],
            &["/api/oauth2/token", "/api/v9/oauth2/token", "/api/v10/oauth2/token"],
        ),
        ("discord", &[], &["/api/oauth2/token/revoke", "/api/v10/oauth2/token/revoke"]),
        (
            "google",
            &["/oauth2/v3/userinfo", "/calendar/v3/calendars"],
            &["/oauth2/v4/token", "/oauth2/v3/token", "/oauth2/v1/token"],
        ),
        ("slack", &["/api/chat.postMessage"], &["/api/oauth.v2.access", "/api/oauth.v2.user.access"]),
    ] {
        for path in api {
            assert!(is_called(name, path), "{name} {path}");
        }
        for path in others {
            assert!(!is_called(name, path), "{name} {path}");
        }
    }
}

/// Instagram and Threads: GET at an address of its own, with the access token as a parameter.
#[test]
fn instagram_and_threads() {
    for (name, grant) in [("instagram", "ig_refresh_token"), ("threads", "th_refresh_token")] {
        let refresh = client(name).refresh.unwrap();
        assert_eq!(refresh.request.method, Some(Method::Get), "{name}");
        assert!(refresh.request.url.unwrap().to_string().ends_with("/refresh_access_token"));
        assert_eq!(refresh.request.parameters["grant_type"].to_string(), grant);
        assert_eq!(refresh.request.parameters["access_token"].to_string(), "{access_token}");
    }
}

/// Google: offline access with consent; scopes that users untick; `error_subtype`.
#[test]
fn google() {
    let google = client("google");
    assert_eq!(google.authorization.parameters["access_type"].to_string(), "offline");
    assert_eq!(google.authorization.parameters["prompt"].to_string(), "consent");
    assert_eq!(google.scopes.required, ["openid"]);
    assert!(has(&google.refresh.unwrap().errors.over, "/error_subtype", "invalid_rapt"));
}

/// Microsoft: a templated issuer; `suberror` and codes in the description; the scope at a refresh; no `resource`; an
/// expired secret is the registration's fault. The tenant is one segment.
#[test]
fn microsoft() {
    let ParameterValue::Segment(tenant) = &definition("microsoft").parameters[0].value else {
        panic!("parameter")
    };
    for good in ["common", "contoso.onmicrosoft.com", "9f3f6c1e-5f0d-4b0a-8f0e-0c1d2e3f4a5b"] {
        assert!(tenant.matches(good), "{good}");
    }
    assert!(!tenant.matches(".") && !tenant.matches("..") && !tenant.matches("a/b"));
    let Kind::Oidc(microsoft) = definition("microsoft").kind else { panic!("kind") };
    let pattern = microsoft.discovery.issuer_pattern.unwrap();
    assert_eq!(pattern.to_string(), "https://login.microsoftonline.com/{tenantid}/v2.0");
    assert!(!microsoft.client.resource);
    assert_eq!(microsoft.client.scopes.offline.as_deref(), Some("offline_access"));
    let refresh = microsoft.client.refresh.unwrap();
    assert!(refresh.request.send_scope);
    assert!(has(&refresh.errors.over, "/suberror", "basic_action"));
    assert!(has(&refresh.errors.misconfigured, "/error_description", "AADSTS7000222"));
}

/// GitHub: answers are JSON only if asked for; errors come with 200, so none of the rules names a status; the refresh
/// token has an end.
#[test]
fn github() {
    let github = client("github");
    let accept = github.token_request.headers.iter().find(|(name, _)| name.as_str() == "Accept");
    assert_eq!(accept.unwrap().1.to_string(), "application/json");
    assert_eq!(github.answer.format, AnswerFormat::Json);
    assert_eq!(github.answer.error.to_string(), "/error");
    let refresh_end = github.answer.code.refresh_expires.unwrap();
    assert_eq!(refresh_end.json.to_string(), "/refresh_token_expires_in");
    let over = &github.refresh.unwrap().errors.over;
    assert!(has(over, "/error", "bad_refresh_token") && over.iter().all(|rule| rule.status.is_empty()));
}

/// GitLab: `group%2Fproject` in paths; the host of a self-managed server.
#[test]
fn gitlab() {
    assert!(client("gitlab").relay.unwrap().encoded_slash);
    let parameters = definition("gitlab").parameters;
    assert_eq!(parameters[0].value, ParameterValue::Host);
    assert_eq!(parameters[0].default.as_deref(), Some("gitlab.com"));
}

/// Slack: the tokens of bot and user in one answer, each with its own life; a refresh is answered otherwise; `ok: false`
/// at 200, in ordinary answers too.
#[test]
fn slack() {
    let slack = client("slack");
    assert_eq!(slack.answer.code.access_token.to_string(), "/authed_user/access_token");
    assert_eq!(slack.answer.refresh.access_token.to_string(), "/access_token");
    let bot = &slack.credentials[0];
    assert_eq!(bot.fields.access_token.to_string(), "/access_token");
    assert_eq!(bot.fields.refresh_token.to_string(), "/refresh_token");
    assert_eq!(bot.fields.expires.json.to_string(), "/expires_in");
    let refused = &slack.relay.unwrap().refused;
    assert!(has(refused, "/error", "token_expired"));
    assert_eq!(refused[0].status[0].as_u16(), 200);
}

/// X: Basic at a refresh. TikTok: `client_key`, and the account is in the token answer.
#[test]
fn x_and_tiktok() {
    let x = client("x");
    assert_eq!(x.token_request.authentication, ClientAuthentication::ClientSecretBasic);
    assert_eq!(x.refresh.unwrap().request.authentication, None, "as at the exchange of the code");
    let tiktok = client("tiktok");
    assert_eq!(tiktok.authorization.rename["client_id"], "client_key");
    assert_eq!(tiktok.token_request.rename["client_id"], "client_key");
    assert!(
        matches!(&tiktok.identity, Identity::TokenAnswer { subject, .. } if subject.to_string() == "/open_id")
    );
    assert_eq!(tiktok.answer.code.refresh_expires.unwrap().json.to_string(), "/refresh_expires_in");
}

/// Mastodon: an app for each instance, verified before use. Shopify: the host of the shop in addresses, and
/// `invalid_request` with 401 means the end.
#[test]
fn hosts_that_users_enter() {
    let mastodon = client("mastodon");
    let Registration::Instance { url, verify_url } = mastodon.registration else { panic!("registration") };
    assert_eq!(url.to_string(), "https://{instance}/api/v1/apps");
    assert!(verify_url.unwrap().to_string().ends_with("/apps/verify_credentials"));
    assert_eq!(mastodon.accounts, Accounts::Many);
    assert_eq!(mastodon.pkce, Pkce::S256);

    let ParameterValue::HostUnder(suffix) = &definition("shopify").parameters[0].value else {
        panic!("parameter")
    };
    assert_eq!(suffix.host_of("acme").as_deref(), Some("acme.myshopify.com"));
    let over = client("shopify").refresh.unwrap().errors.over;
    assert!(has(&over, "/error", "invalid_request"));
    assert_eq!(over[0].status[0].as_u16(), 401);
}

/// Salesforce: `instance_url` changes; no scope at a refresh; `INVALID_SESSION_ID`. Zoho: the data centre is in the
/// callback and in the answer. QuickBooks: `realmId` in the callback.
#[test]
fn captured_values() {
    let salesforce = client("salesforce");
    let capture = &salesforce.captures[0];
    assert_eq!(capture.name.as_str(), "instance_url");
    assert!(
        capture.allow[0].matches("acme.my.salesforce.com")
            && !capture.allow[0].matches("salesforce.com.evil.example")
    );
    let relay = salesforce.relay.unwrap();
    assert_eq!(relay.origins[0].to_string(), "{instance_url}");
    assert!(has(&relay.refused, "/0/errorCode", "INVALID_SESSION_ID"));
    assert!(!salesforce.refresh.unwrap().request.send_scope);

    let Kind::Oauth2(zoho) = definition("zoho").kind else { panic!("kind") };
    let causeway_providers::Endpoints::Fixed { token, .. } = zoho.endpoints else { panic!("endpoints") };
    assert_eq!(token.to_string(), "{accounts_server}/oauth/v2/token");
    assert!(zoho.client.captures.iter().all(|capture| !capture.allow.is_empty()));

    let quickbooks = client("quickbooks");
    assert!(quickbooks.captures[0].allow.is_empty(), "a segment of a path");
    assert_eq!(quickbooks.relay.unwrap().prefixes[0].to_string(), "/v3/company/{realm_id}");
}

/// Xero: the organisation is chosen by a header. Atlassian: by the path. Amazon: a header of its own, the code under
/// another name, the seller in the callback.
#[test]
fn accounts_and_credentials_in_calls() {
    let xero = client("xero");
    let header = xero.relay.unwrap().inject.header;
    assert!(
        header
            .iter()
            .any(|(name, value)| name.as_str() == "Xero-tenant-id" && value.to_string() == "{account}")
    );
    assert_eq!(xero.managed_accounts[0].subject.to_string(), "/tenantId");

    let atlassian = client("atlassian");
    assert!(atlassian.managed_accounts[0].items.is_none(), "the answer is the list");
    let prefixes: Vec<String> = atlassian.relay.unwrap().prefixes.iter().map(ToString::to_string).collect();
    assert!(prefixes.contains(&"/ex/jira/{account}".to_owned()));

    let amazon = client("amazon-sp-api");
    assert_eq!(amazon.authorization.code_parameter, "spapi_oauth_code");
    assert_eq!(amazon.captures[0].name.as_str(), "selling_partner_id");
    let header = amazon.relay.unwrap().inject.header;
    assert_eq!(header.keys().next().unwrap().as_str(), "x-amz-access-token");
}

/// HubSpot: `error` as everywhere, with `BAD_REFRESH_TOKEN` in `status` besides; a refresh omits `hub_id`; what is revoked is
/// a refresh token. Exact Online: the reason is in the
/// description. Atlassian's 403, and Tesla's `server_error` that passes, need no rule.
#[test]
fn errors_of_the_token_endpoint() {
    let hubspot = client("hubspot");
    assert_eq!(hubspot.answer.error.to_string(), "/error");
    assert_eq!(hubspot.answer.error_description.to_string(), "/error_description");
    let revocation = hubspot.revocation;
    assert_eq!(revocation.url.unwrap().to_string(), "https://api.hubapi.com/oauth/2026-03/token/revoke");
    assert_eq!(revocation.parameters["token"].to_string(), "{refresh_token}");
    assert_eq!(hubspot.captures[0].name.as_str(), "hub_id");
    assert!(has(&hubspot.refresh.unwrap().errors.over, "/status", "BAD_REFRESH_TOKEN"));

    let over = client("exact-online").refresh.unwrap().errors.over;
    assert!(has(&over, "/error", "unauthorized_client"));
    assert!(has(&over, "/error_description", "Old refresh token used."));

    for name in ["atlassian", "tesla"] {
        assert_eq!(
            client(name).refresh.unwrap().errors,
            causeway_providers::TokenErrors::default(),
            "{name}"
        );
    }
}

/// Vercel's MCP server: its metadata lacks the scope for a refresh token. Notion's and Sentry's have their metadata at
/// the root, which discovery finds by itself.
#[test]
fn mcp_servers() {
    assert_eq!(mcp("vercel-mcp").scopes.offline.as_deref(), Some("offline_access"));
    for name in ["notion-mcp", "sentry-mcp"] {
        let mcp = mcp(name);
        assert_eq!(mcp.registration, Registration::Dynamic);
        assert!(mcp.scopes.default.is_empty() && mcp.scopes.offline.is_none());
    }
}

/// Any: lifetimes in milliseconds or absolute; an address for refreshes; `redirect_uri` at a refresh; JSON bodies; the
/// code under another name.
#[test]
fn anything_may_be_otherwise() {
    let odd = client("odd");
    assert_eq!(odd.answer.code.expires.unit, ExpiryUnit::Milliseconds);
    assert_eq!(odd.answer.code.refresh_expires.unwrap().unit, ExpiryUnit::Iso8601);
    assert_eq!(odd.answer.refresh.expires.unit, ExpiryUnit::Jwt);
    assert_eq!(client("strava").answer.code.expires.unit, ExpiryUnit::Unix);
    assert_eq!(odd.token_request.body, RequestBody::Json);
    assert_eq!(odd.authorization.code_parameter, "auth_code");
    let request = odd.refresh.unwrap().request;
    assert_eq!(request.url.unwrap().to_string(), "https://odd.example/renew");
    assert_eq!(request.parameters["redirect_uri"].to_string(), "{redirect_uri}");
}

/// A site with cookies: a value of the page, a one-time password, a token that goes soft after 25 minutes.
#[test]
fn a_site_with_a_form() {
    let Kind::Form(form) = definition("booking").kind else { panic!("kind") };
    assert_eq!(form.prepare[0].values.len(), 1);
    assert_eq!(form.login.fields.len(), 2);
    assert!(form.next[0].when.is_some());
    let refresh = form.refresh.unwrap();
    assert_eq!(seconds(refresh.max_age), Some(25 * MINUTE));
    assert!(has(std::slice::from_ref(&refresh.logout.unwrap()), "/logout", 1));
}
