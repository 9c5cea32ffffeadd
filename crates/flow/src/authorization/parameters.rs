//! The parameters of an authorization request.

use causeway_types::ResponseMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The parameters of an authorization request as received, each at most once except `resource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuthorizeParams {
    /// The client.
    pub client_id: Option<String>,
    /// A URI that the client registered.
    #[schemars(with = "Option<Url>")]
    pub redirect_uri: Option<String>,
    /// The authorization response that the client expects.
    #[schemars(extend("const" = "code"))]
    pub response_type: Option<String>,
    /// How the authorization response is returned.
    #[schemars(with = "Option<ResponseMode>")]
    pub response_mode: Option<String>,
    /// Scopes, separated by spaces.
    pub scope: Option<String>,
    /// The resource that the access token is for (RFC 8707); may be repeated.
    #[schemars(with = "Vec<Url>")]
    pub resource: Vec<String>,
    /// Returned unchanged.
    pub state: Option<String>,
    /// The SHA-256 of the verifier in base64url (RFC 7636).
    pub code_challenge: Option<String>,
    /// The one method of RFC 7636 that is supported.
    #[schemars(extend("const" = "S256"))]
    pub code_challenge_method: Option<String>,
    /// Returned in the ID token.
    pub nonce: Option<String>,
    /// A handle, a DID, or the address of a PDS or entryway.
    pub login_hint: Option<String>,
    /// none, or login, consent, select_account separated by spaces.
    pub prompt: Option<String>,
    /// The maximum age of the user's authentication, in seconds.
    pub max_age: Option<String>,
    /// An ID token of the account.
    pub id_token_hint: Option<String>,
    /// The thumbprint of the key to bind the code to (RFC 9449 section 10).
    pub dpop_jkt: Option<String>,
    /// Preferred languages, separated by spaces, most preferred first.
    pub ui_locales: Option<String>,
    /// Requested claims, as JSON (OpenID Connect Core section 5.5).
    pub claims: Option<String>,
    /// The request_uri from the PAR endpoint (RFC 9126).
    pub request_uri: Option<String>,
    /// A signed request object with these parameters (RFC 9101).
    pub request: Option<String>,
}
