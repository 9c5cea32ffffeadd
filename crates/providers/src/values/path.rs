//! Paths with fields.

use std::fmt;

use super::fill::{FillError, encoded, refuse_dot_segments, required};
use super::name::FieldName;
use super::template::Template;
use super::text::{Text, text};
use crate::error::Fault;

/// The beginning of a path, up to the end of a segment: `/v1` is the beginning of `/v1/me` and of `/v1`, not of `/v10`.
/// `/v1/` is the beginning of what is below `/v1` only, and `/` that of every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate(Template);

impl PathTemplate {
    /// The template.
    pub(crate) fn template(&self) -> &Template {
        &self.0
    }

    /// Returns whether a path, percent-encoded as in a request, begins with this one. Each value is a part of one
    /// segment.
    ///
    /// # Errors
    /// A field without a value, or a value that leads to another path. Neither answer would be right then.
    pub fn is_beginning_of<'a>(
        &self,
        path: &str,
        value_of: impl Fn(&FieldName) -> Option<&'a str>,
    ) -> Result<bool, FillError> {
        let beginning = self.0.try_fill(|name| required(name, value_of(name)).map(encoded))?;
        refuse_dot_segments(&beginning)?;
        let rest = |beginning: &str| path.strip_prefix(beginning);
        Ok(match beginning.strip_suffix('/') {
            Some("") => path.starts_with('/'),
            Some(_) => rest(&beginning).is_some_and(|below| !below.is_empty()),
            None => rest(&beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        })
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

    #[test]
    fn a_beginning_ends_with_a_segment() {
        for (beginning, inside, outside) in [
            ("/v1", &["/v1", "/v1/", "/v1/me"][..], &["/", "/v10", "/v2/v1"][..]),
            ("/v1/", &["/v1/me", "/v1/me/feed"], &["/", "/v1", "/v1/", "/v10/me"]),
            ("/", &["/", "/v1"], &[""]),
            ("/ex/{account}", &["/ex/a%2Fb", "/ex/a%2Fb/c"], &["/ex/a/b", "/ex", "/ex/a%2Fbc"]),
        ] {
            let template = PathTemplate::parse(beginning).unwrap();
            let begins = |path: &str| template.is_beginning_of(path, |_| Some("a/b")).unwrap();
            assert!(inside.iter().all(|path| begins(path)), "{beginning}");
            assert!(!outside.iter().any(|path| begins(path)), "{beginning}");
        }
    }

    #[test]
    fn a_value_does_not_lead_to_another_path() {
        let template = PathTemplate::parse("/ex/{account}/x").unwrap();
        for (value, error) in [
            (Some("."), FillError::DotSegment),
            (Some(".."), FillError::DotSegment),
            (Some(""), FillError::Missing(FieldName::parse("account").unwrap())),
            (None, FillError::Missing(FieldName::parse("account").unwrap())),
        ] {
            assert_eq!(template.is_beginning_of("/ex/x", |_| value), Err(error), "{value:?}");
        }
    }
}
