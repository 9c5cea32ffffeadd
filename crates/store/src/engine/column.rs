//! Reads columns back into domain types: an unexpected value is a corrupt row, never a panic.

use causeway_domain::session::UpstreamAuth;
use causeway_types::{
    CodeChallenge, Did, Handle, Resources, Scope, SessionKind, SessionState, TenantUser, UserId,
    UserNamespace,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::error::StoreError;

/// The only PKCE method that we support.
pub(crate) const S256: &str = "S256";

/// A column, named in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) &'static str);

impl Column {
    pub(crate) const fn corrupt(self) -> StoreError {
        StoreError::corrupt(self.0, self.1)
    }

    /// Checks that exactly one row was changed, for rows that are there unless they were lost.
    pub(crate) const fn one(self, changed: usize) -> Result<(), StoreError> {
        if changed == 1 { Ok(()) } else { Err(self.corrupt()) }
    }

    pub(crate) fn present<T>(self, value: Option<T>) -> Result<T, StoreError> {
        value.ok_or_else(|| self.corrupt())
    }

    pub(crate) fn did(self, text: &str) -> Result<Did, StoreError> {
        Did::parse(text).map_err(|_| self.corrupt())
    }

    pub(crate) fn handle(self, text: Option<&str>) -> Result<Option<Handle>, StoreError> {
        text.map(Handle::parse).transpose().map_err(|_| self.corrupt())
    }

    /// A missing scope is the empty set. A value that this version does not know allows nothing.
    pub(crate) fn scope(self, text: Option<&str>) -> Result<Scope, StoreError> {
        Scope::from_stored(text.unwrap_or_default()).map_err(|_| self.corrupt())
    }

    pub(crate) fn resources(self, text: Option<&str>) -> Result<Resources, StoreError> {
        self.present(Resources::from_stored(text))
    }

    pub(crate) fn code_challenge(
        self,
        method: Option<&str>,
        challenge: Option<&str>,
    ) -> Result<Option<CodeChallenge>, StoreError> {
        match (method, challenge) {
            (None, None) => Ok(None),
            (Some(S256), Some(challenge)) => {
                CodeChallenge::parse(challenge).map(Some).map_err(|_| self.corrupt())
            }
            _ => Err(self.corrupt()),
        }
    }

    pub(crate) fn session_kind(self, text: &str) -> Result<SessionKind, StoreError> {
        self.present(SessionKind::parse(text))
    }

    pub(crate) fn session_state(self, text: &str) -> Result<SessionState, StoreError> {
        self.present(SessionState::parse(text))
    }

    /// A user, by the columns `namespace` and `user_id`.
    pub(crate) fn user(self, namespace: &str, user_id: &str) -> Result<TenantUser, StoreError> {
        let namespace = self.present(UserNamespace::parse(namespace))?;
        Ok(TenantUser { namespace, user_id: self.present(UserId::parse(user_id))? })
    }

    pub(crate) fn json<T: DeserializeOwned>(self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|_| self.corrupt())
    }

    pub(crate) fn to_json<T: Serialize>(self, value: &T) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|_| self.corrupt())
    }

    pub(crate) fn upstream_auth(self, text: &str) -> Result<UpstreamAuth, StoreError> {
        self.json(text)
    }
}
