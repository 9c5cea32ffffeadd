//! Parameters of addresses that are credentials, in every way that a server may read them.

use std::borrow::Cow;

use url::form_urlencoded;

use super::error::TargetError;
use super::inject::APPSECRET_PROOF;
use crate::definition::relay::{DenyParameter, Relay};

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
    Some((short(&name).to_owned(), value))
}

fn short(name: &str) -> &str {
    name.split('[').next().unwrap_or_default().trim()
}

/// Parameters that carry credentials whatever the definition says (RFC 6750 section 2.3).
const CREDENTIALS: [&str; 4] = ["access_token", "client_secret", "oauth_token", APPSECRET_PROOF];

/// The names of the parameters that carry credentials at a provider.
pub(crate) fn credentials(relay: &Relay) -> Vec<&str> {
    let injected = relay.inject.query.keys().chain(relay.inject.body.keys());
    let stripped = relay.strip_urls.iter().flat_map(|url| &url.parameters);
    injected.chain(stripped).map(String::as_str).chain(CREDENTIALS).collect()
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The first parameter of a query that has one of these names, in the spelling of the query.
fn find(query: &str, names: &[&str]) -> Option<String> {
    pairs(query).filter_map(|pair| read(pair.text)).map(|(name, _)| name).find(|name| is_one_of(name, names))
}

/// Whether a query has the parameter of this name with a value that passes.
fn has(query: &str, name: &str, passes: impl Fn(&str) -> bool) -> bool {
    // A server that knows fewer separators reads a longer value.
    let long = form_urlencoded::parse(query.as_bytes()).map(|(own, value)| (short(&own).to_owned(), value));
    let mut pairs = pairs(query).filter_map(|pair| read(pair.text)).chain(long);
    pairs.any(|(own, value)| own.eq_ignore_ascii_case(name) && passes(&value))
}

/// Refuses credentials of the caller's own among the parameters of a query, and what asks for those of the provider.
pub(super) fn check(relay: &Relay, query: &str) -> Result<(), TargetError> {
    if let Some(name) = find(query, &credentials(relay)) {
        return Err(TargetError::Credential(name));
    }
    let is_denied = |denied: &&DenyParameter| has(query, &denied.parameter, |value| denied.is_value(value));
    match relay.deny_parameters.iter().find(is_denied) {
        Some(denied) => Err(TargetError::Parameter(denied.parameter.clone())),
        None => Ok(()),
    }
}

/// The same for one parameter that is read already.
pub(super) fn check_one(relay: &Relay, name: &str, value: &str) -> Result<(), TargetError> {
    let name = short(name);
    if is_one_of(name, &credentials(relay)) {
        return Err(TargetError::Credential(name.to_owned()));
    }
    let is_denied =
        |denied: &&DenyParameter| name.eq_ignore_ascii_case(&denied.parameter) && denied.is_value(value);
    match relay.deny_parameters.iter().find(is_denied) {
        Some(denied) => Err(TargetError::Parameter(denied.parameter.clone())),
        None => Ok(()),
    }
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
