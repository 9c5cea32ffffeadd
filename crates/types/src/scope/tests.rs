use super::*;
use crate::nsid::Nsid;
use crate::wire::tests::{assert_names, assert_text, assert_text_type};

mod properties;

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn value(text: &str) -> ScopeValue {
    ScopeValue::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn nsid(text: &str) -> Nsid {
    Nsid::parse(text).unwrap()
}

#[test]
fn conversions() {
    assert_names!(Transition: "transition:generic", "transition:email", "transition:chat.bsky");
    assert_names!(
        OwnScope: "openid", "profile", "email", "offline_access", "background_access", "address", "phone"
    );
    assert_names!(RepoAction: "create", "update", "delete");
    assert_names!(AccountAttr: "email", "repo", "status");
    assert_names!(AccountAction: "read", "manage");
    assert_names!(IdentityAttr: "handle", "*");
    assert_text::<Scope>(&["", "atproto", "atproto repo:*?action=create"], &["nonsense", "atproto\topenid"]);
    let values = ["atproto", "transition:email", "openid", "repo:a.b.c", "rpc:a.b.c?aud=*", "blob:*/*"];
    assert_text::<ScopeValue>(&values, &["", "repo:app.bsky", "mcp:tools", "rpc:*?aud=*"]);
    assert_text_type::<MediaRange>(&["*/*", "image/*", "image/png"], &["", "image", "*/png", "image/p ng"]);
    assert_text_type::<Service>(
        &[APPVIEW, "did:web:a.example#b%2F"],
        &[
            "",
            "did:web:a.example",
            "did:web:a.example#",
            "did:web:a.example#%2",
            "did:web:a.example#%g0",
            "did:web:a.example#<",
        ],
    );
    assert_text_type::<ResourceScope>(
        &["mcp:tools", "notes:read"],
        &["", "openid", "repo:read", "a b", "a\"b"],
    );
}

#[test]
fn named_in_whatever_form() {
    let scope = scope("atproto repo:a.b.c?action=create");
    assert!(scope.contains("atproto") && scope.contains("repo?collection=a.b.c&action=create"));
    assert!(!scope.contains("repo:a.b.c") && !scope.contains("nonsense") && !scope.contains("openid"));
    assert!(!scope.is_empty() && Scope::default().is_empty());
}

#[test]
fn a_client_may_ask_for_the_scopes_of_resources() {
    let asked = Scope::parse_asked("atproto mcp:tools openid").unwrap();
    assert_eq!(asked.iter().map(ScopeValue::is_atproto).collect::<Vec<_>>(), [true, false, false]);
    assert!(asked.has(&ResourceScope::parse("mcp:tools").unwrap().into()));
    assert_eq!(asked.to_string(), "atproto mcp:tools openid");
    for bad in ["repo:app.bsky", "transition:x", "include", "é"] {
        assert!(Scope::parse_asked(bad).is_err(), "{bad}");
    }
    assert_eq!(
        Scope::from_stored("atproto repo:app.bsky mcp:tools").unwrap().to_string(),
        "atproto mcp:tools"
    );
    assert_eq!(Scope::from_stored("é"), Err(ScopeError::Characters));
    assert!(
        ResourceScope::parse(&"a".repeat(256)).is_some() && ResourceScope::parse(&"a".repeat(257)).is_none()
    );
}

#[test]
fn parts_permit_what_they_name() {
    let ScopeValue::Repo(repo) = value("repo:a.b.c?action=create&action=delete") else { panic!() };
    assert!(
        repo.permits(RepoAction::Create, &nsid("a.b.c")) && repo.permits(RepoAction::Delete, &nsid("A.b.C"))
    );
    assert!(
        !repo.permits(RepoAction::Update, &nsid("a.b.c"))
            && !repo.permits(RepoAction::Create, &nsid("a.b.d"))
    );
    let account = |attr, action| AccountScope { attr, action };
    let (read, manage) = (AccountAction::Read, AccountAction::Manage);
    let [email, status] = [AccountAttr::Email, AccountAttr::Status];
    assert_eq!(scope("atproto openid").into_iter().collect::<Scope>(), scope("openid atproto"));
    let both = |asked, granted| scope(asked).bounded_by(&scope(granted)).to_string();
    assert_eq!(both("account:email", "account:email?action=manage"), "account:email");
    assert_eq!(both("account:email?action=manage", "account:email"), "account:email");
    assert_eq!(both("account:email", "account:status"), "");
    assert!(account(email, manage).permits(email, read) && !account(email, read).permits(email, manage));
    assert!(!account(status, manage).permits(email, read));
    let identity = |attr| IdentityScope { attr };
    assert!(identity(IdentityAttr::Any).permits(IdentityAttr::Handle));
    assert!(!identity(IdentityAttr::Handle).permits(IdentityAttr::Any));
    let ScopeValue::Rpc(rpc) = value("rpc:a.b.c?aud=did:web:api.bsky.app%23bsky_appview") else { panic!() };
    assert!(rpc.permits(&nsid("a.b.c"), APPVIEW) && !rpc.permits(&nsid("a.b.d"), APPVIEW));
    assert!(!rpc.permits(&nsid("a.b.c"), "did:web:api.bsky.app"));
    assert_eq!(Service::parse(APPVIEW).unwrap().parts(), ("did:web:api.bsky.app", "bsky_appview"));
}

const APPVIEW: &str = "did:web:api.bsky.app#bsky_appview";

#[test]
fn sets_not_strings() {
    assert_eq!(scope("openid atproto"), scope("  atproto  openid openid "));
    assert_ne!(scope("atproto"), scope("atproto openid"));
    assert!(scope("atproto").is_subset_of(&scope("openid atproto")));
    assert!(!scope("atproto profile").is_subset_of(&scope("openid atproto")));
    assert_eq!(scope("profile atproto").to_string(), "profile atproto");
    assert_eq!(Scope::parse("atproto \"b\""), Err(ScopeError::Characters));
    assert_eq!(Scope::parse("atproto\topenid"), Err(ScopeError::Characters));
    assert_eq!(Scope::parse("é"), Err(ScopeError::Characters));
    let many = |count| (0..count).map(|index| format!("repo:a.b.c{index}")).collect::<Vec<_>>().join(" ");
    assert_eq!(Scope::parse(&many(201)), Err(ScopeError::TooMany));
    assert_eq!(Scope::parse(&many(200)).map(|scope| scope.iter().len()), Ok(200));
}

#[test]
fn every_form_has_one_text() {
    for (form, canonical) in [
        ("atproto", "atproto"),
        ("transition:chat.bsky", "transition:chat.bsky"),
        ("repo:com.example.foo", "repo:com.example.foo"),
        ("repo:com.example.foo?", "repo:com.example.foo"),
        ("repo:com%2Eexample.foo", "repo:com.example.foo"),
        (
            "repo:com.example.foo?action=update&action=create",
            "repo:com.example.foo?action=create&action=update",
        ),
        ("repo:com.example.foo?action=delete&action=update&action=create", "repo:com.example.foo"),
        ("repo?collection=*&collection=com.example.foo&action=update", "repo:*?action=update"),
        ("repo?action=create&collection=com.example.foo", "repo:com.example.foo?action=create"),
        (
            "repo?action=create&collection=com.example.foo&collection=com.example.bar&collection=com.example.foo",
            "repo?collection=com.example.bar&collection=com.example.foo&action=create",
        ),
        ("rpc:com.example.m?aud=*", "rpc:com.example.m?aud=*"),
        ("rpc?aud=*&lxm=com.example.m", "rpc:com.example.m?aud=*"),
        ("rpc?lxm=*&lxm=a.b.c&aud=did:web:x.example%23y", "rpc:*?aud=did:web:x.example%23y"),
        ("rpc:a.b.c?aud=did:web:x.example#y", "rpc:a.b.c?aud=did:web:x.example%23y"),
        ("rpc:a.b.c?aud=did%3Aweb%3Ax.example%23y", "rpc:a.b.c?aud=did:web:x.example%23y"),
        ("rpc?lxm=a.b.d&lxm=a.b.c&aud=*", "rpc?lxm=a.b.c&lxm=a.b.d&aud=*"),
        // A port in a DID is percent-encoded there, and a second time here.
        ("rpc:a.b.c?aud=did:web:localhost%253A3000%23y", "rpc:a.b.c?aud=did:web:localhost%253A3000%23y"),
        ("blob:*/*", "blob:*/*"),
        ("blob:Image/PNG", "blob:image/png"),
        ("blob?accept=image/png&accept=*/*", "blob:*/*"),
        ("blob?accept=image/png&accept=image/*&accept=text/html", "blob?accept=image/*&accept=text/html"),
        ("blob:image/svg+xml", "blob:image/svg+xml"),
        ("blob?accept=image/svg%2Bxml&accept=a/b", "blob?accept=a/b&accept=image/svg%2Bxml"),
        ("account:email", "account:email"),
        ("account?attr=email", "account:email"),
        ("account:email?action=read", "account:email"),
        ("account?action=manage&attr=repo", "account:repo?action=manage"),
        ("account:email?action=read&action=manage", "account:email?action=manage"),
        ("account:status?action=manage", "account:status?action=manage"),
        ("identity:*?", "identity:*"),
        ("identity?attr=handle", "identity:handle"),
        ("include:app.example.authFull", "include:app.example.authFull"),
        (
            "include?aud=did:web:api.example.com%23svc_chat&nsid=app.example.authFull",
            "include:app.example.authFull?aud=did:web:api.example.com%23svc_chat",
        ),
        ("openid", "openid"),
        ("background_access", "background_access"),
    ] {
        assert_eq!(value(form).to_string(), canonical, "{form}");
        assert_eq!(value(canonical), value(form), "{form}");
    }
}

#[test]
fn what_is_no_scope_says_why() {
    use ScopeValueError as E;
    let invalid = |value: &str| match ScopeValue::parse(value) {
        Err(E::Invalid { name, .. }) => name,
        other => panic!("{value}: {other:?}"),
    };
    for unknown in [
        "",
        "x",
        "resource",
        "resource:positional?key=val",
        "service:did:web:com.example#type?key=val",
        "repos:a.b.c",
        "notrepo:a.b.c",
        "Atproto",
        "ATPROTO",
        "transition:other",
        "transition",
        "atproto?",
        "openid:x",
        "?",
        ":",
        "&",
    ] {
        assert_eq!(ScopeValue::parse(unknown), Err(E::Unknown), "{unknown}");
    }
    for (bad, name) in [
        ("repo:", "collection"),
        ("repo:*?action=*", "action"),
        ("repo:invalid", "collection"),
        ("repo:com.example.*", "collection"),
        ("repo:com.example.foo?action=Create", "action"),
        ("repo:com.example.foo?action", "action"),
        ("rpc:?aud=*", "lxm"),
        ("rpc:foo.bar?aud=*", "lxm"),
        ("rpc:foo.bar.baz?aud=did:web:example.com", "aud"),
        ("rpc:foo.bar.baz?aud=did:web:example.com%23", "aud"),
        ("rpc:foo.bar.baz?aud=did:plc:111%23service_id", "aud"),
        ("rpc:foo.bar.baz?aud=did:foo:bar%23service_id", "aud"),
        ("rpc:foo.bar.baz?aud=did:web:a.example%23a%23b", "aud"),
        ("rpc:foo.bar.baz?aud=did:web:localhost%3A80%23x", "aud"),
        ("blob:image", "accept"),
        ("blob:*", "accept"),
        ("blob:*/png", "accept"),
        ("blob:image/png/x", "accept"),
        ("blob:ima*ge/*", "accept"),
        ("blob:image/p%20g", "accept"),
        ("blob?accept=image/svg+xml", "accept"),
        ("account:password", "attr"),
        ("account:*", "attr"),
        ("account:email?action=delete", "action"),
        ("identity:keys", "attr"),
        ("include:app.example", "nsid"),
        ("include:app.example.a?aud=*", "aud"),
    ] {
        assert_eq!(invalid(bad), name, "{bad}");
    }
    for (bad, error) in [
        ("repo", E::Missing("collection")),
        ("repo?", E::Missing("collection")),
        ("rpc:a.b.c", E::Missing("aud")),
        ("rpc?aud=*", E::Missing("lxm")),
        ("blob", E::Missing("accept")),
        ("identity", E::Missing("attr")),
        ("include?aud=did:web:x.example%23y", E::Missing("nsid")),
        ("repo:a.b.c?collection=a.b.d", E::Repeated("collection")),
        ("rpc:a.b.c?aud=*&aud=*", E::Repeated("aud")),
        ("rpc:a.b.c?aud=*&lxm=a.b.c", E::Repeated("lxm")),
        ("account?attr=email&attr=repo", E::Repeated("attr")),
        ("repo:a.b.c?unknown=1", E::Parameter("unknown".to_owned())),
        ("identity:handle?action=read", E::Parameter("action".to_owned())),
        ("blob:*/*?%22x=1", E::Parameter("x".to_owned())),
        ("repo:%zz", E::Encoding),
        ("repo:%2", E::Encoding),
        ("repo:%ff.b.c", E::Encoding),
        ("rpc:*?aud=*", E::AnyMethodAnywhere),
        ("rpc?aud=*&lxm=*&lxm=a.b.c", E::AnyMethodAnywhere),
    ] {
        assert_eq!(ScopeValue::parse(bad), Err(error), "{bad}");
    }
    let error = Scope::parse("atproto repo:app.bsky").unwrap_err();
    assert_eq!(
        error.to_string(),
        "repo:app.bsky is not a scope: its collection must be an NSID such as app.bsky.feed.post, or *"
    );
}

#[test]
fn what_another_server_says_is_read_as_far_as_it_is_known() {
    let read =
        Scope::parse_known("atproto repo:app.bsky future:thing repo:a.b.c?tomorrow=1 blob:*/*").unwrap();
    assert_eq!(read.to_string(), "atproto blob:*/*");
    assert!(Scope::parse_known("atproto \"").is_err());
}

#[test]
fn covers_by_meaning() {
    for (set, covered) in [
        ("repo:*", "repo:app.bsky.feed.post?action=create"),
        ("repo:a.b.c", "repo:a.b.c?action=delete"),
        ("repo:a.b.c?action=create repo:a.b.c?action=update&action=delete", "repo:a.b.c"),
        ("repo:a.b.c repo:a.b.d", "repo?collection=a.b.c&collection=a.b.d"),
        ("transition:generic", "repo:*"),
        ("transition:generic", "blob:*/*"),
        ("transition:generic", "rpc:app.bsky.feed.getTimeline?aud=*"),
        ("transition:generic", "include:app.example.authFull?aud=did:web:x.example%23y"),
        ("transition:chat.bsky", "rpc:chat.bsky.convo.sendMessage?aud=did:web:api.bsky.chat%23bsky_chat"),
        ("transition:generic transition:chat.bsky", "rpc:*?aud=did:web:x.example%23y"),
        ("transition:generic transition:chat.bsky", "include:chat.bsky.authFull"),
        ("transition:email", "account:email"),
        ("account:email", "transition:email"),
        ("account:email?action=manage", "account:email"),
        ("rpc:*?aud=did:web:x.example%23y", "rpc:a.b.c?aud=did:web:x.example%23y"),
        ("rpc:a.b.c?aud=*", "rpc:a.b.c?aud=did:web:x.example%23y"),
        ("blob:*/*", "blob:image/png"),
        ("blob:image/*", "blob?accept=image/png&accept=image/gif"),
        ("identity:*", "identity:handle"),
        ("include:a.b.c?aud=did:web:x.example%23y", "include:a.b.c"),
    ] {
        assert!(scope(set).covers(&value(covered)), "{set} covers {covered}");
    }
    for (set, other) in [
        ("repo:a.b.c", "repo:*"),
        ("repo:a.b.c?action=create", "repo:a.b.c"),
        ("repo:*?action=create repo:a.b.c?action=update", "repo:a.b.d?action=update"),
        ("transition:generic", "rpc:chat.bsky.convo.sendMessage?aud=*"),
        ("transition:generic", "rpc:*?aud=did:web:x.example%23y"),
        ("transition:generic", "include:chat.bsky.authFull"),
        ("transition:generic", "account:email"),
        ("transition:generic", "identity:handle"),
        ("transition:generic", "transition:email"),
        ("transition:generic", "atproto"),
        ("transition:chat.bsky", "rpc:app.bsky.feed.getTimeline?aud=*"),
        ("transition:email", "account:email?action=manage"),
        ("rpc:a.b.c?aud=did:web:x.example%23y", "rpc:a.b.c?aud=*"),
        ("rpc:*?aud=did:web:x.example%23y", "rpc:a.b.c?aud=did:web:other.example%23y"),
        ("blob:image/*", "blob:*/*"),
        ("blob:image/*", "blob:imagery/png"),
        ("identity:handle", "identity:*"),
        ("account:email", "account:repo"),
        ("include:a.b.c", "include:a.b.c?aud=did:web:x.example%23y"),
        ("include:a.b.c", "repo:a.b.d"),
        ("repo:* blob:*/*", "transition:generic"),
        ("account:email", "email"),
        ("openid", "profile"),
    ] {
        assert!(!scope(set).covers(&value(other)), "{set} does not cover {other}");
    }
}

#[test]
fn the_least_that_covers() {
    let least =
        |set: &str, wanted: &str| scope(set).least_covering(&value(wanted)).map(|scope| scope.to_string());
    let max_scope = "atproto transition:generic repo:* repo:a.b.c blob:image/* transition:email";
    for (wanted, covering) in [
        ("repo:a.b.c?action=create", Some("repo:a.b.c")),
        ("repo:a.b.d", Some("repo:*")),
        ("blob:image/png", Some("blob:image/*")),
        ("blob:text/html", Some("transition:generic")),
        ("rpc:a.b.c?aud=*", Some("transition:generic")),
        ("account:email", Some("transition:email")),
        ("atproto", Some("atproto")),
        ("identity:*", None),
    ] {
        assert_eq!(least(max_scope, wanted).as_deref(), covering, "{wanted}");
    }
    assert_eq!(
        least("repo:a.b.d atproto repo:a.b.c repo:a.b.e", "repo?collection=a.b.c&collection=a.b.d")
            .as_deref(),
        Some("repo:a.b.d repo:a.b.c")
    );
    assert_eq!(
        least("transition:generic transition:chat.bsky atproto", "rpc:*?aud=did:web:x.example%23y")
            .as_deref(),
        Some("transition:generic transition:chat.bsky")
    );
}

#[test]
fn one_canonical_set() {
    let normal = |text| scope(text).normalized().to_string();
    assert_eq!(normal("repo:a.b.c atproto repo:* blob:image/png blob:*/*"), "atproto repo:* blob:*/*");
    assert_eq!(normal("transition:email account:email"), normal("account:email"));
    assert_eq!(normal("repo:a.b.c transition:generic account:email"), "transition:generic account:email");
    assert_eq!(scope("repo:* repo:a.b.c"), scope("repo:*"));
}

#[test]
fn a_grant_is_what_was_asked_for_as_far_as_it_was_granted() {
    for (asked, granted, both) in [
        ("atproto transition:generic", "transition:generic atproto", "atproto transition:generic"),
        ("atproto repo:a.b.c", "atproto transition:generic", "atproto repo:a.b.c"),
        ("atproto transition:generic", "atproto repo:a.b.c", "atproto repo:a.b.c"),
        ("repo:*?action=create", "repo:a.b.c", "repo:a.b.c?action=create"),
        ("repo?collection=a.b.c&collection=a.b.d", "repo:a.b.c", "repo:a.b.c"),
        ("repo:a.b.c?action=create", "repo:a.b.c?action=delete", ""),
        ("rpc:*?aud=did:web:x.example%23y", "rpc:a.b.c?aud=*", "rpc:a.b.c?aud=did:web:x.example%23y"),
        ("rpc:a.b.c?aud=did:web:x.example%23y", "rpc:a.b.c?aud=did:web:z.example%23y", ""),
        ("rpc?lxm=a.b.c&lxm=chat.bsky.x.y&aud=*", "transition:generic", "rpc:a.b.c?aud=*"),
        ("transition:chat.bsky", "rpc?lxm=a.b.c&lxm=chat.bsky.x.y&aud=*", "rpc:chat.bsky.x.y?aud=*"),
        (
            "blob?accept=image/*&accept=text/html",
            "blob?accept=image/png&accept=text/*",
            "blob?accept=image/png&accept=text/html",
        ),
        ("account:email?action=manage", "account:email", "account:email"),
        ("account:email?action=manage", "transition:email", "transition:email"),
        ("transition:email", "account:email?action=manage", "transition:email"),
        ("identity:*", "identity:handle", "identity:handle"),
        ("openid email", "atproto", ""),
        // A server answers with what is in a set, not with its name.
        ("include:a.b.auth", "atproto repo:a.b.c rpc:a.b.d?aud=*", "include:a.b.auth"),
        ("include:a.b.auth", "atproto repo:a.x.c", ""),
        ("include:a.b.auth", "transition:generic", ""),
        ("include:a.b.auth?aud=did:web:x.example%23y", "rpc:a.b.d?aud=did:web:z.example%23y", ""),
    ] {
        assert_eq!(scope(asked).bounded_by(&scope(granted)).to_string(), both, "{asked} by {granted}");
    }
    let granted = scope("atproto repo:a.b.c repo:x.y.z rpc:a.b.d?aud=did:web:x.example%23y blob:*/*");
    let resolved = scope("atproto include:a.b.auth?aud=did:web:x.example%23y").resolved_by(&granted);
    assert_eq!(
        resolved.to_string(),
        "atproto include:a.b.auth?aud=did:web:x.example%23y repo:a.b.c rpc:a.b.d?aud=did:web:x.example%23y"
    );
    assert!(resolved.permits_repo(RepoAction::Create, &nsid("a.b.c")));
    assert!(!resolved.permits_repo(RepoAction::Create, &nsid("x.y.z")));
}

#[test]
fn permits_one_thing() {
    let post = nsid("app.bsky.feed.post");
    let timeline = nsid("app.bsky.feed.getTimeline");
    let message = nsid("chat.bsky.convo.sendMessage");
    let generic = scope("atproto transition:generic");
    assert!(generic.permits_repo(RepoAction::Delete, &post));
    assert!(generic.permits_rpc(&timeline, APPVIEW));
    assert!(!generic.permits_rpc(&message, "did:web:api.bsky.chat#bsky_chat"));
    assert!(generic.permits_any_rpc(APPVIEW), "as a PDS has it");
    assert!(generic.permits_blob("application/octet-stream"));
    assert!(!generic.permits_account(AccountAttr::Email, AccountAction::Read));
    assert!(!generic.permits_identity(IdentityAttr::Handle));
    assert!(!scope("atproto").permits_repo(RepoAction::Create, &post));
    assert!(!scope("atproto").permits_blob("image/png"));

    let narrow = scope("repo:app.bsky.feed.post?action=create blob:image/* account:email identity:handle");
    assert!(narrow.permits_repo(RepoAction::Create, &post));
    assert!(!narrow.permits_repo(RepoAction::Update, &post));
    assert!(!narrow.permits_repo(RepoAction::Create, &nsid("app.bsky.feed.like")));
    assert!(narrow.permits_blob("Image/PNG"));
    assert!(narrow.permits_blob("image/png; charset=x"));
    for other in ["text/html", "image", "image/*", "*/*", "", "image/p ng"] {
        assert!(!narrow.permits_blob(other), "{other}");
    }
    assert!(narrow.permits_account(AccountAttr::Email, AccountAction::Read));
    assert!(!narrow.permits_account(AccountAttr::Email, AccountAction::Manage));
    assert!(narrow.permits_identity(IdentityAttr::Handle));
    assert!(!narrow.permits_identity(IdentityAttr::Any));

    let calls = scope("rpc:app.bsky.feed.getTimeline?aud=did:web:api.bsky.app%23bsky_appview");
    assert!(calls.permits_rpc(&timeline, APPVIEW));
    assert!(!calls.permits_rpc(&timeline, "did:web:api.bsky.app"));
    assert!(!calls.permits_rpc(&post, APPVIEW));
    assert!(!calls.permits_any_rpc(APPVIEW));
    assert!(scope("rpc:*?aud=did:web:api.bsky.app%23bsky_appview").permits_any_rpc(APPVIEW));
    assert!(scope("transition:email").permits_account(AccountAttr::Email, AccountAction::Read));
    assert!(!scope("include:app.bsky.authFull").permits_repo(RepoAction::Create, &post));
}

/// A PDS finds methods and permission sets without regard to case, and so do all rules.
#[test]
fn names_are_one_in_any_spelling() {
    let message = nsid("CHAT.bsky.convo.sendMessage");
    let generic = scope("transition:generic");
    assert!(!generic.permits_rpc(&message, "did:web:api.bsky.chat#bsky_chat"));
    assert!(scope("transition:chat.bsky").permits_rpc(&message, "did:web:api.bsky.chat#bsky_chat"));
    for chat in
        ["rpc:CHAT.bsky.a.b?aud=*", "include:Chat.bsky.authFull", "rpc?lxm=a.b.c&lxm=chat.BSKY.a.b&aud=*"]
    {
        assert!(!generic.covers(&value(chat)), "{chat}");
        assert!(scope("transition:generic transition:chat.bsky").covers(&value(chat)), "{chat}");
    }
    let asked = scope("rpc?lxm=a.b.c&lxm=Chat.bsky.x.y&aud=*");
    assert_eq!(asked.bounded_by(&generic).to_string(), "rpc:a.b.c?aud=*");
    assert!(scope("include:a.B.auth").covers(&value("include:A.b.AUTH")));
    let set = scope("atproto include:A.b.auth").resolved_by(&scope("atproto repo:a.B.c repo:x.y.z"));
    assert_eq!(set.to_string(), "atproto include:A.b.auth repo:a.B.c");
    assert_eq!(
        value("repo?collection=a.b.c&collection=A.b.C").to_string(),
        "repo:a.b.c",
        "once, as it came first"
    );
}

#[test]
fn the_scope_that_one_thing_needs() {
    let needed = ScopeValue::Repo(RepoScope::one(RepoAction::Create, nsid("app.bsky.feed.post")));
    assert_eq!(needed.to_string(), "repo:app.bsky.feed.post?action=create");
    let service = Service::parse(APPVIEW).unwrap();
    let needed = ScopeValue::Rpc(RpcScope::one(nsid("app.bsky.feed.getTimeline"), service));
    assert_eq!(needed.to_string(), "rpc:app.bsky.feed.getTimeline?aud=did:web:api.bsky.app%23bsky_appview");
    assert_eq!(BlobScope::one(MediaRange::parse("image/png").unwrap()).to_string(), "blob:image/png");
}
