//! What the store keeps, in the order in which it happened.
//!
//! What must hold: a value that a policy masked is in no entry in clear. An edit is kept as its span, its reason,
//! what took its place, and a keyed hash of what was there.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{
    ApprovalId, Attribute, Caller, Channel, ControlEvent, Digest, Direction, ExchangeId, Generation, PartId, SessionId,
};

/// One fact of an exchange. Times are microseconds since the exchange was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The first entry of every exchange.
    Opened(Opened),
    /// The request as it goes upstream; of an exchange that is stopped before, as far as it was judged.
    Request(Request),
    /// A verdict that changed something, or that failed to come.
    Judged(Judged),
    /// The exchange waits for a person.
    Held(Held),
    /// The person's answer, or that none came.
    Decided(Decided),
    /// Another policy set took over.
    Switched(SetRef, u64),
    /// The head of the response as the caller gets it.
    ResponseHead(ResponseHead),
    /// Bytes of the response's body, cleared for the caller and on record before they are handed over; placeholders stay where
    /// values were put back. How much of them arrives is not known here.
    Chunk(Chunk),
    /// The last entry of every exchange.
    Closed(Closed),
    /// Placeholders in the response in whose place the caller got the values that they stand for.
    PutBack(PutBack),
    /// Nothing of the request went upstream, though it was cleared to: no connection came to be, or the exchange ended before.
    Unsent(u64),
}

/// How an exchange began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Which exchange.
    pub exchange: ExchangeId,
    /// Which session it belongs to.
    pub session: SessionId,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The connection's name.
    pub connection: CompactString,
    /// `openai-chat`, `raw`, …
    pub dialect: CompactString,
    /// HTTP method.
    pub method: CompactString,
    /// Canonical path and query.
    pub path: CompactString,
    /// Headers, credentials left out.
    pub headers: Vec<Attribute>,
    /// The policy set in force.
    pub set: SetRef,
}

/// Which policy set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRef {
    /// Its number.
    pub generation: Generation,
    /// SHA-256 over its policies' ids and digests, in order.
    pub digest: Digest,
}

/// The request as it goes upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// When it was cleared.
    pub at: u64,
    /// The model asked for; may be empty.
    pub model: CompactString,
    /// Whether a stream was asked for.
    pub streaming: bool,
    /// The body, byte for byte.
    #[serde(with = "crate::bytes")]
    pub body: Vec<u8>,
    /// False when the exchange was stopped before it was cleared to go upstream. Whether it went: see [`Entry::Unsent`].
    pub forwarded: bool,
}

/// What a policy did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// When.
    pub at: u64,
    /// Which policy, by id.
    pub policy: String,
    /// Its digest.
    pub digest: Digest,
    /// The set it was called in.
    pub generation: Generation,
    /// Which way the text went.
    pub direction: Direction,
    /// The hook: `on-text`, `on-request`, …
    pub hook: String,
    /// The part, where the hook is about one.
    pub part: Option<(PartId, Channel)>,
    /// What it said.
    pub verdict: JudgedVerdict,
    /// What it changed.
    pub edits: Vec<EditRecord>,
    /// What it noted.
    pub notes: Vec<Attribute>,
    /// True when the verdict was only recorded.
    pub shadow: bool,
}

/// A verdict as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JudgedVerdict {
    /// Went on.
    Allow,
    /// Went on; the policy wants no more of this exchange.
    Done,
    /// Stopped the exchange.
    Block(crate::Refusal),
    /// Asked a person.
    Ask(crate::Question),
    /// No verdict came: what went wrong, and whether the exchange ended for it.
    Failed {
        /// `trap`, `deadline`, `memory`, `answer`, `refused`, `instance`.
        kind: String,
        /// What happened.
        message: String,
        /// True when the failure mode let the exchange go on.
        open: bool,
    },
    /// The policy was not called, and why.
    Skipped(String),
}

/// One edit as it is kept: never what was there, only its keyed hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditRecord {
    /// First byte, in the decoded text of the part as it came in; of a request that was read anew behind a policy that
    /// changed it, as it was read last.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What took its place.
    pub by: String,
    /// Why.
    pub reason: String,
    /// HMAC-SHA-256 of what was there, with the installation's key, the first 16 bytes.
    pub was: [u8; 16],
}

/// An exchange that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// When.
    pub at: u64,
    /// The approval.
    pub approval: ApprovalId,
    /// What is asked.
    pub question: crate::Question,
    /// SHA-256 over what the approval is bound to.
    pub bound_to: Digest,
}

/// How the wait ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// When.
    pub at: u64,
    /// The approval.
    pub approval: ApprovalId,
    /// `approved`, `denied`, `expired`, `cancelled`.
    pub state: String,
    /// Who decided; empty when nobody did.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The head of the response as the caller gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// When.
    pub at: u64,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<Attribute>,
}

/// Bytes of the response's body, cleared for the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// When.
    pub at: u64,
    /// The bytes.
    #[serde(with = "crate::bytes")]
    pub data: Vec<u8>,
}

/// Values that were put back into the response. What they were is kept nowhere: the request's edits hold their keyed
/// hashes, beside the same placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// When.
    pub at: u64,
    /// Into which part; `None`: into the arguments of a tool call.
    pub part: Option<(PartId, Channel)>,
    /// Where, and what stood there.
    pub tokens: Vec<TokenSpan>,
}

/// A placeholder in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSpan {
    /// First byte, in the decoded text of the part as it came in; of a request that was read anew behind a policy that
    /// changed it, as it was read last.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// The placeholder.
    pub token: String,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When.
    pub at: u64,
    /// How.
    pub outcome: Outcome,
    /// A sentence for people: which policy, which error.
    pub detail: String,
    /// Tokens, where the provider told them.
    pub usage: Usage,
    /// Every policy that judged, with how often.
    pub policies: Vec<PolicyTally>,
}

impl Closed {
    /// Of an exchange that was dropped: its caller went away, or took no word of a host that was stopped.
    #[must_use]
    pub fn dropped(at: u64, usage: Usage, policies: Vec<PolicyTally>) -> Self {
        let detail = "the exchange was dropped before its end".to_owned();
        Self { at, outcome: Outcome::Cancelled, detail, usage, policies }
    }
}

/// How often a policy was called in an exchange, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTally {
    /// Which policy, by id.
    pub policy: CompactString,
    /// Its digest.
    pub digest: Digest,
    /// The set it belonged to.
    pub generation: Generation,
    /// Calls of its hooks.
    pub calls: u32,
    /// Windows that native matching cleared with no call.
    pub cleared: u32,
    /// Edits that it made.
    pub edits: u32,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All of the response was cleared for the caller; whether it arrived is not known.
    Completed,
    /// A policy stopped it.
    Blocked,
    /// It was refused before any policy saw it: no right, no route, malformed.
    Denied,
    /// The caller went away, or the host was stopped.
    Cancelled,
    /// The upstream failed.
    UpstreamError,
    /// Portcullis or a policy failed, and the gate closed.
    Failed,
    /// Its credential ended while it ran: revoked, or past its time.
    Revoked,
}

impl Outcome {
    /// The word that the contract, the CLI and the metrics use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Blocked => "blocked",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::UpstreamError => "upstream-error",
            Self::Failed => "failed",
            Self::Revoked => "revoked",
        }
    }
}

/// Tokens, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the request.
    pub input_tokens: u32,
    /// Of the response.
    pub output_tokens: u32,
}

/// A fact that belongs to no exchange. Times are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The host started.
    Started {
        /// When.
        at_ms: u64,
        /// Its version.
        version: String,
    },
    /// A policy set was published.
    SetPublished {
        /// When.
        at_ms: u64,
        /// Which.
        set: SetRef,
        /// Its policies in order: id, digest, mode.
        policies: Vec<(String, Digest, String)>,
        /// Files that could not be taken, and why.
        problems: Vec<String>,
    },
    /// An approval changed its state.
    Approval {
        /// When.
        at_ms: u64,
        /// Which.
        approval: ApprovalId,
        /// The exchange that waits.
        exchange: ExchangeId,
        /// `pending`, `approved`, `denied`, `expired`, `cancelled`, `consumed`.
        state: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The host stopped in order.
    Stopped {
        /// When.
        at_ms: u64,
    },
    /// Who may do what changed.
    Control(ControlEvent),
}

impl Event {
    /// When.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        match self {
            Self::Started { at_ms, .. }
            | Self::SetPublished { at_ms, .. }
            | Self::Approval { at_ms, .. }
            | Self::Stopped { at_ms } => *at_ms,
            Self::Control(event) => event.at_ms(),
        }
    }
}
