//! Sealing: secrets that we store for others are encrypted before they reach a table.
//!
//! A sealed value is `v1.<kid>.<base64url(nonce || ciphertext || tag)>`: AES-256-GCM under the key
//! `kid` of the ring. The additional data names the column and the row, so that a value moved to
//! another place does not open.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_domain::{Rng, Secret};
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::Id;
use openssl::pkey_ctx::PkeyCtx;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use zeroize::{Zeroize as _, Zeroizing};

use crate::encryption::sealed::SealedColumn;
use crate::engine::error::StoreError;

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Why a value could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a sealed value.
    #[error("the value is not sealed the way this version does it")]
    Malformed,
    /// Sealed by a key that the ring does not hold.
    #[error("the value is sealed by a key that is not in the key ring")]
    UnknownKey,
    /// Altered, moved from another row or column, or another key under the same name.
    #[error("the value does not open: it was altered or moved, or the key is another one")]
    Broken,
    /// OpenSSL refused.
    #[error("cannot seal")]
    Refused,
}

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

struct SealingKey {
    kid: String,
    key: [u8; KEY_BYTES],
}

impl Drop for SealingKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// The sealing keys: the first one seals, all of them open.
///
/// ```
/// use causeway_domain::SystemRng;
/// use causeway_store::encryption::seal::SealingKeyRing;
/// let (new, old) = (SealingKeyRing::generate(&SystemRng), SealingKeyRing::generate(&SystemRng));
/// let ring = SealingKeyRing::parse(&format!("{new}{old}"))?;
/// assert_eq!(ring.active_kid(), SealingKeyRing::parse(&new)?.active_kid());
/// assert_eq!(ring.older_kids().collect::<Vec<_>>(), [SealingKeyRing::parse(&old)?.active_kid()]);
/// # Ok::<(), causeway_store::encryption::seal::KeyRingError>(())
/// ```
#[derive(Clone)]
pub struct SealingKeyRing {
    keys: Arc<[SealingKey]>,
}

impl SealingKeyRing {
    /// Reads a key ring: one `kid:base64url(32 bytes)` a line, the first one active; `#` begins a comment.
    ///
    /// # Errors
    /// [`KeyRingError`] with the number of the line.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<SealingKey> = Vec::new();
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
            keys.push(SealingKey { kid: kid.to_owned(), key });
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
            "# Causeway's sealing keys: the first line seals, every line opens. Keep this file, and keep it secret.\n\
             {kid}:{}\n",
            encoded.as_str()
        )
    }

    /// The kid of the key that seals.
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
    /// [`SealError::Refused`] when OpenSSL fails.
    pub fn derive_keys(&self, purpose: &str) -> Result<Vec<Zeroizing<[u8; KEY_BYTES]>>, SealError> {
        let derive = |key: &SealingKey| {
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
        keys.map_err(|_| SealError::Refused)
    }

    /// Seals `plaintext` for one place: `column` is `table.column`, `row_key` the row's primary key.
    ///
    /// # Errors
    /// [`SealError::Refused`] when OpenSSL fails.
    fn seal(&self, column: &str, row_key: &str, plaintext: &[u8]) -> Result<String, SealError> {
        let key = self.keys.first().ok_or(SealError::UnknownKey)?;
        let mut sealed = vec![0_u8; NONCE_BYTES];
        openssl::rand::rand_bytes(&mut sealed).map_err(|_| SealError::Refused)?;
        let mut tag = [0_u8; TAG_BYTES];
        let place = additional_data(column, row_key);
        let ciphertext =
            encrypt_aead(Cipher::aes_256_gcm(), &key.key, Some(&sealed), &place, plaintext, &mut tag)
                .map_err(|_| SealError::Refused)?;
        sealed.extend_from_slice(&ciphertext);
        sealed.extend_from_slice(&tag);
        Ok(prefix(&key.kid) + &URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what [`Self::seal`] sealed for the same place.
    ///
    /// # Errors
    /// The [`SealError`] that says why it does not open.
    fn open(&self, column: &str, row_key: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let mut parts = sealed.split('.');
        let (Some(VERSION), Some(kid), Some(encoded), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Malformed);
        };
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(SealError::UnknownKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| SealError::Malformed)?;
        if bytes.len() < NONCE_BYTES + TAG_BYTES {
            return Err(SealError::Malformed);
        }
        let (nonce, rest) = bytes.split_at(NONCE_BYTES);
        let (ciphertext, tag) = rest.split_at(rest.len() - TAG_BYTES);
        let place = additional_data(column, row_key);
        decrypt_aead(Cipher::aes_256_gcm(), &key.key, Some(nonce), &place, ciphertext, tag)
            .map(Zeroizing::new)
            .map_err(|_| SealError::Broken)
    }

    pub(crate) fn seal_column(
        &self,
        column: SealedColumn,
        row_key: &str,
        plaintext: &str,
    ) -> Result<String, StoreError> {
        self.seal(column.name(), row_key, plaintext.as_bytes())
            .map_err(|error| StoreError::Seal { table: column.name(), error })
    }

    /// Opens a value with any key of the ring and seals it with the first one.
    pub(crate) fn reseal_column(
        &self,
        column: SealedColumn,
        row_key: &str,
        sealed: &str,
    ) -> Result<String, SealError> {
        let plaintext = self.open(column.name(), row_key, sealed)?;
        self.seal(column.name(), row_key, &plaintext)
    }

    pub(crate) fn open_column(
        &self,
        column: SealedColumn,
        row_key: &str,
        sealed: &str,
    ) -> Result<Secret, StoreError> {
        let fail = |error| StoreError::Seal { table: column.name(), error };
        let bytes = self.open(column.name(), row_key, sealed).map_err(fail)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| fail(SealError::Malformed))?;
        Ok(Secret::new(text))
    }
}

impl fmt::Debug for SealingKeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeyRing(active {}, {} keys)", self.active_kid(), self.keys.len())
    }
}

/// The prefix of every value that this key has sealed.
pub(crate) fn prefix(kid: &str) -> String {
    format!("{VERSION}.{kid}.")
}

/// The kid of the key that sealed a value, if it is recorded.
pub(crate) fn kid_of(sealed: &str) -> Option<&str> {
    let (version, rest) = sealed.split_once('.')?;
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
    use causeway_domain::SystemRng;

    use super::*;

    fn ring() -> SealingKeyRing {
        SealingKeyRing::parse(&SealingKeyRing::generate(&SystemRng)).unwrap()
    }

    #[test]
    fn opens_in_its_place_only() {
        let ring = ring();
        let sealed = ring.seal("t.c", "r", b"hunter2").unwrap();
        assert!(!sealed.contains("hunter2"));
        assert_eq!(ring.open("t.c", "r", &sealed).unwrap().as_slice(), b"hunter2");
        for (column, row) in [("t.c", "s"), ("t.d", "r"), ("u.c", "r"), ("t", "c\u{1f}r")] {
            assert_eq!(ring.open(column, row, &sealed).unwrap_err(), SealError::Broken, "{column} {row}");
        }
        assert_ne!(sealed, ring.seal("t.c", "r", b"hunter2").unwrap(), "a fresh nonce each time");
    }

    #[test]
    fn altered_values_do_not_open() {
        let ring = ring();
        let sealed = ring.seal("t.c", "r", b"hunter2").unwrap();
        let (head, encoded) = sealed.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(encoded).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            let altered = format!("{head}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert_eq!(ring.open("t.c", "r", &altered).unwrap_err(), SealError::Broken, "byte {index}");
            bytes[index] ^= 1;
        }
        for malformed in ["", "v1", "v1.k", "v2.k.AA", &format!("{sealed}.x"), &format!("{head}.AA")] {
            assert!(ring.open("t.c", "r", malformed).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn a_rotated_ring_opens_old_values() {
        let old = SealingKeyRing::generate(&SystemRng);
        let new = SealingKeyRing::generate(&SystemRng);
        let sealed = SealingKeyRing::parse(&old).unwrap().seal("t.c", "r", b"x").unwrap();
        let rotated = SealingKeyRing::parse(&format!("{new}{old}")).unwrap();
        assert_eq!(rotated.open("t.c", "r", &sealed).unwrap().as_slice(), b"x");
        let resealed = rotated.seal("t.c", "r", b"x").unwrap();
        let only_new = SealingKeyRing::parse(&new).unwrap();
        assert_eq!(only_new.open("t.c", "r", &resealed).unwrap().as_slice(), b"x");
        assert_eq!(only_new.open("t.c", "r", &sealed).unwrap_err(), SealError::UnknownKey);
    }

    /// RFC 5869 with an empty salt, computed apart from this code.
    #[test]
    fn derived_keys() {
        let ring = |keys: &[[u8; 32]]| {
            let lines =
                keys.iter().enumerate().map(|(n, key)| format!("k{n}:{}\n", URL_SAFE_NO_PAD.encode(key)));
            SealingKeyRing::parse(&lines.collect::<String>()).unwrap()
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
        let ok = SealingKeyRing::parse(&format!("# two\na:{key} # active\n\n b : {key}=\n")).unwrap();
        assert_eq!(ok.active_kid(), "a");
        assert_eq!(format!("{ok:?}"), "SealingKeyRing(active a, 2 keys)");
        for (text, error) in [
            (String::new(), KeyRingError::Empty),
            ("# only a comment".to_owned(), KeyRingError::Empty),
            (format!("a{key}"), KeyRingError::Line(1)),
            (format!("\n:{key}"), KeyRingError::Line(2)),
            (format!("a.b:{key}"), KeyRingError::Line(1)),
            ("a:AAAA".to_owned(), KeyRingError::Line(1)),
            (format!("a:{key}\na:{key}"), KeyRingError::Repeated(2)),
        ] {
            assert_eq!(SealingKeyRing::parse(&text).unwrap_err(), error, "{text:?}");
        }
    }
}
