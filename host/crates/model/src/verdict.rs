//! What a policy answers. Offsets here are always bytes of UTF-8: the engine converts a guest's unit.

use serde::{Deserialize, Serialize};

use crate::{Attribute, Direction};

/// What to do with the part of the exchange that the call was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on, after the edits.
    Allow,
    /// Go on, and do not call this policy again in this exchange.
    Done,
    /// Stop the exchange.
    Block(Refusal),
    /// Keep what is pending until a person has decided.
    Ask(Question),
}

/// Why an exchange is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable, for machines: `secret.aws-key`.
    pub code: String,
    /// For the caller.
    pub message: String,
    /// For the record only.
    pub detail: String,
}

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// One line.
    pub title: String,
    /// What the approver must know; plain text.
    pub summary: String,
    /// Groups of which a member should approve, shown to whoever decides; empty: the operator's default.
    pub approvers: Vec<String>,
    /// Seconds; 0: the operator's default.
    pub timeout_seconds: u32,
    /// When not empty, this question about the same request is asked only once in a session.
    pub remember_key: String,
}

/// What a person decides about, besides the bytes: of a head, all that the approval is bound to and that goes on. It may
/// hold secrets of the caller's, as the bytes may; a credential that the gate reads is not among it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedHead {
    /// Which way: the request, or its answer.
    pub direction: Direction,
    /// HTTP method of the request.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Headers that go on; bytes outside ASCII as U+0080 to U+00FF.
    #[serde(default)]
    pub headers: Vec<Attribute>,
}

/// What takes the place of an edited span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Substitute {
    /// This text.
    Literal(String),
    /// A placeholder of this kind, such as `[EMAIL_1]`, made by the host.
    Token(String),
}

/// Replace `start..end`; `start == end` inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What comes in its place.
    pub by: Substitute,
    /// Stable reason, for the record: `pii.email`.
    pub reason: String,
}

/// A match of a declared pattern, found by the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Index of the pattern in the policy's plan.
    pub pattern: u32,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Bytes of the longest match that a pattern may ask for.
pub const MATCH_BYTES: usize = 16 << 10;

/// Released text that native matching must be shown before a window, in bytes, where there is as much: what stands there
/// decides where a word ends, and some of it may not be seen.
pub const CONTEXT_BYTES: usize = 256;

/// Bytes of a run of characters that are not seen, at most, that native matching looks past. What goes on of a longer run
/// is taken out of text before it is judged. The context holds such a run, and the character before it.
pub const UNSEEN_BYTES: usize = CONTEXT_BYTES - 4;

/// What native matching found in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Matches that no further text can change, in order, not overlapping within one pattern.
    pub hits: Vec<Hit>,
    /// Bytes at the end of the window in which a match may still begin or grow; a whole number of characters; 0 when
    /// nothing follows.
    pub keep: usize,
}

/// A policy's answer about one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// In order, not overlapping.
    pub edits: Vec<Edit>,
    /// Bytes of the end of the window to keep and show again.
    pub hold_back: usize,
    /// For the record.
    pub notes: Vec<Attribute>,
}

impl Decision {
    /// Let everything pass.
    #[must_use]
    pub fn allow() -> Self {
        Self { verdict: Verdict::Allow, edits: Vec::new(), hold_back: 0, notes: Vec::new() }
    }
}
