//! Texts with fields in braces.

use std::fmt;

use super::name::FieldName;
use super::text::{Text, text};
use crate::error::Fault;

/// A text in which `{name}` stands for a value that is known later. Braces have no other use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(FieldName),
}

impl Template {
    /// The fields, in the order of the text.
    pub fn fields(&self) -> impl Iterator<Item = &FieldName> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name),
            Part::Literal(_) => None,
        })
    }

    /// The text with `value_of` each field in its place, as it is: for headers and parameters. `None` if one has no
    /// value.
    pub fn fill<'a>(&self, value_of: impl Fn(&FieldName) -> Option<&'a str>) -> Option<String> {
        self.try_fill(|name| value_of(name).map(str::to_owned).ok_or(())).ok()
    }

    /// The text with `value_of` each field in its place.
    ///
    /// # Errors
    /// The first of `value_of`.
    pub(super) fn try_fill<E>(
        &self,
        value_of: impl Fn(&FieldName) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Field(name) => filled.push_str(&value_of(name)?),
            }
        }
        Ok(filled)
    }
}

impl Text for Template {
    const NOUN: &'static str = "a string";

    fn parse(text: &str) -> Result<Self, Fault> {
        let stray = || {
            let problem = format!("{text:?} has a brace that is not part of a field");
            Fault::new(problem, "write fields as {name}")
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(stray)?;
            if literal.contains('}') {
                return Err(stray());
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Field(FieldName::parse(name)?));
            rest = after;
        }
        if rest.contains('}') {
            return Err(stray());
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }
}

text!(Template, { "pattern": "^([^{}]|\\{[a-z][a-z0-9_]*\\})*$" });

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Field(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_filled() {
        let template = Template::parse("Bearer {token}, {account}").unwrap();
        let fields: Vec<String> = template.fields().map(ToString::to_string).collect();
        assert_eq!(fields, ["token", "account"]);
        let value = |name: &FieldName| (name.as_str() == "token").then_some("t");
        assert_eq!(template.fill(value), None, "account has no value");
        assert_eq!(template.fill(|_| Some("x")).as_deref(), Some("Bearer x, x"));
        assert_eq!(template.to_string(), "Bearer {token}, {account}");
    }

    #[test]
    fn braces_are_for_fields() {
        for bad in ["{", "}", "a{b", "{}", "{Token}", "{to ken}", "}{a}", "{{a}}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
