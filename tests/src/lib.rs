//! What the whole-system tests stand on. The tests themselves are in `tests/`: each starts the real binary, puts a
//! scripted upstream behind it and a client that sees exact bytes in front of it, and says what must come out.
//!
//! What must hold: nothing here is shared with the host (its own HTTP, SSE and JSON readers), so that a mistake in
//! the host can't hide behind the same mistake here; nothing waits for time to pass, only for things to happen.

pub mod house;
pub mod leaks;
pub mod rig;
