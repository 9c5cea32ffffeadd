//! Suggestions for misspelled names.

use strsim::levenshtein;

/// The known name that takes the fewest edits to reach, if at most half of it has to change.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, found) = known.into_iter().map(|known| (levenshtein(name, known), known)).min()?;
    (distance * 2 <= found.chars().count().max(2)).then_some(found)
}

/// A fix for an unknown name: the nearest known one, or all of them.
pub(crate) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(found) = nearest(name, known.clone()) {
        return did_you_mean(found);
    }
    let known: Vec<&str> = known.into_iter().collect();
    format!("use one of: {}", known.join(", "))
}

/// The fix for a misspelled name.
pub(crate) fn did_you_mean(name: &str) -> String {
    format!("did you mean {name}?")
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn the_nearest_name_is_suggested_or_all_of_them() {
        assert_eq!(suggest("polcy", ["policy", "grace"]), "did you mean policy?");
        assert_eq!(suggest("nothing_like_it", ["policy", "grace"]), "use one of: policy, grace");
    }
}
