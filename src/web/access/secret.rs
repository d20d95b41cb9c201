//! Secrets of browsers: random, told to them once, kept here as hashes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

// === impl Secret ===

impl Secret {
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut bytes)
            .expect("the system gives random bytes, as it did for the certificates");
        Self(bytes)
    }

    /// As [`Secret::text`] wrote it.
    pub fn read(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What it is known by where it is kept.
    pub fn key(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Another secret for a purpose, which tells nothing of this one.
    pub fn derived(&self, purpose: &str) -> String {
        let mut hash = Sha256::new_with_prefix(purpose);
        hash.update(self.0);
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }

    /// Whether `shown` is what is derived of it.
    pub fn has_derived(&self, purpose: &str, shown: &str) -> bool {
        self.derived(purpose).as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
