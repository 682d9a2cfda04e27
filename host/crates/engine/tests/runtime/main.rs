//! The runtime by its public face: real components, most of them ill-behaved.

#![expect(unreachable_pub, reason = "a test")]

mod answers;
mod bounds;
mod failures;
mod grants;
mod guests;
mod hooks;
mod refusals;
mod rig;
