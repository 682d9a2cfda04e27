//! Signatures: the algorithms there are, and the one call into the library that checks them.

use jsonwebtoken::DecodingKey;

use super::{Compact, Fault};

/// A signature algorithm (RFC 7518, 3.1; RFC 8037; RFC 9864). Asymmetric ones only: a secret that the gate shares with
/// an issuer would let the gate, and whoever reads a public key as a secret, make tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// … with SHA-384.
    Rs384,
    /// … with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// … with SHA-384.
    Ps384,
    /// … with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// `EdDSA`, which is Ed25519 here.
    EdDsa,
    /// The same under its new name.
    Ed25519,
}

impl Algorithm {
    /// All of them, by the names they have in tokens and in the configuration.
    pub const ALL: [(&'static str, Self); 10] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
        ("Ed25519", Self::Ed25519),
    ];

    /// The algorithm with exactly this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(known, algorithm)| (known == name).then_some(algorithm))
    }

    fn in_library(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Library;
        match self {
            Self::Rs256 => Library::RS256,
            Self::Rs384 => Library::RS384,
            Self::Rs512 => Library::RS512,
            Self::Ps256 => Library::PS256,
            Self::Ps384 => Library::PS384,
            Self::Ps512 => Library::PS512,
            Self::Es256 => Library::ES256,
            Self::Es384 => Library::ES384,
            Self::EdDsa | Self::Ed25519 => Library::EdDSA,
        }
    }

    /// Bytes of a signature, where they are the same for every key (RFC 7518, 3.4).
    fn signature_bytes(self) -> Option<usize> {
        match self {
            Self::Es256 | Self::EdDsa | Self::Ed25519 => Some(64),
            Self::Es384 => Some(96),
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => None,
        }
    }
}

/// What is wrong with a signature for every key there is: refused before a key is looked for. A zero `r` or `s` passes
/// for any message in a careless library (CVE-2022-21449).
pub(crate) fn sound(token: &Compact<'_>) -> Result<(), Fault> {
    let algorithm = token.header.algorithm;
    let bytes = &token.signature_bytes;
    let Some(length) = algorithm.signature_bytes() else { return Ok(()) };
    if bytes.len() != length {
        return Err(Fault::Signature);
    }
    let zero = |half: &[u8]| half.iter().all(|byte| *byte == 0);
    let (r, s) = bytes.split_at(length / 2);
    let ecdsa = matches!(algorithm, Algorithm::Es256 | Algorithm::Es384);
    if ecdsa && (zero(r) || zero(s)) {
        return Err(Fault::Signature);
    }
    Ok(())
}

/// Whether `key` signed the token. The key is one that its set says is for this algorithm.
pub(crate) fn signature_holds(token: &Compact<'_>, key: &DecodingKey) -> Result<(), Fault> {
    let algorithm = token.header.algorithm.in_library();
    match jsonwebtoken::crypto::verify(token.signature, token.signed.as_bytes(), key, algorithm) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Fault::Signature),
    }
}
