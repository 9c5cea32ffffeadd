//! Checks that crates import only those of lower layers.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Finding;
use crate::process;

/// The workspace's crates and what each may import. `causeway-testkit` is allowed as a dev-dependency of any
/// crate in addition.
const LAYERS: &[(&str, &[&str])] = &[
    ("causeway-types", &[]),
    ("causeway-types-examples", &["types"]),
    ("causeway-domain", &["types"]),
    ("causeway-config", &[]),
    ("causeway-jose", &["types"]),
    ("causeway-outbound", &["types", "domain"]),
    ("causeway-providers", &["types", "domain", "jose", "outbound"]),
    ("causeway-atproto", &["types", "domain", "jose", "outbound"]),
    ("causeway-store", &["types", "domain"]),
    ("causeway-flow", &["types", "domain", "jose", "outbound", "providers", "atproto", "store"]),
    ("causeway-api", &["types", "domain", "jose", "outbound", "atproto", "store", "flow"]),
    (
        "causeway-server",
        &["types", "domain", "jose", "outbound", "providers", "atproto", "store", "flow", "api", "config"],
    ),
    ("causeway-bench", &["types", "domain", "jose", "store"]),
    (
        "causeway-testkit",
        &["types", "domain", "jose", "outbound", "providers", "atproto", "store", "flow", "api"],
    ),
    ("causeway-tests", &["types", "domain", "jose", "outbound", "atproto", "store", "flow", "api"]),
    (
        "xtask",
        &["types", "domain", "jose", "outbound", "providers", "atproto", "store", "flow", "api", "config"],
    ),
];

/// The crates without I/O.
const PURE: [&str; 2] = ["causeway-types", "causeway-domain"];

/// Pure crates must not depend on these, nor on anything named `<one of these>-...`.
const NOT_IN_PURE: &[&str] = &[
    "actix",
    "async-std",
    "diesel",
    "hyper",
    "josekit",
    "libsqlite3",
    "mio",
    "native-tls",
    "openssl",
    "pq",
    "reqwest",
    "rustls",
    "smol",
    "tokio",
];

const TABLE: &str = "xtask/src/tidy/layers.rs";

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let metadata = process::metadata(root)?;
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let imports = package["dependencies"].as_array().into_iter().flatten().map(|dependency| Import {
            name: dependency["name"].as_str().unwrap_or_default(),
            dev: dependency["kind"] == "dev",
        });
        findings.extend(imports.filter_map(|import| check_import(name, &import)));
        if !LAYERS.iter().any(|(known, _)| *known == name) {
            findings.push(Finding::new(name, "is not in the table of layers", format!("add it to {TABLE}")));
        }
    }
    for package in PURE {
        let arguments = ["tree", "--package", package, "--edges", "normal", "--prefix", "none"];
        let tree = process::output(process::cargo().current_dir(root).args(arguments))?;
        findings.extend(impure(package, &tree));
    }
    Ok(findings)
}

struct Import<'a> {
    name: &'a str,
    dev: bool,
}

fn check_import(package: &str, import: &Import<'_>) -> Option<Finding> {
    let below = LAYERS.iter().find(|(name, _)| *name == package)?.1;
    let ours = LAYERS.iter().any(|(name, _)| *name == import.name);
    // A crate may name itself to turn on a feature for its own tests.
    if !ours || (import.name == package && import.dev) {
        return None;
    }
    let short = import.name.strip_prefix("causeway-").unwrap_or(import.name);
    if short == "testkit" {
        return (!import.dev).then(|| {
            Finding::new(
                package,
                "imports causeway-testkit",
                "make it a dev-dependency: it is for tests only",
            )
        });
    }
    (!below.contains(&short)).then(|| {
        let allowed =
            if below.is_empty() { "no crate of the workspace".to_owned() } else { below.join(", ") };
        Finding::new(
            package,
            format!("imports {}, which is not in a layer below it", import.name),
            format!("move the code to a crate that both may import (this one may import {allowed})"),
        )
    })
}

fn impure(package: &str, tree: &str) -> Vec<Finding> {
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    let banned = |name: &str| {
        let first = NOT_IN_PURE.iter().find_map(|banned| name.strip_prefix(banned));
        first.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let findings = names.into_iter().filter(|name| banned(name)).map(|name| {
        Finding::new(
            package,
            format!("depends on {name}"),
            format!(
                "keep it free of I/O: `cargo tree -p {package} -e normal -i {name}` shows what depends on it"
            ),
        )
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::{Import, check_import, impure};

    fn line(package: &str, name: &str, dev: bool) -> Option<String> {
        check_import(package, &Import { name, dev }).map(|finding| finding.to_string())
    }

    #[test]
    fn imports_go_down_only() {
        assert_eq!(line("causeway-flow", "causeway-store", false), None);
        assert_eq!(line("causeway-flow", "serde", false), None);
        assert_eq!(line("causeway-store", "causeway-store", true), None);
        assert_eq!(
            line("causeway-jose", "causeway-store", false).unwrap(),
            "causeway-jose: imports causeway-store, which is not in a layer below it; move the code to a crate that both may import (this one may import types)"
        );
        for (package, import) in [
            ("causeway-types", "causeway-domain"),
            ("causeway-domain", "causeway-jose"),
            ("causeway-store", "causeway-atproto"),
            ("causeway-providers", "causeway-store"),
            ("causeway-providers", "causeway-atproto"),
            ("causeway-atproto", "causeway-store"),
            ("causeway-outbound", "causeway-atproto"),
            ("causeway-flow", "causeway-api"),
            ("causeway-api", "causeway-config"),
            ("causeway-config", "causeway-domain"),
            ("causeway-server", "xtask"),
        ] {
            assert!(line(package, import, false).is_some(), "{package} -> {import}");
            assert!(line(package, import, true).is_some(), "{package} -> {import} in tests");
        }
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert_eq!(line("causeway-api", "causeway-testkit", true), None);
        assert_eq!(
            line("causeway-api", "causeway-testkit", false).unwrap(),
            "causeway-api: imports causeway-testkit; make it a dev-dependency: it is for tests only"
        );
    }

    #[test]
    fn pure_crates_bring_no_io() {
        let tree = "causeway-domain v0.1.0 (/x)\nserde v1.0.0\ntokio-util v0.7.0\ntokio-util v0.7.0 (*)\npqueue v1.0.0\n\n";
        let lines: Vec<String> = impure("causeway-domain", tree).iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("causeway-domain: depends on tokio-util; "), "{}", lines[0]);
    }
}
