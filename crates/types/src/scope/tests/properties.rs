//! Properties of every scope.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::*;
use crate::nsid::Nsid;

const NAMES: [&str; 5] =
    ["app.a.x", "app.a.sub.y", "chat.bsky.convo.z", "chat.bsky.w", "com.Example.camelCase"];
const SERVICES: [&str; 3] =
    ["did:web:a.example#one", "did:web:localhost%3A3000#two", "did:plc:z72i7hdynmk6r22z27h6tvur#a%2Fb/?+*"];
const TYPES: [&str; 5] = ["*/*", "image/*", "image/png", "image/svg+xml", "x-y/a.b_c!#$&^d"];

/// A parameter with several values, once as it may stand alone.
fn list(name: &'static str, values: Vec<String>) -> BoxedStrategy<String> {
    let encoded =
        |value: &str| value.replace('%', "%25").replace('+', "%2B").replace('#', "%23").replace('&', "%26");
    let len = values.len();
    subsequence(values, 1..=len)
        .prop_map(move |values| match &values[..] {
            [one] => format!(":{}?", encoded(one)),
            more => {
                let named: Vec<_> = more.iter().map(|value| format!("{name}={}", encoded(value))).collect();
                format!("?{}&", named.join("&"))
            }
        })
        .boxed()
}

fn with_star(values: &[&str]) -> Vec<String> {
    values.iter().copied().chain(["*"]).map(ToOwned::to_owned).collect()
}

fn actions() -> impl Strategy<Value = String> {
    subsequence(vec!["action=delete", "action=create", "action=update"], 0..=3)
        .prop_map(|actions| actions.join("&"))
}

fn service() -> impl Strategy<Value = String> {
    select(SERVICES.to_vec()).prop_map(|did| {
        format!("aud={}", did.replace('%', "%25").replace('#', "%23").replace('+', "%2B").replace('&', "%26"))
    })
}

/// Scope values of every kind, from few names, so that they have something to do with each other.
fn values() -> impl Strategy<Value = ScopeValue> {
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    prop_oneof![
        select(vec!["atproto", "openid", "email", "identity:*", "identity:handle"]).prop_map(str::to_owned),
        select(Transition::NAMES).prop_map(str::to_owned),
        (list("collection", with_star(&NAMES)), actions())
            .prop_map(|(list, rest)| format!("repo{list}{rest}")),
        (list("lxm", with_star(&NAMES)), service()).prop_map(|(list, aud)| format!("rpc{list}{aud}")),
        list("lxm", names.clone()).prop_map(|list| format!("rpc{list}aud=*")),
        list("accept", TYPES.iter().map(|name| (*name).to_owned()).collect())
            .prop_map(|list| format!("blob{list}")),
        (select(AccountAttr::ALL.to_vec()), select(AccountAction::ALL.to_vec()))
            .prop_map(|(attr, action)| format!("account:{}?action={}", attr.as_str(), action.as_str())),
        (select(names), prop_oneof![Just(String::new()), service()])
            .prop_map(|(name, aud)| format!("include:{name}?{aud}")),
    ]
    .prop_map(|text| ScopeValue::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn scopes() -> impl Strategy<Value = Scope> {
    vec(values(), 0..5).prop_map(|values| values.into_iter().collect())
}

/// Everything that a scope permits, of a small world.
fn permitted(scope: &Scope) -> Vec<String> {
    let mut all = Vec::new();
    let mut note = |permitted: bool, what: String| {
        if permitted {
            all.push(what);
        }
    };
    for name in NAMES.iter().chain(&["org.else.where"]) {
        let nsid = Nsid::parse(name).unwrap();
        for &action in RepoAction::ALL {
            note(scope.permits_repo(action, &nsid), format!("{} {name}", action.as_str()));
        }
        for service in SERVICES.iter().chain(&["did:web:else.example#where"]) {
            note(scope.permits_rpc(&nsid, service), format!("call {name} {service}"));
        }
    }
    for media in ["image/png", "image/gif", "image/svg+xml", "x-y/a.b_c!#$&^d", "text/html"] {
        note(scope.permits_blob(media), format!("upload {media}"));
    }
    for &attr in AccountAttr::ALL {
        for &action in AccountAction::ALL {
            note(scope.permits_account(attr, action), format!("{} {}", action.as_str(), attr.as_str()));
        }
    }
    for &attr in IdentityAttr::ALL {
        note(scope.permits_identity(attr), format!("identity {}", attr.as_str()));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_text_reads_back(value in values()) {
        let text = value.to_string();
        prop_assert!(Scope::parse(&text).is_ok(), "{text}");
        prop_assert_eq!(ScopeValue::parse(&text), Ok(value));
    }

    #[test]
    fn a_set_reads_back(scope in scopes()) {
        let again = Scope::parse(&scope.to_string()).unwrap();
        prop_assert!(again.iter().eq(scope.iter()));
    }

    #[test]
    fn nothing_panics(text in "[ -~]{0,60}") {
        let _ = Scope::parse(&text);
        let _ = ScopeValue::parse(&text);
    }

    #[test]
    fn nothing_like_a_scope_panics(
        resource in "(repo|rpc|blob|account|identity|include|transition)",
        rest in "[:?&=%+#*/.a-zé0-9]{0,40}",
    ) {
        if let Ok(value) = ScopeValue::parse(&format!("{resource}{rest}")) {
            prop_assert_eq!(ScopeValue::parse(&value.to_string()), Ok(value));
        }
    }

    #[test]
    fn covers_is_reflexive(scope in scopes()) {
        prop_assert!(scope.is_subset_of(&scope));
        prop_assert_eq!(&scope.normalized(), &scope);
        prop_assert_eq!(scope.bounded_by(&scope).to_string(), scope.to_string());
    }

    #[test]
    fn covers_is_transitive(a in scopes(), b in scopes(), c in values()) {
        if b.is_subset_of(&a) && b.covers(&c) {
            prop_assert!(a.covers(&c), "{a} covers {b}, which covers {c}");
        }
    }

    /// The same with sets that have more to do with each other.
    #[test]
    fn covers_is_transitive_among_parts(a in scopes(), b in scopes(), c in scopes()) {
        let b = b.bounded_by(&a);
        let c = c.bounded_by(&b);
        let whole = |scope: &Scope| scope.iter().any(|value| matches!(value, ScopeValue::Include(_)));
        prop_assume!(!whole(&b) && !whole(&c));
        prop_assert!(b.is_subset_of(&a), "{b} of {a}");
        prop_assert!(c.is_subset_of(&a), "{c} of {a}");
    }

    /// The least covering set exists if the scope covers the value, and none of its values is redundant.
    #[test]
    fn the_least_that_covers_is_needed(scope in scopes(), value in values()) {
        let least = scope.least_covering(&value);
        prop_assert_eq!(least.is_some(), scope.covers(&value));
        if let Some(least) = least {
            prop_assert!(least.covers(&value) && least.is_subset_of(&scope), "{least} of {scope}");
            for own in least.iter() {
                let without: Scope = least.iter().filter(|other| *other != own).cloned().collect();
                prop_assert!(!without.covers(&value), "{least} without {own} covers {value}");
            }
        }
    }

    #[test]
    fn what_is_covered_permits_no_more(scope in scopes(), value in values()) {
        if scope.covers(&value) {
            let (all, part) = (permitted(&scope), permitted(&Scope::from_iter([value.clone()])));
            prop_assert!(part.iter().all(|what| all.contains(what)), "{scope} covers {value}");
        }
    }

    #[test]
    fn a_grant_permits_what_both_permit(asked in scopes(), granted in scopes()) {
        let both = permitted(&asked.bounded_by(&granted));
        let (asked_for, given) = (permitted(&asked), permitted(&granted));
        for what in &both {
            prop_assert!(asked_for.contains(what) && given.contains(what), "{what}: {asked} by {granted}");
        }
        // All methods but those of direct messages is nothing that a scope can say.
        for what in asked_for.iter().filter(|what| given.contains(what) && !what.starts_with("call ")) {
            prop_assert!(both.contains(what), "{what}: {asked} by {granted}");
        }
    }
}
