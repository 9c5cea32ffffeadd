//! Checks that both databases have the same migrations, and that each can be undone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Finding;
use crate::migrate::DIRECTORIES;

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let names: Vec<BTreeSet<String>> =
        DIRECTORIES.iter().map(|path| names(&root.join(path))).collect::<Result<_>>()?;
    let all: BTreeSet<&String> = names.iter().flatten().collect();
    for name in all {
        for (directory, present) in DIRECTORIES.iter().zip(&names) {
            let place = format!("{directory}/{name}");
            if !present.contains(name) {
                findings.push(Finding::new(
                    place,
                    "is missing",
                    "add it: both databases have the same migrations",
                ));
                continue;
            }
            for file in ["up.sql", "down.sql"] {
                if !root.join(&place).join(file).is_file() {
                    findings.push(Finding::new(
                        format!("{place}/{file}"),
                        "is missing",
                        "add it: each migration has an up and a down",
                    ));
                }
            }
        }
    }
    Ok(findings)
}

fn names(directory: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::check;

    #[test]
    fn both_databases_have_every_migration_both_ways() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        for path in [
            "sqlite/1_a/up.sql",
            "sqlite/1_a/down.sql",
            "postgres/1_a/up.sql",
            "postgres/2_b/up.sql",
            "postgres/2_b/down.sql",
        ] {
            put(&format!("migrations/{path}"));
        }
        let lines: Vec<String> = check(root.path()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "migrations/postgres/1_a/down.sql: is missing; add it: each migration has an up and a down",
                "migrations/sqlite/2_b: is missing; add it: both databases have the same migrations",
            ]
        );
    }
}
