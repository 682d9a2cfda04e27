//! SHA-256 of what policies are made of.

use std::hash::Hasher;

use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;

/// SHA-256 over a series of fields, each with its length before it, so that no two series are alike.
pub(crate) fn of_fields<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut context = Context::new(&SHA256);
    for field in fields {
        context.update(&(field.len() as u64).to_le_bytes());
        context.update(field);
    }
    finish(context)
}

/// SHA-256 of bytes as they are: what `sha256sum` prints.
pub(crate) fn of_bytes(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finish(context)
}

fn finish(context: Context) -> Digest {
    let mut digest = Digest::default();
    digest.0.copy_from_slice(context.finish().as_ref());
    digest
}

/// Collects what a `Hash` value feeds a hasher, so that all of it counts and not only 64 bits.
pub(crate) struct Collect(Context);

impl Collect {
    pub(crate) fn of(value: &impl std::hash::Hash) -> Digest {
        let mut all = Self(Context::new(&SHA256));
        value.hash(&mut all);
        finish(all.0)
    }
}

impl Hasher for Collect {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        digest.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(of_fields([&b"ab"[..], b"c"]), of_fields([&b"a"[..], b"bc"]));
        assert_ne!(of_fields([&b"a"[..]]), of_fields([&b"a"[..], b""]));
    }

    #[test]
    fn bytes_hash_as_everywhere() {
        assert_eq!(of_bytes(b"").short(), "e3b0c442");
    }
}
