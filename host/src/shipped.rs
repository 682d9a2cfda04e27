//! The policies that come with the host, so that running needs no Wasm toolchain. `policies/build` makes them.

/// Masks what identifies people and what opens doors.
pub(crate) const MASK: &[u8] = include_bytes!("../../policies/dist/mask.wasm");
/// Stops words, patterns, models, tools and sizes.
pub(crate) const BLOCK: &[u8] = include_bytes!("../../policies/dist/block.wasm");
/// Asks a person.
pub(crate) const APPROVE: &[u8] = include_bytes!("../../policies/dist/approve.wasm");
/// Stops everything.
pub(crate) const LOCKDOWN: &[u8] = include_bytes!("../../policies/dist/lockdown.wasm");
