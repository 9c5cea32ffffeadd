//! Requests that Facebook signs: a user has removed the app, or wants their data deleted ("Data Deletion Request Callback",
//! "Deauthorize Callback").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_jose::hmac_sha256;
use causeway_types::Secret;
use serde::Deserialize;
use thiserror::Error;

/// The one algorithm that requests are signed with.
const ALGORITHM: &str = "HMAC-SHA256";

/// Why a signed request is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignedRequestError {
    /// It cannot be read.
    #[error("signed_request must be SIGNATURE.PAYLOAD, each in base64url")]
    Malformed,
    /// It is signed with another algorithm.
    #[error("signed_request must be signed with {ALGORITHM}")]
    Algorithm,
    /// It was signed with another secret, or changed.
    #[error("the signature of signed_request is not that of this registration")]
    Signature,
    /// It names nobody.
    #[error("signed_request has no user_id")]
    NoUser,
}

#[derive(Deserialize)]
struct Payload {
    algorithm: Option<String>,
    user_id: Option<String>,
}

/// Reads a signed request; returns the user that it is about, by the provider's own identifier.
///
/// # Errors
/// [`SignedRequestError`].
pub fn read_signed_request(text: &str, secret: &Secret) -> Result<String, SignedRequestError> {
    let (signature, payload) = text.split_once('.').ok_or(SignedRequestError::Malformed)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let signature = decode(signature).ok_or(SignedRequestError::Malformed)?;
    let mac = hmac_sha256(secret.expose().as_bytes(), payload.as_bytes());
    let mac = mac.map_err(|_| SignedRequestError::Signature)?;
    // Secrets are compared in constant time.
    let comparable = |bytes: &[u8]| Secret::new(URL_SAFE_NO_PAD.encode(bytes));
    if comparable(&signature) != comparable(&mac) {
        return Err(SignedRequestError::Signature);
    }
    let payload = decode(payload).ok_or(SignedRequestError::Malformed)?;
    let Payload { algorithm, user_id } =
        serde_json::from_slice(&payload).map_err(|_| SignedRequestError::Malformed)?;
    if !algorithm.is_some_and(|algorithm| algorithm.eq_ignore_ascii_case(ALGORITHM)) {
        return Err(SignedRequestError::Algorithm);
    }
    user_id.filter(|user_id| !user_id.is_empty()).ok_or(SignedRequestError::NoUser)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(payload: &str, secret: &str) -> String {
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let mac = hmac_sha256(secret.as_bytes(), payload.as_bytes()).unwrap();
        format!("{}.{payload}", URL_SAFE_NO_PAD.encode(mac))
    }

    #[test]
    fn only_what_the_registration_signed() {
        use SignedRequestError::{Algorithm, Malformed, NoUser, Signature};
        let read = |text: &str| read_signed_request(text, &Secret::new("app-secret"));
        let good = r#"{"algorithm":"HMAC-SHA256","user_id":"17","issued_at":1}"#;
        assert_eq!(read(&signed(good, "app-secret")), Ok("17".to_owned()));
        assert_eq!(read(&signed(good, "another")), Err(Signature));
        let (signature, _) =
            signed(good, "app-secret").split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let other = URL_SAFE_NO_PAD.encode(good.replace("17", "18"));
        assert_eq!(read(&format!("{signature}.{other}")), Err(Signature));
        assert_eq!(read(&format!(".{other}")), Err(Signature));
        for (text, error) in [("", Malformed), ("!.!", Malformed)] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        for (payload, error) in [
            (r#"{"algorithm":"none","user_id":"17"}"#, Algorithm),
            (r#"{"user_id":"17"}"#, Algorithm),
            (r#"{"algorithm":"HMAC-SHA256"}"#, NoUser),
            ("[]", Malformed),
        ] {
            assert_eq!(read(&signed(payload, "app-secret")), Err(error), "{payload}");
        }
    }
}
