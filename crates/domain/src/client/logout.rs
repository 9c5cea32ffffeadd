//! Client metadata about logout (OpenID Connect RP-Initiated Logout 1.0 section 3.1, OpenID Connect
//! Back-Channel Logout 1.0 section 2.2).

use causeway_types::RedirectUri;
use causeway_types::redirect_uri::RedirectUriError;
use serde_json::{Map, Value};

use super::metadata::ValidClientMetadata;
use super::registered::Client;
use super::web_address::is_web_address;

const BACKCHANNEL_URI: &str = "backchannel_logout_uri";
const BACKCHANNEL_SESSION: &str = "backchannel_logout_session_required";
const POST_LOGOUT_REDIRECT_URIS: &str = "post_logout_redirect_uris";
/// The maximum number of `post_logout_redirect_uris`.
const MAX_URIS: usize = 32;

/// Why a client's logout metadata is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutMetadataError {
    /// Not a list of strings, or too many of them.
    #[error("post_logout_redirect_uris must be a list of at most {MAX_URIS} URIs")]
    Uris,
    /// Not an address that logout notifications can be sent to.
    #[error("backchannel_logout_uri must be an https URL without a fragment (http for loopback addresses)")]
    Backchannel,
    /// Not a boolean, or sent without a `backchannel_logout_uri`.
    #[error("backchannel_logout_session_required must be true or false, beside a backchannel_logout_uri")]
    BackchannelSession,
    /// One of them is not allowed.
    #[error("post_logout_redirect_uris: {uri:?} {error}")]
    Uri {
        /// The URI in question.
        uri: String,
        /// The reason.
        error: RedirectUriError,
    },
}

/// Checks the logout members of the metadata that a client wants to register.
///
/// # Errors
/// The first [`LogoutMetadataError`] found.
pub(super) fn check_metadata(metadata: &Map<String, Value>) -> Result<(), LogoutMetadataError> {
    let uri = metadata.get(BACKCHANNEL_URI);
    let is_address = |uri: &str| is_web_address(uri) && !uri.contains('#');
    if uri.is_some_and(|uri| !uri.as_str().is_some_and(is_address)) {
        return Err(LogoutMetadataError::Backchannel);
    }
    if let Some(required) = metadata.get(BACKCHANNEL_SESSION)
        && (uri.is_none() || !required.is_boolean())
    {
        return Err(LogoutMetadataError::BackchannelSession);
    }
    let Some(uris) = metadata.get(POST_LOGOUT_REDIRECT_URIS) else { return Ok(()) };
    let uris = uris.as_array().filter(|uris| uris.len() <= MAX_URIS).ok_or(LogoutMetadataError::Uris)?;
    for uri in uris {
        let uri = uri.as_str().ok_or(LogoutMetadataError::Uris)?;
        RedirectUri::parse(uri).map_err(|error| LogoutMetadataError::Uri { uri: uri.to_owned(), error })?;
    }
    Ok(())
}

impl ValidClientMetadata {
    /// The addresses to which users may be sent after a logout.
    pub fn post_logout_redirect_uris(&self) -> impl Iterator<Item = &str> {
        let uris = self.metadata.get(POST_LOGOUT_REDIRECT_URIS).and_then(Value::as_array);
        uris.into_iter().flatten().filter_map(Value::as_str)
    }
}

impl Client {
    /// The address that receives its back-channel logout notifications.
    pub fn backchannel_logout_uri(&self) -> Option<&str> {
        self.metadata.get(BACKCHANNEL_URI).and_then(Value::as_str)
    }

    /// Whether the user may be redirected here after a logout: compared like a redirect URI, byte for byte,
    /// except for the port of a loopback address.
    pub fn allows_post_logout_redirect_uri(&self, presented: &str) -> bool {
        let registered = self.metadata.get(POST_LOGOUT_REDIRECT_URIS).and_then(Value::as_array);
        let mut uris = registered.into_iter().flatten().filter_map(Value::as_str);
        uris.any(|uri| RedirectUri::from_stored(uri).matches(presented))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(uris: &Value) -> Result<(), LogoutMetadataError> {
        let mut metadata = Map::new();
        metadata.insert(POST_LOGOUT_REDIRECT_URIS.to_owned(), uris.clone());
        check_metadata(&metadata)
    }

    #[test]
    fn where_to_be_told() {
        let check = |name: &str, value: Value| {
            let mut metadata = Map::new();
            metadata.insert(BACKCHANNEL_URI.to_owned(), json!("https://a.example/out?x=y"));
            metadata.insert(name.to_owned(), value);
            check_metadata(&metadata)
        };
        assert_eq!(check(BACKCHANNEL_SESSION, json!(true)), Ok(()));
        assert_eq!(check(BACKCHANNEL_URI, json!("http://127.0.0.1:3000/out")), Ok(()));
        for bad in ["http://a.example/out", "https://a.example/out#x", "/out", "javascript:alert(1)", ""] {
            assert_eq!(check(BACKCHANNEL_URI, json!(bad)), Err(LogoutMetadataError::Backchannel), "{bad}");
        }
        assert_eq!(check(BACKCHANNEL_URI, json!(1)), Err(LogoutMetadataError::Backchannel));
        assert_eq!(check(BACKCHANNEL_SESSION, json!("yes")), Err(LogoutMetadataError::BackchannelSession));
        let alone = Map::from_iter([(BACKCHANNEL_SESSION.to_owned(), json!(true))]);
        assert_eq!(check_metadata(&alone), Err(LogoutMetadataError::BackchannelSession));
    }

    #[test]
    fn as_redirect_uris() {
        assert_eq!(check_metadata(&Map::new()), Ok(()));
        let good = json!(["https://a.example/out", "http://127.0.0.1/out", "com.example.app:/out"]);
        assert_eq!(check(&good), Ok(()));
        for bad in [json!("https://a.example"), json!([1]), json!({}), json!(vec!["https://a.example"; 33])] {
            assert_eq!(check(&bad), Err(LogoutMetadataError::Uris), "{bad}");
        }
        for bad in
            ["javascript:alert(1)", "http://a.example/", "https://a.example/#x", "https://*.example/", "/out"]
        {
            assert!(matches!(check(&json!([bad])), Err(LogoutMetadataError::Uri { .. })), "{bad}");
        }
    }
}
