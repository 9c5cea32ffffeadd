//! Checks that the tree says one word for one thing: the retired words, and what to say instead.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Finding;

/// Files and directories with text that people read.
const HOMES: [&str; 10] = [
    "crates",
    "xtask",
    "tests",
    "docs/src",
    "migrations",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "justfile",
    ".ci/run",
];
const EXTENSIONS: [&str; 9] = ["rs", "md", "sql", "html", "css", "js", "mjs", "snap", "toml"];
/// The list itself, texts in another language, and the migration of a name in the database.
const EXEMPT: [&str; 6] = [
    "xtask/src/tidy/words.rs",
    "crates/api/src/pages/text/de.rs",
    "migrations/postgres/20261130070100_audit_actor/down.sql",
    "migrations/postgres/20261130070100_audit_actor/up.sql",
    "migrations/sqlite/20261130070100_audit_actor/down.sql",
    "migrations/sqlite/20261130070100_audit_actor/up.sql",
];

/// A word, or several in a row, and what to say instead. Lower case; parts of an identifier count as words.
const RETIRED: [(&str, &str); 17] = [
    ("person", "user"),
    ("persons", "users"),
    ("reseal", "re-encrypt"),
    ("resealed", "re-encrypted"),
    ("seal", "encrypt"),
    ("seals", "encrypts"),
    ("sealed", "encrypted"),
    ("sealing", "encryption"),
    ("ceiling", "maximum scope"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("owe", "enqueue"),
    ("owes", "enqueues"),
    ("owed", "due"),
    ("foresee", "preview"),
    ("dice", "jitter"),
    ("patience", "timeout"),
];

/// Names of libraries.
const FOREIGN: [&str; 2] = ["ConnectionSealed", "RowSealed"];

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for home in HOMES {
        for path in texts(&root.join(home))? {
            let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            if !EXEMPT.contains(&place.as_str()) {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {place}"))?;
                findings.extend(check_text(&place, &text));
            }
        }
    }
    Ok(findings)
}

fn check_text(place: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = FOREIGN.iter().fold(line.to_owned(), |line, name| line.replace(name, ""));
        let words = words(&line);
        for (term, instead) in RETIRED {
            let term: Vec<&str> = term.split(' ').collect();
            if words.windows(term.len()).any(|row| row.iter().eq(&term)) {
                let problem = format!("says `{}`", term.join(" "));
                findings.push(Finding::new(format!("{place}:{number}"), problem, format!("say {instead}")));
            }
        }
    }
    findings
}

/// The words of a line in lower case: runs of letters, parted where an identifier in camel case parts them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in line.chars() {
        if !letter.is_alphabetic() || (letter.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The files of a home with text.
fn texts(home: &Path) -> Result<Vec<PathBuf>> {
    if home.is_file() {
        return Ok(vec![home.to_owned()]);
    }
    let mut files = Vec::new();
    let entries = fs::read_dir(home).with_context(|| format!("cannot list {}", home.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != "node_modules" && name != "target" {
                files.extend(texts(&path)?);
            }
        } else if path.extension().is_some_and(|found| EXTENSIONS.iter().any(|known| found == *known)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{RETIRED, check_text, words};

    #[test]
    fn words_are_parts_of_identifiers_too() {
        assert_eq!(
            words("SealingKeyRing::has_sealed(x2, DID)"),
            ["sealing", "key", "ring", "has", "sealed", "x", "did"]
        );
    }

    #[test]
    fn retired_words_are_found_with_what_to_say_instead() {
        for (term, instead) in RETIRED {
            let found = check_text("a.rs", &format!("fn f() {{}}\n// {term}s, {term}."));
            assert!(!found.is_empty(), "{term}");
            assert_eq!(found[0].to_string(), format!("a.rs:2: says `{term}`; say {instead}"));
            assert!(check_text("a.rs", &format!("non{term}")).is_empty(), "{term}");
        }
    }
}
