use causeway_domain::resource::ResourceScopes;
use causeway_flow::upstream::connect::SignInTrouble;
use causeway_types::{Scope, Timestamp};

use super::*;
use causeway_flow::upstream::traits::FormFieldType;

const HOSTILE: &str = "\"><script>alert(1)</script><b x='&";

fn sign_in() -> SignInPage {
    SignInPage {
        server_host: None,
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
        identity: None,
        verified: true,
        handle: Some("alice.example.com".into()),
        did: "did:plc:ewvi7nxzyoun6zhxrhs64oiz".into(),
        pds_host: "pds.example.com".into(),
        scopes: asked("atproto transition:generic", ""),
        device: false,
        servers: Vec::new(),
        may_remember: true,
        request: "req-1".into(),
    }
}

fn asked(scope: &str, contents: &str) -> AskedScopes {
    asked_in(Lang::En, scope, contents)
}

fn asked_in(lang: Lang, scope: &str, contents: &str) -> AskedScopes {
    let (scope, contents) = (Scope::parse_asked(scope).unwrap(), Scope::parse(contents).unwrap());
    let declared = ResourceScopes::parse(&["https://notes.example/mcp notes:read Read your notes"]).unwrap();
    AskedScopes::new(lang, &scope, &contents, &declared)
}

fn connect() -> ConnectPage {
    ConnectPage {
        client_name: "Statusphere".into(),
        client_host: "statusphere.example.com".into(),
        identity: None,
        is_verified: true,
        return_host: Some("statusphere.example.com".into()),
        offers: vec![ConnectOffer {
            name: "github".into(),
            title: "GitHub".into(),
            host: Some("github.acme.example".into()),
            scopes: vec!["read:user".into()],
            form: None,
        }],
        is_device: false,
        is_background: true,
        is_reconnection: true,
        form_token: "token".into(),
    }
}

fn error() -> ErrorPage {
    ErrorPage {
        status: 400,
        problem: Problem::App,
        detail: None,
        code: "invalid_request".into(),
        request_id: "01J9".into(),
        onward: None,
    }
}

fn demo() -> DemoPage {
    DemoPage { issuer: "http://127.0.0.1:8080".into(), client_id: "causeway-demo".into() }
}

fn home() -> HomePage {
    HomePage { issuer: "https://auth.example.com".into() }
}

fn account() -> AccountPage {
    let app = |background, began_here| AppLine {
        session: "us_1".into(),
        name: "Statusphere".into(),
        host: "statusphere.example.com".into(),
        background,
        needs_sign_in: background,
        began_here,
        since: Timestamp(1_709_251_199),
        last_used: Timestamp(1_735_689_600),
        scopes: AskedScopes::default(),
    };
    let apps = vec![app(false, true), app(true, false)];
    let card = |handle: Option<&str>, proven_seconds, apps| AccountCard {
        did: "did:plc:ewvi7nxzyoun6zhxrhs64oiz".into(),
        handle: handle.map(str::to_owned),
        proven_seconds,
        apps,
    };
    AccountPage {
        form_token: "token".into(),
        accounts: vec![
            card(Some("alice.example.com"), Some(599), apps.clone()),
            card(None, None, apps),
            card(None, Some(61), vec![]),
        ],
        notice: Some(AccountNotice::Ended),
        now: Timestamp(1_735_689_600 + 7300),
    }
}

fn logout() -> LogoutPage {
    LogoutPage {
        client_name: "Statusphere".into(),
        client_host: "statusphere.example.com".into(),
        accounts: vec![LogoutAccount { did: "did:plc:ewvi7nxzyoun6zhxrhs64oiz".into(), handle: None }],
        form_token: "token".into(),
        fields: vec![("client_id", "c".into())],
    }
}

fn signed_out() -> SignedOutPage {
    SignedOutPage {
        client_name: "Statusphere".into(),
        client_host: Some("statusphere.example.com".into()),
        onward: Some(Onward::to("https://statusphere.example.com/out?state=x".into())),
    }
}

/// The page of a connect session, with everything that comes from outside hostile.
fn hostile_connect() -> ConnectPage {
    let evil = || HOSTILE.to_owned();
    let field = |kind| ConnectField { name: evil(), label: Some(evil()), kind };
    let site_form = ConnectForm {
        origin: evil(),
        fields: [FormFieldType::Text, FormFieldType::Email, FormFieldType::Password, FormFieldType::Otp]
            .map(field)
            .into(),
        step: Some(evil()),
        trouble: Some(ConnectTrouble::Refused),
    };
    ConnectPage {
        client_name: evil(),
        client_host: evil(),
        identity: Some(evil()),
        is_verified: false,
        return_host: Some(evil()),
        offers: vec![
            ConnectOffer {
                name: evil(),
                title: evil(),
                host: Some(evil()),
                scopes: vec![evil()],
                form: Some(site_form.clone()),
            };
            2
        ],
        form_token: evil(),
        ..connect()
    }
}

/// Every page, with everything that comes from outside hostile.
fn hostile(lang: Lang) -> Vec<String> {
    let evil = || HOSTILE.to_owned();
    let sign_in = SignInPage {
        client_name: evil(),
        client_host: evil(),
        identifier: evil(),
        error: Some(SignInTrouble::NotAHandle),
        request: evil(),
        ..sign_in()
    };
    let consent = ConsentPage {
        client_name: evil(),
        client_host: evil(),
        identity: Some(evil()),
        verified: true,
        handle: Some(evil()),
        did: evil(),
        pds_host: evil(),
        servers: vec![ConsentServer { title: evil(), is_connected: true }],
        may_remember: true,
        device: false,
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
        detail: Some(evil()),
        code: evil(),
        request_id: evil(),
        onward: Some(Onward { host: evil(), address: evil(), fields: Some(vec![("state", evil())]) }),
        ..error()
    };
    let demo = DemoPage { issuer: evil(), client_id: evil() };
    let home = HomePage { issuer: evil() };
    let form = FormPostPage { action: evil(), fields: vec![("state", evil())] };
    let logout = LogoutPage {
        client_name: evil(),
        client_host: evil(),
        accounts: vec![LogoutAccount { did: evil(), handle: Some(evil()) }],
        form_token: evil(),
        fields: vec![("state", evil())],
    };
    let onward = Onward { host: evil(), address: evil(), fields: None };
    let signed_out = SignedOutPage { client_name: evil(), client_host: Some(evil()), onward: Some(onward) };
    let mut account = account();
    account.form_token = evil();
    for card in &mut account.accounts {
        (card.did, card.handle) = (evil(), Some(evil()));
        for app in &mut card.apps {
            (app.session, app.name, app.host, app.scopes) = (evil(), evil(), evil(), consent.scopes.clone());
        }
    }
    [
        hostile_connect().render(lang),
        ConnectDonePage { provider: evil() }.render(lang),
        sign_in.render(lang),
        consent.render(lang),
        error.render(lang),
        demo.render(lang),
        home.render(lang),
        form.render(lang),
        account.render(lang),
        logout.render(lang),
        signed_out.render(lang),
    ]
    .map(Result::unwrap)
    .into()
}

fn plain(lang: Lang) -> Vec<String> {
    let form = FormPostPage { action: "https://app.example/cb".into(), fields: vec![("code", "c".into())] };
    [
        connect().render(lang),
        ConnectDonePage { provider: "GitHub".into() }.render(lang),
        sign_in().render(lang),
        consent().render(lang),
        error().render(lang),
        demo().render(lang),
        home().render(lang),
        form.render(lang),
        account().render(lang),
        logout().render(lang),
        signed_out().render(lang),
    ]
    .map(Result::unwrap)
    .into()
}

fn in_all_languages(pages: fn(Lang) -> Vec<String>) -> impl Iterator<Item = (Lang, String)> {
    Lang::ALL.into_iter().flat_map(move |lang| pages(lang).into_iter().map(move |html| (lang, html)))
}

#[test]
fn values_from_outside_are_escaped() {
    for (_, html) in in_all_languages(hostile) {
        assert!(html.contains("&lt;script&gt;") || html.contains("&#60;script&#62;"), "{html}");
        assert!(!html.contains("<script>"), "{html}");
        assert!(!html.contains("<b x="), "{html}");
        assert!(!html.contains(HOSTILE), "{html}");
    }
}

#[test]
fn one_heading_a_language_and_landmarks() {
    for (lang, html) in in_all_languages(plain).chain(in_all_languages(hostile)) {
        assert_eq!(html.matches("<h1").count(), 1, "{html}");
        assert_eq!(html.matches("<main").count(), 1, "{html}");
        assert!(html.starts_with(&format!("<!DOCTYPE html>\n<html lang=\"{}\">", lang.tag())), "{html}");
        assert!(html.contains("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"));
        assert!(html.contains("<meta name=\"color-scheme\" content=\"light dark\">"));
        assert!(html.contains("<meta name=\"referrer\" content=\"no-referrer\">"));
        assert!(!html.contains("<title> "), "{html}");
    }
}

#[test]
fn nothing_inline_and_nothing_from_elsewhere() {
    for (_, html) in in_all_languages(plain) {
        for banned in [" style=", "<style", " onclick=", " onload=", "src=\"http", "<script>", "javascript:"]
        {
            assert!(!html.contains(banned), "{banned} in {html}");
        }
        let scripts = html.matches("<script").count();
        let ours = [DEMO_JS_HREF, FORM_POST_JS_HREF]
            .map(|href| html.matches(&format!("<script src=\"{href}\" defer></script>")).count());
        assert_eq!(scripts, ours.iter().sum::<usize>());
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
    let with_error = SignInPage { error: Some(SignInTrouble::UnknownHandle), ..sign_in() };
    let with_error = with_error.render(Lang::En).unwrap();
    for html in plain(Lang::En).into_iter().chain([with_error]) {
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
    let html = sign_in().render(Lang::En).unwrap();
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

    let error = Some(SignInTrouble::UnknownHandle);
    let page = SignInPage { identifier: "alice".into(), error, ..sign_in() };
    let html = page.render(Lang::En).unwrap();
    assert!(html.contains("aria-describedby=\"identifier-error identifier-hint\""));
    assert!(html.contains("aria-invalid=\"true\""));
    assert!(html.contains("value=\"alice\""));
    assert!(html.contains("role=\"alert\""));
    assert!(html.contains("No account has this handle."));
}

/// A domain that refused or failed has not said that there is no such account, and the page does not say so either.
#[test]
fn a_handle_that_could_not_be_asked() {
    let html = |trouble, lang| SignInPage { error: Some(trouble), ..sign_in() }.render(lang).unwrap();
    for (lang, asked, unknown) in [
        (
            Lang::En,
            "The domain of this handle could not be asked whose it is.",
            "No account has this handle.",
        ),
        (
            Lang::De,
            "Die Domain dieses Handles war nicht zu fragen, wem es gehört.",
            "Kein Konto hat dieses Handle.",
        ),
    ] {
        assert!(html(SignInTrouble::UnknownHandle, lang).contains(unknown), "{unknown}");
        let html = html(SignInTrouble::UnansweredHandle, lang);
        assert!(html.contains(asked) && html.contains("did:plc:…") && !html.contains(unknown), "{html}");
    }
}

#[test]
fn the_consent_form() {
    let html = consent().render(Lang::En).unwrap();
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
    assert!(html.contains("nearly everything in your account") && html.contains("Broad access"));
    assert!(html.contains("<code>transition:generic</code>"));

    let kinds: Vec<_> = (0..9).map(|index| format!("repo:com.example.kind{index}")).collect();
    let html = ConsentPage { scopes: asked(&kinds.join(" "), ""), ..consent() }.render(Lang::En).unwrap();
    assert!(html.contains("and 3 more"), "{html}");
    assert_eq!(html.matches("<code>com.example.kind").count(), 9);
    let html = ConsentPage { scopes: asked("include:app.a.auth", "repo:app.a.note"), ..consent() };
    let html = html.render(Lang::En).unwrap();
    assert!(
        html.contains("permission set app.a.auth:") && html.contains("<code>app.a.note</code>"),
        "{html}"
    );

    let html = ConsentPage { handle: None, identity: Some("app.example".to_owned()), ..consent() }
        .render(Lang::En)
        .unwrap();
    assert!(html.contains("no verified handle"));
    assert!(!html.contains("not verified"));

    let html = ConsentPage { client_host: "127.0.0.1:3000".into(), ..consent() }.render(Lang::En).unwrap();
    assert!(html.contains("an app on this device"));
    assert!(html.contains("started this app yourself"));
}

#[test]
fn the_account_page() {
    let html = account().render(Lang::En).unwrap();
    for shown in [
        "<time datetime=\"2024-02-29T23:59Z\">29 February 2024</time>",
        "<time datetime=\"2025-01-01T00:00Z\">2 hours ago</time>",
        "For 9 minutes",
        "For 1 minute,",
        "Sign out<span class=\"visually-hidden\"> of <bdi>Statusphere</bdi></span>",
        "End access<span class=\"visually-hidden\">",
        "value=\"everywhere\"",
        "value=\"here\"",
        "No app has access to this account.",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    assert_eq!(html.matches("<form").count(), html.matches("name=\"form_token\" value=\"token\"").count());
    let german = account().render(Lang::De).unwrap();
    assert!(german.contains("29. Februar 2024") && german.contains("vor 2 Stunden"), "{german}");
}

#[test]
fn notices_survive_the_address() {
    for notice in ["ended", "ended-all", "gone", "not-proven", "not-signed-in", "left"] {
        assert_eq!(AccountNotice::parse(notice).map(AccountNotice::as_str), Some(notice));
    }
    assert_eq!(AccountNotice::parse("<script>"), None);
}

#[test]
fn a_client_without_a_name_goes_by_its_host() {
    let html = SignInPage { client_name: "  ".into(), ..sign_in() }.render(Lang::En).unwrap();
    assert!(html.contains("<h1>Sign in to <bdi>statusphere.example.com</bdi></h1>"), "{html}");
}

/// The text of the pages themselves, without markup and without external values.
fn visible(html: &str) -> String {
    let body = &html[html.find("<body").unwrap()..];
    let texts = body.split('<').skip(1).filter_map(|piece| piece.split_once('>'));
    texts.filter(|(tag, _)| !tag.contains("lang=\"en\"")).map(|(_, text)| format!(" {text} ")).collect()
}

#[test]
fn a_german_page_is_german() {
    // Two that cover each other's words are never said together.
    let wide = "atproto email background_access transition:generic transition:chat.bsky repo:* blob:*/* \
                rpc:*?aud=did:web:a.example%23x identity:* account:email?action=manage \
                account:repo?action=manage account:status?action=manage include:app.a.auth";
    let narrow = "atproto account:status account:repo identity:handle blob:image/* blob:video/* blob:audio/* \
                  blob:text/html rpc:a.b.c?aud=* rpc:a.b.c?aud=did:web:a.example%23x \
                  repo:app.bsky.graph.follow?action=create repo:app.bsky.feed.post?action=delete \
                  include:app.a.auth?aud=did:web:a.example%23x";
    let scopes = asked_in(Lang::De, wide, "");
    let pages = [
        sign_in().render(Lang::De),
        SignInPage { client_host: "127.0.0.1".into(), ..sign_in() }.render(Lang::De),
        ConsentPage { scopes: scopes.clone(), ..consent() }.render(Lang::De),
        ConsentPage { scopes, handle: None, identity: Some("app.example".to_owned()), ..consent() }
            .render(Lang::De),
        ConsentPage { scopes: asked_in(Lang::De, narrow, "repo:app.a.note"), ..consent() }.render(Lang::De),
    ];
    let errors = PROBLEMS.map(|problem| ErrorPage { problem, ..error() }.render(Lang::De));
    let others = [
        demo().render(Lang::De),
        home().render(Lang::De),
        account().render(Lang::De),
        logout().render(Lang::De),
        signed_out().render(Lang::De),
        SignedOutPage { client_host: None, ..signed_out() }.render(Lang::De),
    ];
    for html in pages.into_iter().chain(errors).chain(others).map(Result::unwrap) {
        let text = visible(&html);
        for word in ["the", "your", "you", "and", "is", "of", "not", "sign"] {
            assert!(!text.to_lowercase().contains(&format!(" {word} ")), "{word}: {text}");
        }
    }
}

#[test]
fn every_kind_that_has_a_name_has_one_in_german() {
    let kinds = |lang: Lang| lang.text().scopes.kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds(Lang::De), kinds(Lang::En));
}

const PROBLEMS: [Problem; 12] = [
    Problem::App,
    Problem::NotSignedInHere,
    Problem::OtherBrowser,
    Problem::SignInOver,
    Problem::ConsentOver,
    Problem::NotSignedIn,
    Problem::Undecided,
    Problem::ForeignForm,
    Problem::Internal,
    Problem::Busy,
    Problem::TooMany,
    Problem::NotFound,
];

#[test]
fn the_demo_page_has_what_the_script_looks_for() {
    let html = demo().render(Lang::En).unwrap();
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

#[test]
fn a_device_is_confirmed_by_name_host_and_code() {
    let page = |name: &str, host: &str| DeviceConfirmPage {
        client_name: name.into(),
        client_host: host.into(),
        user_code: "WDJB-MJHT".into(),
        form_token: "token".into(),
    };
    for lang in Lang::ALL {
        let html = page("Television", "tv.example").render(lang).unwrap();
        for shown in ["Television", "tv.example", "WDJB-MJHT", "value=\"token\"", DEVICE_CONFIRM_ACTION] {
            assert!(html.contains(shown), "{shown}");
        }
        let html = page(HOSTILE, HOSTILE).render(lang).unwrap();
        assert!(!html.contains("<script>alert"), "{html}");
        let entry = |trouble| DevicePage { user_code: HOSTILE.into(), trouble, form_token: "token".into() };
        let html = entry(None).render(lang).unwrap();
        assert!(!html.contains("<script>alert") && !html.contains("role=\"alert\""), "{html}");
        assert!(entry(Some(DeviceTrouble::TooMany)).render(lang).unwrap().contains("role=\"alert\""));
        let [yes, no] = [true, false].map(|connected| DeviceDonePage { connected }.render(lang).unwrap());
        assert_ne!(yes, no);
    }
    let html = ConsentPage { device: true, ..consent() }.render(Lang::En).unwrap();
    assert!(html.contains("go back to your device") && !html.contains("you return to"), "{html}");
}
