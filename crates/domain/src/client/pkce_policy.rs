//! Whether a client may do without PKCE.

use schemars::JsonSchema;

/// Whether a client may do without PKCE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
pub enum PkcePolicy {
    /// It may not.
    #[default]
    Required,
    /// A confidential OpenID Connect client that sends a `nonce` and checks it in the `id_token` may (OAuth 2.1
    /// section 7.5.1).
    Nonce,
}

impl PkcePolicy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Required, Self::Nonce];

    /// The form in the database and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Nonce => "nonce",
        }
    }

    /// Reads the form in the database and in documents.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(PkcePolicy::ALL.map(PkcePolicy::as_str), ["required", "nonce"]);
        for policy in PkcePolicy::ALL {
            assert_eq!(PkcePolicy::parse(policy.as_str()), Some(policy));
        }
        assert_eq!((PkcePolicy::parse("off"), PkcePolicy::parse("")), (None, None));
    }
}
