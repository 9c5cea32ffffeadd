//! The text of a resource scope: `resource:positional?name=value&name=value` (atproto specification
//! "Permissions", "Scope String Syntax").

use std::fmt::{self, Write as _};

use super::value_error::ScopeValueError;

/// A scope value taken apart and decoded.
pub(super) struct Syntax<'a> {
    pub(super) resource: &'a str,
    positional: Option<String>,
    parameters: Vec<(String, String)>,
}

impl<'a> Syntax<'a> {
    pub(super) fn parse(value: &'a str) -> Result<Self, ScopeValueError> {
        let (head, query) = value.split_once('?').unwrap_or((value, ""));
        let (resource, positional) = match head.split_once(':') {
            Some((resource, positional)) => (resource, Some(decode(positional, false)?)),
            None => (head, None),
        };
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decode(name, true)?, decode(value, true)?));
        }
        Ok(Self { resource, positional, parameters })
    }

    /// Refuses parameters that this resource does not have: one that is not understood could narrow
    /// what the scope means.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), ScopeValueError> {
        match self.parameters.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => {
                let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
                Err(ScopeValueError::Parameter(name.chars().filter(plain).take(40).collect()))
            }
            None => Ok(()),
        }
    }

    /// The values of a parameter, each of them named; none when it is left out.
    pub(super) fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s str> + use<'s, 'a> {
        self.parameters.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The values of the parameter that may stand before the question mark instead.
    pub(super) fn positional(&self, name: &'static str) -> Result<Vec<&str>, ScopeValueError> {
        let named: Vec<&str> = self.values(name).collect();
        match (&self.positional, named.is_empty()) {
            (Some(_), false) => Err(ScopeValueError::Repeated(name)),
            (Some(positional), true) => Ok(vec![positional]),
            (None, false) => Ok(named),
            (None, true) => Err(ScopeValueError::Missing(name)),
        }
    }

    /// As [`Syntax::positional`], where there can be only one.
    pub(super) fn one_positional(&self, name: &'static str) -> Result<&str, ScopeValueError> {
        match self.positional(name)?[..] {
            [one] => Ok(one),
            _ => Err(ScopeValueError::Repeated(name)),
        }
    }

    /// The value of a parameter that can be there once.
    pub(super) fn at_most_one(&self, name: &'static str) -> Result<Option<&str>, ScopeValueError> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() { Err(ScopeValueError::Repeated(name)) } else { Ok(first) }
    }
}

/// Undoes percent-encoding; in a query a plus sign is a space (URL standard, "urlencoded parsing").
fn decode(text: &str, in_query: bool) -> Result<String, ScopeValueError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit(), digit());
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or(ScopeValueError::Encoding)?
            }
            b'+' if in_query => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| ScopeValueError::Encoding)
}

/// Writes the one canonical text of a resource scope: a single value of the first parameter stands
/// before the question mark, several stand behind it, what is left out by default is left out.
///
/// The form is that of the reference implementation, with one difference: `%` and, in a query, `+`
/// stay encoded. There they are not, and the text then reads back as something else.
pub(super) struct Writer<'f, 'b> {
    f: &'f mut fmt::Formatter<'b>,
    separator: char,
}

impl<'f, 'b> Writer<'f, 'b> {
    pub(super) fn new(f: &'f mut fmt::Formatter<'b>, resource: &str) -> Result<Self, fmt::Error> {
        f.write_str(resource)?;
        Ok(Self { f, separator: '?' })
    }

    /// The parameter that may stand before the question mark. Comes first.
    pub(super) fn positional<T: fmt::Display>(&mut self, name: &str, values: &[T]) -> fmt::Result {
        if let [one] = values {
            self.f.write_char(':')?;
            encode(self.f, &one.to_string(), b"*-._:/,@+!~'()")
        } else {
            values.iter().try_for_each(|value| self.parameter(name, value))
        }
    }

    /// A parameter with its value.
    pub(super) fn parameter(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        self.f.write_char(std::mem::replace(&mut self.separator, '&'))?;
        self.f.write_str(name)?;
        self.f.write_char('=')?;
        encode(self.f, &value.to_string(), b"*-._:/,@")
    }
}

fn encode(f: &mut fmt::Formatter<'_>, text: &str, plain: &[u8]) -> fmt::Result {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            f.write_char(char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}
