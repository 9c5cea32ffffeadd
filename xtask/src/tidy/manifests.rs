//! Checks that versions and lints are set once, in the workspace's manifest.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::Finding;
use crate::process;

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let metadata = process::metadata(root)?;
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
        let path = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Table = text.parse().with_context(|| format!("{} is not TOML", path.display()))?;
        let place = path.strip_prefix(root).unwrap_or(path).display().to_string();
        findings.extend(check_manifest(&place, &manifest));
    }
    Ok(findings)
}

fn check_manifest(place: &str, manifest: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own_name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flatten().filter_map(|(_, target)| target.as_table());
    for table in std::iter::once(manifest).chain(tables) {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = table.get(section).and_then(Value::as_table);
            for (name, entry) in entries.into_iter().flatten() {
                // A crate that names itself, to enable a feature for its own tests, has no version to set.
                if !inherits(Some(entry)) && Some(name.as_str()) != own_name {
                    let fix =
                        format!("move it to [workspace.dependencies] and write {name}.workspace = true");
                    findings.push(Finding::new(
                        place,
                        format!("{section} has its own version of {name}"),
                        fix,
                    ));
                }
            }
        }
    }
    if !inherits(manifest.get("lints")) {
        let fix = "write [lints] workspace = true";
        findings.push(Finding::new(place, "does not inherit the lints of the workspace", fix));
    }
    findings
}

fn inherits(entry: Option<&Value>) -> bool {
    entry.and_then(|entry| entry.get("workspace")).and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::check_manifest;

    fn lines(text: &str) -> Vec<String> {
        let manifest = format!("lints.workspace = true\n{text}").parse().unwrap();
        check_manifest("crates/x/Cargo.toml", &manifest).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn versions_come_from_the_workspace() {
        assert!(
            lines(
                "dependencies.a.workspace = true\ndev-dependencies.b = { workspace = true, features = ['c'] }"
            )
            .is_empty()
        );
        assert!(
            lines("package.name = 'x'\ndev-dependencies.x = { path = '.', features = ['testing'] }")
                .is_empty()
        );
        let fix = "move it to [workspace.dependencies] and write a.workspace = true";
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let expected = format!("crates/x/Cargo.toml: {section} has its own version of a; {fix}");
            for own in
                [format!("{section}.a = '1'"), format!("[target.'cfg(unix)'.{section}]\na.version = '1'")]
            {
                assert_eq!(lines(&own).join("\n"), expected);
            }
        }
    }

    #[test]
    fn lints_come_from_the_workspace() {
        let findings = check_manifest("crates/x/Cargo.toml", &"package.name = 'x'".parse().unwrap());
        assert_eq!(
            findings[0].to_string(),
            "crates/x/Cargo.toml: does not inherit the lints of the workspace; write [lints] workspace = true"
        );
    }
}
