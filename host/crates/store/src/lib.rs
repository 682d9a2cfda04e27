//! The record: every exchange, from its first entry to its last, and every fact that belongs to none.
//!
//! ```text
//!  Tape::append ─▶ queue ─▶ writer ─▶ journal/journal-….log      (bytes as they come; survives kill -9)
//!                    │   └──▶ syncer ─▶ the same, and fdatasync  (group commit; survives a power cut)
//!                    ▼
//!                  ingest ─▶ segment-000001.redb, …  (frames by exchange)
//!                         └▶ index.redb              (summaries, sessions, events)   ─▶ read side
//!
//!  ControlLog::append ─▶ control/control-….log     (tokens, revocations; has room of its own on a full disk)
//! ```
//!
//! What must hold:
//! - what `keep` acknowledged is in the store after a crash, as far as its [`exchange::ports::Safety`] goes;
//! - bytes that come back are the bytes that went in, or an error says which entry of which exchange in which file is not;
//! - a store that failed once records nothing more: its callers fail closed;
//! - this crate alone names redb.
//!
//! `host/docs/store.md` argues the format case by case.

mod ahead;
mod anew;
mod asleep;
mod chain;
mod check;
mod config;
mod control;
mod database;
mod error;
#[cfg(test)]
mod failing;
mod fill;
mod folder;
mod frame;
mod index;
mod ingest;
mod journal;
mod medium;
mod numbered;
mod pack;
mod pages;
mod progress;
mod queue;
mod read;
mod recover;
mod room;
mod running;
mod seal;
mod segments;
mod store;
mod summary;
mod tape;
mod writer;

pub use check::{check, check_room};
pub use config::{Durability, Limits, StoreConfig};
pub use error::StoreError;
pub use folder::check_free;
pub use pages::{Cursor, ExchangeRecord, PAGE_BYTES, TimedEntry};
pub use read::{EventRecord, ExchangeFilter, SessionFilter, SessionRecord, Verified};
pub use recover::{Damage, Recovery};
pub use store::{Status, Store};
pub use summary::{ExchangeSummary, SessionSummary, State};
