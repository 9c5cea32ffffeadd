//! Patterns of values that users enter.

use std::fmt;

use super::text::{Text, text};
use crate::error::Fault;

/// A pattern that a whole value has to match, which has at most 255 characters: the part of regular expressions that is
/// read the same everywhere. Characters and classes (`[a-z0-9-]`), each with an optional `?`, `*`, `+`, `{n}` or `{n,m}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// First and last character of each range.
    class: Vec<(char, char)>,
    least: usize,
    /// `None`: any number.
    most: Option<usize>,
}

/// The length of a value, and the highest number of repetitions. The time of a match grows with the square of it.
const MOST_CHARACTERS: usize = 255;
/// Characters with another meaning, or with one in other dialects.
const SPECIAL: &str = "\\^$.|?*+()[]{}/";

impl Pattern {
    /// Returns whether the whole value matches. A longer one than 255 characters never does.
    pub fn matches(&self, value: &str) -> bool {
        let value: Vec<char> = value.chars().take(MOST_CHARACTERS + 1).collect();
        if value.len() > MOST_CHARACTERS {
            return false;
        }
        let mut starts = vec![false; value.len() + 1];
        starts[0] = true;
        for item in &self.items {
            let mut ends = vec![false; value.len() + 1];
            for start in (0..=value.len()).filter(|start| starts[*start]) {
                let fits = value[start..].iter().take_while(|c| item.contains(**c)).count();
                let most = item.most.map_or(fits, |most| most.min(fits));
                for count in item.least..=most {
                    ends[start + count] = true;
                }
            }
            starts = ends;
        }
        starts[value.len()]
    }
}

impl Item {
    fn contains(&self, c: char) -> bool {
        self.class.iter().any(|(first, last)| (*first..=*last).contains(&c))
    }
}

impl Text for Pattern {
    const NOUN: &'static str = "a pattern";

    fn parse(text: &str) -> Result<Self, Fault> {
        let bad = || {
            let fix = "use characters and classes, each with ?, *, +, {n} or {n,m}, such as [a-z0-9-]{3,40}";
            Fault::new(format!("{text:?} is not a pattern"), fix)
        };
        let mut items = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let class;
            if first == '[' {
                let (inside, after) = rest[1..].split_once(']').ok_or_else(bad)?;
                class = ranges(inside).ok_or_else(bad)?;
                rest = after;
            } else if SPECIAL.contains(first) {
                return Err(bad());
            } else {
                class = vec![(first, first)];
                rest = &rest[first.len_utf8()..];
            }
            let (least, most);
            (least, most, rest) = repetition(rest).ok_or_else(bad)?;
            items.push(Item { class, least, most });
        }
        if items.is_empty() {
            return Err(bad());
        }
        Ok(Self { text: text.to_owned(), items })
    }
}

text!(Pattern, { "format": "regex" });

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The ranges of a class. A hyphen that is first or last stands for itself.
fn ranges(inside: &str) -> Option<Vec<(char, char)>> {
    let characters: Vec<char> = inside.chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let first = characters[at];
        if first != '.' && SPECIAL.contains(first) {
            return None;
        }
        let (last, length) = match characters.get(at + 1..at + 3) {
            Some(['-', last]) => (*last, 3),
            _ => (first, 1),
        };
        if last < first || (last != '.' && SPECIAL.contains(last)) {
            return None;
        }
        ranges.push((first, last));
        at += length;
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// The least and the greatest number of repetitions, and the rest of the pattern.
fn repetition(rest: &str) -> Option<(usize, Option<usize>, &str)> {
    Some(match rest.as_bytes().first() {
        Some(b'?') => (0, Some(1), &rest[1..]),
        Some(b'*') => (0, None, &rest[1..]),
        Some(b'+') => (1, None, &rest[1..]),
        Some(b'{') => {
            let (inside, after) = rest[1..].split_once('}')?;
            let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
            let (least, most) = (least.parse().ok()?, most.parse().ok()?);
            (least <= most && most <= MOST_CHARACTERS).then_some(())?;
            (least, Some(most), after)
        }
        _ => (1, Some(1), rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values_match() {
        for (pattern, good, bad) in [
            ("[a-z0-9][a-z0-9-]*", &["a", "acme-1", "0-"][..], &["", "-a", "A", "a.b", "a/b", "a\n"][..]),
            ("[0-9]{3,5}", &["123", "12345"], &["12", "123456", "12a"]),
            ("v[0-9]+x?", &["v1", "v10x"], &["v", "1", "v1xx"]),
            ("[a-z]*a", &["a", "aa", "ba"], &["", "b", "ab"]),
            ("[A-Za-z0-9._-]+", &["a.b-C_d"], &["a b", "ü"]),
            ("[a-a]", &["a"], &["-", "b"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.to_string(), pattern);
            for value in good {
                assert!(parsed.matches(value), "{pattern} {value:?}");
            }
            for value in bad {
                assert!(!parsed.matches(value), "{pattern} {value:?}");
            }
        }
    }

    #[test]
    fn a_value_has_at_most_255_characters() {
        let pattern = Pattern::parse("[a-z\u{fc}]+").unwrap();
        for c in ["a", "\u{fc}"] {
            assert!(pattern.matches(&c.repeat(255)) && !pattern.matches(&c.repeat(256)), "{c}");
        }
    }

    #[test]
    fn the_rest_of_regular_expressions_is_refused() {
        for bad in [
            "", "(a)", "a|b", "^a$", ".*", "[a-z", "[]", "[^a]", "[z-a]", "a{2", "a{3,2}", "a{x}", "\\d",
            "a**", "*",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
