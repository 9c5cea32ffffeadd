use serde_json::json;

use super::*;
use crate::oauth::{CaptureError, RefusalMeaning};
use crate::testing::{built_in, plain_client};
use crate::values::name::FieldName;
use crate::values::text::Text as _;

const NOW: Timestamp = Timestamp(1_800_000_000);

fn read(client: &OauthClient, step: TokenStep, status: u16, body: &str) -> Result<TokenAnswer, Refusal> {
    let received = Received { status, retry_after: None, body: body.as_bytes(), at: NOW };
    read_token_answer(client, step, received, &[])
}

fn code(client: &OauthClient, body: &Value) -> TokenAnswer {
    read(client, TokenStep::Code, 200, &body.to_string()).unwrap()
}

fn refresh(client: &OauthClient, body: &Value) -> TokenAnswer {
    read(client, TokenStep::Refresh, 200, &body.to_string()).unwrap()
}

/// Access token, refresh token, life and scope.
fn summary(tokens: &Tokens) -> (&str, Option<&str>, Option<i64>, Option<String>) {
    let life = tokens.expires_at.map(|at| at.since(NOW));
    let refresh_token = tokens.refresh_token.as_ref().map(Secret::expose);
    (tokens.access_token.expose(), refresh_token, life, tokens.scope.as_ref().map(|scope| scope.join("+")))
}

/// A token that was issued once is kept, whatever stands before it.
#[test]
fn a_value_that_is_left_out_hides_no_token() {
    let answer =
        read(&plain_client(""), TokenStep::Refresh, 200, "{\"expires_in\":,\"access_token\":\"t\"}").unwrap();
    assert_eq!((answer.user.unwrap().access_token.expose(), answer.flaws.len()), ("t", 0));
}

#[test]
fn an_early_end_may_have_cost_the_refresh_token() {
    for (body, is_lost) in [
        (r#"{"access_token":"t","refresh_token":"r"#, true),
        (r#"{"access_token":"t","expires_in":36"#, true),
        (r#"{"access_token":"t","refresh_token":"r","scope":"a"#, false),
    ] {
        let answer = read(&plain_client(""), TokenStep::Refresh, 200, body).unwrap();
        assert_eq!(answer.user.as_ref().unwrap().access_token.expose(), "t");
        assert_eq!(answer.user.as_ref().unwrap().expires_at, None);
        assert_eq!(answer.flaws, [Flaw::Truncated], "{body}");
        assert_eq!(answer.old_refresh_token_may_be_spent(), is_lost, "{body}");
    }
    let whole =
        read(&plain_client(""), TokenStep::Refresh, 200, r#"{"access_token":"t","x":"\ud83d"}"#).unwrap();
    assert!(whole.flaws.is_empty() && !whole.old_refresh_token_may_be_spent());
}

#[test]
fn the_error_beside_a_token_contains_no_secret() {
    let body = br#"{"access_token":"t","error":"ver\u0000ifier is wrong"}"#;
    let received = Received { status: 200, retry_after: None, body, at: NOW };
    let secret = Secret::new("verifier");
    let answer = read_token_answer(&plain_client(""), TokenStep::Code, received, &[&secret]).unwrap();
    assert_eq!(answer.flaws, [Flaw::Error("[redacted] is wrong".to_owned())]);
}

#[test]
fn a_plain_answer() {
    let client = plain_client("");
    let body = json!({"access_token": "at", "refresh_token": "rt", "expires_in": 60, "scope": "a b", "id_token": "i"});
    let answer = code(&client, &body);
    let user = answer.user.unwrap();
    assert_eq!(summary(&user), ("at", Some("rt"), Some(60), Some("a+b".to_owned())));
    assert_eq!((user.issued_at, answer.flaws.len(), answer.id_token), (NOW, 0, Some(Secret::new("i"))));
    let bare = code(&client, &json!({"access_token": "at"})).user.unwrap();
    assert_eq!(summary(&bare), ("at", None, None, None));
}

/// Issued credentials are kept, whatever else is wrong.
#[test]
fn tokens_survive_everything_around_them() {
    let client = plain_client("[lifetime]\naccess_token = \"2h\"");
    for (body, life) in [
        (r#"{"access_token":"at","refresh_token":"rt","expires_in":null}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","expires_in":"soon"}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","expires_in":1e999}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","expires_in":99999999999}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","expires_in":{}}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","expires_in":-1}"#, 0),
        (r#"{"access_token":"at","refresh_token":"rt","scope":17,"name":"\ud83d"}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","scope":{"a":1},"error":""}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","error":"deprecated"}"#, 7200),
        (r#"{"access_token":"at","refresh_token":"rt","id_token":7,"token_type":null}"#, 7200),
        ("\u{feff}{\"access_token\":\"at\",\"refresh_token\":\"rt\",}\n<!-- -->", 7200),
        ("access_token=at&refresh_token=rt&expires_in=", 7200),
        ("access_token=at&refresh_token=rt&expires_in=60", 60),
    ] {
        for status in [200, 201] {
            let user = read(&client, TokenStep::Refresh, status, body).unwrap().user.unwrap();
            let (access, refresh, found, _) = summary(&user);
            assert_eq!((access, refresh, found), ("at", Some("rt"), Some(life)), "{body}");
        }
    }
    let flawed = code(&client, &json!({"access_token": "at", "expires_in": "soon", "error": "old"}));
    assert_eq!(flawed.flaws, [Flaw::Expiry("access token"), Flaw::Error("old".to_owned())]);
    assert!(!flawed.flaws.iter().any(Flaw::ends_sign_in));
}

#[test]
fn what_has_no_token_is_a_refusal() {
    let client = plain_client("");
    for (status, body, meaning) in [
        (200, "", RefusalMeaning::Passing),
        (200, "{}", RefusalMeaning::Passing),
        (200, r#"{"access_token":""}"#, RefusalMeaning::Passing),
        (200, r#"{"access_token":null}"#, RefusalMeaning::Passing),
        (200, r#"{"access_token":["at"]}"#, RefusalMeaning::Passing),
        (200, r#"{"refresh_token":"rt"}"#, RefusalMeaning::Passing),
        (200, "<html>access_token=at</html>", RefusalMeaning::Passing),
        (500, r#"{"access_token":"at"}"#, RefusalMeaning::Passing),
        (200, r#"{"error":"invalid_grant"}"#, RefusalMeaning::Over),
        (200, "error=invalid_client", RefusalMeaning::Misconfigured),
    ] {
        let refused = read(&client, TokenStep::Refresh, status, body).unwrap_err();
        assert_eq!(refused.meaning, meaning, "{status} {body}");
    }
}

#[test]
fn a_bot_comes_with_its_user() {
    let slack = built_in("slack");
    let body = json!({
        "ok": true, "access_token": "xoxb", "refresh_token": "xoxe-b", "expires_in": 43_200, "scope": "chat:write",
        "bot_user_id": "B1", "team": {"id": "T1", "name": "Acme"}, "token_type": "bot",
        "authed_user": {"id": "U1", "access_token": "xoxp", "refresh_token": "xoxe-p", "expires_in": 3600,
                        "scope": "users:read,users:write"},
    });
    let answer = code(&slack, &body);
    let user = answer.user.as_ref().unwrap();
    assert_eq!(
        summary(user),
        ("xoxp", Some("xoxe-p"), Some(3600), Some("users:read+users:write".to_owned()))
    );
    let bot = &answer.pages[0];
    assert_eq!(bot.account, Some(Account { subject: "B1".to_owned(), name: Some("Acme".to_owned()) }));
    assert_eq!(summary(&bot.tokens), ("xoxb", Some("xoxe-b"), Some(43_200), Some("chat:write".to_owned())));
    assert_eq!(answer.account.unwrap().subject, "U1");
    assert!(answer.flaws.is_empty());

    let answer = refresh(
        &slack,
        &json!({"ok": true, "access_token": "xoxp-2", "refresh_token": "r", "expires_in": 60}),
    );
    assert_eq!(answer.user.unwrap().access_token.expose(), "xoxp-2", "flat, and no bot");
    assert!(answer.pages.is_empty() && answer.flaws.is_empty());
}

#[test]
fn a_bot_without_its_user_is_kept_and_ends_the_sign_in() {
    let slack = built_in("slack");
    let answer = code(&slack, &json!({"ok": true, "access_token": "xoxb", "authed_user": {"id": "U1"}}));
    assert_eq!((answer.user, answer.pages[0].tokens.access_token.expose()), (None, "xoxb"));
    assert_eq!(answer.flaws, [Flaw::NoUserToken, Flaw::NoPageAccount]);
    assert!(Flaw::NoUserToken.ends_sign_in() && !Flaw::NoPageAccount.ends_sign_in());
}

#[test]
fn captured_values_come_with_the_code_and_may_be_missing_later() {
    let salesforce = built_in("salesforce");
    let name = || FieldName::parse("instance_url").unwrap();
    let body = |url: Option<&str>| json!({"access_token": "at", "instance_url": url});
    let good = body(Some("https://acme.my.salesforce.com"));
    assert_eq!(code(&salesforce, &good).captured.get("instance_url"), Some("https://acme.my.salesforce.com"));
    assert_eq!(code(&salesforce, &good).user.unwrap().expires_at, Some(NOW.plus(7200)), "the default life");
    let evil = body(Some("https://evil.example"));
    for answer in [code(&salesforce, &evil), refresh(&salesforce, &evil)] {
        assert_eq!(answer.flaws, [Flaw::Capture(CaptureError::NotAllowed(name()))]);
        assert_eq!(answer.captured, FieldValues::default(), "an old one goes on");
    }
    assert_eq!(code(&salesforce, &body(None)).flaws, [Flaw::Capture(CaptureError::Missing(name()))]);
    assert!(refresh(&salesforce, &body(None)).flaws.is_empty());
}

#[test]
fn the_account_may_be_in_the_answer() {
    let hubspot = built_in("hubspot");
    let answer = code(&hubspot, &json!({"access_token": "at", "hub_id": 62515}));
    assert_eq!(
        (answer.account.unwrap().subject, answer.captured.get("hub_id")),
        ("62515".to_owned(), Some("62515"))
    );
    let without = code(&hubspot, &json!({"access_token": "at"}));
    assert!(without.flaws.contains(&Flaw::NoAccount));
    assert!(refresh(&hubspot, &json!({"access_token": "at"})).flaws.is_empty());
}

#[test]
fn ends_of_refresh_tokens_and_other_units() {
    let github = built_in("github");
    let body = json!({"access_token": "at", "expires_in": 28_800, "refresh_token": "rt",
                      "refresh_token_expires_in": 15_897_600, "scope": ""});
    let user = code(&github, &body).user.unwrap();
    assert_eq!(user.refresh_expires_at, Some(NOW.plus(15_897_600)));
    assert_eq!(user.scope, None, "an empty one says nothing");
    let odd = include_str!("../../../tests/definitions/odd.toml");
    let odd = crate::Definition::parse("odd.toml", odd).unwrap().kind.oauth().unwrap().clone();
    let user =
        code(&odd, &json!({"access_token": "at", "lifetime": 3_600_000, "until": "2027-01-15T09:00:00Z"}));
    let user = user.user.unwrap();
    assert_eq!((user.expires_at, user.refresh_expires_at), (Some(NOW.plus(3600)), Some(NOW.plus(3600))));
    let user = refresh(&odd, &json!({"access_token": "e30.eyJleHAiOjE4MDAwMDM2MDB9.x"})).user.unwrap();
    assert_eq!(user.expires_at, Some(NOW.plus(3600)), "exp of the token itself");
}

#[test]
fn scopes_may_be_a_list() {
    let instagram = built_in("instagram");
    for permissions in [json!(["a", "b"]), json!("a,b"), json!(["a,b"])] {
        let user = code(&instagram, &json!({"access_token": "at", "permissions": permissions})).user.unwrap();
        assert_eq!(user.scope, Some(vec!["a".to_owned(), "b".to_owned()]));
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_is_no_use() {
    let answer = code(&plain_client(""), &json!({"access_token": "at", "token_type": "DPoP"}));
    assert_eq!(answer.flaws, [Flaw::Bound]);
}

#[test]
fn the_exchange_of_a_short_lived_token_keeps_what_came_before() {
    let instagram = built_in("instagram");
    let first = code(&instagram, &json!({"access_token": "short", "permissions": "a,b"}));
    let second = json!({"access_token": "long", "expires_in": 5_184_000}).to_string();
    let second = read(&instagram, TokenStep::Exchange, 200, &second).unwrap();
    let user = first.exchanged(second).user.unwrap();
    assert_eq!(summary(&user), ("long", None, Some(5_184_000), Some("a+b".to_owned())));
}

#[test]
fn credentials_keep_the_refresh_token_and_the_scope_that_did_not_come() {
    let client = plain_client("");
    let old = Secret::new("old");
    let tokens = |body: &Value| refresh(&client, body).user.unwrap();
    let kept = tokens(&json!({"access_token": "at"})).credentials(Some(&old), "a b");
    assert_eq!((kept.refresh_token, &*kept.scope, kept.created_at), (Some(old.clone()), "a b", NOW));
    assert_eq!(kept.access, UpstreamAccess::Bearer(Secret::new("at")));
    let new = json!({"access_token": "at", "refresh_token": "new", "scope": "a"});
    let new = tokens(&new).credentials(Some(&old), "a b");
    assert_eq!((new.refresh_token, &*new.scope), (Some(Secret::new("new")), "a"));
}

#[test]
fn nothing_is_shown() {
    let answer = code(
        &built_in("hubspot"),
        &json!({"access_token": "hidden", "refresh_token": "hidden", "hub_id": 1}),
    );
    assert!(!format!("{answer:?}").contains("hidden"));
}
