//! Places of the keys in a file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key or an item of an array.
pub(super) struct Place {
    /// The dotted path.
    pub(super) key: String,
    /// The line of the key, counted from 1.
    pub(super) line: usize,
    /// The bytes of the value.
    pub(super) value: Range<usize>,
    /// The bytes of the name.
    name: Range<usize>,
}

/// The places of a file, outer ones before those inside them.
pub(super) struct Places {
    /// The first byte of each line but the first.
    lines: Vec<usize>,
    places: Vec<Place>,
}

impl Places {
    pub(super) fn new(text: &str, root: &DeTable<'_>) -> Self {
        let lines = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        let mut places = Self { lines, places: Vec::new() };
        places.table("", root);
        places
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let dot = if path.is_empty() { "" } else { "." };
            let key = format!("{path}{dot}{}", quoted(name.get_ref()));
            self.place(&key, name.span(), value);
        }
    }

    fn place(&mut self, key: &str, name: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let line = self.line_at(name.start);
        self.places.push(Place { key: key.to_owned(), line, value: value.span(), name });
        match value.get_ref() {
            DeValue::Table(table) => self.table(key, table),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.place(&format!("{key}[{index}]"), item.span(), item);
                }
            }
            _ => (),
        }
    }

    pub(super) fn line_at(&self, byte: usize) -> usize {
        self.lines.partition_point(|start| *start <= byte) + 1
    }

    /// The place that a deserializer means: the one whose name or value it gave, else the innermost around it.
    pub(super) fn at(&self, span: &Range<usize>) -> Option<&Place> {
        let exact = |place: &&Place| place.name == *span || place.value == *span;
        let around = |place: &&Place| place.value.start <= span.start && span.end <= place.value.end;
        self.places.iter().rfind(exact).or_else(|| self.places.iter().rfind(around))
    }

    /// The line of a key, or of the innermost one around it that exists.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(place) = self.places.iter().find(|place| place.key == key) {
                return Some(place.line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }
}

/// The name of a key as TOML writes it.
fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") }
}
