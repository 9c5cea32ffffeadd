use super::*;

const HOSTILE: &str = "\"><script>alert(1)</script><b x='&";

fn sign_in() -> SignInPage {
    SignInPage {
        client_name: "Statusphere".into(),
        client_host: "statusphere.example.com".into(),
        identifier: String::new(),
        error: None,
        request: "req-1".into(),
        action: SIGN_IN_ACTION,
    }
}

fn consent() -> ConsentPage {
    ConsentPage {
        client_name: "Statusphere".into(),
        client_host: "statusphere.example.com".into(),
        verified: false,
        handle: Some("alice.example.com".into()),
        did: "did:plc:ewvi7nxzyoun6zhxrhs64oiz".into(),
        pds_host: "pds.example.com".into(),
        scopes: asked("atproto transition:generic", ""),
        request: "req-1".into(),
    }
}

fn asked(scope: &str, contents: &str) -> AskedScopes {
    AskedScopes::new(&Scope::parse(scope).unwrap(), &Scope::parse(contents).unwrap())
}

fn error() -> ErrorPage {
    ErrorPage {
        status: 400,
        title: "This sign-in has ended".into(),
        message: "The link was used before.".into(),
        advice: "Go back to the app and start again.".into(),
        code: "nonce_invalid_or_reused".into(),
        request_id: "01J9".into(),
        back: Some(Link { href: "/".into(), label: "Start again".into() }),
    }
}

fn demo() -> DemoPage {
    DemoPage { issuer: "http://127.0.0.1:8080".into(), client_id: "causeway-demo".into() }
}

fn home() -> HomePage {
    HomePage { issuer: "https://auth.example.com".into() }
}

/// Every page, with everything that comes from outside hostile.
fn hostile() -> [String; 5] {
    let evil = || HOSTILE.to_owned();
    let sign_in = SignInPage {
        client_name: evil(),
        client_host: evil(),
        identifier: evil(),
        error: Some(evil()),
        request: evil(),
        ..sign_in()
    };
    let consent = ConsentPage {
        client_name: evil(),
        client_host: evil(),
        verified: true,
        handle: Some(evil()),
        did: evil(),
        pds_host: evil(),
        scopes: AskedScopes {
            groups: vec![ScopeGroup {
                title: evil(),
                lines: vec![ScopeLine {
                    words: evil(),
                    items: vec![ScopeItem { words: evil(), name: evil() }; 8],
                    risk: Some(evil()),
                }],
            }],
            values: vec![evil()],
        },
        request: evil(),
    };
    let error = ErrorPage {
        status: 400,
        title: evil(),
        message: evil(),
        advice: evil(),
        code: evil(),
        request_id: evil(),
        back: Some(Link { href: format!("/{HOSTILE}"), label: evil() }),
    };
    let demo = DemoPage { issuer: evil(), client_id: evil() };
    let home = HomePage { issuer: evil() };
    [sign_in.render(), consent.render(), error.render(), demo.render(), home.render()].map(Result::unwrap)
}

fn plain() -> [String; 5] {
    [sign_in().render(), consent().render(), error().render(), demo().render(), home().render()]
        .map(Result::unwrap)
}

#[test]
fn values_from_outside_are_escaped() {
    for html in hostile() {
        assert!(html.contains("&lt;script&gt;") || html.contains("&#60;script&#62;"), "{html}");
        assert!(!html.contains("<script>"), "{html}");
        assert!(!html.contains("<b x="), "{html}");
        assert!(!html.contains(HOSTILE), "{html}");
    }
}

#[test]
fn one_heading_a_language_and_landmarks() {
    for html in plain().into_iter().chain(hostile()) {
        assert_eq!(html.matches("<h1").count(), 1, "{html}");
        assert_eq!(html.matches("<main").count(), 1, "{html}");
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{html}");
        assert!(html.contains("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"));
        assert!(html.contains("<meta name=\"color-scheme\" content=\"light dark\">"));
        assert!(html.contains("<meta name=\"referrer\" content=\"no-referrer\">"));
        assert!(!html.contains("<title> "), "{html}");
    }
}

#[test]
fn nothing_inline_and_nothing_from_elsewhere() {
    for html in plain() {
        for banned in [" style=", "<style", " onclick=", " onload=", "src=\"http", "<script>", "javascript:"]
        {
            assert!(!html.contains(banned), "{banned} in {html}");
        }
        let scripts = html.matches("<script").count();
        assert_eq!(scripts, html.matches(&format!("<script src=\"{DEMO_JS_HREF}\" defer></script>")).count());
    }
    for banned in ["url(", "@import"] {
        assert!(!CSS.contains(banned), "{banned} in the style sheet");
    }
    for banned in ["innerHTML", "insertAdjacentHTML", "eval(", ".style"] {
        assert!(!DEMO_JS.contains(banned), "{banned} in the demo script");
    }
}

#[test]
fn labels_and_ids_fit() {
    let with_error = SignInPage { error: Some("No such handle.".into()), ..sign_in() }.render().unwrap();
    for html in plain().into_iter().chain([with_error]) {
        let attribute = |name: &str| {
            let needle = format!(" {name}=\"");
            html.split(&needle as &str)
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let ids = attribute("id");
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[at + 1..].contains(id), "id {id} twice");
        }
        for name in ["for", "aria-describedby", "aria-labelledby"] {
            for id in attribute(name).iter().flat_map(|value| value.split(' ')) {
                assert!(ids.iter().any(|own| own == id), "{name} names {id}, which is not there: {html}");
            }
        }
    }
}

#[test]
fn the_sign_in_form() {
    let html = sign_in().render().unwrap();
    assert!(html.contains("<form method=\"post\" action=\"/oauth/sign-in\""));
    assert!(html.contains("<input type=\"hidden\" name=\"request\" value=\"req-1\">"));
    assert!(html.contains("name=\"decision\" value=\"deny\""));
    assert!(html.contains("autocapitalize=\"off\""));
    assert!(html.contains("autocomplete=\"username\""));
    assert!(html.contains("spellcheck=\"false\""));
    assert!(html.contains("aria-describedby=\"identifier-hint\""));
    assert!(!html.contains("role=\"alert\""));
    // Enter in the field presses the first button of the form.
    assert!(html.find(">Continue<").unwrap() < html.find(">Cancel<").unwrap());

    let page = SignInPage { identifier: "alice".into(), error: Some("No such handle.".into()), ..sign_in() };
    let html = page.render().unwrap();
    assert!(html.contains("aria-describedby=\"identifier-error identifier-hint\""));
    assert!(html.contains("aria-invalid=\"true\""));
    assert!(html.contains("value=\"alice\""));
    assert!(html.contains("role=\"alert\""));
    assert!(html.contains("No such handle."));
}

#[test]
fn the_consent_form() {
    let html = consent().render().unwrap();
    assert!(html.contains("<form method=\"post\" action=\"/oauth/consent\""));
    assert!(html.contains("<input type=\"hidden\" name=\"request\" value=\"req-1\">"));
    assert!(html.contains("name=\"decision\" value=\"allow\""));
    assert!(html.contains("name=\"decision\" value=\"deny\""));
    assert!(html.contains("not verified"));
    for shown in
        ["Statusphere", "statusphere.example.com", "alice.example.com", "pds.example.com", "did:plc:"]
    {
        assert!(html.contains(shown), "{shown}");
    }
    assert!(html.contains("nearly everything in your account") && html.contains("far-reaching"));
    assert!(html.contains("<code>transition:generic</code>"));

    let kinds: Vec<_> = (0..9).map(|index| format!("repo:com.example.kind{index}")).collect();
    let html = ConsentPage { scopes: asked(&kinds.join(" "), ""), ..consent() }.render().unwrap();
    assert!(html.contains("and 3 more"), "{html}");
    assert_eq!(html.matches("<code>com.example.kind").count(), 9);
    let html = ConsentPage { scopes: asked("include:app.a.auth", "repo:app.a.note"), ..consent() };
    let html = html.render().unwrap();
    assert!(
        html.contains("permission set app.a.auth:") && html.contains("<code>app.a.note</code>"),
        "{html}"
    );

    let html = ConsentPage { handle: None, verified: true, ..consent() }.render().unwrap();
    assert!(html.contains("no verified handle"));
    assert!(!html.contains("not verified"));

    let html = ConsentPage { client_host: "127.0.0.1:3000".into(), ..consent() }.render().unwrap();
    assert!(html.contains("an app on this device"));
    assert!(html.contains("started this app yourself"));
}

#[test]
fn a_client_without_a_name_goes_by_its_host() {
    let html = SignInPage { client_name: "  ".into(), ..sign_in() }.render().unwrap();
    assert!(html.contains("<h1>Sign in to <bdi>statusphere.example.com</bdi></h1>"), "{html}");
}

#[test]
fn a_name_that_plays_tricks() {
    let name = |name: &str| Client::new(name, "h.example").name;
    assert_eq!(name("\u{202e}knaB\u{200b} x\n"), "knaB x");
    assert_eq!(name("\u{200b}\u{2066}"), "h.example");
    assert_eq!(name("\u{200d}\u{3000}\u{200d}"), "h.example");
    assert_eq!(name(&"é".repeat(60)), "é".repeat(60));
    assert_eq!(name(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
}

#[test]
fn loopback_hosts() {
    for host in ["localhost", "localhost:3000", "127.0.0.1", "127.0.0.1:1", "[::1]:8080", "[::1]", "::1"] {
        assert!(is_loopback(host), "{host}");
    }
    for host in ["localhost.evil.example", "127.0.0.1.evil.example:80", "evil.example", "com.example.app", ""]
    {
        assert!(!is_loopback(host), "{host}");
    }
}

#[test]
fn a_way_back_is_never_a_script() {
    let link = |href: &str| {
        let back = Some(Link { href: href.into(), label: "Out of here".into() });
        ErrorPage { back, ..error() }.render().unwrap()
    };
    for href in ["/", "https://app.example.com/x", "http://127.0.0.1:3000/"] {
        assert!(link(href).contains("Out of here"), "{href}");
    }
    for href in ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", " javascript:x", ""] {
        assert!(!link(href).contains("Out of here"), "{href}");
    }
}

#[test]
fn the_demo_page_has_what_the_script_looks_for() {
    let html = demo().render().unwrap();
    assert!(html.contains("data-issuer=\"http://127.0.0.1:8080\""));
    assert!(html.contains("data-client-id=\"causeway-demo\""));
    assert!(html.contains("<noscript>"));
    for call in ["byId(\"", "showText(\"", "showTime(\""] {
        let ids = DEMO_JS.split(call).skip(1).map(|rest| rest.split('"').next().unwrap());
        for id in ids {
            assert!(html.contains(&format!(" id=\"{id}\"")), "the page lacks #{id}");
        }
    }
    for testid in [
        "did",
        "handle",
        "pds",
        "scope",
        "session-id",
        "iteration",
        "session-iteration",
        "expires",
        "refresh",
        "refresh-token",
        "sign-out",
        "error",
    ] {
        assert!(html.contains(&format!(" data-testid=\"{testid}\"")), "the page lacks {testid}");
    }
}
