//! Signatures: the algorithms there are, and the one call into the library that checks them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
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

/// The orders of P-256 and of P-384 (FIPS 186-5; SEC 2, 2.4.2 and 2.5.1).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
const P384_ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// The other text that is the same token: where (r, s) is an ECDSA signature, (r, n − s) is one of the same message,
/// and whoever has a token can write it so. Who revokes one text by its hash means both. None where the signature has
/// one form.
pub(crate) fn twin(token: &Compact<'_>) -> Option<String> {
    let order: &[u8] = match token.header.algorithm {
        Algorithm::Es256 => &P256_ORDER,
        Algorithm::Es384 => &P384_ORDER,
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => return None,
    };
    let (r, s) = token.signature_bytes.split_at_checked(order.len())?;
    let other = [r, &difference(order, s)?].concat();
    Some(format!("{}.{}", token.signed, URL_SAFE_NO_PAD.encode(other)))
}

/// `from` − `number`, both big-endian and of one length; none where that is less than nothing.
fn difference(from: &[u8], number: &[u8]) -> Option<Vec<u8>> {
    if from.len() != number.len() {
        return None;
    }
    let mut borrowed = false;
    let mut digits = Vec::with_capacity(from.len());
    for (from, digit) in from.iter().zip(number).rev() {
        let (rest, first) = from.overflowing_sub(*digit);
        let (rest, second) = rest.overflowing_sub(borrowed.into());
        borrowed = first || second;
        digits.push(rest);
    }
    digits.reverse();
    (!borrowed).then_some(digits)
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

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
            KeyPair,
        },
    };
    use serde_json::json;

    use super::*;

    /// A token that this algorithm signed, and the key to check it.
    fn signed(name: &str, how: &'static EcdsaSigningAlgorithm) -> (String, DecodingKey) {
        let pair = EcdsaKeyPair::generate(how).unwrap();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let head = format!("{}.{}", encode(json!({ "alg": name }).to_string().as_bytes()), encode(b"{}"));
        let signature = pair.sign(&SystemRandom::new(), head.as_bytes()).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
        let key = DecodingKey::from_ec_components(&encode(x), &encode(y)).unwrap();
        (format!("{head}.{}", encode(signature.as_ref())), key)
    }

    #[test]
    fn the_twin_of_a_token_holds_and_its_twin_is_the_token() {
        for (name, how) in [("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING), ("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING)] {
            let (token, key) = signed(name, how);
            let one = Compact::read(&token).unwrap();
            assert_eq!(signature_holds(&one, &key), Ok(()), "{name}");
            let text = twin(&one).unwrap();
            assert_ne!(text, token);
            let other = Compact::read(&text).unwrap();
            assert_eq!((sound(&other), signature_holds(&other, &key)), (Ok(()), Ok(())), "{name}: it is as good");
            assert_eq!(twin(&other).as_ref(), Some(&token));
        }
    }

    #[test]
    fn what_has_one_form_has_no_twin() {
        let token = |alg: &str, signature: &[u8]| {
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let head = encode(json!({ "alg": alg }).to_string().as_bytes());
            format!("{head}.{}.{}", encode(b"{}"), encode(signature))
        };
        for (alg, signature) in
            [("EdDSA", &[1; 64][..]), ("RS256", &[1; 256]), ("ES256", &[0xff; 64]), ("ES256", &[1; 63])]
        {
            let text = token(alg, signature);
            assert_eq!(twin(&Compact::read(&text).unwrap()), None, "{alg}");
        }
    }
}
