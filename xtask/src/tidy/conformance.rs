//! Checks `docs/conformance.md`, which names the test for each requirement: every test exists, and no
//! requirement is left without an answer. A renamed test thus fails here.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Finding, sources};

const DOCUMENT: &str = "docs/conformance.md";

/// Names of files and directories that say nothing: a test in them is named by the directory around.
const STAND_INS: [&str; 5] = ["lib", "main", "mod", "src", "tests"];

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut tests = BTreeSet::new();
    for home in sources::HOMES {
        for path in sources::rust_files(&root.join(home))? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let Some(file) = name_of(path.strip_prefix(root).unwrap_or(&path)) else { continue };
            tests.extend(tests_in(&text).into_iter().map(|test| format!("{file}::{test}")));
        }
    }
    let text = fs::read_to_string(root.join(DOCUMENT)).with_context(|| format!("cannot read {DOCUMENT}"))?;
    Ok(check_document(&text, &tests))
}

/// Name that the document uses for the tests of a file.
fn name_of(path: &Path) -> Option<&str> {
    let names = path.iter().rev().filter_map(OsStr::to_str);
    names.map(|name| name.strip_suffix(".rs").unwrap_or(name)).find(|name| !STAND_INS.contains(name))
}

/// Parameters of tests in `on_each_database!` and `on_each_network!`, which have no types.
const CASES: [&str; 2] = ["database)", "database, release)"];

/// Test functions of a file: by an attribute, or by a place in a macro that runs them in several cases.
fn tests_in(text: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim_start) {
        marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let declared = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some((name, rest)) = declared.and_then(|declared| declared.split_once('(')) {
            if marked || CASES.iter().any(|parameters| rest.starts_with(parameters)) {
                tests.push(name);
            }
            marked = false;
        }
    }
    tests
}

fn check_document(document: &str, tests: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(document.lines()) {
        let place = || format!("{DOCUMENT}:{number}");
        for name in line.split('`').skip(1).step_by(2).filter(|span| is_test_name(span)) {
            if !tests.contains(name) {
                let problem = format!("names the test {name}, which does not exist");
                let fix = "name the test that covers the requirement now, as `file::function`";
                findings.push(Finding::new(place(), problem, fix));
            }
        }
        let last = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|'));
        if last.and_then(|row| row.rsplit('|').next()).is_some_and(|cell| cell.trim().is_empty()) {
            let fix = "name the test that covers it, or say why there is none";
            findings.push(Finding::new(place(), "has a requirement without a test", fix));
        }
    }
    findings
}

/// Whether a code span is `file::function`, and not a path in code.
fn is_test_name(span: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    span.split_once("::").is_some_and(|(file, test)| is_name(file) && is_name(test))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{check_document, name_of, tests_in};

    fn lines(document: &str) -> Vec<String> {
        let tests = BTreeSet::from(["token::codes_expire", "races::one_code"].map(str::to_owned));
        check_document(document, &tests).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_renamed_test_is_found() {
        let good = "| section | requirement | test |\n|---|---|---|\n\
                    | 4.1.2 | once | `token::codes_expire`, `races::one_code` |\n\
                    | 4.2 | implicit | not served |\n| 5 | `a=b`, `Type::new` | — |\n";
        assert!(lines(good).is_empty(), "{:?}", lines(good));
        let fix = "name the test that covers the requirement now, as `file::function`";
        for name in ["token::codes_expired", "tokens::codes_expire", "races::codes_expire"] {
            let document = good.replace("token::codes_expire", name);
            let expected =
                format!("docs/conformance.md:3: names the test {name}, which does not exist; {fix}");
            assert_eq!(lines(&document), [expected]);
        }
    }

    #[test]
    fn every_requirement_has_an_answer() {
        let fix = "name the test that covers it, or say why there is none";
        assert_eq!(
            lines("| section | requirement | test |\n|---|---|---|\n| 1 | this |  |\n"),
            [format!("docs/conformance.md:3: has a requirement without a test; {fix}")]
        );
    }

    #[test]
    fn tests_go_by_their_file() {
        for (path, name) in [
            ("tests/conformance/token.rs", "token"),
            ("tests/races/mod.rs", "races"),
            ("crates/config/src/tests.rs", "config"),
            ("crates/api/src/pages/tests.rs", "pages"),
            ("crates/types/src/scope/tests/properties.rs", "properties"),
        ] {
            assert_eq!(name_of(Path::new(path)), Some(name), "{path}");
        }
    }

    #[test]
    fn helpers_are_no_tests() {
        let text = "#[test]\nfn one() {\nfn inner() {}\n}\n\
                    /// Two.\n#[tokio::test(start_paused = true)]\nasync fn two() -> Result<()> {\n\
                    on_each_database! {\n    async fn three(database) {\n}\n}\n\
                    on_each_network! {\n    async fn four(database, release) {\n}\n}\n\
                    async fn helper(database: &TestDatabase) -> Result<()> {\n\
                    proptest! {\n    #[test]\n    fn five(text in \".*\") {\n";
        assert_eq!(tests_in(text), ["one", "two", "three", "four", "five"]);
    }
}
