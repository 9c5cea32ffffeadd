//! Randomness, passed in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where random bytes come from. Implementations must be cryptographically secure outside tests.
pub trait Rng: Send + Sync + fmt::Debug {
    /// Fills `buf` with random bytes.
    fn fill(&self, buf: &mut [u8]);
}

impl dyn Rng + '_ {
    /// `N` random bytes as unpadded base64url (RFC 4648 section 5).
    pub fn base64url<const N: usize>(&self) -> String {
        let mut bytes = [0_u8; N];
        self.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    /// # Panics
    /// When the operating system has no entropy to give: nothing safe can be done without it.
    #[expect(clippy::expect_used, reason = "a server without entropy must stop")]
    fn fill(&self, buf: &mut [u8]) {
        getrandom::fill(buf).expect("the operating system provides random bytes");
    }
}
