//! Parameters of an authorization request that control its interaction and its response.

use std::fmt;

/// How the answer reaches the client (OAuth 2.0 Multiple Response Type Encoding Practices section 2.1,
/// OAuth 2.0 Form Post Response Mode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    #[default]
    Query,
    /// In its fragment.
    Fragment,
    /// In a form that the browser posts to it.
    FormPost,
}

impl ResponseMode {
    /// Every mode, in the order of the metadata document.
    pub const ALL: [Self; 3] = [Self::Query, Self::Fragment, Self::FormPost];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
        }
    }

    /// Reads the wire form.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == value)
    }
}

/// A value of `prompt` (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// No page may be shown.
    None,
    /// The user signs in again.
    Login,
    /// The user is asked for consent.
    Consent,
    /// The user chooses an account.
    SelectAccount,
}

impl Prompt {
    /// Every value, in the order of the metadata document.
    pub const ALL: [Self; 4] = [Self::None, Self::Login, Self::Consent, Self::SelectAccount];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
        }
    }
}

/// `prompt` holds an unknown value, or `none` beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prompt must be none alone, or of login, consent and select_account")]
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
            let prompt = Prompt::ALL.into_iter().find(|prompt| prompt.as_str() == name).ok_or(PromptError)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_survive_being_stored() {
        for text in ["", "none", "login", "login consent", "select_account"] {
            assert_eq!(Prompts::parse(text).map(|prompts| prompts.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(Prompts::parse("none consent"), Err(PromptError));
        assert_eq!(Prompts::parse("create"), Err(PromptError));
    }
}
