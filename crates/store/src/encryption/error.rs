//! Errors of encryption.

/// Why a value could not be encrypted or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// Not an encrypted value.
    #[error("the value is not encrypted the way this version does it")]
    Malformed,
    /// Encrypted by a key that the ring does not hold.
    #[error("the value is encrypted by a key that is not in the key ring")]
    UnknownKey,
    /// Altered, moved from another row or column, or another key under the same name.
    #[error("the value does not open: it was altered or moved, or the key is another one")]
    Broken,
    /// OpenSSL refused.
    #[error("cannot encrypt")]
    Refused,
}
