//! Bodies about connect sessions, and the confirmation of what they made.

use causeway_types::{SessionKind, SessionState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

/// A connect session to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectSessionRequest {
    /// Your own name for the user: 1 to 255 characters.
    pub(crate) user_id: String,
    /// The providers that the user chooses from.
    pub(crate) providers: Vec<String>,
    /// Whether the connection follows what the user does (device), or serves automation (background). A list makes one of
    /// each by one sign-in, at providers whose users sign in on our page.
    pub(crate) session_kind: SessionKinds,
    /// Where the browser returns to: one of your redirect URIs.
    #[schemars(with = "Option<Url>")]
    pub(crate) return_uri: Option<String>,
    /// Your own value, which comes back unchanged.
    pub(crate) state: Option<String>,
    /// The scopes to request, in the provider's own words; the default is the definition's.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Values of the definition's parameters, such as the host of an instance.
    #[serde(default)]
    pub(crate) parameters: Map<String, Value>,
    /// Whether the provider asks the user again.
    #[serde(default)]
    pub(crate) force_reauth: bool,
    /// The fingerprint of the user's device, where you know it.
    pub(crate) fingerprint: Option<String>,
    /// The connection that is connected again. It keeps its identifier.
    pub(crate) connection_id: Option<String>,
}

/// One kind of connection, or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum SessionKinds {
    /// One.
    One(SessionKind),
    /// Several, each once.
    Several(Vec<SessionKind>),
}

impl From<SessionKinds> for Vec<SessionKind> {
    fn from(kinds: SessionKinds) -> Self {
        match kinds {
            SessionKinds::One(kind) => vec![kind],
            SessionKinds::Several(kinds) => kinds,
        }
    }
}

/// A connect session that was made.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NewConnectSession<'a> {
    /// The connect session.
    pub(crate) connect_session_id: &'a str,
    /// To open in the user's browser. It works once.
    #[schemars(with = "Url")]
    pub(crate) connect_url: String,
    /// Unix time until which the user can begin.
    pub(crate) expires_at: i64,
}

/// The state of a connect session.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConnectSessionState {
    /// The user has not finished it.
    Open,
    /// It is finished: outcome says how.
    Finished,
    /// Its time is over.
    Expired,
}

/// A connect session and its outcome.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownConnectSession<'a> {
    /// The connect session.
    pub(crate) connect_session_id: &'a str,
    /// Your name for the user.
    pub(crate) user_id: &'a str,
    /// Its state: open, finished or expired.
    pub(crate) state: ConnectSessionState,
    /// connected, or the error that it ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<&'a str>,
    /// The connection. You use it once you have confirmed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection_id: Option<&'a str>,
    /// Unix time until which the user can begin.
    pub(crate) expires_at: i64,
    /// Unix time at which it was finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_at: Option<i64>,
}

/// The confirmation that it was your user who connected.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRequest {
    /// The code that the user's browser carried to return_uri.
    pub(crate) connect_code: String,
    /// Your name for the user who is signed in to you in that browser.
    pub(crate) user_id: String,
}

/// Confirmed connections: the first one, and all of them where one sign-in made several.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConfirmedConnections<'a> {
    /// The first one.
    #[serde(flatten)]
    pub(crate) first: ConfirmedConnection<'a>,
    /// All of them, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) connections: Vec<ConfirmedConnection<'a>>,
}

/// A confirmed connection.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConfirmedConnection<'a> {
    /// The connection.
    pub(crate) connection_id: &'a str,
    /// The provider.
    pub(crate) provider: &'a str,
    /// Your name for the user.
    pub(crate) user_id: &'a str,
    /// Interactive (device) or for automation (background).
    pub(crate) session_kind: SessionKind,
    /// Whether it can be used.
    pub(crate) state: SessionState,
    /// The provider's identifier of the account.
    pub(crate) account_ref: &'a str,
}
