//! What a client says about logging out (OpenID Connect RP-Initiated Logout 1.0 section 3.1).

use serde_json::{Map, Value};

use crate::client::Client;
use crate::redirect_uri::{RedirectUri, RedirectUriError};

const POST_LOGOUT_REDIRECT_URIS: &str = "post_logout_redirect_uris";
/// The most of them.
const MAX_URIS: usize = 32;

/// Why the part of a client's metadata that is about logging out does not hold up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutMetadataError {
    /// No list of texts, or too many.
    #[error("post_logout_redirect_uris must be a list of at most {MAX_URIS} URIs")]
    Uris,
    /// One of them is not allowed.
    #[error("post_logout_redirect_uris: {uri:?} {error}")]
    Uri {
        /// The URI in question.
        uri: String,
        /// What is wrong with it.
        error: RedirectUriError,
    },
}

/// Checks what a client wants to register.
///
/// # Errors
/// The first [`LogoutMetadataError`] found.
pub fn check_metadata(metadata: &Map<String, Value>) -> Result<(), LogoutMetadataError> {
    let Some(uris) = metadata.get(POST_LOGOUT_REDIRECT_URIS) else { return Ok(()) };
    let uris = uris.as_array().filter(|uris| uris.len() <= MAX_URIS).ok_or(LogoutMetadataError::Uris)?;
    for uri in uris {
        let uri = uri.as_str().ok_or(LogoutMetadataError::Uris)?;
        RedirectUri::parse(uri).map_err(|error| LogoutMetadataError::Uri { uri: uri.to_owned(), error })?;
    }
    Ok(())
}

impl Client {
    /// Whether the person may be sent here after a logout: as a redirect URI, byte for byte, but for the
    /// port of a loopback address.
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
