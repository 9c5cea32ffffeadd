//! JSON pointers (RFC 6901).

use std::fmt;

use super::text::{Text, text};
use crate::error::Fault;

/// A place in a JSON document, or in an answer of names and values that is read as an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPointer {
    tokens: Vec<String>,
}

impl JsonPointer {
    /// The names and indexes from the root to the place, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// A member of the root.
    pub(crate) fn member(name: &str) -> Self {
        Self { tokens: vec![name.to_owned()] }
    }
}

impl Text for JsonPointer {
    const NOUN: &'static str = "a JSON pointer";

    fn parse(text: &str) -> Result<Self, Fault> {
        let tokens = tokens(text)?;
        if tokens.iter().any(|token| token == "*") {
            let problem = format!("{text:?} means several places, and one is needed");
            return Err(Fault::new(problem, "write an index, such as /data/0, or another member"));
        }
        Ok(Self { tokens })
    }
}

text!(JsonPointer, { "format": "json-pointer", "pattern": "^(/([^~/]|~[01])*)+$" });

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.tokens())
    }
}

/// Places in a JSON document: a pointer in which a token `*` stands for every member and item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPointerPattern {
    tokens: Vec<String>,
}

impl JsonPointerPattern {
    /// The tokens from the root; `None` stands for every member and item.
    pub fn tokens(&self) -> impl Iterator<Item = Option<&str>> {
        self.tokens.iter().map(|token| (token != "*").then_some(token.as_str()))
    }
}

impl Text for JsonPointerPattern {
    const NOUN: &'static str = "a JSON pointer, in which * stands for every item";

    fn parse(text: &str) -> Result<Self, Fault> {
        tokens(text).map(|tokens| Self { tokens })
    }
}

text!(JsonPointerPattern, { "pattern": "^(/([^~/]|~[01])*)+$" });

impl fmt::Display for JsonPointerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.tokens.iter().map(String::as_str))
    }
}

fn tokens(text: &str) -> Result<Vec<String>, Fault> {
    let Some(rest) = text.strip_prefix('/') else {
        let fix = format!("begin with a slash, such as /{}", text.replace('.', "/"));
        return Err(Fault::new(format!("{text:?} is not a JSON pointer"), fix));
    };
    rest.split('/').map(|token| unescape(token, text)).collect()
}

fn unescape(token: &str, text: &str) -> Result<String, Fault> {
    let mut parts = token.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => {
                let problem = format!("{text:?} has a ~ that is not part of ~0 or ~1");
                return Err(Fault::new(problem, "write ~0 for ~ and ~1 for / (RFC 6901 section 3)"));
            }
        };
        plain.push(escaped);
        plain.push_str(rest);
    }
    Ok(plain)
}

fn write<'a>(f: &mut fmt::Formatter<'_>, tokens: impl Iterator<Item = &'a str>) -> fmt::Result {
    for token in tokens {
        write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unescaped_and_written_as_they_were() {
        let pointer = JsonPointer::parse("/a~1b/m~0n/0/").unwrap();
        assert_eq!(pointer.tokens().collect::<Vec<_>>(), ["a/b", "m~n", "0", ""]);
        assert_eq!(pointer.to_string(), "/a~1b/m~0n/0/");
        assert_eq!(JsonPointer::parse("/~01").unwrap().tokens().next(), Some("~1"), "~01 is not /");
    }

    #[test]
    fn what_is_no_pointer_is_refused_with_one_that_is() {
        assert_eq!(
            JsonPointer::parse("error.code").unwrap_err().fix,
            "begin with a slash, such as /error/code"
        );
        assert!(JsonPointer::parse("/a~2").is_err() && JsonPointer::parse("/a~").is_err());
        assert!(JsonPointer::parse("").is_err());
    }

    #[test]
    fn only_patterns_have_stars() {
        assert!(JsonPointer::parse("/data/*/id").is_err());
        let pattern = JsonPointerPattern::parse("/data/*/id").unwrap();
        assert_eq!(pattern.tokens().collect::<Vec<_>>(), [Some("data"), None, Some("id")]);
    }
}
