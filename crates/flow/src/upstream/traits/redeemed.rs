//! Tokens as a provider issued them, before they are judged.

use causeway_domain::session::OtherKind;
use causeway_types::Secret;

use crate::upstream::atproto::answer::AtprotoAnswer;

/// Tokens that a provider issued for a code.
#[derive(Debug)]
pub enum Redeemed {
    /// At an AT Protocol server.
    Atproto(Box<AtprotoAnswer>),
    /// At any other provider, in the form of the provider's code.
    Other(Secret),
}

impl Redeemed {
    /// The answer of another provider than an AT Protocol server.
    ///
    /// # Errors
    /// [`OtherKind`].
    pub const fn other(&self) -> Result<&Secret, OtherKind> {
        match self {
            Self::Other(answer) => Ok(answer),
            Self::Atproto(_) => Err(OtherKind),
        }
    }
}
