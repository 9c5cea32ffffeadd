//! Names.

use std::fmt;
use std::path::Path;

use super::text::{Text, text};
use crate::error::Fault;

/// The name of a provider: lower-case letters, digits and hyphens, at most 64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProviderName(String);

/// The name under which sessions at AT Protocol servers are kept. No definition may take it.
const ATPROTO: &str = "atproto";
const MOST_CHARACTERS: usize = 64;

impl ProviderName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.ends_with('-');
        if !ends || !text.chars().all(legal) || text.len() > MOST_CHARACTERS {
            let problem = format!("{text:?} is not the name of a provider");
            let fix =
                "name the file with lower-case letters, digits and hyphens, at most 64, such as my-crm.toml";
            return Err(Fault::new(problem, fix));
        }
        if text == ATPROTO {
            let problem = format!("{text:?} is the name of AT Protocol servers");
            return Err(Fault::new(problem, "choose another name for the file"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name that a file gives its provider.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Fault> {
        Self::parse(&path.file_stem().unwrap_or_default().to_string_lossy())
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a field of templates: a parameter, a captured value, or a value that Causeway knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldName(String);

impl FieldName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text for FieldName {
    const NOUN: &'static str = "a name of lower-case letters, digits and underscores";

    fn parse(text: &str) -> Result<Self, Fault> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(legal) {
            let problem = format!("{text:?} is not the name of a field");
            return Err(Fault::new(problem, "use lower-case letters, digits and underscores"));
        }
        Ok(Self(text.to_owned()))
    }
}

text!(FieldName, { "pattern": "^[a-z][a-z0-9_]*$" });

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_providers() {
        for good in ["x", "google", "my-crm", "a1", &"a".repeat(64)] {
            assert!(ProviderName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "X", "my_crm", "-a", "a-", "1a", "a/b", "a.b", &"a".repeat(65), "atproto"] {
            assert!(ProviderName::parse(bad).is_err(), "{bad}");
        }
        let name = ProviderName::of_file(Path::new("/etc/causeway/providers/my-crm.toml")).unwrap();
        assert_eq!(name.as_str(), "my-crm");
    }
}
