//! Content codings (RFC 9110, 8.4.1), undone: gzip, deflate, br and zstd, nested ones too.
//!
//! ```text
//!   Codings::parse(header) ──▶ decoder(limits) ──▶ push(bytes) ──▶ pull(room)… ──▶ finish()
//! ```
//!
//! Stands between the network and the dialects, in both directions: what is judged is what the message says, not how it
//! was packed. The formats are read by libraries; this crate chains them, hands their output out in pieces, and bounds
//! what they may unpack.
//!
//! What must hold: pure (no I/O, no clock); everything that the bytes so far say is handed out at once, so that an event
//! that was flushed is an event here; the output does not depend on where the network cut the input; a stream that broke
//! off, was damaged or has something behind its end is an error, never a shorter message.

mod br;
mod decoder;
mod fault;
mod inflate;
mod names;
mod stage;
mod zstd;

pub use decoder::{Decoder, Limits};
pub use fault::Fault;
pub use names::{ACCEPTED, Coding, Codings, MOST_CODINGS, Unknown};
