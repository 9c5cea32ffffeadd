//! Definitions of providers as an operator meets them.

use std::path::Path;

use anyhow::{Context as _, Result};
use causeway_testkit::Causeway;
use tempfile::tempdir;

const LINEAR: &str = "kind = \"mcp\"\ntitle = \"Linear\"\nmcp_url = \"https://mcp.linear.app/mcp\"\n";

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(directory: &Path, arguments: &[&str]) -> Result<Outcome> {
    let output = Causeway::run(directory, arguments).await?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Outcome { code: output.status.code(), out, err })
}

/// An operator starts from a built-in definition, changes it, and finds it in the list under its file.
#[tokio::test]
async fn a_definition_is_shown_changed_and_listed() -> Result<()> {
    let directory = tempdir()?;
    std::fs::create_dir(directory.path().join("providers"))?;
    let shown = run(directory.path(), &["providers", "show", "github"]).await?;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(shown.err.contains("built-in"), "{}", shown.err);
    let changed = shown.out.replace("title = \"GitHub\"", "title = \"Our GitHub\"");
    std::fs::write(directory.path().join("providers/github.toml"), changed)?;
    std::fs::write(directory.path().join("providers/linear.toml"), LINEAR)?;

    let list = run(directory.path(), &["providers", "list", "--providers-dir=providers"]).await?;
    assert_eq!(list.code, Some(0), "{}", list.err);
    let lines: Vec<Vec<&str>> = list.out.lines().map(|line| line.split('\t').collect()).collect();
    let line = |name: &str| lines.iter().find(|line| line[0] == name).cloned().unwrap_or_default();
    assert_eq!(line("github"), ["github", "oauth2", "providers/github.toml", "client_id, client_secret"]);
    assert_eq!(line("linear")[..3], ["linear", "mcp", "providers/linear.toml"]);
    assert_eq!(line("google"), ["google", "oidc", "built-in", "client_id, client_secret"]);
    assert_eq!(line("key"), ["key", "key", "built-in", "nothing"]);
    assert_eq!(lines.len(), 24);

    let shown = run(directory.path(), &["providers", "show", "github", "--providers-dir=providers"]).await?;
    assert!(shown.out.contains("Our GitHub") && shown.err.contains("providers/github.toml"), "{}", shown.err);
    let unknown = run(directory.path(), &["providers", "show", "githup"]).await?;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("causeway providers list"), "{}", unknown.err);
    Ok(())
}

/// `check` prints every problem of every file, and says by its code whether there is one.
#[tokio::test]
async fn check_prints_every_problem() -> Result<()> {
    let directory = tempdir()?;
    let good = run(directory.path(), &["providers", "check"]).await?;
    assert_eq!((good.code, &*good.out), (Some(0), "23 definitions are valid.\n"), "{}", good.err);

    let wrong = LINEAR.replace("https", "http").replace("title", "titel");
    std::fs::write(directory.path().join("wrong.toml"), wrong)?;
    std::fs::write(directory.path().join("linear.toml"), LINEAR)?;
    let one = run(directory.path(), &["providers", "check", "linear.toml"]).await?;
    assert_eq!((one.code, &*one.out), (Some(0), "1 definition is valid.\n"), "{}", one.err);
    for arguments in [
        &["providers", "check", "linear.toml", "wrong.toml"][..],
        &["providers", "check", "--providers-dir=."],
    ] {
        let found = run(directory.path(), arguments).await?;
        assert_eq!(found.code, Some(1), "{arguments:?}");
        let lines: Vec<&str> = found.out.lines().map(|line| line.trim_start_matches("./")).collect();
        assert_eq!(lines.len(), 2, "{arguments:?}: {}", found.out);
        assert!(
            lines.iter().any(
                |line| line.starts_with("wrong.toml:2: titel: ") && line.ends_with("did you mean title?")
            ),
            "{}",
            found.out
        );
        assert!(
            lines.iter().any(|line| line.starts_with("wrong.toml:3: mcp_url: ") && line.contains("is http")),
            "{}",
            found.out
        );
        assert!(found.err.contains("2 problems in 1 of the definitions"), "{}", found.err);
    }
    Ok(())
}

/// A server does not start with a definition that is not valid, nor with a directory that is not there.
#[tokio::test]
async fn a_server_refuses_definitions_that_are_not_valid() -> Result<()> {
    let directory = tempdir()?;
    std::fs::create_dir(directory.path().join("providers"))?;
    std::fs::write(directory.path().join("providers/linear.toml"), LINEAR.replace("https", "http"))?;
    for (arguments, said) in [
        (&["config", "check", "--providers-dir=providers"][..], "providers/linear.toml:3: mcp_url"),
        (&["providers", "list", "--providers-dir=providers"], "providers/linear.toml:3: mcp_url"),
        (&["config", "check", "--providers-dir=missing"], "cannot list missing"),
    ] {
        let outcome = run(directory.path(), arguments).await?;
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {}", outcome.err);
        assert!(outcome.err.contains("providers-dir") && outcome.err.contains(said), "{}", outcome.err);
        assert_eq!(outcome.err.trim_end().lines().count(), 1, "{}", outcome.err);
    }
    let arguments = ["--listen=127.0.0.1:0", "--providers-dir=providers"];
    let refusal = Causeway::serve(directory.path(), &arguments).await.err().context("it started")?;
    assert!(format!("{refusal:#}").contains("causeway providers check"), "{refusal:#}");

    std::fs::write(directory.path().join("providers/linear.toml"), LINEAR)?;
    Causeway::serve(directory.path(), &arguments).await?;
    let checked = run(directory.path(), &["config", "check", "--providers-dir=providers"]).await?;
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    let printed = run(directory.path(), &["config", "print", "--providers-dir=providers"]).await?;
    assert!(printed.out.contains("providers-dir = \"providers\"  # flag"), "{}", printed.out);
    Ok(())
}

/// An operator enters what a provider gave, for one tenant or in the settings, and tries it without signing in. No secret is
/// printed.
#[tokio::test]
async fn a_registration_is_entered_listed_and_tried() -> Result<()> {
    let directory = tempdir()?;
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("secret"), "canary-secret\n")?;
    std::fs::set_permissions(path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    std::fs::write(
        path("causeway.toml"),
        "[providers.facebook]\nclient-id = \"of-settings\"\nclient-secret-file = \"secret\"\n",
    )?;
    for arguments in [&["migrate", "up"][..], &["tenants", "create", "Acme", "--id", "acme"]] {
        let done = run(directory.path(), arguments).await?;
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
    }

    let missing = run(directory.path(), &["providers", "test", "github"]).await?;
    assert_eq!(missing.code, Some(1));
    let callback = "http://127.0.0.1:8080/connect/github/callback";
    assert!(
        missing.err.contains("providers register github") && missing.err.contains(callback),
        "{}",
        missing.err
    );
    let mut seen = Vec::new();
    let register = "providers register github --client-id ours --client-secret-file secret";
    for (command, code, said) in [
        ("providers register github --client-id ours", 1, "wants a secret"),
        (&format!("{register} --tenant nowhere"), 1, "no tenant nowhere"),
        (&format!("{register} --tenant acme"), 0, callback),
        ("providers registrations --tenant acme", 0, "github\thttps://github.com\tours\tactive\tsecret"),
        ("providers secret github --client-secret-file secret --tenant acme", 0, "The secret waits"),
        ("providers secret github --client-secret-file secret --tenant acme", 0, "The secret waits"),
        ("providers registrations --tenant acme", 0, "next secret waits"),
        ("providers test github --tenant acme", 0, "https://github.com/login/oauth/authorize?"),
        ("providers secret github --client-secret-file secret", 1, "providers register"),
        ("providers test facebook --config causeway.toml", 0, "of-settings, from the settings"),
        ("providers register key --client-id x", 1, "nothing is registered there"),
        ("providers test oidc", 1, "--issuer"),
        (
            "providers test mastodon --issuer https://mastodon.example",
            0,
            "http://127.0.0.1:8080/connect/callback/REGISTRATION_ID",
        ),
        ("config print --config causeway.toml", 0, "[providers.facebook]\nclient-id = \"of-settings\""),
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let done = run(directory.path(), &arguments).await?;
        assert_eq!(done.code, Some(code), "{command}: {}", done.err);
        assert!(done.out.contains(said) || done.err.contains(said), "{command}: {} {}", done.out, done.err);
        seen.push(done.out + &done.err);
    }
    assert!(!seen.concat().contains("canary"));

    std::fs::write(path("causeway.toml"), "[providers.facebok]\nclient-id = \"x\"\n")?;
    let refused = run(directory.path(), &["config", "check", "--config", "causeway.toml"]).await?;
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("providers.facebok.client-id (causeway.toml)"), "{}", refused.err);
    Ok(())
}

/// A tenant is made and deleted at the command line; a deletion that was interrupted goes on when it is run again.
#[tokio::test]
async fn a_tenant_is_made_and_deleted() -> Result<()> {
    let directory = tempdir()?;
    for arguments in [&["migrate", "up"][..], &["tenants", "create", "Acme", "--id", "acme"]] {
        let done = run(directory.path(), arguments).await?;
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
    }
    let shown = run(directory.path(), &["tenants", "show", "acme"]).await?;
    assert!(shown.out.contains("\"name\": \"Acme\""), "{}", shown.out);
    assert_eq!(run(directory.path(), &["tenants", "create", "Other", "--id", "acme"]).await?.code, Some(1));
    let deleted = run(directory.path(), &["tenants", "delete", "acme"]).await?;
    assert_eq!(deleted.code, Some(0), "{}", deleted.err);
    let again = run(directory.path(), &["tenants", "delete", "acme"]).await?;
    assert_eq!(again.code, Some(0), "a deletion that was interrupted goes on: {}", again.err);
    assert_eq!(run(directory.path(), &["tenants", "show", "acme"]).await?.code, Some(1));
    assert_eq!(run(directory.path(), &["tenants", "delete", "default"]).await?.code, Some(1));
    Ok(())
}
