//! Values that take the place of fields in addresses and paths.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use super::name::FieldName;

/// A value that an address or a path does not take. The value itself is not in the error: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FillError {
    /// A field has no value, or an empty one.
    #[error("{{{0}}} has no value")]
    Missing(FieldName),
    /// The value of a host is none.
    #[error("the value of {{{0}}} is not a host")]
    NotAHost(FieldName),
    /// The value of an address is none.
    #[error("the value of {{{0}}} is not an https address without user name, query and fragment")]
    NotAnAddress(FieldName),
    /// A segment of the path would be `.` or `..`, which lead to another path.
    #[error("a segment of the path would be . or ..")]
    DotSegment,
    /// The result is at another scheme, host or port, or has a user name.
    #[error("the result would be at another host")]
    OtherHost,
    /// The definition names no address: discovery finds it.
    #[error("the address is found by discovery alone")]
    Discovered,
}

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The value of a field.
pub(super) fn required<'a>(name: &FieldName, value: Option<&'a str>) -> Result<&'a str, FillError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| FillError::Missing(name.clone()))
}

/// A value as a part of one segment of a path, or of one parameter of a query.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Refuses a path that is not the one it looks like.
pub(super) fn refuse_dot_segments(path: &str) -> Result<(), FillError> {
    let is_dots = |segment: &str| matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | "..");
    if path.split('/').any(is_dots) { Err(FillError::DotSegment) } else { Ok(()) }
}
