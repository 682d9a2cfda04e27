//! The front door of HTTP/1.1: raw bytes of a connection, looked at before any parser of messages sees them.
//!
//! ```text
//!   socket ──▶ bytes ──▶ Requests (callers) ──▶ hyper ──▶ the path
//!                        Responses (upstreams)
//!                          │ head: lines, fields, framing    nothing of it passes before all of it was read
//!                          │ body: length, chunks, trailers  passes as it comes
//!                          ╰─▶ Refusal: nothing more passes
//! ```
//!
//! It parses nothing for others: it only lets pass what has one meaning, and knows where each message ends. What must
//! hold: what comes out does not depend on how the network cut it; a head passes whole or not at all; behind a refusal
//! nothing passes. Pure: no I/O, no clock, no allocation but for trailers.

mod body;
mod chunks;
mod fields;
mod grammar;
mod lines;
mod refusal;
mod request;
mod response;

pub use refusal::{Place, Refusal};
pub use request::Requests;
pub use response::{INTERIM, Responses};

/// Header fields of one head, and trailer fields of one body.
pub const FIELDS: usize = 100;

/// Bytes of a request's target; a parser of URIs behind takes no more.
pub const TARGET_BYTES: usize = 65_534;

/// Bytes of all chunk extensions of one body. Nobody reads them.
pub const EXTENSION_BYTES: usize = 4 << 10;

/// Bytes of all trailers of one body. They go nowhere.
pub const TRAILER_BYTES: usize = 8 << 10;

/// What became of bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many of them, from the first, may pass. The others are shown again, with more behind them.
    pub passed: usize,
    /// Why nothing behind those passes, ever.
    pub refused: Option<Refusal>,
}
