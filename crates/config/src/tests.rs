use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::settings::table;

/// A command as the server has it: settings beside a subcommand.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Sub>,
}

#[derive(clap::Subcommand)]
enum Sub {
    Serve,
}

struct Case {
    flags: Vec<String>,
    env: Vec<(&'static str, OsString)>,
}

fn flags(flags: &[&str]) -> Case {
    Case { flags: flags.iter().map(ToString::to_string).collect(), env: Vec::new() }
}

impl Case {
    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.into()));
        self
    }

    fn load(self) -> Result<Config, ConfigError> {
        let cli = Cli::try_parse_from(std::iter::once("causeway".to_owned()).chain(self.flags)).unwrap();
        Config::load_from(cli.settings, &|name| {
            self.env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
        })
    }

    fn refusal(self) -> String {
        let line = self.load().unwrap_err().to_string();
        assert!(!line.contains('\n'), "more than one line: {line}");
        line
    }
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("causeway.toml");
    std::fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Off loopback they are refused, with what to do; on loopback they are named. A group may read them.
#[test]
fn files_of_secrets_that_everybody_can_read() {
    let (_dir, path) = file("k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let (_ring, ring) = file("k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for setting in ["secret-key-file", "registration-token-file", "admin-token-file"] {
        let public = || {
            let mut case =
                flags(&["--external-url=https://auth.example.com", &format!("--{setting}={path}")]);
            if setting != "secret-key-file" {
                case.flags.push(format!("--secret-key-file={ring}"));
            }
            case
        };
        let file = std::path::Path::new(&path);
        for mode in [0o604, 0o602, 0o644] {
            set_mode(file, mode);
            let refusal = public().refusal();
            assert!(
                refusal.starts_with(setting) && refusal.contains(&format!("chmod o= {path}")),
                "{refusal}"
            );
            let local = flags(&[&format!("--{setting}={path}")]).load().unwrap();
            assert_eq!(local.exposed_files, [file], "{mode:o}");
        }
        for mode in [0o600, 0o640, 0o400] {
            set_mode(file, mode);
            assert!(public().load().unwrap().exposed_files.is_empty(), "{setting} {mode:o}");
        }
    }
}

#[test]
fn seconds_and_levels() {
    let config =
        flags(&["--keep-alive-seconds=90", "--drain-seconds=15", "--log-level=DEBUG"]).load().unwrap();
    assert_eq!((config.keep_alive_seconds, config.drain_seconds, &*config.log_level), (90, 15, "debug"));
    for bad in ["--keep-alive-seconds=0", "--keep-alive-seconds=x", "--drain-seconds=-1", "--log-level=loud"]
    {
        let refusal = flags(&[bad]).refusal();
        assert!(refusal.starts_with(bad[2..].split('=').next().unwrap()), "{refusal}");
    }
}

#[test]
fn without_anything_the_defaults_hold() {
    let config = flags(&[]).load().unwrap();
    assert_eq!(config.listen, "127.0.0.1:8080".parse::<SocketAddr>().unwrap());
    assert_eq!(config.external_url, None);
    assert_eq!(config.atp_scopes, "atproto transition:generic transition:email transition:chat.bsky");
    assert_eq!(config.upstream_client, UpstreamClientMode::Shared);
    assert_eq!(config.database_url, "sqlite://causeway.db");
    assert_eq!(config.secret_key, None);
    assert_eq!(config.plc_url.as_str(), "https://plc.directory/");
    assert!(config.trusted_proxies.is_empty() && config.resolve.is_empty());
    assert!(!config.dev_mode && config.is_loopback() && config.demo_enabled());
    assert_eq!((config.keep_alive_seconds, config.drain_seconds, &*config.log_level), (75, 0, "info"));
    assert_eq!(
        (config.demo, config.log_format, config.extra_ca, config.handle_resolver),
        (None, None, None, None)
    );
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let (_dir, path) =
        file("listen = '127.0.0.1:1'\nplc_url = 'https://file.example'\ndatabase-url = 'sqlite://file.db'");
    let config = flags(&["--config", &path, "--listen", "127.0.0.1:3", "serve"])
        .env("CAUSEWAY_LISTEN", "127.0.0.1:2")
        .env("CAUSEWAY_PLC_URL", "https://env.example")
        .load()
        .unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.plc_url.as_str(), "https://env.example/");
    assert_eq!(config.database_url, "sqlite://file.db");
    let text = config.render();
    assert!(text.contains("listen = \"127.0.0.1:3\"  # flag\n"), "{text}");
    assert!(text.contains("plc-url = \"https://env.example/\"  # environment CAUSEWAY_PLC_URL\n"), "{text}");
    assert!(text.contains(&format!("database-url = \"sqlite://file.db\"  # file {path}\n")), "{text}");
    assert!(text.contains("dev-mode = false  # default\n"), "{text}");
    assert!(text.contains("# extra-ca: unset\n"), "{text}");
}

#[test]
fn flags_may_stand_after_the_subcommand() {
    let config = flags(&["serve", "--listen", "127.0.0.1:0"]).load().unwrap();
    assert_eq!(config.listen.port(), 0);
    let cli = Cli::try_parse_from(["causeway", "--demo", "serve"]).unwrap();
    assert!(matches!(cli.command, Some(Sub::Serve)), "--demo must not take the subcommand as its value");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = flags(&[])
        .env("CAUSEWAY_LISTEN", "")
        .env("CAUSEWAY_DEV_MODE", "")
        .env("CAUSEWAY_CONFIG", "")
        .env("CAUSEWAY_SECRET_KEY", "")
        .env("CAUSEWAY_RESOLVE", "")
        .load()
        .unwrap();
    assert_eq!((config.listen.port(), config.dev_mode, config.secret_key), (8080, false, None));
}

#[test]
fn the_file_may_come_from_the_environment() {
    let (_dir, path) = file("log_format = 'json'\ndemo = false\ntrusted-proxies = ['10.1.2.3/8', 'fd00::1']");
    let case = Case { flags: vec![], env: vec![("CAUSEWAY_CONFIG", path.into())] };
    let config = case.load().unwrap();
    assert_eq!((config.log_format, config.demo), (Some(LogFormat::Json), Some(false)));
    let networks: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "fd00::1/128"]);
}

#[test]
fn lists_come_as_repeated_flags_or_with_commas() {
    let expected = [
        ("pds.test".to_owned(), "127.0.0.1".parse().unwrap()),
        ("b.test".to_owned(), "::1".parse().unwrap()),
    ];
    let repeated = flags(&["--resolve", "PDS.test.=127.0.0.1", "--resolve", "b.test=::1"]).load().unwrap();
    assert_eq!(repeated.resolve, expected);
    let commas = flags(&[]).env("CAUSEWAY_RESOLVE", "pds.test=127.0.0.1, b.test=::1,").load().unwrap();
    assert_eq!(commas.resolve, expected);
    // An empty flag takes back what the environment says.
    let none = flags(&["--resolve="]).env("CAUSEWAY_RESOLVE", "b.test=::1").load().unwrap();
    assert!(none.resolve.is_empty());
}

#[test]
fn switches_stand_alone_or_take_a_value() {
    assert_eq!(flags(&["--demo"]).load().unwrap().demo, Some(true));
    assert_eq!(flags(&["--demo=false"]).load().unwrap().demo, Some(false));
    assert!(flags(&["--dev-mode"]).load().unwrap().dev_mode);
    assert!(!flags(&["--dev-mode=off"]).env("CAUSEWAY_DEV_MODE", "1").load().unwrap().dev_mode);
    assert_eq!(
        flags(&["--demo=maybe"]).refusal(),
        "demo (CAUSEWAY_DEMO): \"maybe\" is neither true nor false; use true or false"
    );
}

#[test]
fn the_issuer_is_the_external_url_or_the_bound_loopback_address() {
    let config = flags(&[]).load().unwrap();
    let issuer = |bound: &str| config.issuer(bound.parse().unwrap()).map(|url| url.to_string());
    assert_eq!(issuer("127.0.0.1:4321").unwrap(), "http://127.0.0.1:4321");
    assert_eq!(issuer("[::1]:4321").unwrap(), "http://[::1]:4321");
    assert_eq!(issuer("127.0.0.1:80").unwrap(), "http://127.0.0.1");
    assert!(issuer("10.0.0.1:4321").is_err());

    let config =
        flags(&["--listen", "0.0.0.0:80", "--external-url", "http://localhost:8080"]).load().unwrap();
    let issuer = config.issuer("0.0.0.0:80".parse().unwrap()).unwrap();
    assert_eq!(issuer.as_str(), "http://localhost:8080");
    assert!(issuer.is_loopback() && !issuer.is_https() && config.is_loopback());
}

#[test]
fn an_external_url_is_an_origin_in_normal_form() {
    let refuse = |text: &str| text.parse::<ExternalUrl>().unwrap_err().to_string();
    let prefix = "external-url (CAUSEWAY_EXTERNAL_URL): ";
    for (text, rest) in [
        (
            "http://example.com:8080",
            "\"http://example.com:8080\" is http but not loopback; use https://example.com",
        ),
        (
            "https://example.com/",
            "\"https://example.com/\" has a trailing slash, but issuers are compared exactly; use https://example.com",
        ),
        (
            "https://example.com/auth",
            "\"https://example.com/auth\" has a path, but the issuer must be an origin; use https://example.com",
        ),
        (
            "https://example.com/auth/",
            "\"https://example.com/auth/\" has a path, but the issuer must be an origin; use https://example.com",
        ),
        ("https://example.com?x", "\"https://example.com?x\" has a query; use https://example.com"),
        ("https://example.com#x", "\"https://example.com#x\" has a fragment; use https://example.com"),
        (
            "https://example.com:443",
            "\"https://example.com:443\" is not in normal form, but issuers are compared exactly; use https://example.com",
        ),
        (
            "https://Example.com",
            "\"https://Example.com\" is not in normal form, but issuers are compared exactly; use https://example.com",
        ),
        ("https://me:pw@example.com", "the URL has a user name or password; use https://example.com"),
        ("http://me:pw@example.com", "the URL is http but not loopback; use https://example.com"),
        (
            "ftp://example.com",
            "\"ftp:\" is neither https nor http; use an origin such as https://auth.example.com",
        ),
        (
            "example.com",
            "\"example.com\" is not a URL (relative URL without a base); use an origin such as https://auth.example.com",
        ),
        (
            "https://",
            "\"https://\" is not a URL (empty host); use an origin such as https://auth.example.com",
        ),
    ] {
        assert_eq!(refuse(text), format!("{prefix}{rest}"));
    }
    for text in [
        "https://example.com",
        "https://example.com:8443",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
        "http://localhost",
    ] {
        assert_eq!(text.parse::<ExternalUrl>().unwrap().to_string(), text);
    }
}

#[test]
fn off_loopback_the_external_url_is_required() {
    let fix = "set the https origin that clients use, such as https://auth.example.com";
    assert_eq!(
        flags(&["--listen", "0.0.0.0:8080"]).refusal(),
        format!(
            "external-url (CAUSEWAY_EXTERNAL_URL): required because the server listens on 0.0.0.0:8080, which is every address of the machine; {fix}"
        )
    );
    assert_eq!(
        flags(&["--listen", "[::]:0"]).refusal(),
        format!(
            "external-url (CAUSEWAY_EXTERNAL_URL): required because the server listens on [::]:0, which is every address of the machine; {fix}"
        )
    );
    assert_eq!(
        flags(&["--listen", "192.0.2.1:1"]).refusal(),
        format!(
            "external-url (CAUSEWAY_EXTERNAL_URL): required because the server listens on 192.0.2.1:1, which is not loopback; {fix}"
        )
    );
}

#[test]
fn the_secret_key_is_required_off_loopback_and_given_once() {
    let https = ["--external-url", "https://auth.example.com"];
    assert_eq!(
        flags(&https).refusal(),
        "secret-key-file (CAUSEWAY_SECRET_KEY_FILE): required because the external URL is not loopback; name a file of lines KID:BASE64URL-OF-32-BYTES, or set CAUSEWAY_SECRET_KEY to such a line"
    );
    let config = flags(&https).env("CAUSEWAY_SECRET_KEY", "hunter2").load().unwrap();
    let Some(SecretKeySource::Inline(secret)) = &config.secret_key else { panic!("{config:?}") };
    assert_eq!(secret.expose(), "hunter2");
    assert!(!config.is_loopback() && !config.demo_enabled());

    let (_dir, path) = file("ring");
    let config = flags(&["--secret-key-file", &path]).load().unwrap();
    assert_eq!(config.secret_key, Some(SecretKeySource::File(PathBuf::from(&path))));
    assert_eq!(
        flags(&["--secret-key-file", &path]).env("CAUSEWAY_SECRET_KEY", "hunter2").refusal(),
        "secret-key-file (CAUSEWAY_SECRET_KEY_FILE): given together with CAUSEWAY_SECRET_KEY; keep one of the two"
    );
}

#[test]
fn no_secret_is_printed() {
    let config = flags(&["--database-url", "postgres://causeway:hunter2@db/causeway?sslpassword=hunter3"])
        .env("CAUSEWAY_SECRET_KEY", "hunter4")
        .load()
        .unwrap();
    for text in [config.render(), format!("{config:?}"), format!("{:?}", config.secret_key)] {
        assert!(!text.contains("hunter"), "{text}");
    }
    let text = config.render();
    assert!(text.contains("postgres://causeway:REDACTED@db/causeway?sslpassword=REDACTED"), "{text}");
    assert!(
        text.contains("# secret-key-file: REDACTED, the key ring is in environment CAUSEWAY_SECRET_KEY\n"),
        "{text}"
    );
    // Several hosts are no URL to the standard, but libpq takes them.
    let config = flags(&["--database-url", "postgres://u:hunter2@a:1,b:2/c"]).load().unwrap();
    assert!(config.render().contains("database-url = \"postgres://REDACTED\""), "{}", config.render());
    let refusal = flags(&["--database-url", "mysql://u:hunter2@db"]).refusal();
    assert_eq!(
        refusal,
        "database-url (CAUSEWAY_DATABASE_URL): \"mysql:...\" is not a supported database; use sqlite://causeway.db or postgres://user@host/name"
    );
    assert_eq!(
        format!(
            "{:?}",
            Settings { database_url: Some("postgres://u:hunter2@db".into()), ..Settings::default() }
        ),
        "Settings { .. }"
    );
}

#[test]
fn what_is_printed_can_be_loaded_again() {
    let config = flags(&[
        "--demo=false",
        "--database-connections",
        "20",
        "--database-pooler",
        "transaction",
        "--log-format",
        "json",
        "--upstream-client",
        "per_client",
        "--resolve",
        "a.test=127.0.0.1",
        "--trusted-proxies",
        "10.0.0.0/8",
    ])
    .load()
    .unwrap();
    let (_dir, path) = file(&config.render());
    let again = flags(&["--config", &path]).load().unwrap();
    assert_eq!(format!("{config:?}"), format!("{again:?}"));
}

#[test]
fn each_malformed_value_is_refused_in_one_line() {
    for (arguments, line) in [
        (
            ["--listen", "8080"],
            "listen (CAUSEWAY_LISTEN): \"8080\" is not an IP address with a port; use for example 127.0.0.1:8080",
        ),
        (
            ["--resource-scope", "https://api.example/mcp notes:read"],
            "resource-scope (CAUSEWAY_RESOURCE_SCOPE): \"https://api.example/mcp notes:read\" lacks the name of a scope or its description; use for example \"https://api.example.com/mcp notes:read Read your notes\"",
        ),
        (
            ["--database-connections", "0"],
            "database-connections (CAUSEWAY_DATABASE_CONNECTIONS): \"0\" is not a number of connections; use a whole number from 1 to 1000",
        ),
        (
            ["--database-timeout", "4s"],
            "database-timeout (CAUSEWAY_DATABASE_TIMEOUT): \"4s\" is not a number of seconds; use a whole number from 1 to 60",
        ),
        (
            ["--database-pooler", "pgbouncer"],
            "database-pooler (CAUSEWAY_DATABASE_POOLER): \"pgbouncer\" is neither none nor transaction; use none or transaction",
        ),
        (
            ["--resources", "https://api.example/mcp,api"],
            "resources (CAUSEWAY_RESOURCES): \"api\" is not an absolute URI without a fragment; use a URI such as https://api.example.com/mcp",
        ),
        (
            ["--trusted-proxies", "10.0.0.0/8,proxy"],
            "trusted-proxies (CAUSEWAY_TRUSTED_PROXIES): \"proxy\" is not a network; use CIDR such as 10.0.0.0/8 or fd00::/8",
        ),
        (
            ["--atp-scopes", "transition:generic"],
            "atp-scopes (CAUSEWAY_ATP_SCOPES): \"transition:generic\" lacks the scope atproto; put atproto first",
        ),
        (
            ["--atp-scopes", "atproto \"x\""],
            "atp-scopes (CAUSEWAY_ATP_SCOPES): \"\\\"x\\\"\" is not a scope; separate scopes by spaces",
        ),
        (
            ["--database-url", "causeway.db"],
            "database-url (CAUSEWAY_DATABASE_URL): the value is not a URL; use sqlite://causeway.db or postgres://user@host/name",
        ),
        (
            ["--plc-url", "http://plc.example"],
            "plc-url (CAUSEWAY_PLC_URL): \"http://plc.example\" is http; use https, or --dev-mode on a local network",
        ),
        (
            ["--plc-url", "plc.example"],
            "plc-url (CAUSEWAY_PLC_URL): \"plc.example\" is not a URL (relative URL without a base); use a URL such as https://plc.directory",
        ),
        (
            ["--handle-resolver", "https://a.example/?b"],
            "handle-resolver (CAUSEWAY_HANDLE_RESOLVER): \"https://a.example/?b\" has a query or a fragment; use a URL such as https://plc.directory",
        ),
        (
            ["--extra-ca", "/nowhere/ca.pem"],
            "extra-ca (CAUSEWAY_EXTRA_CA): cannot read /nowhere/ca.pem: No such file or directory (os error 2); check the path and its permissions",
        ),
        (
            ["--secret-key-file", "/nowhere/key"],
            "secret-key-file (CAUSEWAY_SECRET_KEY_FILE): cannot read /nowhere/key: No such file or directory (os error 2); check the path and its permissions",
        ),
        (
            ["--resolve", "pds.test:127.0.0.1"],
            "resolve (CAUSEWAY_RESOLVE): \"pds.test:127.0.0.1\" is not NAME=ADDR; use for example pds.example.com=127.0.0.1",
        ),
        (
            ["--resolve", "127.0.0.1=127.0.0.1"],
            "resolve (CAUSEWAY_RESOLVE): \"127.0.0.1=127.0.0.1\" is not NAME=ADDR; use for example pds.example.com=127.0.0.1",
        ),
        (
            ["--upstream-client", "both"],
            "upstream-client (CAUSEWAY_UPSTREAM_CLIENT): \"both\" is neither shared nor per_client; use shared or per_client",
        ),
        (
            ["--log-format", "xml\n"],
            "log-format (CAUSEWAY_LOG_FORMAT): \"xml\\n\" is not a log format; use pretty or json",
        ),
        (
            ["--config", "/nowhere/c.toml"],
            "config (CAUSEWAY_CONFIG): cannot read /nowhere/c.toml: No such file or directory (os error 2); use the path of a readable TOML file",
        ),
    ] {
        assert_eq!(flags(&arguments).refusal(), line);
    }
    assert!(flags(&["--dev-mode", "--plc-url", "http://127.0.0.1:2582"]).load().is_ok());
}

#[test]
fn an_extra_ca_holds_a_certificate() {
    let (_dir, path) = file("not a certificate");
    assert_eq!(
        flags(&["--extra-ca", &path]).refusal(),
        format!(
            "extra-ca (CAUSEWAY_EXTRA_CA): {path} holds no PEM certificate; use a file with BEGIN CERTIFICATE lines"
        )
    );
    let (_dir, path) = file("-----BEGIN CERTIFICATE-----\n");
    assert!(flags(&["--extra-ca", &path]).load().is_ok());
}

#[test]
fn mistakes_in_the_file_name_the_key_and_the_file() {
    for (text, line) in [
        (
            "external-ulr = 'https://a.example'",
            "external-ulr ({}): unknown setting; did you mean external-url?",
        ),
        ("pcl_url = 'x'", "pcl_url ({}): unknown setting; did you mean plc-url?"),
        (
            "secret_key = 'hunter2'",
            "secret_key ({}): unknown setting; use secret-key-file, or CAUSEWAY_SECRET_KEY in the environment",
        ),
        ("listen = 8080", "listen ({}): is a number where a string is expected; write listen = \"...\""),
        (
            "resolve = 'a=b'",
            "resolve ({}): is a string where a list of strings is expected; write resolve = [\"...\"]",
        ),
        ("demo = 'yes'", "demo ({}): is a string where true or false is expected; write demo = true"),
        (
            "plc-url = 'https://a.example'\nplc_url = 'https://b.example'",
            "plc-url ({}): given twice, as plc-url and as plc_url; keep one of the two",
        ),
        (
            "listen = '127.0.0.1:1'\nplc-url = https",
            "config (CAUSEWAY_CONFIG): {} line 2 is not TOML: string values must be quoted, expected literal string; write lines of the form name = \"value\"",
        ),
        (
            "external-url = 'http://a.example'",
            "external-url ({}): \"http://a.example\" is http but not loopback; use https://a.example",
        ),
    ] {
        let (_dir, path) = file(text);
        assert_eq!(flags(&["--config", &path]).refusal(), line.replace("{}", &path));
    }
}

#[test]
#[cfg(unix)]
fn a_variable_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let case = Case { flags: vec![], env: vec![("CAUSEWAY_LISTEN", OsString::from_vec(vec![0xff]))] };
    assert_eq!(
        case.refusal(),
        "listen (CAUSEWAY_LISTEN): the environment variable is not UTF-8; set it to UTF-8 text"
    );
}

#[test]
fn the_schema_knows_every_setting_of_the_file() {
    let schema = json_schema();
    assert_eq!(schema["additionalProperties"], false);
    let properties = schema["properties"].as_object().unwrap();
    let settings = table::file_settings().map(|setting| setting.name);
    let mut names: Vec<&str> = settings.chain(["providers"]).collect();
    names.sort_unstable();
    let mut keys: Vec<&str> = properties.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, names);
    for setting in table::file_settings() {
        let property = &properties[setting.name];
        let kind = match setting.kind {
            table::Kind::Text => "string",
            table::Kind::List => "array",
            table::Kind::Switch => "boolean",
        };
        assert_eq!(property["type"], kind, "{}", setting.name);
        assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", setting.name);
        assert_eq!(property["default"].is_null(), setting.default.is_none(), "{}", setting.name);
    }
    let provider = &properties["providers"]["additionalProperties"]["properties"];
    assert!(provider["client-id"].is_object() && provider["client-secret-file"].is_object(), "{provider}");
    assert_eq!(properties["listen"]["default"], "127.0.0.1:8080");
    assert_eq!(properties["dev-mode"]["default"], false);
}

#[test]
fn the_reference_has_a_row_for_every_setting() {
    let page = reference_markdown();
    assert!(page.starts_with("<!-- generated by `cargo xtask codegen`, do not edit -->\n"));
    for setting in table::ALL {
        let row = format!("| `--{}` | `{}`", setting.name, setting.env);
        assert!(page.contains(&row), "{row}");
    }
    assert!(
        page.contains("| `--listen` | `CAUSEWAY_LISTEN` | `127.0.0.1:8080` | Address and port"),
        "{page}"
    );
    assert!(page.contains("`CAUSEWAY_SECRET_KEY_FILE` or `CAUSEWAY_SECRET_KEY` |"));
    assert!(!page.contains("[env:"));
}

#[test]
fn the_names_of_a_setting_agree() {
    for setting in table::ALL {
        let env = format!("CAUSEWAY_{}", setting.name.to_uppercase().replace('-', "_"));
        assert_eq!(setting.env, env);
        assert_eq!(setting.default.is_some(), setting.absent.is_empty(), "{}", setting.name);
    }
}

#[test]
fn help_tells_variable_and_default() {
    let help = <Cli as clap::CommandFactory>::command().term_width(0).render_help().to_string();
    assert!(help.contains("prints it [env: CAUSEWAY_LISTEN] [default: 127.0.0.1:8080]"), "{help}");
    assert!(help.contains("Settings:"), "{help}");
}
