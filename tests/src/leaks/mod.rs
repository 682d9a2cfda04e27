//! The leak campaign: canaries through one running host, in every dialect and channel, cut at every place, in every
//! content encoding, spelled and escaped in every way that we know of, and an oracle that looks for them in what comes out.
//! `tests/leaks` runs it; `host/docs/leaks.md` says what it shows.
//!
//! ```text
//!   places.toml ─▶ matrix ─▶ make ──▶ serve ─▶ HOST ─▶ ask ──▶ oracle ─▶ run: streams N, leaks K
//!    (forms)       (case)   (bytes)  (upstream)      (caller) └▶ sdk (a sample)
//! ```
//!
//! What must hold: nothing of the host's code is in here; a check that finds nothing has been shown to find what is there
//! (the same cases with no policy in force).

mod ask;
mod canary;
mod clean;
mod frame;
mod json;
mod make;
mod matrix;
mod oracle;
mod pack;
mod places;
mod run;
mod sdk;
mod serve;

pub use clean::Clean;
pub use matrix::Id;
pub use run::{Campaign, Finding, Report, Stored};
pub use sdk::Sample;
