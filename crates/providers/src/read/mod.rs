//! A TOML file as a struct that mirrors it, with the problems of all of its keys.

mod message;
mod places;

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::error::Problem;
use crate::nearest::did_you_mean;
use places::Places;

/// A file with more problems than this is no definition.
const MOST_PROBLEMS: usize = 100;

/// A parsed file, and the problems that were found in it so far.
pub(crate) struct Document<'a> {
    root: DeTable<'a>,
    span: Range<usize>,
    places: Places,
    problems: Vec<Problem>,
    /// Number of problems with keys that could not be read.
    unread: usize,
}

impl<'a> Document<'a> {
    /// Parses a file.
    ///
    /// # Errors
    /// Everything in it that is not TOML.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let span = root.span();
        let root = root.into_inner();
        let places = Places::new(text, &root);
        if errors.is_empty() {
            return Ok(Self { root, span, places, problems: Vec::new(), unread: 0 });
        }
        let problem = |error: toml::de::Error| {
            let line = error.span().map(|span| places.line_at(span.start));
            let problem = format!("is not TOML: {}", error.message().replace('\n', ", "));
            Problem { line, key: String::new(), problem, fix: "correct this line".to_owned() }
        };
        Err(errors.into_iter().map(problem).collect())
    }

    /// Takes a key of the top level out, as text.
    pub(crate) fn take_text(&mut self, key: &str) -> Option<String> {
        self.root.remove(key).and_then(|value| value.get_ref().as_str().map(str::to_owned))
    }

    /// Reads what is left. A key that cannot be read is reported and left out, and the rest is read again.
    pub(crate) fn read<T: DeserializeOwned + Default>(&mut self) -> T {
        while self.problems.len() < MOST_PROBLEMS {
            let root = Spanned::new(self.span.clone(), self.root.clone());
            let error = match T::deserialize(toml::de::Deserializer::from(root)) {
                Ok(read) => return read,
                Err(error) => error,
            };
            let fault = message::fault(error.message());
            let Some(place) = error.span().and_then(|span| self.places.at(&span)) else {
                self.report("", fault.problem, fault.fix);
                break;
            };
            let (line, key) = (Some(place.line), place.key.clone());
            self.problems.push(Problem { line, key, problem: fault.problem, fix: fault.fix });
            self.unread = self.problems.len();
            if !remove(&mut self.root, &place.value) {
                break;
            }
        }
        T::default()
    }

    /// Reports a problem with a key, unless it is the consequence of a key that could not be read.
    pub(crate) fn report(&mut self, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        if !self.problems[..self.unread].iter().any(|unread| explains(unread, key)) {
            let line = self.places.line_of(key);
            self.problems.push(Problem {
                line,
                key: key.to_owned(),
                problem: problem.into(),
                fix: fix.into(),
            });
        }
    }

    /// The problems, in the order of the file.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }
}

/// Returns whether a key that could not be read explains a problem with another one.
fn explains(unread: &Problem, key: &str) -> bool {
    is_around(&unread.key, key) || is_inside(&unread.key, key) || is_misspelled(unread, key)
}

/// The same key, one around it, or another item of the same array: its numbers no longer count what is in the file.
fn is_around(unread: &str, key: &str) -> bool {
    let array = unread.rsplit_once('[').filter(|_| unread.ends_with(']'));
    is_inside(key, array.map_or(unread, |(array, _)| array)) || key == unread
}

fn is_inside(key: &str, outer: &str) -> bool {
    !outer.is_empty() && key.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// The key that was meant.
fn is_misspelled(unread: &Problem, key: &str) -> bool {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let (unread_table, _) = unread.key.rsplit_once('.').unwrap_or(("", &unread.key));
    table == unread_table && unread.fix == did_you_mean(name)
}

/// Removes the value at a place, with its key.
fn remove(table: &mut DeTable<'_>, place: &Range<usize>) -> bool {
    let found = table.iter().find(|(_, value)| value.span() == *place);
    match found.map(|(name, _)| name.get_ref().clone().into_owned()) {
        Some(name) => table.remove(name.as_str()).is_some(),
        None => table.iter_mut().any(|(_, value)| remove_inside(value.get_mut(), place)),
    }
}

fn remove_inside(value: &mut DeValue<'_>, place: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => remove(table, place),
        DeValue::Array(array) => {
            let before = array.len();
            let mut kept = DeArray::new();
            for item in std::mem::replace(array, DeArray::new()) {
                if item.span() != *place {
                    kept.push(item);
                }
            }
            *array = kept;
            array.len() < before || array.iter_mut().any(|item| remove_inside(item.get_mut(), place))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::explains;
    use crate::error::Problem;

    #[test]
    fn a_key_that_could_not_be_read_explains_others() {
        let explains = |unread: &str, key: &str| {
            let (problem, fix) = (String::new(), "did you mean policy?".to_owned());
            explains(&Problem { line: None, key: unread.to_owned(), problem, fix }, key)
        };
        assert!(explains("refresh", "refresh") && explains("refresh", "refresh.grace"));
        assert!(explains("relay.origins[0]", "relay.origins[2]"), "the numbers have moved");
        assert!(explains("relay.refused[0].status[0]", "relay.refused[0]"), "nothing is left of it");
        assert!(explains("refresh.polcy", "refresh.policy"), "it is there under another name");
        assert!(!explains("refresh.polcy", "relay.policy"));
        assert!(!explains("refresh.policy", "refresh.grace") && !explains("re", "refresh"));
        assert!(!explains("", "refresh"));
    }
}
