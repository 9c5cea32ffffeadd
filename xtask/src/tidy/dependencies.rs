//! The rules of `deny.toml` for dependencies: licenses, banned crates, sources, duplicate versions. They are
//! those of `cargo deny check licenses bans sources`, for this machine's platform, without building that
//! tool. Known vulnerabilities are left to it (`cargo deny check advisories`), since they come from the
//! network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use spdx::{Expression, Licensee, ParseMode};
use toml::{Table, Value};

use super::Finding;
use crate::process;

const RULES: &str = "deny.toml";
const LOCK: &str = "Cargo.lock";
/// The registry that crates come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let rules = read(root, RULES)?;
    let arguments = ["tree", "--locked", "--offline", "--workspace", "--all-features"];
    let format = ["--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{l}"];
    let tree = process::output(process::cargo().current_dir(root).args(arguments).args(format))?;
    let crates = crates_of(&tree);
    let mut findings = licenses(&crates, &strings(&rules["licenses"]["allow"]))?;
    findings.extend(bans(&crates, &rules["bans"]["deny"]));
    findings.extend(sources(&read(root, LOCK)?));
    let twice = twice(&crates);
    match rules["bans"]["multiple-versions"].as_str() {
        Some("deny") => findings.extend(twice.iter().map(|name| {
            Finding::new(
                LOCK,
                format!("has {name} in two versions"),
                "bring the crates that depend on it to one version",
            )
        })),
        Some("warn") if !twice.is_empty() => println!("note: crates in two versions: {}", twice.join(", ")),
        _ => {}
    }
    Ok(findings)
}

fn read(root: &Path, file: &str) -> Result<Table> {
    let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
    text.parse().with_context(|| format!("{file} is not TOML"))
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A crate: its name, version, and license expression as in its manifest.
type Crate<'a> = (&'a str, &'a str, &'a str);

/// The crates of `cargo tree` without duplicates: `name v1.2.3 (more)|license`.
fn crates_of(tree: &str) -> BTreeSet<Crate<'_>> {
    tree.lines().filter_map(crate_of).collect()
}

fn crate_of(line: &str) -> Option<Crate<'_>> {
    let (package, license) = line.split_once('|')?;
    let mut words = package.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?, license.trim_end_matches("(*)").trim()))
}

fn licenses(crates: &BTreeSet<Crate<'_>>, allowed: &[&str]) -> Result<Vec<Finding>> {
    let allowed: Vec<Licensee> = allowed
        .iter()
        .map(|text| Licensee::parse(text).with_context(|| format!("{RULES}: {text} is no license")))
        .collect::<Result<_>>()?;
    let mut findings = Vec::new();
    for (name, version, license) in crates {
        let expression = Expression::parse_mode(license, ParseMode::LAX);
        let fine = expression.is_ok_and(|expression| {
            expression.evaluate(|license| allowed.iter().any(|allowed| allowed.satisfies(license)))
        });
        if !fine {
            let problem = match *license {
                "" => "names no license".to_owned(),
                license => format!("is under {license}"),
            };
            let fix = format!("remove it, or allow the license in {RULES} if it has no further obligations");
            findings.push(Finding::new(format!("{name} {version}"), problem, fix));
        }
    }
    Ok(findings)
}

fn bans(crates: &BTreeSet<Crate<'_>>, rules: &Value) -> Vec<Finding> {
    let banned = rules.as_array().into_iter().flatten().filter_map(|rule| {
        Some((rule.get("crate")?.as_str()?, rule.get("reason").and_then(Value::as_str).unwrap_or_default()))
    });
    let banned: BTreeMap<&str, &str> = banned.collect();
    let found = crates.iter().filter_map(|(name, version, _)| Some((name, version, banned.get(name)?)));
    found
        .map(|(name, version, reason)| {
            let fix = format!("`cargo tree --workspace --all-features -i {name}` shows what depends on it");
            Finding::new(format!("{name} {version}"), format!("is banned ({reason})"), fix)
        })
        .collect()
}

/// Checks on every platform that crates come from crates.io, or are ours.
fn sources(lock: &Table) -> Vec<Finding> {
    let packages = lock.get("package").and_then(Value::as_array).into_iter().flatten();
    let text = |package: &Value, key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    packages
        .filter_map(|package| {
            let source = text(package, "source").filter(|source| source != CRATES_IO)?;
            let name = text(package, "name").unwrap_or_default();
            Some(Finding::new(LOCK, format!("uses {name} from {source}"), "use it from crates.io"))
        })
        .collect()
}

/// Names of crates that occur in more than one version.
fn twice<'a>(crates: &BTreeSet<Crate<'a>>) -> Vec<&'a str> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, version, _) in crates {
        versions.entry(name).or_default().insert(version);
    }
    versions.into_iter().filter(|(_, versions)| versions.len() > 1).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::{bans, crates_of, licenses, sources, twice};

    const TREE: &str = "\
causeway-api v0.1.0 (/x/crates/api)|MIT OR Apache-2.0
ring v0.17.14|Apache-2.0 AND ISC
derive v1.0.0 (proc-macro)|MIT/Apache-2.0

ring v0.17.14|Apache-2.0 AND ISC (*)
syn v2.0.0|Apache-2.0 WITH LLVM-exception
syn v3.0.0|GPL-3.0
quiet v1.0.0|
";

    fn lines(findings: &[super::Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn licenses_are_those_that_are_allowed() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"];
        let fix = "remove it, or allow the license in deny.toml if it has no further obligations";
        assert_eq!(
            lines(&licenses(&crates_of(TREE), &allowed).unwrap()),
            [format!("quiet 1.0.0: names no license; {fix}"), format!("syn 3.0.0: is under GPL-3.0; {fix}")]
        );
        let found = lines(&licenses(&crates_of(TREE), &allowed[..3]).unwrap());
        assert!(found[1].starts_with("ring 0.17.14: is under Apache-2.0 AND ISC; "), "{found:?}");
        assert!(licenses(&crates_of(TREE), &["no such license"]).is_err());
    }

    #[test]
    fn banned_crates_are_found() {
        let rules: toml::Table =
            r#"deny = [{ crate = "ring", reason = "OpenSSL" }, { crate = "x" }]"#.parse().unwrap();
        assert_eq!(
            lines(&bans(&crates_of(TREE), &rules["deny"])),
            [
                "ring 0.17.14: is banned (OpenSSL); `cargo tree --workspace --all-features -i ring` shows what depends on it"
            ]
        );
    }

    #[test]
    fn crates_come_from_crates_io() {
        let lock = "[[package]]\nname = 'ours'\n[[package]]\nname = 'a'\n\
                    source = 'registry+https://github.com/rust-lang/crates.io-index'\n\
                    [[package]]\nname = 'b'\nsource = 'git+https://example.com/b#1'\n";
        assert_eq!(
            lines(&sources(&lock.parse().unwrap())),
            ["Cargo.lock: uses b from git+https://example.com/b#1; use it from crates.io"]
        );
    }

    #[test]
    fn two_versions_are_seen() {
        assert_eq!(twice(&crates_of(TREE)), ["syn"]);
    }
}
