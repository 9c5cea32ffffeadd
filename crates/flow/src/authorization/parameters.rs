//! The parameters of an authorization request.

use serde::{Deserialize, Serialize};

/// The parameters of an authorization request as received, each at most once except `resource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are the specifications' own")]
pub struct AuthorizeParams {
    pub client_id: Option<String>,
    pub redirect_uri: Option<String>,
    pub response_type: Option<String>,
    pub response_mode: Option<String>,
    pub scope: Option<String>,
    pub resource: Vec<String>,
    pub state: Option<String>,
    pub code_challenge: Option<String>,
    pub code_challenge_method: Option<String>,
    pub nonce: Option<String>,
    pub login_hint: Option<String>,
    pub prompt: Option<String>,
    pub max_age: Option<String>,
    pub id_token_hint: Option<String>,
    pub dpop_jkt: Option<String>,
    pub ui_locales: Option<String>,
    pub claims: Option<String>,
    pub request_uri: Option<String>,
    pub request: Option<String>,
}
