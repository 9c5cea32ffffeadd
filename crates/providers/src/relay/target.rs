//! Where relayed calls go: the address is checked once, and what was checked is what is sent.

use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::definition::relay::Relay;
use crate::fields::FieldValues;
use crate::relay::error::TargetError;
use crate::relay::parameters;
use crate::values::fill::FillError;
use crate::values::name::FieldName;
use crate::values::path::PathTemplate;

/// Where the calls of a connection may go.
#[derive(Clone, Copy, Debug)]
pub struct RelayTargets<'a> {
    /// The definition.
    pub relay: &'a Relay,
    /// The endpoints of the connection that are never called: authorization, token, refresh, exchange, revocation and
    /// introspection. Neither is what is below them.
    pub endpoints: &'a [Url],
    /// Values that the user entered or that were captured.
    pub fields: &'a FieldValues,
    /// The id of the managed account that the call is for.
    pub account: Option<&'a str>,
    /// Our `client_id`.
    pub client_id: Option<&'a str>,
}

/// A path with its query, as a caller sent it.
#[derive(Clone, Copy, Debug)]
pub struct RelayPath<'a> {
    /// The path with its query, from its first slash on.
    pub path_and_query: &'a str,
    /// The origin that the caller named; `None`: the first one of the definition.
    pub origin: Option<&'a str>,
}

/// How often a server may decode a path.
const MOST_DECODINGS: usize = 4;

impl RelayTargets<'_> {
    /// The address of a call, without the credential.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn check(&self, request: RelayPath<'_>) -> Result<Url, TargetError> {
        let path = request.path_and_query.split_once('?').map_or(request.path_and_query, |(path, _)| path);
        let segments = self.read_path(path)?;
        let origin = self.origin(request.origin)?;
        let base = &origin[..Position::BeforePath];
        let url = Url::parse(&format!("{base}{}", request.path_and_query));
        let url = url.map_err(|_| TargetError::Path("is not that of an address"))?;
        // A parser that changes the path has not read what was checked.
        if url[..Position::BeforePath] != *base || url.path() != path || url.fragment().is_some() {
            return Err(TargetError::Path("has characters that have to be percent-encoded"));
        }
        parameters::check(self.relay, url.query().unwrap_or_default())?;
        if self.is_allowed(path)? && !self.is_denied(&segments)? && !self.is_endpoint(&origin, &segments) {
            Ok(url)
        } else {
            Err(TargetError::NotAllowed)
        }
    }

    fn value_of(&self, name: &FieldName) -> Option<&str> {
        match name.as_str() {
            "account" => self.account,
            "client_id" => self.client_id,
            name => self.fields.get(name),
        }
    }

    /// One of the definition's origins.
    fn origin(&self, named: Option<&str>) -> Result<Url, TargetError> {
        let origins = self.relay.origins.iter().map(|origin| origin.url().fill(|name| self.value_of(name)));
        let named = named.map(Url::parse).transpose().map_err(|_| TargetError::Origin)?;
        for origin in origins {
            let origin = origin?;
            // Nothing but an origin fits: neither a user name nor a path.
            if named.as_ref().is_none_or(|named| *named == origin) {
                return Ok(origin);
            }
        }
        Err(TargetError::Origin)
    }

    /// Reads a path into the segments that a server may take it for: decoded, in lower case, without parameters.
    fn read_path(&self, path: &str) -> Result<Vec<String>, TargetError> {
        check_spelling(path)?;
        let mut text = path.to_owned();
        for _ in 0..MOST_DECODINGS {
            check_segments(&text)?;
            if !self.relay.encoded_slash && text.matches('/').count() > path.matches('/').count() {
                return Err(TargetError::Path("has an encoded slash"));
            }
            let decoded = percent_decode_str(&text).decode_utf8();
            let decoded = decoded.map_err(|_| TargetError::Path("is not UTF-8"))?;
            if decoded == text {
                return Ok(segments_of(&text));
            }
            text = decoded.into_owned();
        }
        Err(TargetError::Path("is encoded several times"))
    }

    fn is_allowed(&self, path: &str) -> Result<bool, TargetError> {
        let mut is_allowed = self.relay.prefixes.is_empty();
        for prefix in &self.relay.prefixes {
            is_allowed |= prefix.is_beginning_of(path, |name| self.value_of(name))?;
        }
        Ok(is_allowed)
    }

    /// Whether a path begins with a denied one, in any spelling.
    fn is_denied(&self, segments: &[String]) -> Result<bool, TargetError> {
        for denied in &self.relay.deny {
            if is_at_or_below(segments, &self.beginning(denied)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The segments of a denied path. Text that a value adds is compared in the same way as the rest.
    fn beginning(&self, path: &PathTemplate) -> Result<Vec<String>, TargetError> {
        let missing = || path.template().fields().find(|name| self.value_of(name).is_none());
        let filled = path.template().fill(|name| self.value_of(name));
        let filled = filled.ok_or_else(|| match missing() {
            Some(name) => TargetError::Value(FillError::Missing(name.clone())),
            None => TargetError::NotAllowed,
        })?;
        Ok(segments_of(&filled))
    }

    /// Whether a path is that of an endpoint of the connection, or below it.
    fn is_endpoint(&self, origin: &Url, segments: &[String]) -> bool {
        self.endpoints.iter().filter(|endpoint| endpoint.origin() == origin.origin()).any(|endpoint| {
            let path = percent_decode_str(endpoint.path()).decode_utf8_lossy();
            let own = segments_of(&path);
            if own.is_empty() { segments.is_empty() } else { is_at_or_below(segments, &own) }
        })
    }
}

fn segments_of(path: &str) -> Vec<String> {
    let segments = path.split('/').map(|segment| plain(segment).to_lowercase());
    segments.filter(|segment| !segment.is_empty()).collect()
}

/// Whether a path is another one or below it. The end of that one may have a format behind a dot, such as `.json`.
fn is_at_or_below(segments: &[String], other: &[String]) -> bool {
    let Some((last, before)) = other.split_last() else { return true };
    let is_last =
        |own: &String| own.strip_prefix(last).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    segments.starts_with(before) && segments.get(before.len()).is_some_and(is_last)
}

/// A segment without its parameters, which some servers do not count as a part of it (RFC 3986 section 3.3), and without
/// white space around it.
fn plain(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default().trim()
}

/// Refuses a path that is not written as one.
fn check_spelling(path: &str) -> Result<(), TargetError> {
    if !path.starts_with('/') {
        return Err(TargetError::Path("does not begin with a slash"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TargetError::Path("has characters that have to be percent-encoded"));
    }
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !path.split('%').skip(1).all(is_escape) {
        return Err(TargetError::Path("has a % that is not part of an escape"));
    }
    Ok(())
}

/// Refuses what leads to another path, or out of the line.
fn check_segments(text: &str) -> Result<(), TargetError> {
    if text.contains('\\') {
        return Err(TargetError::Path("has a backslash"));
    }
    if text.chars().any(char::is_control) {
        return Err(TargetError::Path("has a control character"));
    }
    // Only the last one may be empty, behind a slash at the end.
    if text.contains("//") || text.split('/').any(|segment| !segment.is_empty() && plain(segment).is_empty())
    {
        return Err(TargetError::Path("has an empty segment"));
    }
    if text.split('/').any(|segment| matches!(plain(segment), "." | "..")) {
        return Err(TargetError::Path("has a segment . or .."));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
