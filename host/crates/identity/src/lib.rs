//! Who a credential belongs to. For now: static tokens from the configuration.
//!
//! What must hold: no credential is kept, shown or compared in clear; a comparison takes the same time whatever it
//! finds; no credential is known that the configuration does not name.

mod tokens;

pub use tokens::{StaticToken, StaticTokens};

use model::Digest;

/// What is kept of a credential: its SHA-256.
#[must_use]
pub fn digest(credential: &str) -> Digest {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, credential.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Digest(bytes)
}
