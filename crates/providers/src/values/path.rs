//! Paths with fields.

use std::fmt;

use super::template::Template;
use super::text::{Text, text};
use crate::error::Fault;

/// The beginning of a path, up to the end of a segment: `/v1` is the beginning of `/v1/me` and of `/v1`, not of `/v10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate(Template);

impl PathTemplate {
    /// The template.
    pub fn template(&self) -> &Template {
        &self.0
    }
}

impl Text for PathTemplate {
    const NOUN: &'static str = "the beginning of a path";

    fn parse(text: &str) -> Result<Self, Fault> {
        let template = Template::parse(text)?;
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Fault::new(format!("{text:?} is not a path"), format!("write /{text}")));
        };
        let plain = |c: char| c.is_ascii_graphic() && !"?#%\\".contains(c);
        let last = rest.split('/').count() - 1;
        let whole = |(at, segment): (usize, &str)| {
            (at == last || !segment.is_empty()) && !matches!(segment, "." | "..")
        };
        if !text.chars().all(plain) || !rest.split('/').enumerate().all(whole) {
            let fix = "write segments with / between them, without ?, #, %, \\, empty segments, . and ..";
            return Err(Fault::new(format!("{text:?} is not the beginning of a path"), fix));
        }
        Ok(Self(template))
    }
}

text!(PathTemplate, { "pattern": "^/[^?#%\\\\ ]*$" });

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_the_relay_compares() {
        for good in ["/", "/v1", "/v1/", "/ex/jira/{account}/rest", "/me"] {
            assert_eq!(PathTemplate::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "v1", "/a?b", "/a#b", "/a/../b", "/./a", "//a", "/a//b", "/%2e%2e/", "/a\\b", "/a b"]
        {
            assert!(PathTemplate::parse(bad).is_err(), "{bad}");
        }
    }
}
