//! What messages are signed with.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// How a secret is told apart from other text.
const PREFIX: &str = "whsec_";
/// Bytes that a secret has: the specification's bounds.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that a receiver shares. Not shown by `Debug`.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// From its text: `whsec_`, then 24 to 64 bytes as Base64.
    ///
    /// # Errors
    /// What is wrong with it, to be put after its name; never what is in it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let encoded = text.strip_prefix(PREFIX).ok_or("does not begin with `whsec_`")?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| "is not Base64 after `whsec_`")?);
        if !BYTES.contains(&bytes.len()) {
            return Err("does not have 24 to 64 bytes");
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// `v1,` and the signature as Base64.
    pub(super) fn sign(&self, content: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_only_in_the_specifications_form() {
        let of = |bytes: usize| format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]));
        for (text, good) in [
            (of(24), true),
            (of(64), true),
            (of(23), false),
            (of(65), false),
            (of(32).replace("whsec_", ""), false),
            (of(32).replace("whsec_", "whsk_"), false),
            (format!("{PREFIX}***"), false),
            (String::new(), false),
        ] {
            assert_eq!(Secret::parse(&text).is_ok(), good, "{text}");
        }
        assert_eq!(format!("{:?}", Secret::parse(&of(24)).unwrap()), "Secret(…)");
    }
}
