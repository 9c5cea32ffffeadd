//! Encrypted texts that are handed out instead of stored: whoever holds one can show it again, and neither read nor change
//! it. They open for as long as the key that encrypted them is in the ring.

use causeway_types::Secret;

use super::error::EncryptionError;
use super::keyring::EncryptionKeyRing;

/// The meaning of a text that is handed out. A text of one meaning does not open as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedOut {
    /// The session that an MCP server gave a client.
    McpSession,
    /// The user's consent to an authorization request, while the user connects an account for it.
    McpConsent,
}

impl HandedOut {
    /// A name that keeps the texts apart from those of tables: no table has it.
    const fn place(self) -> &'static str {
        match self {
            Self::McpSession => "handed out.mcp session",
            Self::McpConsent => "handed out.mcp consent",
        }
    }
}

impl EncryptionKeyRing {
    /// Encrypts a text to hand out. It opens only with the same `context`. The result has printable ASCII characters alone.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn hand_out(&self, meaning: HandedOut, context: &str, text: &str) -> Result<String, EncryptionError> {
        self.encrypt(meaning.place(), context, text.as_bytes())
    }

    /// Opens a text that was handed out; `None`: it is another text, was changed, is for another context, or its key is gone.
    pub fn take_back(&self, meaning: HandedOut, context: &str, handed_out: &str) -> Option<Secret> {
        let bytes = self.open(meaning.place(), context, handed_out).ok()?;
        std::str::from_utf8(&bytes).ok().map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use causeway_types::SystemRng;

    use super::*;

    #[test]
    fn opens_for_its_meaning_and_context_alone() {
        let ring = EncryptionKeyRing::parse(&EncryptionKeyRing::generate(&SystemRng)).unwrap();
        let text = ring.hand_out(HandedOut::McpSession, "alice", "s-1").unwrap();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains("s-1"), "{text}");
        let open = |meaning, context, text: &str| {
            ring.take_back(meaning, context, text).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(open(HandedOut::McpSession, "alice", &text).as_deref(), Some("s-1"));
        assert_eq!(open(HandedOut::McpSession, "bob", &text), None);
        assert_eq!(open(HandedOut::McpConsent, "alice", &text), None);
        assert_eq!(open(HandedOut::McpSession, "alice", &format!("{text}A")), None);
        assert_eq!(open(HandedOut::McpSession, "alice", ""), None);
    }
}
