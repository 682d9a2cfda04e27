//! The nouns of Portcullis. Every other crate speaks in these words; this one depends on none of them.
//!
//! What must hold: no I/O, no clock, no foreign type in a signature but for `Uuid` and [`CompactString`], a string that keeps
//! short text in place: a record is full of names of a few letters, and each would be an allocation.

pub mod address;
pub mod alert;
pub mod bytes;
pub mod caller;
pub mod connection;
pub mod control;
pub mod id;
pub mod policy;
pub mod record;
pub mod scope;
pub mod text;
pub mod unguarded;
pub mod verdict;

pub use alert::{Alert, Rule, Subject};
pub use caller::{Attribute, Caller, Decider};
pub use compact_str::CompactString;
pub use connection::{Connection, EndpointRule, Family, OnBlock, Restore, Upstream, View};
pub use control::{ControlEvent, Target};
pub use id::{AlertId, ApprovalId, Digest, ExchangeId, Generation, SessionId, TokenId};
pub use policy::{FailureMode, Hooks, Mode, Plan, PolicyInfo, PolicyLimits};
pub use record::{Entry, Event, Outcome, Usage};
pub use scope::Scope;
pub use text::{Channel, Direction, Part, PartId, Speaker};
pub use unguarded::{Guard, unguarded};

pub use verdict::{
    AskedHead, CONTEXT_BYTES, Decision, Edit, Hit, MATCH_BYTES, Question, Refusal, Scan, Substitute, UNSEEN_BYTES,
    Verdict,
};
