//! Suggestions for misspelled names.

/// The known name that takes the fewest edits to reach, if at most half of it has to change.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, found) = known.into_iter().map(|known| (distance(name, known), known)).min()?;
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

/// Levenshtein distance, by characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
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
