use super::*;
use crate::testing::{built_in, plain_client, relay};
use crate::values::text::Text as _;

fn checked(relay: &Relay, endpoints: &[&str], path: &str) -> Result<String, TargetError> {
    let endpoints: Vec<Url> = endpoints.iter().map(|url| Url::parse(url).unwrap()).collect();
    let fields = FieldValues::default();
    let targets =
        RelayTargets { relay, endpoints: &endpoints, fields: &fields, account: None, client_id: Some("id") };
    targets.check(RelayPath { path_and_query: path, origin: None }).map(String::from)
}

#[test]
fn what_was_checked_is_what_is_sent() {
    let any = relay("");
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/me?fields=a,b&x=%2F..%5c//",
        "/users/@me/a:b;c=d/e+f!$&'()*",
        "/a%20b/%C3%BC/%25",
        "/a...b/.c/c./...",
        "/v1?next=https://b.example/../x",
    ] {
        assert_eq!(checked(&any, &[], path).as_deref(), Ok(&*format!("https://api.example{path}")), "{path}");
    }
}

#[test]
fn paths_that_can_be_read_in_two_ways_are_refused() {
    let (strict, slashes) = (relay(""), relay("encoded_slash = true"));
    for path in [
        "",
        "v1",
        "//evil.example/",
        "/v1//me",
        "/;/oauth/token",
        "/v1/;x/oauth/token",
        "/oauth/%3B/token",
        "/oauth/%253Bx/token",
        "/oauth/%20/token",
        "/oauth/%20;/token",
        "/oauth/token/;",
        "/v1/../me",
        "/v1/./me",
        "/v1/..",
        "/v1/%2e%2e/me",
        "/v1/.%2E/me",
        "/v1/%2e/me",
        "/v1/%252e%252e/me",
        "/v1/%25252e./me",
        "/v1/..;x=1/me",
        "/v1/%2e%2e%3b/me",
        "/v1/..%20/me",
        "/v1\\me",
        "/v1/%5cme",
        "/v1/%5C..%5Cme",
        "/v1/%255cme",
        "/v1/a%2f..%2fb",
        "/v1/%00",
        "/v1/%0d%0aX-Evil:1",
        "/v1/%250a",
        "/v1/a\r\nb",
        "/v1/a\0b",
        "/v1/a b",
        "/v1/\u{fc}",
        "/v1/%ff",
        "/v1/%",
        "/v1/%2",
        "/v1/%zz",
        "/v1/me#fragment",
        "/v1/<a>",
        "/v1/%2525252525252e",
        "@evil.example/",
        ":8443/",
    ] {
        for relay in [&strict, &slashes] {
            assert!(matches!(checked(relay, &[], path), Err(TargetError::Path(_))), "{path:?}");
        }
    }
    for path in ["/api/group%2Fproject", "/api/group%2fproject/x", "/api/group%252Fproject"] {
        assert_eq!(checked(&strict, &[], path), Err(TargetError::Path("has an encoded slash")), "{path}");
        assert_eq!(checked(&slashes, &[], path).as_deref(), Ok(&*format!("https://api.example{path}")));
    }
}

#[test]
fn credentials_of_the_caller_are_refused() {
    let lines = "strip_urls = [{ member = \"next\", parameters = [\"sig\"] }]\ninject = { query = { key = \"{token}\" } }";
    let relay = relay(lines);
    for (query, name) in [
        ("access_token=x", "access_token"),
        ("a=1&access_token=x", "access_token"),
        ("a=1;access_token=x", "access_token"),
        ("a=1&amp;access_token=x", "access_token"),
        ("Access_Token", "Access_Token"),
        ("%61ccess_token=x", "access_token"),
        ("access_token[]=x", "access_token"),
        ("access_token%5B0%5D=x", "access_token"),
        ("+access_token=x", "access_token"),
        ("appsecret_proof=x", "appsecret_proof"),
        ("client_secret=x", "client_secret"),
        ("key=x", "key"),
        ("sig=x", "sig"),
    ] {
        let refused = checked(&relay, &[], &format!("/v1?{query}"));
        assert_eq!(refused, Err(TargetError::Credential(name.to_owned())), "{query}");
    }
    for query in ["q=access_token", "my_access_token=x", "keys=x", "", "q=a%26access_token=x"] {
        assert!(checked(&relay, &[], &format!("/v1?{query}")).is_ok(), "{query}");
    }
}

#[test]
fn parameters_that_ask_for_credentials_are_refused() {
    let relay = built_in("facebook").relay.unwrap();
    for (query, name) in [
        ("fields=id,access_token.as(x)", "fields"),
        ("a=1&FIELDS=accounts%7BAccess_Token%7D", "fields"),
        ("a=1;fields=access_token", "fields"),
        ("a=1&amp;fields[]=access_token", "fields"),
        ("fields=id;access_token", "fields"),
        ("batch=[]", "batch"),
        ("batch", "batch"),
    ] {
        let refused = checked(&relay, &[], &format!("/v24.0/me?{query}"));
        let is_credential = matches!(refused, Err(TargetError::Credential(_)));
        assert!(
            is_credential || refused == Err(TargetError::Parameter(name.to_owned())),
            "{query}: {refused:?}"
        );
    }
    for query in ["fields=id,name", "q=access_token", "batches=1"] {
        assert!(checked(&relay, &[], &format!("/v24.0/me?{query}")).is_ok(), "{query}");
    }
}

#[test]
fn only_prefixes_are_called_and_nothing_that_is_denied() {
    let relay = relay("prefixes = [\"/v1\", \"/v2/\"]\ndeny = [\"/v1/oauth\", \"/v2/Admin\"]");
    for path in ["/v1", "/v1/me", "/v2/x", "/v1/oauth2", "/v1/x/oauth", "/v1/me?x=/v1/oauth"] {
        assert!(checked(&relay, &[], path).is_ok(), "{path}");
    }
    for path in [
        "/",
        "/v10",
        "/V1/me",
        "/v2/",
        "/v3",
        "/%761/me",
        "/v1/oauth",
        "/v1/oauth/",
        "/v1/oauth/token",
        "/v1/OAuth/token",
        "/v1/%6fauth/token",
        "/v1/%256fauth/token",
        "/v1/oauth;x=1/token",
        "/v1/oauth%3Bx/token",
        "/v1/oauth%20/token",
        "/v1/oauth.json",
        "/v1/oauth.json/token",
        "/v2/admin",
    ] {
        assert_eq!(checked(&relay, &[], path), Err(TargetError::NotAllowed), "{path}");
    }
}

#[test]
fn endpoints_of_the_connection_are_never_called() {
    let relay = relay("");
    let endpoints = [
        "https://api.example/oauth/token",
        "https://api.example/o%61uth/Revoke/",
        "https://other.example/v1",
    ];
    for path in [
        "/oauth/token",
        "/oauth/token/",
        "/oauth/token?x",
        "/oauth/token/info",
        "/OAuth/Token",
        "/oauth/%74oken",
        "/oauth/token;x",
        "/oauth/revoke",
        "/oauth/token.json",
        "/oauth/%74oken.json;x/y",
    ] {
        assert_eq!(checked(&relay, &endpoints, path), Err(TargetError::NotAllowed), "{path}");
    }
    for path in ["/oauth", "/oauth/tokens", "/v1", "/x/oauth/token"] {
        assert!(checked(&relay, &endpoints, path).is_ok(), "{path}");
    }
    assert_eq!(checked(&relay, &["https://api.example"], "/"), Err(TargetError::NotAllowed));
    assert!(checked(&relay, &["https://api.example"], "/v1").is_ok());
}

#[test]
fn an_origin_is_one_of_the_definitions() {
    let relay = built_in("facebook").relay.unwrap();
    let fields = FieldValues::default();
    let targets =
        RelayTargets { relay: &relay, endpoints: &[], fields: &fields, account: None, client_id: None };
    let check = |origin| targets.check(RelayPath { path_and_query: "/v24.0/me", origin }).map(String::from);
    assert_eq!(check(None).as_deref(), Ok("https://graph.facebook.com/v24.0/me"));
    let other = Some("https://graph-video.facebook.com");
    assert_eq!(check(other).as_deref(), Ok("https://graph-video.facebook.com/v24.0/me"));
    for bad in [
        "https://evil.example",
        "http://graph.facebook.com",
        "https://graph.facebook.com:8443",
        "https://user@graph.facebook.com",
        "https://graph.facebook.com/v23.0",
        "graph.facebook.com",
        "",
    ] {
        assert_eq!(check(Some(bad)), Err(TargetError::Origin), "{bad}");
    }
}

#[test]
fn values_choose_the_origin_and_the_prefix() {
    let relay = "[capture.url]\njson = \"/url\"\nallow = [\"*.a.example\"]\n[[managed_accounts]]\n\
                 url = \"https://a.example\"\n[relay]\norigins = [\"{url}\"]\nprefixes = [\"/ex/{account}\"]\n\
                 deny = [\"/ex/{account}/admin\"]\n";
    let relay = plain_client(relay).relay.unwrap();
    let fields = FieldValues::from_iter([("url", "https://x.a.example")]);
    let check = |fields: &FieldValues, account, path| {
        let targets = RelayTargets { relay: &relay, endpoints: &[], fields, account, client_id: None };
        targets.check(RelayPath { path_and_query: path, origin: None }).map(String::from)
    };
    assert_eq!(check(&fields, Some("1"), "/ex/1/b").as_deref(), Ok("https://x.a.example/ex/1/b"));
    assert_eq!(check(&fields, Some("1"), "/ex/2/b"), Err(TargetError::NotAllowed), "another account");
    assert_eq!(check(&fields, Some("1"), "/ex/1/Admin"), Err(TargetError::NotAllowed));
    let missing = |name: &str| Err(TargetError::Value(FillError::Missing(FieldName::parse(name).unwrap())));
    assert_eq!(check(&fields, None, "/ex/1/b"), missing("account"));
    assert_eq!(check(&FieldValues::default(), Some("1"), "/ex/1/b"), missing("url"));
}

#[test]
fn the_built_in_definitions_call_their_apis() {
    let gitlab = built_in("gitlab").relay.unwrap();
    let fields = FieldValues::from_iter([("host", "gitlab.com")]);
    let targets =
        RelayTargets { relay: &gitlab, endpoints: &[], fields: &fields, account: None, client_id: None };
    let check = |path| targets.check(RelayPath { path_and_query: path, origin: None }).map(String::from);
    let project = "/api/v4/projects/group%2Fproject";
    assert_eq!(check(project).as_deref(), Ok("https://gitlab.com/api/v4/projects/group%2Fproject"));
    assert_eq!(check("/oauth/token"), Err(TargetError::NotAllowed));
    assert!(matches!(check("/api/v4/projects/a%2F..%2Fb"), Err(TargetError::Path(_))));
}
