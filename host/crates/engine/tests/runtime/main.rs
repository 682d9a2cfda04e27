//! The runtime by its public face: real components, most of them ill-behaved.

#![expect(unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "a test: helpers fail it by panicking")]

mod answers;
mod bounds;
mod failures;
mod grants;
mod guests;
mod hooks;
mod refusals;
mod rig;
