//! Parameters of an authorization request that control its interaction and its response.

use std::fmt;

use serde::{Serialize, Serializer};

wire_names! {
    /// How the answer reaches the client (OAuth 2.0 Multiple Response Type Encoding Practices section 2.1,
    /// OAuth 2.0 Form Post Response Mode), in the order of the metadata document.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    #[derive(Default)]
    pub enum ResponseMode {
        /// In the query of the redirect URI.
        #[default]
        Query = "query",
        /// In its fragment.
        Fragment = "fragment",
        /// In a form that the browser posts to it.
        FormPost = "form_post",
    }
}

wire_names! {
    /// A value of `prompt` (OpenID Connect Core section 3.1.2.1), in the order of the metadata document.
    #[non_exhaustive]
    pub enum Prompt {
        /// No page may be shown.
        None = "none",
        /// The user signs in again.
        Login = "login",
        /// The user is asked for consent.
        Consent = "consent",
        /// The user chooses an account.
        SelectAccount = "select_account",
    }
}

/// `prompt` holds an unknown value, or `none` beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prompt must be none, or any of login, consent and select_account")]
pub struct PromptError;

/// The set of prompts of a request.
///
/// ```
/// use causeway_types::authorization::{Prompt, Prompts};
/// assert!(Prompts::parse("login consent")?.contains(Prompt::Login));
/// assert!(Prompts::parse("none login").is_err());
/// # Ok::<(), causeway_types::authorization::PromptError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts(Vec<Prompt>);

impl Prompts {
    /// Parses a space-separated list; an empty string is the empty set.
    ///
    /// # Errors
    /// [`PromptError`].
    pub fn parse(value: &str) -> Result<Self, PromptError> {
        let mut prompts = Vec::new();
        for name in value.split(' ').filter(|name| !name.is_empty()) {
            let prompt = Prompt::parse(name).ok_or(PromptError)?;
            if !prompts.contains(&prompt) {
                prompts.push(prompt);
            }
        }
        if prompts.contains(&Prompt::None) && prompts.len() > 1 {
            return Err(PromptError);
        }
        Ok(Self(prompts))
    }

    /// Whether this one is asked for.
    pub fn contains(&self, prompt: Prompt) -> bool {
        self.0.contains(&prompt)
    }
}

impl fmt::Display for Prompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|prompt| prompt.as_str()).collect();
        f.write_str(&names.join(" "))
    }
}

from_text!(Prompts, PromptError);

impl Serialize for Prompts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::{assert_names, assert_text};

    #[test]
    fn names_of_modes_and_prompts() {
        assert_names!(ResponseMode: "query", "fragment", "form_post");
        assert_eq!(ResponseMode::default(), ResponseMode::Query);
        assert_names!(Prompt: "none", "login", "consent", "select_account");
        assert_text::<Prompts>(&["", "none", "login consent"], &["none login", "create", "Login"]);
    }

    #[test]
    fn prompts_survive_being_stored() {
        for text in ["", "none", "login", "login consent", "select_account"] {
            assert_eq!(Prompts::parse(text).map(|prompts| prompts.to_string()).as_deref(), Ok(text));
        }
        let prompts = Prompts::parse("login  consent login").unwrap();
        assert_eq!(prompts.to_string(), "login consent");
        let asked_for =
            |prompts: &Prompts| Prompt::ALL.iter().map(|one| prompts.contains(*one)).collect::<Vec<_>>();
        assert_eq!(asked_for(&prompts), [false, true, true, false]);
        assert_eq!(Prompts::parse("none consent"), Err(PromptError));
        assert_eq!(Prompts::parse("create"), Err(PromptError));
    }
}
