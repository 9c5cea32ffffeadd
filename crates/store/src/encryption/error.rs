//! Errors of encryption.

/// Why a value could not be encrypted or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// Not an encrypted value.
    #[error("the value is not encrypted in the format of this version")]
    Malformed,
    /// Encrypted by a key that the ring does not hold.
    #[error("the value is encrypted with a key that is not in the key ring")]
    UnknownKey,
    /// Altered, moved from another row or column, or another key under the same name.
    #[error("the value cannot be decrypted: it was altered or moved, or the key is a different one")]
    Broken,
    /// OpenSSL refused.
    #[error("cannot encrypt")]
    Refused,
}
