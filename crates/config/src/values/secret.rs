//! Where the encryption key ring comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Where the server reads its encryption key ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKeySource {
    /// A file, named by `--secret-key-file` or `CAUSEWAY_SECRET_KEY_FILE`.
    File(PathBuf),
    /// The text itself, from `CAUSEWAY_SECRET_KEY`.
    Inline(InlineSecret),
}

impl SecretKeySource {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) => None,
        }
    }
}

/// Secret text that neither `Debug` nor `config print` shows; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct InlineSecret(Zeroizing<String>);

impl InlineSecret {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for InlineSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
