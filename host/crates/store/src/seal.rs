//! Values of the databases that are no frames: encoded, with a hash over their key and themselves at the end. Pure.

use serde::{Serialize, de::DeserializeOwned};

/// Bytes of the hash.
const SEAL: usize = 16;

/// The bytes to store under `key`.
///
/// # Errors
/// When the value can't be encoded.
pub(crate) fn seal(key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(value, Vec::new())?;
    let hash = hash(key, &bytes);
    bytes.extend_from_slice(&hash);
    Ok(bytes)
}

/// The value that was stored under `key`; none when anything differs from what was sealed.
pub(crate) fn unseal<T: DeserializeOwned>(key: &[u8], sealed: &[u8]) -> Option<T> {
    let (bytes, found) = sealed.split_last_chunk::<SEAL>()?;
    if hash(key, bytes) != *found {
        return None;
    }
    postcard::from_bytes(bytes).ok()
}

fn hash(key: &[u8], value: &[u8]) -> [u8; SEAL] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    let mut hash = [0; SEAL];
    hasher.finalize_xof().fill(&mut hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_other_key_is_noticed() {
        let sealed = seal(b"key", &("value", 7_u64)).unwrap();
        assert_eq!(unseal::<(String, u64)>(b"key", &sealed), Some(("value".to_owned(), 7)));
        assert_eq!(unseal::<(String, u64)>(b"kez", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal::<(String, u64)>(b"key", &flipped), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(unseal::<(String, u64)>(b"key", &sealed[..length]), None, "length {length}");
        }
    }
}
