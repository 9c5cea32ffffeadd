//! A session at a site.

use causeway_types::{Secret, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use super::jar::{Change, CookieJar};

/// The session by which a site knows a user: its cookies, and perhaps a token. It is written as one text, which is encrypted where it is
/// stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSession {
    /// The token, at sites that have one.
    #[serde(serialize_with = "expose_some")]
    pub token: Option<Secret>,
    /// The cookies.
    pub cookies: CookieJar,
    /// Whether it was renewed since the sign-in. One that never was counts as old.
    pub is_renewed: bool,
}

/// Changes of a session by an answer.
#[derive(Clone, Debug)]
pub struct SessionChange {
    /// The new token; `None`: the old one stays.
    pub token: Option<Secret>,
    /// The cookies that are set or deleted; all others stay.
    pub cookies: Vec<Change>,
}

impl SiteSession {
    /// The text that is stored; `None`: it cannot be written.
    pub fn to_secret(&self) -> Option<Secret> {
        serde_json::to_string(self).ok().map(Secret::new)
    }

    /// Reads it; `None`: it is not one.
    pub fn read(text: &Secret) -> Option<Self> {
        serde_json::from_str(text.expose()).ok()
    }

    /// The session after an answer to `iteration`, on to the session as it is now.
    #[must_use]
    pub fn with(mut self, change: &SessionChange, iteration: i64, now: Timestamp) -> Self {
        self.cookies.merge(&change.cookies, iteration, now);
        if let Some(token) = &change.token {
            self.token = Some(token.clone());
        }
        self
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn expose_some<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}
