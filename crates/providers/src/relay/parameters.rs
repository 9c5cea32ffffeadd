//! Parameters of addresses that are credentials, in every way that a server may read them.

use std::borrow::Cow;

use url::form_urlencoded;

/// A part of a query, and what separates it from the one before.
struct Pair<'a> {
    separator: &'a str,
    text: &'a str,
}

/// Separators of parameters. Some servers separate by semicolons, and addresses in HTML by a reference to a character.
const SEPARATORS: [&str; 3] = ["&amp;", "&", ";"];

/// The parameters of a query.
fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    let separator_at = |at: usize| {
        SEPARATORS.iter().find_map(|separator| {
            let found = query.get(at..at + separator.len())?;
            found.eq_ignore_ascii_case(separator).then_some(found)
        })
    };
    let (mut at, mut separator) = (Some(0), "");
    std::iter::from_fn(move || {
        let start = at?;
        let end = (start..query.len()).find_map(|end| Some((end, separator_at(end)?)));
        let text = &query[start..end.map_or(query.len(), |(end, _)| end)];
        let pair = Pair { separator, text };
        at = end.map(|(end, found)| end + found.len());
        separator = end.map_or("", |(_, found)| found);
        Some(pair)
    })
}

/// The name and the value of a parameter. Some servers read a name up to its bracket.
fn read(pair: &str) -> Option<(String, Cow<'_, str>)> {
    let (name, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
    Some((name.split('[').next().unwrap_or_default().trim().to_owned(), value))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The first parameter of a query that has one of these names, in the spelling of the query.
pub(super) fn find(query: &str, names: &[&str]) -> Option<String> {
    pairs(query).filter_map(|pair| read(pair.text)).map(|(name, _)| name).find(|name| is_one_of(name, names))
}

/// The values of the parameters of this name. A value that has a separator is in several parts, of which all that have no
/// name of their own count.
pub(super) fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    // The whole rest, as a server that knows fewer separators reads it.
    let strict = form_urlencoded::parse(query.as_bytes());
    let strict = strict.filter_map(move |(own, value)| {
        let own = own.split('[').next().unwrap_or_default().trim().to_owned();
        own.eq_ignore_ascii_case(name).then_some(value)
    });
    let lenient = pairs(query).filter_map(|pair| read(pair.text));
    strict.chain(lenient.filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A query without the parameters of these names; `None` if it has none of them.
pub(crate) fn without(query: &str, names: &[&str]) -> Option<String> {
    let mut is_changed = false;
    let mut kept = String::with_capacity(query.len());
    for Pair { separator, text } in pairs(query) {
        if read(text).is_some_and(|(name, _)| is_one_of(&name, names)) {
            is_changed = true;
            continue;
        }
        if !kept.is_empty() {
            kept.push_str(separator);
        }
        kept.push_str(text);
    }
    is_changed.then_some(kept)
}

/// An address without the parameters of these names, in its query and in its fragment. `None` if it has none of them.
pub(super) fn without_in_address(address: &str, names: &[&str]) -> Option<String> {
    let (rest, fragment) = address.split_once('#').map_or((address, None), |(rest, it)| (rest, Some(it)));
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, it)| (path, Some(it)));
    let mut is_changed = false;
    let mut address = path.to_owned();
    for (mark, part) in [('?', query), ('#', fragment)] {
        let Some(part) = part else { continue };
        let shorter = without(part, names);
        is_changed |= shorter.is_some();
        let part = shorter.as_deref().unwrap_or(part);
        if !part.is_empty() {
            address.push(mark);
            address.push_str(part);
        }
    }
    is_changed.then_some(address)
}
