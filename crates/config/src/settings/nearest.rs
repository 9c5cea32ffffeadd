//! Suggestions for misspelled names.

use strsim::levenshtein;

/// The known name that takes the fewest edits to reach.
pub(crate) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> &'static str {
    known.min_by_key(|known| levenshtein(name, known)).unwrap_or_default()
}
