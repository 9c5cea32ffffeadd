use causeway_domain::client::ClientMetadata;
use causeway_types::{ClientId, TenantId, Timestamp};

use super::*;

const MAX_SCOPE: &str = "atproto transition:generic transition:email";
const LISTED: [&str; 4] = ["atproto", "transition:generic", "transition:email", "transition:chat.bsky"];

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

fn policy(max_scope: &str, declares: Declares) -> ScopePolicy {
    ScopePolicy::new(scope(max_scope), declares, ResourceScopes::default())
}

fn client(registered: Option<&str>) -> Client {
    let metadata = ClientMetadata {
        redirect_uris: vec!["https://app.example/cb".to_owned()],
        scope: registered.map(str::to_owned),
        grant_types: Some(vec!["authorization_code".to_owned(), "refresh_token".to_owned()]),
        ..ClientMetadata::default()
    };
    let (id, tenant) = (ClientId::new("c"), TenantId::default_tenant());
    metadata.validate().unwrap().into_client(id, tenant, None, Timestamp(0))
}

fn listed() -> Vec<String> {
    LISTED.map(str::to_owned).to_vec()
}

fn admit(policy: &ScopePolicy, asked: &str, client: &Client) -> Result<String, String> {
    policy.admit(asked, client, &Resources::default()).map(|scope| scope.to_string())
}

#[test]
fn admits_within_maximum_and_registration() {
    let policy = policy(MAX_SCOPE, Declares::Maximum);
    let anything = client(None);
    let registered = client(Some("atproto transition:generic"));
    let admit = |asked, client| admit(&policy, asked, client);
    assert_eq!(admit("", &anything).as_deref(), Ok("atproto"));
    assert_eq!(admit("transition:email", &anything).as_deref(), Ok("atproto transition:email"));
    assert_eq!(admit("repo:a.b.c", &registered).as_deref(), Ok("atproto repo:a.b.c"));
    assert_eq!(
        admit("transition:email", &registered),
        Err("not available to this client: transition:email \
             (available: atproto transition:generic openid profile offline_access)"
            .to_owned())
    );
    assert!(admit("transition:chat.bsky identity:*", &anything).is_err_and(|error| {
        error.starts_with("not available to this client: transition:chat.bsky identity:* (")
    }));
    assert!(
        admit("repo:nonsense atproto", &anything)
            .is_err_and(|error| error.contains("repo:nonsense is not a scope"))
    );
}

/// Scopes that a client may not have are harmless beside those that it may have.
#[test]
fn leaves_out_what_is_not_to_be_had() {
    let policy = policy(MAX_SCOPE, Declares::Maximum);
    let (anything, registered) = (client(None), client(Some("atproto background_access")));
    for (asked, client, granted) in [
        ("openid background_access", &anything, "openid"),
        ("atproto background_access", &registered, "atproto"),
        ("transition:chat.bsky transition:generic", &anything, "atproto transition:generic"),
        ("atproto identity:*", &anything, "atproto"),
        ("mcp:tools", &anything, "atproto"),
        ("write:posts openid", &anything, "openid"),
        ("repo:a.b.c mcp:tools", &registered, "atproto"),
        ("email", &registered, "atproto"),
    ] {
        if asked.starts_with("repo") {
            assert!(admit(&policy, asked, client).is_err(), "{asked}");
        } else {
            assert_eq!(admit(&policy, asked, client).as_deref(), Ok(granted), "{asked}");
        }
    }
    for asked in ["background_access", "background_access mcp:tools", "identity:* phone"] {
        let error = admit(&policy, asked, &registered).unwrap_err();
        let (refused, reach) = error.split_once(" (available: ").unwrap();
        let reach: Vec<_> = reach.trim_end_matches(')').split(' ').collect();
        let refused = refused.strip_prefix("not available to this client: ").unwrap();
        assert!(refused.split(' ').all(|value| !reach.contains(&value)), "it says both: {error}");
        assert_eq!(reach, ["atproto", "openid", "profile", "offline_access"]);
    }
}

#[test]
fn scopes_of_resources() {
    let declared = ["https://notes.example/mcp notes:read Read your notes"];
    let declared = ResourceScopes::parse(&declared).unwrap();
    let policy = ScopePolicy::new(scope(MAX_SCOPE), Declares::Maximum, declared);
    let notes = Resources::parse(&["https://notes.example/mcp"]).unwrap();
    let admit = |asked, registered, resources: &Resources| {
        policy.admit(asked, &client(registered), resources).map(|scope| scope.to_string())
    };
    let none = Resources::default();
    assert_eq!(admit("notes:read", None, &notes).as_deref(), Ok("atproto notes:read"));
    assert_eq!(admit("notes:read notes:write", None, &notes).as_deref(), Ok("atproto notes:read"));
    assert_eq!(
        admit("openid notes:read", None, &none).as_deref(),
        Ok("openid"),
        "no token for it is asked for"
    );
    assert_eq!(admit("notes:read", Some("atproto"), &notes).as_deref(), Ok("atproto"), "not registered");
    assert_eq!(admit("notes:read", Some("notes:read"), &notes).as_deref(), Ok("atproto notes:read"));
    let asked = Scope::parse_asked("atproto notes:read").unwrap();
    assert_eq!(policy.upstream(&client(None), &asked).to_string(), "atproto", "no business of a PDS");
    assert_eq!(grantable(&asked, &scope("atproto")), asked);
    assert!(!policy.supported().contains("notes:read"));
}

/// RFC 7591 section 3.2.1: scopes that a client cannot have are left out, and the response says so.
#[test]
fn registers_what_can_be_had() {
    let declared = ResourceScopes::parse(&["https://notes.example/mcp notes:read Read your notes"]).unwrap();
    let policy = ScopePolicy::new(scope(MAX_SCOPE), Declares::Maximum, declared);
    let metadata = |named: &str| {
        let metadata = ClientMetadata {
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            scope: Some(named.to_owned()),
            ..ClientMetadata::default()
        };
        metadata.validate().unwrap()
    };
    let register = |named: &str, known: Option<&Client>| {
        policy.registrable(&metadata(named), known).map(|scope| scope.map(|scope| scope.to_string()))
    };
    let some = |text: &str| Ok(Some(text.to_owned()));
    let all =
        "openid profile email offline_access address phone background_access notes:read mcp:tools identity:*";
    assert_eq!(register(all, None), some("openid profile email notes:read"));
    assert_eq!(register("mcp:tools", None), some("atproto"));
    assert_eq!(register("phone mcp:tools", None), some("atproto"));
    assert_eq!(register("", None), Ok(None));
    assert_eq!(register("background_access", None), Err("background_access".to_owned()));
    assert_eq!(register("identity:* mcp:tools", None), Err("identity:*".to_owned()));
    let mut automation = client(None);
    automation.entitlements.background_access = true;
    assert_eq!(register("openid background_access", Some(&automation)), some("openid background_access"));
}

#[test]
fn what_is_between_us_and_the_client() {
    let with_email = policy(MAX_SCOPE, Declares::Maximum);
    let without = policy("atproto transition:generic", Declares::Maximum);
    let all = "openid profile email offline_access address phone";
    let admit = |policy: &ScopePolicy, asked, registered| admit(policy, asked, &client(registered));
    let allow = |policy: &ScopePolicy, asked, client: &Client| {
        policy.admit(asked, client, &Resources::default()).unwrap().to_string()
    };
    assert_eq!(admit(&with_email, all, None).as_deref(), Ok("openid profile email offline_access"));
    assert_eq!(admit(&without, all, None).as_deref(), Ok("openid profile offline_access"));
    assert_eq!(admit(&with_email, "openid email", Some("atproto")).as_deref(), Ok("openid"));
    assert_eq!(admit(&with_email, "openid atproto", None).as_deref(), Ok("openid atproto"));
    assert_eq!(admit(&with_email, "openid groups notes:read", None).as_deref(), Ok("openid"));
    assert!(admit(&with_email, "openid transition:nonsense", None).is_err());
    assert!(admit(&with_email, "openid repo:nonsense", None).is_err());
    let mut once = client(None);
    once.grant_types = vec![GrantType::AuthorizationCode];
    assert_eq!(allow(&with_email, "openid offline_access", &once), "openid", "it gets no refresh token");
    assert_eq!(admit(&with_email, "email", Some("atproto email")).as_deref(), Ok("atproto email"));
    assert!(admit(&with_email, "background_access", None).is_err());
    let mut automation = client(None);
    automation.entitlements.background_access = true;
    assert_eq!(allow(&with_email, "background_access", &automation), "atproto background_access");
    assert_eq!(
        with_email.supported().to_string(),
        "atproto transition:generic transition:email openid profile email offline_access"
    );
    assert!(!without.supported().contains("email"));
}

#[test]
fn upstream_by_what_the_document_names() {
    use Declares::{Asked, Maximum, Registered};
    let upstream = |declares, max_scope, registered, asked| {
        policy(max_scope, declares).upstream(&client(registered), &scope(asked)).to_string()
    };
    let narrow = "openid repo:a.b.c?action=create blob:image/png email";
    assert_eq!(
        upstream(Asked, MAX_SCOPE, None, narrow),
        "atproto repo:a.b.c?action=create blob:image/png account:email"
    );
    assert_eq!(upstream(Maximum, MAX_SCOPE, None, narrow), "atproto transition:generic transition:email");
    assert_eq!(
        upstream(
            Maximum,
            "atproto transition:generic repo:a.b.c account:email transition:email",
            None,
            narrow
        ),
        "atproto repo:a.b.c transition:generic account:email"
    );
    assert_eq!(
        upstream(Registered, MAX_SCOPE, Some("repo:a.b.c blob:*/* email"), narrow),
        "atproto repo:a.b.c blob:*/* account:email"
    );
    assert_eq!(
        upstream(Registered, MAX_SCOPE, Some("repo:a.b.fooBar"), "repo:A.b.FOObar"),
        "atproto repo:a.b.fooBar"
    );
    assert_eq!(upstream(Registered, MAX_SCOPE, None, narrow), "atproto transition:generic transition:email");
    assert_eq!(upstream(Asked, "atproto", None, "openid email repo:a.b.c"), "atproto");
    assert_eq!(
        upstream(Registered, "atproto repo:a.b.c", Some("repo:a.b.c repo:a.b.d"), "repo:a.b.d"),
        "atproto"
    );
}

/// An authorization server resolves a permission set only when it is requested by name.
#[test]
fn permission_sets_go_by_their_name() {
    let admits = |declares, max_scope, registered| {
        admit(&policy(max_scope, declares), "include:a.b.auth", &client(registered)).is_ok()
    };
    assert!(admits(Declares::Asked, MAX_SCOPE, None));
    assert!(!admits(Declares::Maximum, MAX_SCOPE, None));
    assert!(admits(Declares::Maximum, "atproto include:a.b.auth", None));
    assert!(admits(Declares::Registered, MAX_SCOPE, Some("include:a.b.auth")));
    assert!(!admits(Declares::Registered, MAX_SCOPE, None));
    assert!(!admits(Declares::Asked, "atproto", None));
}

#[test]
fn coarse_by_what_the_server_lists() {
    let coarse = |max_scope, asked, listed: &[String]| {
        policy(max_scope, Declares::Maximum).upstream_coarse(&scope(asked), listed).to_string()
    };
    let all = "atproto transition:generic transition:email transition:chat.bsky";
    let narrow = "openid repo:a.b.c email identity:handle include:a.b.auth";
    assert_eq!(coarse(all, narrow, &listed()), "atproto transition:generic transition:email");
    assert_eq!(coarse(all, narrow, &listed()[..2]), "atproto transition:generic");
    assert_eq!(coarse("atproto repo:*", narrow, &listed()), "atproto");
    assert_eq!(coarse("atproto account:email", "email", &listed()), "atproto transition:email");
    assert_eq!(coarse(all, "openid", &listed()), "atproto");
    assert_eq!(
        coarse(all, "rpc:chat.bsky.convo.getLog?aud=*", &listed()),
        "atproto transition:chat.bsky transition:generic"
    );
}

#[test]
fn a_grant_keeps_what_is_ours_to_give() {
    let grant = |asked, granted| grantable(&scope(asked), &scope(granted)).to_string();
    assert_eq!(
        grant("atproto openid repo:a.b.c email", "atproto transition:generic transition:email"),
        "atproto openid repo:a.b.c email"
    );
    assert_eq!(grant("atproto openid email profile", "atproto"), "atproto openid profile");
    assert_eq!(grant("atproto email", "atproto account:email?action=manage"), "atproto email");
    assert_eq!(grant("openid transition:generic", "transition:generic"), "openid transition:generic");
}

#[test]
fn a_grant_has_what_it_covers() {
    let has = |granted, asked| has_all(&scope(granted), &scope(asked));
    assert!(has("atproto openid transition:generic", "atproto openid repo:a.b.c offline_access"));
    assert!(!has("atproto openid", "atproto openid profile"));
    assert!(!has("atproto repo:a.b.c", "atproto repo:*"));
}

#[test]
fn a_refresh_narrows_by_meaning() {
    let narrowed = |granted, asked| narrow(&scope(granted), &scope(asked)).map(|scope| scope.to_string());
    let granted = "atproto openid transition:generic";
    assert_eq!(narrowed(granted, "").as_deref(), Some(granted));
    assert_eq!(narrowed(granted, "phone email").as_deref(), Some(granted));
    assert_eq!(narrowed(granted, "atproto repo:a.b.c").as_deref(), Some("atproto repo:a.b.c"));
    assert_eq!(narrowed(granted, "openid atproto email").as_deref(), Some("openid atproto"));
    assert_eq!(narrowed(granted, "atproto account:email"), None);
    assert_eq!(narrowed("atproto repo:a.b.c", "atproto repo:*"), None);
    assert_eq!(narrowed("atproto include:a.b.auth", "include:a.b.auth").as_deref(), Some("include:a.b.auth"));
    assert_eq!(narrowed("atproto repo:a.b.c", "include:a.b.auth"), None);
}
