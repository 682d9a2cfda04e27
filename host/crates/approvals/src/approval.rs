//! One question and what came of it.

use std::sync::Arc;

use model::{ApprovalId, AskedHead, Caller, Decider, Digest, ExchangeId, Question, SessionId};
use serde::Serialize;

/// Where a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody has decided.
    Pending,
    /// Decided, and not yet used.
    Approved,
    /// Decided: stop.
    Denied,
    /// Nobody decided in time, or nobody used the approval in time.
    Expired,
    /// Nobody waits for the answer any more.
    Cancelled,
    /// Approved, and used.
    Consumed,
}

impl State {
    /// The word that the record, the CLI and the API use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Consumed => "consumed",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Approve,
    /// Stop.
    Deny,
}

/// A question, and what came of it. Times are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Where it stands.
    pub state: State,
    /// The exchange that asked first.
    pub exchange: ExchangeId,
    /// Its session.
    pub session: SessionId,
    /// Who is held.
    pub caller: Caller,
    /// On which connection.
    pub connection: String,
    /// The model asked for; may be empty.
    pub model: String,
    /// The policy that asks.
    pub policy: String,
    /// Its digest.
    pub policy_digest: Digest,
    /// What it asks. `approvers` is complete: the operator's default is filled in.
    pub question: Question,
    /// Of which request, or whose answer, with the headers that would go on; none of them once it is closed.
    #[serde(flatten)]
    pub head: Arc<AskedHead>,
    /// What would go on; empty once it is closed.
    #[serde(serialize_with = "model::bytes::serialize")]
    pub shown: Arc<[u8]>,
    /// Which request it is about, with what is shown of it: questions about one share what they show.
    #[serde(skip)]
    pub(crate) request: Digest,
    /// SHA-256 over everything that the approval is bound to.
    pub bound_to: Digest,
    /// When it was asked.
    pub asked_at_ms: u64,
    /// When it expires: pending, with no answer; approved, unused. By the time of day as it was when that was said: what
    /// counts is `left_ms`.
    pub expires_at_ms: u64,
    /// Milliseconds that were left to decide, or to use it, when this was told; else 0.
    pub left_ms: u64,
    /// When it was decided.
    pub decided_at_ms: Option<u64>,
    /// Who decided; empty when nobody did.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Exchanges that wait for it.
    pub waiting: usize,
    /// The times that something is due by.
    #[serde(skip)]
    pub(crate) steady: Steady,
    /// Whether it stays open although nobody waits.
    #[serde(skip)]
    pub(crate) left: bool,
    /// A decision is being written to the record: nothing else may happen to it meanwhile.
    #[serde(skip)]
    pub(crate) deciding: bool,
    /// It was withdrawn meanwhile, and why: the decision leads to nothing.
    #[serde(skip)]
    pub(crate) withdrawn: Option<String>,
}

/// The times of a question that no step of the system's clock moves, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steady {
    /// When it was asked.
    pub(crate) asked_ms: u64,
    /// When it was decided, else when it was asked.
    pub(crate) decided_ms: u64,
    /// When it expires.
    pub(crate) due_ms: u64,
}

/// Bytes of a method or a target that are told of a question that shows nothing.
const BEGIN_BYTES: usize = 256;

/// What is told of a line where nothing is shown.
fn begin_of(line: &str) -> String {
    match line.len() {
        ..=BEGIN_BYTES => line.to_owned(),
        _ => format!("{}…", &line[..line.floor_char_boundary(BEGIN_BYTES)]),
    }
}

/// Bytes that a question shows.
pub(crate) fn shown_bytes(head: &AskedHead, shown: &[u8]) -> usize {
    let headers = head.headers.iter().map(|header| header.name.len() + header.value.len());
    headers.chain([head.method.len(), head.target.len(), shown.len()]).sum()
}

impl Approval {
    /// The same, with nothing to show but where it leads.
    pub(crate) fn with_nothing_shown(&self) -> Self {
        let AskedHead { direction, method, target, .. } = &*self.head;
        let (method, target) = (begin_of(method), begin_of(target));
        let head = AskedHead { direction: *direction, method, target, headers: Vec::new() };
        Self { shown: Arc::default(), head: head.into(), ..self.clone() }
    }

    /// The same, with the time that is left.
    pub(crate) fn told(self, steady_ms: u64) -> Self {
        let open = matches!(self.state, State::Pending | State::Approved);
        let left_ms = if open { self.steady.due_ms.saturating_sub(steady_ms) } else { 0 };
        Self { left_ms, ..self }
    }

    /// Bytes that it shows.
    pub(crate) fn shown_bytes(&self) -> usize {
        shown_bytes(&self.head, &self.shown)
    }

    /// Whether this person may decide so.
    pub(crate) fn may(&self, decider: &Decider, decision: Decision) -> bool {
        let own = decider.name == self.caller.subject && decision == Decision::Approve;
        !own && decider.is_one_of(&self.question.approvers)
    }
}
