//! Values of the fields of templates.

use std::collections::BTreeMap;

use crate::values::name::FieldName;

/// The values that are known about a connection and are no secrets: what the user entered, and what was captured from
/// answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldValues(BTreeMap<String, String>);

impl FieldValues {
    /// Sets a value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Adds newer values, which take the place of those with the same name.
    pub fn extend(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Every name with its value, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for FieldValues {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// The values that the templates of one request may use: those of the connection, and the request's own, which are often
/// secrets.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    fields: &'a FieldValues,
    own: &'a [(&'a str, Option<&'a str>)],
}

impl<'a> Known<'a> {
    pub(crate) const fn new(fields: &'a FieldValues, own: &'a [(&'a str, Option<&'a str>)]) -> Self {
        Self { fields, own }
    }

    /// The value of a field. The request's own come first: definitions cannot declare fields with their names.
    pub(crate) fn value_of(&self, name: &FieldName) -> Option<&'a str> {
        match self.own.iter().find(|(own, _)| *own == name.as_str()) {
            Some((_, value)) => *value,
            None => self.fields.get(name.as_str()),
        }
    }
}
