//! Answers about connections that a client uses.

use causeway_types::SessionState;
use schemars::JsonSchema;
use serde::Serialize;

/// A connection after a refresh.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RefreshedConnection<'a> {
    /// The connection.
    pub(crate) connection_id: &'a str,
    /// Its state.
    pub(crate) state: SessionState,
    /// The iteration of its credentials: it grows with each refresh.
    pub(crate) iteration: i64,
}

/// A connection by its provider's own word.
#[derive(Serialize, JsonSchema)]
pub(crate) struct VerifiedConnection<'a> {
    /// The connection.
    pub(crate) connection_id: &'a str,
    /// live: the provider takes its credentials; reauth_required: the user has to connect again; unknown: the provider gave
    /// no answer that tells.
    pub(crate) status: &'a str,
}

/// The answer to a request to delete a user's data, as Facebook expects it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DataDeletion {
    /// The page about the outcome.
    pub(crate) url: String,
    /// The code of the request.
    pub(crate) confirmation_code: String,
}

/// A credential of a connection.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConnectionCredential<'a> {
    /// The connection.
    pub(crate) connection_id: &'a str,
    /// The access token, issued by the provider.
    pub(crate) access_token: &'a str,
    /// The scope that the provider granted, in its own words.
    pub(crate) scope: &'a str,
    /// Unix time at which the token expires; null: the provider did not say.
    pub(crate) expires_at: Option<i64>,
    /// Seconds until then.
    pub(crate) expires_in: Option<i64>,
}
