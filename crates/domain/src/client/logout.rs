//! Client metadata about logout (OpenID Connect RP-Initiated Logout 1.0 section 3.1, OpenID Connect
//! Back-Channel Logout 1.0 section 2.2).

use causeway_types::RedirectUri;
use causeway_types::redirect_uri::RedirectUriError;
use serde_json::{Map, Value};

use super::members::{
    BACKCHANNEL_LOGOUT_SESSION_REQUIRED, BACKCHANNEL_LOGOUT_URI, MAX_LOGOUT_URIS, POST_LOGOUT_REDIRECT_URIS,
};
use super::metadata::ValidClientMetadata;
use super::registered::Client;
use super::web_address::is_web_address;

/// Why a client's logout metadata is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutMetadataError {
    /// Not a list of strings, or too many of them.
    #[error("post_logout_redirect_uris must be a list of at most {MAX_LOGOUT_URIS} URIs")]
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
    let has = |name: &str| metadata.contains_key(name);
    let uri = BACKCHANNEL_LOGOUT_URI.text(metadata);
    let is_address = |uri: &str| is_web_address(uri) && !uri.contains('#');
    if has(BACKCHANNEL_LOGOUT_URI.name()) && !uri.is_some_and(is_address) {
        return Err(LogoutMetadataError::Backchannel);
    }
    let session = BACKCHANNEL_LOGOUT_SESSION_REQUIRED;
    if !session.is_valid(metadata) || (has(session.name()) && uri.is_none()) {
        return Err(LogoutMetadataError::BackchannelSession);
    }
    if !POST_LOGOUT_REDIRECT_URIS.is_valid(metadata) {
        return Err(LogoutMetadataError::Uris);
    }
    let uris: Vec<&str> = POST_LOGOUT_REDIRECT_URIS.texts(metadata).collect();
    if uris.len() > MAX_LOGOUT_URIS {
        return Err(LogoutMetadataError::Uris);
    }
    for uri in uris {
        RedirectUri::parse(uri).map_err(|error| LogoutMetadataError::Uri { uri: uri.to_owned(), error })?;
    }
    Ok(())
}

impl ValidClientMetadata {
    /// The addresses to which users may be sent after a logout.
    pub fn post_logout_redirect_uris(&self) -> impl Iterator<Item = &str> {
        POST_LOGOUT_REDIRECT_URIS.texts(&self.metadata)
    }
}

impl Client {
    /// The address that receives its back-channel logout notifications.
    pub fn backchannel_logout_uri(&self) -> Option<&str> {
        BACKCHANNEL_LOGOUT_URI.text(&self.metadata)
    }

    /// Whether the user may be redirected here after a logout: compared like a redirect URI, byte for byte,
    /// except for the port of a loopback address.
    pub fn allows_post_logout_redirect_uri(&self, presented: &str) -> bool {
        let mut uris = POST_LOGOUT_REDIRECT_URIS.texts(&self.metadata);
        uris.any(|uri| RedirectUri::from_stored(uri).matches(presented))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(uris: &Value) -> Result<(), LogoutMetadataError> {
        let mut metadata = Map::new();
        metadata.insert(POST_LOGOUT_REDIRECT_URIS.name().to_owned(), uris.clone());
        check_metadata(&metadata)
    }

    #[test]
    fn where_to_be_told() {
        let check = |name: &str, value: Value| {
            let mut metadata = Map::new();
            metadata.insert(BACKCHANNEL_LOGOUT_URI.name().to_owned(), json!("https://a.example/out?x=y"));
            metadata.insert(name.to_owned(), value);
            check_metadata(&metadata)
        };
        assert_eq!(check(BACKCHANNEL_LOGOUT_SESSION_REQUIRED.name(), json!(true)), Ok(()));
        assert_eq!(check(BACKCHANNEL_LOGOUT_URI.name(), json!("http://127.0.0.1:3000/out")), Ok(()));
        for bad in ["http://a.example/out", "https://a.example/out#x", "/out", "javascript:alert(1)", ""] {
            assert_eq!(
                check(BACKCHANNEL_LOGOUT_URI.name(), json!(bad)),
                Err(LogoutMetadataError::Backchannel),
                "{bad}"
            );
        }
        assert_eq!(check(BACKCHANNEL_LOGOUT_URI.name(), json!(1)), Err(LogoutMetadataError::Backchannel));
        assert_eq!(
            check(BACKCHANNEL_LOGOUT_SESSION_REQUIRED.name(), json!("yes")),
            Err(LogoutMetadataError::BackchannelSession)
        );
        let alone = Map::from_iter([(BACKCHANNEL_LOGOUT_SESSION_REQUIRED.name().to_owned(), json!(true))]);
        assert_eq!(check_metadata(&alone), Err(LogoutMetadataError::BackchannelSession));
    }

    #[test]
    fn as_redirect_uris() {
        assert_eq!(check_metadata(&Map::new()), Ok(()));
        let good = json!(["https://a.example/out", "http://127.0.0.1/out", "com.example.app:/out"]);
        assert_eq!(check(&good), Ok(()));
        assert_eq!(check(&json!(vec!["https://a.example"; 32])), Ok(()));
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
