//! Definitions that are refused, and the texts of the errors.

use causeway_providers::{Catalog, Definition};

/// A definition without a problem; the tests change lines of it.
const GOOD: &str = r#"kind = "oauth2"
title = "Example"
authorization_url = "https://auth.example.com/authorize"
token_url = "https://auth.example.com/token"
scopes = ["read", "write"]

[refresh]
policy = "refresh_token"
rotation = "single_use"

[identity]
url = "https://api.example.com/me"
subject = "/id"

[relay]
origins = ["https://api.example.com"]
"#;

const KEY: &str = r#"kind = "key"
title = "Example"

[[fields]]
name = "api_key"
label = "API key"

[verify]
url = "https://api.example.com/me"

[relay]
origins = ["https://api.example.com"]
"#;

fn problems(text: &str) -> String {
    Definition::parse("example.toml", text)
        .map_or_else(|error| error.to_string(), |_| "no problem".to_owned())
}

/// The problems after lines were replaced.
fn changed(text: &str, changes: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    problems(&text)
}

/// One line for each case: what was changed, and all that is reported.
fn book(text: &str, cases: &[(&str, &[(&str, &str)])]) -> String {
    assert_eq!(problems(text), "no problem");
    let cases = cases.iter().map(|(what, changes)| format!("{what}\n{}\n", changed(text, changes)));
    cases.collect::<Vec<_>>().join("\n")
}

/// Keys that cannot be read and those that make no sense together, in the order of the file; what follows from a key
/// that could not be read is not reported besides.
#[test]
fn all_problems_of_a_file_are_reported_together() {
    let text = r#"kind = "oauth2"
title = "Example"
authorization_url = "http://auth.example.com/authorize"
token_ulr = "https://auth.example.com/token"
scope_separator = ["-"]
required_scopes = ["admin"]
pkce = "S512"

[[parameters]]
name = "shop"

[token_request]
headers = { Host = "evil.example" }

[answer]
error = "error.code"

[lifetime]
idle_end = "2 weeks"

[refresh]
policy = "refresh_tokens"
grace = "10m"

[identity]
url = "https://{shop}/me?user={usr}"
subject = "/id"

[relay]
origins = ["https://api.example.com", "https://api.example.com/v1"]
strip = ["/data/*/token", "data"]
refused = [{ status = [99] }, { json = "/error" }]
wait = [{ status = [429] }]
"#;
    insta::assert_snapshot!("all_together", problems(text));
}

#[test]
fn files_that_are_no_definitions() {
    let cases = [
        ("nothing", ""),
        ("no TOML", "kind = \"oauth2\"\ntitle = \ntoken_url = 'https://a.example\n"),
        ("no kind", "title = \"Example\"\n"),
        ("an unknown kind", "kind = \"oauth\"\n"),
        ("nothing but a kind", "kind = \"oauth2\"\n"),
        ("an MCP server without an address", "kind = \"mcp\"\ntitle = \"Example\"\n"),
        ("a form without one", "kind = \"form\"\ntitle = \"Example\"\n"),
        ("a key without one", "kind = \"key\"\ntitle = \"Example\"\n"),
        ("a key twice", "kind = \"mcp\"\nkind = \"key\"\n"),
    ];
    let book: Vec<String> =
        cases.iter().map(|(what, text)| format!("{what}\n{}\n", problems(text))).collect();
    insta::assert_snapshot!("no_definitions", book.join("\n"));
}

#[test]
fn addresses() {
    let host = "[[parameters]]\nname = \"host\"\nlabel = \"Host\"\ntype = \"host\"\n\n[refresh]";
    let tenant = "[[parameters]]\nname = \"tenant\"\nlabel = \"Tenant\"\npattern = \"[a-z]+\"\n\n[refresh]";
    let late = "[capture.region]\njson = \"/region\"\n\n[refresh]";
    let book = book(
        GOOD,
        &[
            ("http", &[("https://auth.example.com/token", "http://auth.example.com/token")]),
            ("a path", &[("https://auth.example.com/token", "/token")]),
            (
                "a host that is the first segment",
                &[("[refresh]", tenant), ("https://auth.example.com/token", "https:///{tenant}/token")],
            ),
            (
                "a backslash",
                &[("origins = [\"https://api.example.com\"]", "origins = ['https://api.example.com\\v1']")],
            ),
            ("a user name", &[("https://auth.example.com/token", "https://me@auth.example.com/token")]),
            (
                "an origin with a path",
                &[("origins = [\"https://api.example.com\"]", "origins = [\"https://api.example.com/v1\"]")],
            ),
            (
                "an origin outside https",
                &[("origins = [\"https://api.example.com\"]", "origins = [\"wss://api.example.com\"]")],
            ),
            ("no origin", &[("origins = [\"https://api.example.com\"]", "origins = []")]),
            ("an unknown field", &[("[refresh]", host), ("example.com/token", "example.com/{hots}/token")]),
            ("a field where none is known", &[("example.com/token", "example.com/{tenant}/token")]),
            (
                "a field that is known too late",
                &[("[refresh]", late), ("example.com/token", "example.com/{region}/token")],
            ),
            (
                "a part of a path as a host",
                &[("[refresh]", tenant), ("https://auth.example.com/token", "https://{tenant}/token")],
            ),
            (
                "a value of Causeway's own as the host",
                &[("https://api.example.com/me", "https://{client_id}/me")],
            ),
            (
                "a host as an origin",
                &[("[refresh]", host), ("https://auth.example.com/token", "{host}/token")],
            ),
            (
                "a part of a host",
                &[("[refresh]", host), ("auth.example.com/token", "{host}.example.com/token")],
            ),
            (
                "an issuer beside addresses",
                &[("title = \"Example\"", "title = \"Example\"\nissuer = \"https://auth.example.com\"")],
            ),
            ("a path with ..", &[("[relay]", "[relay]\nprefixes = [\"/v1/../admin\"]")]),
        ],
    );
    insta::assert_snapshot!("addresses", book);
}

#[test]
fn renewal() {
    let policy = "policy = \"refresh_token\"\nrotation = \"single_use\"";
    let book = book(
        GOOD,
        &[
            ("no table", &[("[refresh]\npolicy = \"refresh_token\"\nrotation = \"single_use\"\n", "")]),
            ("no rotation", &[("rotation = \"single_use\"", "")]),
            ("grace of a reusable token", &[("\"single_use\"", "\"reusable\"\ngrace = \"10m\"")]),
            ("an age for refresh tokens", &[("\"single_use\"", "\"single_use\"\nnot_before = \"24h\"")]),
            (
                "everything of a policy that renews nothing",
                &[(
                    policy,
                    "policy = \"none\"\nrotation = \"reusable\"\ngrace = 60\noptional = true\nnot_before = 60\nmax_age = 60\nmin_interval = 60\nurl = \"https://a.example\"\nmethod = \"GET\"\ntoken_endpoint_auth_method = \"none\"\nparameters = { a = \"b\" }\nsend_scope = true\nover = [{ status = [400] }]\naction_required = [{ status = [400] }]\nmisconfigured = [{ status = [400] }]\nwait = [{ status = [429], scope = \"app\" }]",
                )],
            ),
            (
                "an access token without its age",
                &[(policy, "policy = \"access_token\"\nparameters = { t = \"{access_token}\" }")],
            ),
            (
                "an access token that is not sent",
                &[(policy, "policy = \"access_token\"\nnot_before = \"24h\"")],
            ),
            (
                "a rotating access token",
                &[(
                    policy,
                    "policy = \"access_token\"\nnot_before = \"24h\"\nrotation = \"single_use\"\ngrace = 60\noptional = true\nparameters = { t = \"{access_token}\" }",
                )],
            ),
            ("no time at all", &[("\"single_use\"", "\"single_use\"\nmax_age = 0")]),
            (
                "an idle time beyond the end",
                &[("[refresh]", "[lifetime]\nidle_end = \"60d\"\nabsolute_end = \"30d\"\n\n[refresh]")],
            ),
        ],
    );
    insta::assert_snapshot!("renewal", book);
}

#[test]
fn requests_and_answers() {
    let rename = "[authorization]\nrename = { scope = \"user_scope\" }\nparameters = { scope = \"bot\", user_scope = \"x\" }\n\n[refresh]";
    let book = book(
        GOOD,
        &[
            (
                "parameters that bind the answer",
                &[(
                    "[refresh]",
                    "[authorization]\nparameters = { state = \"x\", redirect_uri = \"y\", prompt = \"login\" }\n\n[refresh]",
                )],
            ),
            (
                "the scope as a parameter",
                &[("[refresh]", "[authorization]\nparameters = { scope = \"x\" }\n\n[refresh]")],
            ),
            ("a renamed scope leaves its name free, and takes the new one", &[("[refresh]", rename)]),
            (
                "a rename of what is no parameter",
                &[("[refresh]", "[token_request]\nrename = { client = \"client_key\" }\n\n[refresh]")],
            ),
            (
                "a GET with a body",
                &[("[refresh]", "[token_request]\nmethod = \"GET\"\nbody = \"json\"\n\n[refresh]")],
            ),
            ("a pointer without a slash", &[("subject = \"/id\"", "subject = \"id\"")]),
            ("a pointer to several places", &[("subject = \"/id\"", "subject = \"/data/*/id\"")]),
            ("a pointer with ~2", &[("subject = \"/id\"", "subject = \"/a~2\"")]),
            (
                "an ID token of an OAuth 2.0 server",
                &[("url = \"https://api.example.com/me\"\nsubject = \"/id\"", "from = \"id_token\"")],
            ),
            ("no identity", &[("[identity]\nurl = \"https://api.example.com/me\"\nsubject = \"/id\"", "")]),
            (
                "a credential that is the user's",
                &[(
                    "[refresh]",
                    "[[credentials]]\naccount = \"/bot\"\naccess_token = \"/access_token\"\n\n[refresh]",
                )],
            ),
            (
                "a required scope that is not requested",
                &[("scopes = [", "required_scopes = [\"admin\"]\nscopes = [")],
            ),
            (
                "OpenID Connect without openid",
                &[
                    ("\"oauth2\"", "\"oidc\""),
                    ("authorization_url = \"https://auth.example.com/authorize\"\ntoken_url", "issuer"),
                ],
            ),
            (
                "a capture from nowhere",
                &[("[refresh]", "[capture.x]\nallow = [\"*.example.com\"]\n\n[refresh]")],
            ),
            (
                "a capture from two places",
                &[("[refresh]", "[capture.x]\njson = \"/x\"\ncallback = \"x\"\n\n[refresh]")],
            ),
            (
                "a capture for every host of a top-level domain",
                &[("[refresh]", "[capture.x]\njson = \"/x\"\nallow = [\"*.com\"]\n\n[refresh]")],
            ),
            (
                "a capture by the name of a parameter",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"x\"\nlabel = \"X\"\ntype = \"host\"\n\n[capture.x]\njson = \"/x\"\n\n[refresh]",
                )],
            ),
            (
                "a parameter by the name of a token",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"token\"\nlabel = \"X\"\ntype = \"host\"\n\n[refresh]",
                )],
            ),
            (
                "a parameter for anything",
                &[("[refresh]", "[[parameters]]\nname = \"x\"\nlabel = \"X\"\n\n[refresh]")],
            ),
            (
                "a default outside its pattern",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"x\"\nlabel = \"X\"\npattern = \"[0-9]+\"\ndefault = \"x\"\n\n[refresh]",
                )],
            ),
            (
                "a parameter for two things",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"x\"\nlabel = \"X\"\ntype = \"host\"\npattern = \"[0-9]+\"\n\n[refresh]",
                )],
            ),
            (
                "a default outside its domain",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"x\"\nlabel = \"X\"\nallowed_suffix = \".crm.example\"\ndefault = \"crm.evil.example\"\n\n[refresh]",
                )],
            ),
            (
                "a default that is no host",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"x\"\nlabel = \"X\"\ntype = \"host\"\ndefault = \"https://crm.example\"\n\n[refresh]",
                )],
            ),
            (
                "a default that is no address",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"x\"\nlabel = \"X\"\ntype = \"url\"\ndefault = \"http://crm.example\"\n\n[refresh]",
                )],
            ),
            (
                "a pattern for another path",
                &[(
                    "[refresh]",
                    "[[parameters]]\nname = \"x\"\nlabel = \"X\"\npattern = \"[a-z.-]+\"\n\n[refresh]",
                )],
            ),
            (
                "an app of the instance without an address",
                &[("[refresh]", "[registration]\nby = \"instance\"\nnote = \"x\"\n\n[refresh]")],
            ),
        ],
    );
    insta::assert_snapshot!("requests_and_answers", book);
}

#[test]
fn relay() {
    let book = book(
        GOOD,
        &[
            (
                "a header of the caller that is set here",
                &[(
                    "[relay]",
                    "[relay]\nset_headers = { X-Version = \"1\" }\nrequest_headers = [\"x-version\", \"authorization\", \"X-Other\"]",
                )],
            ),
            (
                "a credential among other headers",
                &[("[relay]", "[relay]\nset_headers = { Authorization = \"Bearer x\" }")],
            ),
            ("no credential", &[("[relay]", "[relay]\ninject = { header = { X-Token = \"token\" } }")]),
            ("an account where there is none", &[("[relay]", "[relay]\nprefixes = [\"/ex/{account}\"]")]),
            ("a header of the connection", &[("[relay]", "[relay]\nresponse_headers = [\"Set-Cookie\"]")]),
            ("a rule for every answer", &[("[relay]", "[relay]\nrefused = [{ credential = \"page\" }]")]),
            ("a rule without a place", &[("[relay]", "[relay]\nrefused = [{ equals = [1] }]")]),
            (
                "a rule without a value",
                &[("[relay]", "[relay]\nrefused = [{ json = \"/a\", and = [{ json = \"/b\" }] }]")],
            ),
            (
                "a scope of a refusal",
                &[("[relay]", "[relay]\nrefused = [{ status = [401], scope = \"app\" }]")],
            ),
            (
                "a member without a name",
                &[(
                    "[relay]",
                    "[relay]\nstrip_members = [\"\"]\nstrip_urls = [{ member = \"\", parameters = [\"t\"] }]",
                )],
            ),
            (
                "an address at two places",
                &[(
                    "[relay]",
                    "[relay]\nstrip_urls = [{ json = \"/next\", member = \"next\", parameters = [\"t\"] }]",
                )],
            ),
            (
                "a denied parameter without a name",
                &[("[relay]", "[relay]\ndeny_parameters = [{ contains = [\"\"] }]")],
            ),
            (
                "an address without parameters to strip",
                &[("[relay]", "[relay]\nstrip_urls = [{ json = \"/next\" }]")],
            ),
        ],
    );
    insta::assert_snapshot!("relay", book);
}

#[test]
fn keys() {
    let two = "[[fields]]\nname = \"secret\"\nlabel = \"Secret\"\n\n[verify]";
    let book = book(
        KEY,
        &[
            ("nothing secret", &[("label = \"API key\"", "label = \"API key\"\nsecret = false")]),
            ("several secrets", &[("[verify]", two)]),
            ("a secret in an address", &[("example.com/me", "example.com/{api_key}/me")]),
            (
                "a field twice",
                &[("[verify]", "[[fields]]\nname = \"api_key\"\nlabel = \"Again\"\n\n[verify]")],
            ),
        ],
    );
    insta::assert_snapshot!("keys", book);
    let both = "inject = { header = { X-Key = \"{api_key}\" }, query = { s = \"{secret}\" } }";
    let good = KEY.replace("[verify]", two) + both;
    assert_eq!(problems(&good), "no problem");
}

/// A definition in which something is missing or of another type is still valid, or the answer names the problem and
/// the key.
#[test]
fn no_refusal_without_a_reason() {
    let texts = Catalog::load(None).unwrap().iter().map(|provider| provider.text.clone()).collect::<Vec<_>>();
    for text in texts.iter().map(String::as_str).chain([GOOD, KEY, include_str!("definitions/booking.toml")])
    {
        let lines: Vec<&str> = text.lines().collect();
        for at in 0..lines.len() {
            let name = lines[at].split_once(" = ").map_or(lines[at], |(name, _)| name);
            for other in
                ["", &format!("{name} = 5"), &format!("{name} = \"x\""), &format!("{name} = [{{ a = 1 }}]")]
            {
                let mut changed = lines.clone();
                changed[at] = other;
                if let Err(error) = Definition::parse("changed.toml", &changed.join("\n")) {
                    assert!(!error.problems.is_empty(), "{name}: {other}");
                    for problem in error.problems {
                        let is_toml = !problem.problem.starts_with("is not TOML");
                        assert!(!problem.problem.is_empty() && !problem.fix.is_empty(), "{name}: {problem}");
                        assert!(!(is_toml && problem.key.is_empty()), "{name}: {problem}");
                    }
                }
            }
        }
    }
}

#[test]
fn forms() {
    let text = include_str!("definitions/booking.toml");
    let book = book(
        text,
        &[
            ("passwords in an address", &[("body = \"form\"", "body = \"query\"")]),
            ("a value that no page has", &[("_token = \"{csrf}\"", "_token = \"{crsf}\"")]),
            (
                "a step that nothing asks for",
                &[("when = { json = \"/otp_required\", equals = [true] }\n", "")],
            ),
        ],
    );
    insta::assert_snapshot!("forms", book);
    let cookies = "kind = \"form\"\ntitle = \"Site\"\n[login]\nurl = \"https://site.example/login\"\n\
                   fields = [{ name = \"password\", type = \"password\" }]\n[relay]\norigins = [\"https://site.example\"]\n";
    assert_eq!(problems(cookies), "no problem");
    let no_token =
        changed(cookies, &[("[relay]", "[relay]\ninject = { header = { X-Token = \"{token}\" } }")]);
    assert!(no_token.contains("unknown field {token}"), "{no_token}");
}
