//! Values of answers that later addresses contain.

use std::collections::BTreeMap;

use thiserror::Error;
use url::{Host, Url};

use crate::definition::capture::{Capture, CaptureSource};
use crate::fields::FieldValues;
use crate::json::Document;
use crate::values::name::FieldName;
use crate::values::url_template::parse_address;

/// Why a value is not captured. The value itself is not in the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaptureError {
    /// The answer has none.
    #[error("the answer has no {0}")]
    Missing(FieldName),
    /// It names a host that the definition does not allow, or is not an https address.
    #[error("{0} is not an https address of an allowed host")]
    NotAllowed(FieldName),
    /// It is not one segment of a path.
    #[error("{0} is not one segment of a path")]
    NotASegment(FieldName),
}

/// The values that come with the callback. They are checked before the code is sent anywhere, because the address of the
/// token endpoint may be among them.
///
/// # Errors
/// The first [`CaptureError`].
pub fn capture_callback(
    captures: &[Capture],
    parameters: &BTreeMap<String, String>,
) -> Result<FieldValues, CaptureError> {
    let mut captured = FieldValues::default();
    for capture in captures {
        if let CaptureSource::Callback(parameter) = &capture.source {
            captured.insert(capture.name.as_str(), checked(capture, parameters.get(parameter).cloned())?);
        }
    }
    Ok(captured)
}

/// The values in the answer of a token endpoint, and what is wrong with the others.
pub(super) fn capture_token(captures: &[Capture], document: &Document) -> (FieldValues, Vec<CaptureError>) {
    let (mut captured, mut errors) = (FieldValues::default(), Vec::new());
    for capture in captures {
        if let CaptureSource::Token(pointer) = &capture.source {
            match checked(capture, document.text(pointer)) {
                Ok(value) => captured.insert(capture.name.as_str(), value),
                Err(error) => errors.push(error),
            }
        }
    }
    (captured, errors)
}

fn checked(capture: &Capture, value: Option<String>) -> Result<String, CaptureError> {
    let name = || capture.name.clone();
    let value = value.filter(|value| !value.is_empty()).ok_or_else(|| CaptureError::Missing(name()))?;
    if capture.allow.is_empty() {
        let is_segment = !matches!(&*value, "." | "..") && !value.chars().any(char::is_control);
        return if is_segment { Ok(value) } else { Err(CaptureError::NotASegment(name())) };
    }
    let address = parse_address(&value);
    let is_allowed = address.as_ref().is_some_and(|url| {
        let is_default_port = url.port().is_none();
        let Some(Host::Domain(host)) = url.host() else { return false };
        is_default_port && capture.allow.iter().any(|pattern| pattern.matches(host))
    });
    // What comes with the callback chooses a server, and not a place on it.
    let is_origin = |url: &Url| url.path() == "/";
    let is_complete = |url: &Url| is_origin(url) || matches!(capture.source, CaptureSource::Token(_));
    let address = address.filter(|url| is_allowed && is_complete(url));
    let address = address.ok_or_else(|| CaptureError::NotAllowed(name()))?;
    // What was checked is what is used. Templates go on with a slash.
    Ok(if is_origin(&address) { address.origin().ascii_serialization() } else { address.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::host::HostPattern;
    use crate::values::pointer::JsonPointer;
    use crate::values::text::Text as _;

    fn capture(name: &str, source: CaptureSource, allow: &[&str]) -> Capture {
        let allow = allow.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
        Capture { name: FieldName::parse(name).unwrap(), source, allow }
    }

    fn of_callback(allow: &[&str], value: &str) -> Result<FieldValues, CaptureError> {
        let captures = [capture("x", CaptureSource::Callback("p".to_owned()), allow)];
        capture_callback(&captures, &BTreeMap::from([("p".to_owned(), value.to_owned())]))
    }

    #[test]
    fn an_address_is_captured_only_if_its_host_is_allowed() {
        let name = || FieldName::parse("x").unwrap();
        for good in
            ["https://na1.salesforce.com", "https://acme.my.salesforce.com/", "https://NA1.salesforce.com"]
        {
            let parsed = url::Url::parse(good).unwrap();
            let stored = parsed.as_str().trim_end_matches('/');
            assert_eq!(of_callback(&["*.salesforce.com"], good).unwrap().get("x"), Some(stored));
        }
        for bad in [
            "https://salesforce.com",
            "https://salesforce.com.evil.example",
            "https://evil.example/.salesforce.com",
            "https://evil.example#.salesforce.com",
            "https://evil.example?.salesforce.com",
            "https://na1.salesforce.com@evil.example",
            "https://user@na1.salesforce.com",
            "https://na1.salesforce.com:8443",
            "http://na1.salesforce.com",
            "https://127.0.0.1",
            "https://evil.example\\.salesforce.com",
            "na1.salesforce.com",
            "javascript:alert(1)",
            "https://na1.salesforce.com/a",
            "https://na1.salesforce.com/?a",
        ] {
            assert_eq!(
                of_callback(&["*.salesforce.com"], bad),
                Err(CaptureError::NotAllowed(name())),
                "{bad}"
            );
        }
    }

    #[test]
    fn other_values_are_one_segment() {
        let name = || FieldName::parse("x").unwrap();
        for good in ["4620816365", "a b/c", "..."] {
            assert_eq!(of_callback(&[], good).unwrap().get("x"), Some(good));
        }
        for bad in [".", "..", "a\r\nb", "\0"] {
            assert_eq!(of_callback(&[], bad), Err(CaptureError::NotASegment(name())), "{bad:?}");
        }
        assert_eq!(of_callback(&[], ""), Err(CaptureError::Missing(name())));
    }

    #[test]
    fn an_answer_gives_what_is_good_and_says_what_is_not() {
        let pointer = |text: &str| CaptureSource::Token(JsonPointer::parse(text).unwrap());
        let captures = [
            capture("hub", pointer("/hub_id"), &[]),
            capture("missing", pointer("/missing"), &[]),
            capture("url", pointer("/url"), &["a.example"]),
            capture("realm", CaptureSource::Callback("realm".to_owned()), &[]),
        ];
        let document = Document::json(b"{\"hub_id\":123,\"url\":\"https://b.example\"}").unwrap();
        let (captured, errors) = capture_token(&captures, &document);
        assert_eq!(captured, FieldValues::from_iter([("hub", "123")]));
        let name = |name: &str| FieldName::parse(name).unwrap();
        assert_eq!(errors, [CaptureError::Missing(name("missing")), CaptureError::NotAllowed(name("url"))]);
    }
}
