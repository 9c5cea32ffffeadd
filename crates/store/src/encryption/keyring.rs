//! Encryption: secrets that we store for others are encrypted before they reach a table.
//!
//! A encrypted value is `v1.<kid>.<base64url(nonce || ciphertext || tag)>`: AES-256-GCM under the key
//! `kid` of the ring. The additional data names the column and the row, so that a value moved to
//! another place does not open.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_types::{Rng, Secret};
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::Id;
use openssl::pkey_ctx::PkeyCtx;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use zeroize::{Zeroize as _, Zeroizing};

use crate::encryption::columns::EncryptedColumn;
pub use crate::encryption::error::EncryptionError;
use crate::engine::error::StoreError;

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Why a key ring's text was refused. No part of the text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// A line is not `kid:key`.
    #[error("line {0} is not of the form kid:base64url-of-32-bytes")]
    Line(usize),
    /// A kid twice.
    #[error("line {0} repeats a kid")]
    Repeated(usize),
    /// No key at all.
    #[error("holds no key")]
    Empty,
}

struct EncryptionKey {
    kid: String,
    key: [u8; KEY_BYTES],
}

impl Drop for EncryptionKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// The encryption keys: the first one encrypts, all of them open.
///
/// ```
/// use causeway_types::SystemRng;
/// use causeway_store::encryption::keyring::EncryptionKeyRing;
/// let (new, old) = (EncryptionKeyRing::generate(&SystemRng), EncryptionKeyRing::generate(&SystemRng));
/// let ring = EncryptionKeyRing::parse(&format!("{new}{old}"))?;
/// assert_eq!(ring.active_kid(), EncryptionKeyRing::parse(&new)?.active_kid());
/// assert_eq!(ring.older_kids().collect::<Vec<_>>(), [EncryptionKeyRing::parse(&old)?.active_kid()]);
/// # Ok::<(), causeway_store::encryption::keyring::KeyRingError>(())
/// ```
#[derive(Clone)]
pub struct EncryptionKeyRing {
    keys: Arc<[EncryptionKey]>,
}

impl EncryptionKeyRing {
    /// Reads a key ring: one `kid:base64url(32 bytes)` a line, the first one active; `#` begins a comment.
    ///
    /// # Errors
    /// [`KeyRingError`] with the number of the line.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<EncryptionKey> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (kid, encoded) = line.split_once(':').ok_or(KeyRingError::Line(number))?;
            let (kid, encoded) = (kid.trim(), encoded.trim());
            let named = !kid.is_empty()
                && kid.len() <= 64
                && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            let decoded = Zeroizing::new(
                URL_SAFE_NO_PAD
                    .decode(encoded.trim_end_matches('='))
                    .map_err(|_| KeyRingError::Line(number))?,
            );
            let key = <[u8; KEY_BYTES]>::try_from(decoded.as_slice())
                .ok()
                .filter(|_| named)
                .ok_or(KeyRingError::Line(number))?;
            if keys.iter().any(|other| other.kid == kid) {
                return Err(KeyRingError::Repeated(number));
            }
            keys.push(EncryptionKey { kid: kid.to_owned(), key });
        }
        if keys.is_empty() { Err(KeyRingError::Empty) } else { Ok(Self { keys: keys.into() }) }
    }

    /// The text of a new key ring with one key.
    pub fn generate(rng: &dyn Rng) -> String {
        let kid = rng.base64url::<6>();
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        rng.fill(key.as_mut_slice());
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.as_slice()));
        format!(
            "# Causeway's encryption keys: the first line encrypts, every line decrypts. Back this file up and keep it secret.\n\
             {kid}:{}\n",
            encoded.as_str()
        )
    }

    /// The kid of the key that encrypts.
    pub fn active_kid(&self) -> &str {
        self.keys.first().map_or("", |key| key.kid.as_str())
    }

    /// The kids of the keys that only open.
    pub fn older_kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().skip(1).map(|key| key.kid.as_str())
    }

    /// Derives keys for another purpose, one from each key of the ring and in their order: HKDF-SHA256
    /// (RFC 5869) with `purpose` as its `info`. A leaked derived key reveals nothing about the ring or the
    /// others.
    ///
    /// # Errors
    /// [`EncryptionError::Refused`] when OpenSSL fails.
    pub fn derive_keys(&self, purpose: &str) -> Result<Vec<Zeroizing<[u8; KEY_BYTES]>>, EncryptionError> {
        let derive = |key: &EncryptionKey| {
            let mut derived = Zeroizing::new([0_u8; KEY_BYTES]);
            let mut context = PkeyCtx::new_id(Id::HKDF)?;
            context.derive_init()?;
            context.set_hkdf_md(Md::sha256())?;
            context.set_hkdf_key(&key.key)?;
            context.add_hkdf_info(purpose.as_bytes())?;
            context.derive(Some(derived.as_mut_slice()))?;
            Ok(derived)
        };
        let keys: Result<Vec<_>, ErrorStack> = self.keys.iter().map(derive).collect();
        keys.map_err(|_| EncryptionError::Refused)
    }

    /// Encrypts `plaintext` for one place: `column` is `table.column`, `row_key` the row's primary key.
    ///
    /// # Errors
    /// [`EncryptionError::Refused`] when OpenSSL fails.
    pub(super) fn encrypt(
        &self,
        column: &str,
        row_key: &str,
        plaintext: &[u8],
    ) -> Result<String, EncryptionError> {
        let key = self.keys.first().ok_or(EncryptionError::UnknownKey)?;
        let mut encrypted = vec![0_u8; NONCE_BYTES];
        openssl::rand::rand_bytes(&mut encrypted).map_err(|_| EncryptionError::Refused)?;
        let mut tag = [0_u8; TAG_BYTES];
        let place = additional_data(column, row_key);
        let ciphertext =
            encrypt_aead(Cipher::aes_256_gcm(), &key.key, Some(&encrypted), &place, plaintext, &mut tag)
                .map_err(|_| EncryptionError::Refused)?;
        encrypted.extend_from_slice(&ciphertext);
        encrypted.extend_from_slice(&tag);
        Ok(prefix(&key.kid) + &URL_SAFE_NO_PAD.encode(encrypted))
    }

    /// Opens what [`Self::encrypt`] encrypted for the same place.
    ///
    /// # Errors
    /// The [`EncryptionError`] that says why it does not open.
    pub(super) fn open(
        &self,
        column: &str,
        row_key: &str,
        encrypted: &str,
    ) -> Result<Zeroizing<Vec<u8>>, EncryptionError> {
        let mut parts = encrypted.split('.');
        let (Some(VERSION), Some(kid), Some(encoded), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(EncryptionError::Malformed);
        };
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(EncryptionError::UnknownKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| EncryptionError::Malformed)?;
        if bytes.len() < NONCE_BYTES + TAG_BYTES {
            return Err(EncryptionError::Malformed);
        }
        let (nonce, rest) = bytes.split_at(NONCE_BYTES);
        let (ciphertext, tag) = rest.split_at(rest.len() - TAG_BYTES);
        let place = additional_data(column, row_key);
        decrypt_aead(Cipher::aes_256_gcm(), &key.key, Some(nonce), &place, ciphertext, tag)
            .map(Zeroizing::new)
            .map_err(|_| EncryptionError::Broken)
    }

    pub(crate) fn encrypt_column(
        &self,
        column: EncryptedColumn,
        row_key: &str,
        plaintext: &str,
    ) -> Result<String, StoreError> {
        self.encrypt(column.name(), row_key, plaintext.as_bytes())
            .map_err(|error| StoreError::Encrypt { table: column.name(), error })
    }

    /// Opens a value with any key of the ring and encrypts it with the first one.
    pub(crate) fn reencrypt_column(
        &self,
        column: EncryptedColumn,
        row_key: &str,
        encrypted: &str,
    ) -> Result<String, EncryptionError> {
        let plaintext = self.open(column.name(), row_key, encrypted)?;
        self.encrypt(column.name(), row_key, &plaintext)
    }

    pub(crate) fn open_column(
        &self,
        column: EncryptedColumn,
        row_key: &str,
        encrypted: &str,
    ) -> Result<Secret, StoreError> {
        let fail = |error| StoreError::Encrypt { table: column.name(), error };
        let bytes = self.open(column.name(), row_key, encrypted).map_err(fail)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| fail(EncryptionError::Malformed))?;
        Ok(Secret::new(text))
    }
}

impl fmt::Debug for EncryptionKeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKeyRing(active {}, {} keys)", self.active_kid(), self.keys.len())
    }
}

/// The prefix of every value that this key has encrypted.
pub(crate) fn prefix(kid: &str) -> String {
    format!("{VERSION}.{kid}.")
}

/// The kid of the key that encrypted a value, if it is recorded.
pub(crate) fn kid_of(encrypted: &str) -> Option<&str> {
    let (version, rest) = encrypted.split_once('.')?;
    let (kid, _) = rest.split_once('.')?;
    (version == VERSION).then_some(kid)
}

/// Neither part can hold the separator, so no two places share their additional data.
fn additional_data(column: &str, row_key: &str) -> Vec<u8> {
    let mut place = Vec::with_capacity(column.len() + row_key.len() + 1);
    let (table, column) = column.split_once('.').unwrap_or((column, ""));
    place.extend_from_slice(table.as_bytes());
    place.push(0x1f);
    place.extend_from_slice(column.as_bytes());
    place.push(0x1f);
    place.extend_from_slice(row_key.as_bytes());
    place
}

#[cfg(test)]
mod tests {
    use causeway_types::SystemRng;

    use super::*;

    fn ring() -> EncryptionKeyRing {
        EncryptionKeyRing::parse(&EncryptionKeyRing::generate(&SystemRng)).unwrap()
    }

    #[test]
    fn opens_in_its_place_only() {
        let ring = ring();
        let encrypted = ring.encrypt("t.c", "r", b"hunter2").unwrap();
        assert!(!encrypted.contains("hunter2"));
        assert_eq!(ring.open("t.c", "r", &encrypted).unwrap().as_slice(), b"hunter2");
        for (column, row) in [("t.c", "s"), ("t.d", "r"), ("u.c", "r"), ("t", "c\u{1f}r")] {
            assert_eq!(
                ring.open(column, row, &encrypted).unwrap_err(),
                EncryptionError::Broken,
                "{column} {row}"
            );
        }
        assert_ne!(encrypted, ring.encrypt("t.c", "r", b"hunter2").unwrap(), "a fresh nonce each time");
    }

    #[test]
    fn altered_values_do_not_open() {
        let ring = ring();
        let encrypted = ring.encrypt("t.c", "r", b"hunter2").unwrap();
        let (head, encoded) = encrypted.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(encoded).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            let altered = format!("{head}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert_eq!(ring.open("t.c", "r", &altered).unwrap_err(), EncryptionError::Broken, "byte {index}");
            bytes[index] ^= 1;
        }
        for malformed in ["", "v1", "v1.k", "v2.k.AA", &format!("{encrypted}.x"), &format!("{head}.AA")] {
            assert!(ring.open("t.c", "r", malformed).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn a_rotated_ring_opens_old_values() {
        let old = EncryptionKeyRing::generate(&SystemRng);
        let new = EncryptionKeyRing::generate(&SystemRng);
        let encrypted = EncryptionKeyRing::parse(&old).unwrap().encrypt("t.c", "r", b"x").unwrap();
        let rotated = EncryptionKeyRing::parse(&format!("{new}{old}")).unwrap();
        assert_eq!(rotated.open("t.c", "r", &encrypted).unwrap().as_slice(), b"x");
        let reencrypted = rotated.encrypt("t.c", "r", b"x").unwrap();
        let only_new = EncryptionKeyRing::parse(&new).unwrap();
        assert_eq!(only_new.open("t.c", "r", &reencrypted).unwrap().as_slice(), b"x");
        assert_eq!(only_new.open("t.c", "r", &encrypted).unwrap_err(), EncryptionError::UnknownKey);
    }

    /// RFC 5869 with an empty salt, computed apart from this code.
    #[test]
    fn derived_keys() {
        let ring = |keys: &[[u8; 32]]| {
            let lines =
                keys.iter().enumerate().map(|(n, key)| format!("k{n}:{}\n", URL_SAFE_NO_PAD.encode(key)));
            EncryptionKeyRing::parse(&lines.collect::<String>()).unwrap()
        };
        let hmac = |key: &[u8], text: &[u8]| {
            let key = openssl::pkey::PKey::hmac(key).unwrap();
            let mut signer =
                openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key).unwrap();
            signer.sign_oneshot_to_vec(text).unwrap()
        };
        let derived = ring(&[[7; 32], [8; 32]]).derive_keys("purpose").unwrap();
        assert_eq!(derived.len(), 2);
        assert_eq!(derived[0].as_slice(), hmac(&hmac(&[0; 32], &[7; 32]), b"purpose\x01"));
        assert_eq!(ring(&[[8; 32]]).derive_keys("purpose").unwrap()[0], derived[1]);
        assert_ne!(ring(&[[7; 32]]).derive_keys("other").unwrap()[0], derived[0]);
    }

    #[test]
    fn ring_texts() {
        let key = URL_SAFE_NO_PAD.encode([7; 32]);
        let ok = EncryptionKeyRing::parse(&format!("# two\na:{key} # active\n\n b : {key}=\n")).unwrap();
        assert_eq!(ok.active_kid(), "a");
        assert_eq!(format!("{ok:?}"), "EncryptionKeyRing(active a, 2 keys)");
        for (text, error) in [
            (String::new(), KeyRingError::Empty),
            ("# only a comment".to_owned(), KeyRingError::Empty),
            (format!("a{key}"), KeyRingError::Line(1)),
            (format!("\n:{key}"), KeyRingError::Line(2)),
            (format!("a.b:{key}"), KeyRingError::Line(1)),
            ("a:AAAA".to_owned(), KeyRingError::Line(1)),
            (format!("a:{key}\na:{key}"), KeyRingError::Repeated(2)),
        ] {
            assert_eq!(EncryptionKeyRing::parse(&text).unwrap_err(), error, "{text:?}");
        }
    }
}
