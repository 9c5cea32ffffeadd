//! Checks the length of files, and words that do not belong in the tree.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Finding;

/// Directories with Rust files.
pub(super) const HOMES: [&str; 3] = ["crates", "xtask", "tests"];

/// Maximum number of lines: a longer file does more than one thing.
const MOST_LINES: usize = 600;

struct Banned {
    word: &'static str,
    fix: &'static str,
    /// Directories that may contain it.
    homes: &'static [&'static str],
}

/// The words are assembled here, so that this file does not contain them.
const BANNED: &[Banned] = &[
    Banned { word: concat!("to", "do!("), fix: "write it", homes: &[] },
    Banned { word: concat!("unimple", "mented!("), fix: "write it", homes: &[] },
    Banned { word: concat!("#[ig", "nore"), fix: "run the test, or delete it", homes: &[] },
    Banned { word: concat!("db", "g!("), fix: "delete it, or use tracing", homes: &[] },
    Banned {
        word: concat!("SystemTime", "::now"),
        fix: "get the time from a Clock",
        homes: &["crates/domain/src/clock.rs"],
    },
];

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for home in HOMES {
        for path in rust_files(&root.join(home))? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            findings.extend(check_file(&place, &text));
        }
    }
    Ok(findings)
}

fn check_file(place: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        let problem = format!("has {lines} lines, and the limit is {MOST_LINES}");
        findings.push(Finding::new(place, problem, "move its second responsibility to a file of its own"));
    }
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
        for Banned { word, fix, homes } in BANNED {
            if line.contains(word) && !homes.contains(&place) {
                let problem = format!("carries `{}`", word.trim_end_matches('('));
                findings.push(Finding::new(format!("{place}:{number}"), problem, *fix));
            }
        }
    }
    findings
}

pub(super) fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != "node_modules" && name != "target" {
                files.extend(rust_files(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{BANNED, MOST_LINES, check_file};

    fn lines(place: &str, text: &str) -> Vec<String> {
        check_file(place, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn long_files_are_found() {
        assert!(lines("a.rs", &"x\n".repeat(MOST_LINES)).is_empty());
        assert_eq!(
            lines("a.rs", &"x\n".repeat(MOST_LINES + 1)),
            [
                "a.rs: has 601 lines, and the limit is 600; move its second responsibility to a file of its own"
            ]
        );
    }

    #[test]
    fn banned_words_are_found_with_their_line() {
        for banned in BANNED {
            let found = lines("a.rs", &format!("fn f() {{\n    {}\n", banned.word));
            assert_eq!(found.len(), 1, "{}", banned.word);
            assert!(found[0].starts_with("a.rs:2: carries `"), "{}", found[0]);
            assert!(lines("a.rs", &format!("    // {}", banned.word)).is_empty(), "comments may name it");
            for home in banned.homes {
                assert!(lines(home, banned.word).is_empty(), "{home}");
            }
        }
    }
}
