//! Keys of an issuer (JWK Set, RFC 7517): which of them may check which token, and for how long they are believed.
//!
//! What must hold: a key serves one family of algorithms on one curve; a key that is weak, secret, or published with its
//! private half serves nothing; a token that no key or more than one key fits is refused.

mod cache;
mod keeper;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

pub use cache::Freshness;
pub(crate) use keeper::{Fetch, Fetched, Keeper};

use crate::jwt::{Algorithm, Fault, object};

/// The most keys of a set that are looked at.
const KEYS: usize = 100;
/// The shortest RSA modulus (RFC 7518, 3.3), and the longest that is worth its time, in bytes.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// The longest RSA exponent, in bytes; 65537 has three.
const EXPONENT_BYTES: usize = 4;

/// The set could not be read.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a JWK Set")]
pub(crate) struct NotKeys;

/// The keys of a set that can check tokens.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Key {
    kid: Option<String>,
    /// Set where the key is for one algorithm only.
    algorithm: Option<Algorithm>,
    kind: Kind,
    /// The key itself.
    pub(crate) decoding: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    fn serves(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => self == Self::Rsa,
            Algorithm::Es256 => self == Self::P256,
            Algorithm::Es384 => self == Self::P384,
            Algorithm::EdDsa | Algorithm::Ed25519 => self == Self::Ed25519,
        }
    }
}

/// What was found for a token.
#[derive(Debug)]
pub(crate) enum Fits<'k> {
    /// Exactly this.
    One(&'k Key),
    /// None.
    None,
    /// Several: which of them is meant can't be said.
    Several,
}

impl KeySet {
    /// Reads a set. Keys that can't check tokens (encryption, unknown types, secrets) are left out; the others stay.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, NotKeys> {
        let set = object(bytes).ok_or(NotKeys)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(NotKeys)?;
        if keys.len() > KEYS {
            return Err(NotKeys);
        }
        Ok(Self(keys.iter().filter_map(Value::as_object).filter_map(Key::read).collect()))
    }

    /// The key for a token with this `kid` (or none) and algorithm.
    pub(crate) fn fit(&self, kid: Option<&str>, algorithm: Algorithm) -> Fits<'_> {
        let mut fitting = self.0.iter().filter(|key| {
            key.kind.serves(algorithm)
                && key.algorithm.is_none_or(|only| same(only, algorithm))
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Fits::One(key),
            (None, _) => Fits::None,
            (Some(_), Some(_)) => Fits::Several,
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// `EdDSA` and `Ed25519` are two names of one algorithm here.
fn same(one: Algorithm, other: Algorithm) -> bool {
    let ed = |algorithm| matches!(algorithm, Algorithm::EdDsa | Algorithm::Ed25519);
    one == other || (ed(one) && ed(other))
}

impl Key {
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        // Whoever reads the set could sign with it.
        if ["d", "p", "q", "k"].iter().any(|private| jwk.contains_key(*private)) {
            return None;
        }
        if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let verifies = |operations: &Value| {
            operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
        };
        if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
            return None;
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(algorithm) => Some(Algorithm::named(algorithm.as_str()?)?),
        };
        let (kind, decoding) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (Kind::Rsa, rsa(text("n")?, text("e")?)?),
            ("EC", Some("P-256")) => (Kind::P256, point(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (Kind::P384, point(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = text("x").filter(|x| bytes(x).is_some_and(|x| x.len() == 32))?;
                (Kind::Ed25519, DecodingKey::from_ed_components(x).ok()?)
            }
            _ => return None,
        };
        if algorithm.is_some_and(|algorithm| !kind.serves(algorithm)) {
            return None;
        }
        Some(Self { kid, algorithm, kind, decoding })
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    // Some issuers write the sign byte of the DER form; the number is the same.
    let number = |text: &str| {
        let bytes = bytes(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec())
    };
    let (modulus, exponent) = (number(modulus)?, number(exponent)?);
    let odd_and_not_one = exponent.last().is_some_and(|last| last % 2 == 1) && exponent != [1];
    let sound = MODULUS_BYTES.contains(&modulus.len()) && exponent.len() <= EXPONENT_BYTES && odd_and_not_one;
    sound.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn point(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let sound = [x, y].iter().all(|half| bytes(half).is_some_and(|bytes| bytes.len() == length));
    sound.then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
}

impl Fits<'_> {
    /// Why a token is refused that nothing here signed, when the keys are certain to be the newest.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::One(_) => Fault::Signature,
            Self::None | Self::Several => Fault::Key,
        }
    }
}

#[cfg(test)]
mod tests;
