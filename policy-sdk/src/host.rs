//! What the host offers. Whatever a policy calls here becomes an import of its component; all but [`log`] need the
//! operator's grant.
//!
//! In a native build there is no host: [`log`] writes to stderr, and calling anything else panics.

pub use crate::bindings::portcullis::policy::{clock, log::Level, scan, state};

/// Writes to the operator's log; the host adds the policy and the exchange, and limits rate and size.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::portcullis::policy::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::io::Write as _;
        // A test's stderr that is gone is no reason to fail the test.
        let _ = writeln!(std::io::stderr(), "{level:?}: {message}");
    }
}
