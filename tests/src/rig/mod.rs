//! The rig around the binary.
//!
//! ```text
//!   Client ──raw HTTP/1.1──▶ Host (the real `portcullis` process) ──▶ Upstream (plays what the test says)
//!      │                       │
//!    heard                    Cli: the same binary's commands, on its store and control listener
//! ```

mod alone;
mod chat;
mod cli;
mod client;
mod control;
mod crowd;
mod dice;
mod heard;
mod host;
mod queue;
mod receiver;
mod talk;
mod upstream;
mod walk;

pub use alone::alone;
pub use chat::{CHANNELS, Channel, SSN, events, request, streamed, whole};
pub use cli::{Cli, Told};
pub use client::{Client, End, Reply};
pub use control::{bytes, delivered, entries, holds, policies};
pub use crowd::{Listening, Overheard};
pub use dice::Dice;
pub use heard::{Heard, SseEvent, sse};
pub use host::{Durability, Host, Setup, binary, repository};
pub use queue::unread;
pub use receiver::{Receiver, samples};
pub use talk::Talk;
pub use upstream::{Received, Turn, Upstream, http_chunks, json_head, sse_head};
pub use walk::{Language, Vendor, Walk, raised};

use std::time::Duration;

/// Longest wait for anything that must happen. A test that runs into it fails; none passes by waiting.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for something that must happen.
///
/// # Panics
/// When it has not happened within [`DEADLINE`].
pub async fn within<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(DEADLINE, happens).await;
    assert!(happened.is_ok(), "waited {DEADLINE:?} for: {what}");
    happened.expect("it is checked in the line before")
}
