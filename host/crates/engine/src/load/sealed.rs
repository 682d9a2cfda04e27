//! Machine code that this installation itself has made, as a value: whoever holds a [`Sealed`] may run it.
//!
//! What must hold: a `Sealed` comes from this host's own compiling child ([`super::compile`]), either straight from its
//! output or out of the cache after its HMAC was verified ([`super::cache`]). Nothing else makes one.

use wasmtime::{Engine, component::Component};

use super::{Refused, stage};

/// A precompiled component that may be trusted.
#[derive(Clone)]
pub(super) struct Sealed(Vec<u8>);

impl Sealed {
    /// The output of a child that ended well.
    pub(super) fn from_child(output: Vec<u8>) -> Self {
        Self(output)
    }

    /// What the cache kept, its HMAC verified.
    pub(super) fn from_cache(verified: Vec<u8>) -> Self {
        Self(verified)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Makes it runnable.
    ///
    /// # Errors
    /// [`Refused`] when it was made for another engine or another configuration.
    #[expect(
        unsafe_code,
        reason = "wasmtime offers no safe way to load what it has compiled in another process; the argument is below and in \
                  host/docs/decisions/0003-one-unsafe-call.md"
    )]
    pub(super) fn load(&self, engine: &Engine) -> Result<Component, Refused> {
        // SAFETY: `deserialize` asks that the bytes are the unmodified output of `Engine::precompile_component`.
        // - Unmodified output: a `Sealed` is made in two places only. `from_child` takes what this very program, started
        //   by the host by its own path, wrote to a pipe that nobody else holds, and only when it exited with success.
        //   `from_cache` takes bytes whose HMAC-SHA-256, under a random key that only this user can read, was verified
        //   over these very bytes in memory; what was sealed under that key was the output of such a child.
        // - No file is mapped: the bytes are owned, so nothing can change them between the check and here.
        // - The same engine: wasmtime compares its version, target and settings, which the artefact carries, and answers
        //   `Err` when they differ; the name in the cache covers `precompile_compatibility_hash` besides.
        // - A policy's author controls the compiler's input, not its output; that wasmtime compiles hostile input to
        //   harmless code is the promise on which the whole sandbox stands, in this process or in a child.
        unsafe { Component::deserialize(engine, &self.0) }
            .map_err(|error| Refused::new(stage::COMPILE, format!("the compiled policy can't be loaded: {error:#}")))
    }
}
