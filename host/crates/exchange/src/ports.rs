//! What the path needs from the rest of the house. Each port has one maker: `engine`, `store`, `approvals`, `identity`;
//! `host/src/app.rs` joins them.

use std::{any::Any, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use model::{
    ApprovalId, AskedHead, Attribute, Caller, Channel, CompactString, Decision, Digest, Direction, Entry, Event,
    ExchangeId, Generation, Hit, Outcome, PartId, Plan, PolicyInfo, Question, Scan, SessionId, Speaker, Usage, Verdict,
    record::SetRef,
};
use thiserror::Error;

mod callers;
mod control;
mod lease;
mod watch;

pub use callers::{Account, Credential, Exceeded, Identified, Identify, Limit, NoEntry, Presented, Unidentified};
pub use control::ControlLog;
pub use lease::{Ended, Lease};
pub use watch::{Follow, Stage, TurnedAway, Watch};

// ------------------------------------------------------------------ policies: made by `engine`

/// The ordered, immutable set in force. Published whole, never changed.
pub struct PolicySet {
    /// Its number.
    pub generation: Generation,
    /// SHA-256 over its policies' ids and digests, in order.
    pub digest: Digest,
    /// Policies whose mode is not `off`, in the order of the chain.
    pub policies: Vec<Arc<dyn Policy>>,
    /// What could not be taken, and why; not empty: the set is degraded.
    pub problems: Vec<Problem>,
    /// Looks for the patterns of all policies at once, where that spares some of them their own look.
    pub glance: Option<Arc<dyn Glance>>,
}

impl PolicySet {
    /// Its number and digest, for the record.
    #[must_use]
    pub fn set_ref(&self) -> SetRef {
        SetRef { generation: self.generation, digest: self.digest }
    }
}

/// Why a file of the policy folder is not in force as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name in the folder.
    pub file: String,
    /// Where it failed: `read`, `settings`, `validate`, `compile`, `imports`, `instantiate`, `configure`,
    /// `trial`.
    pub stage: &'static str,
    /// What is wrong, and the way out.
    pub message: String,
}

/// Native matching for all policies of a set at once.
pub trait Glance: Any + Send + Sync {
    /// Which policies need not look at `pending` as it stands: none of their patterns matches in it, nor may begin in it
    /// unless it is `last`, whatever stands before it.
    fn spares(&self, pending: &str, last: bool) -> Spared;
}

/// Policies, by their places in a set, that a [`Glance`] spares their own look: a bit for each of the first 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared(pub u64);

impl Spared {
    /// Whether the policy at this place is one of them.
    #[must_use]
    pub fn holds(self, place: usize) -> bool {
        u32::try_from(place).is_ok_and(|place| self.0.checked_shr(place).is_some_and(|bits| bits & 1 == 1))
    }
}

/// One policy of a set: compiled, configured, ready to be instantiated.
pub trait Policy: Any + Send + Sync {
    /// What is known of it.
    fn info(&self) -> &PolicyInfo;

    /// What it wants to see.
    fn plan(&self) -> &Plan;

    /// Whether it stands in for a policy that could not be loaded, and ends every exchange that it guards.
    fn stands_in(&self) -> bool {
        false
    }

    /// Native matching of the declared patterns. `before` is text that stood directly before `pending` when this policy was
    /// shown it (context for `\b`, `^` and what is not seen; never part of a hit), at least `model::CONTEXT_BYTES` where there are as many;
    /// `last` says that nothing follows.
    fn scan(&self, before: &str, pending: &str, last: bool) -> Scan;

    /// The same, where a [`Glance`] spares this policy the look at `pending` as it stands.
    fn scan_spared(&self, before: &str, pending: &str, last: bool) -> Scan {
        self.scan(before, pending, last)
    }

    /// A guest for one exchange. Instantiates nothing until the first call.
    fn guest(&self, exchange: &Arc<About>) -> Box<dyn Guest>;

    /// The exchange is over for every version of this policy: what was kept for it alone may go.
    fn over(&self, _exchange: ExchangeId) {}
}

/// The exchange, as policies see it.
#[derive(Clone, Debug)]
pub struct About {
    /// Its id.
    pub exchange: ExchangeId,
    /// Its session.
    pub session: SessionId,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The connection's name.
    pub connection: CompactString,
    /// The dialect.
    pub dialect: &'static str,
    /// The model asked for; may be empty.
    pub model: CompactString,
    /// Models that the request names besides: a router may ask one in the first one's place, a tool may ask one.
    pub further_models: Vec<String>,
    /// Whether a stream is asked for.
    pub streaming: bool,
    /// True when a guest made from this takes over in the middle: its policy came into force there.
    pub resumed: bool,
}

impl About {
    /// One that begins: nothing is known yet of what it asks for.
    #[must_use]
    pub fn begun(
        exchange: ExchangeId,
        session: SessionId,
        caller: impl Into<Arc<Caller>>,
        connection: &str,
        dialect: &'static str,
    ) -> Self {
        Self {
            exchange,
            session,
            caller: caller.into(),
            connection: connection.into(),
            dialect,
            model: CompactString::default(),
            further_models: Vec::new(),
            streaming: false,
            resumed: false,
        }
    }
}

/// All text of one part that has not been released.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Which way.
    pub direction: Direction,
    /// What kind of text.
    pub channel: Channel,
    /// Whose words.
    pub speaker: Speaker,
    /// Which part.
    pub part: PartId,
    /// Text directly before that this policy has let go, as it was shown it; at least `plan.look_behind` bytes where there are as many.
    pub before: &'a str,
    /// The text.
    pub pending: &'a str,
    /// Where in `pending` text begins that this guest has not seen.
    pub fresh: usize,
    /// Whether the part is complete.
    pub last: bool,
    /// Matches in `pending`.
    pub hits: &'a [Hit],
}

/// The whole request.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The model.
    pub model: String,
    /// Its parts as they stand, in order.
    pub parts: Vec<ConversationPart>,
    /// The tools offered.
    pub tools: Vec<wire::Tool>,
    /// The other parameters, as one JSON object.
    pub parameters: String,
}

/// One part of a request.
#[derive(Clone, Debug)]
pub struct ConversationPart {
    /// Its number.
    pub part: PartId,
    /// What kind of text.
    pub channel: Channel,
    /// Whose words.
    pub speaker: Speaker,
    /// The text.
    pub text: String,
}

/// A policy's answer about a request.
#[derive(Clone, Debug)]
pub struct ConversationDecision {
    /// What to do.
    pub verdict: Verdict,
    /// Edits, by part; byte offsets.
    pub edits: Vec<(PartId, Vec<model::Edit>)>,
    /// Names of tools to take away.
    pub remove_tools: Vec<String>,
    /// JSON Merge Patch for the parameters; empty: none.
    pub patch: String,
    /// For the record.
    pub notes: Vec<Attribute>,
}

/// A policy's answer about a tool call.
#[derive(Clone, Debug)]
pub struct ToolDecision {
    /// What to do.
    pub verdict: Verdict,
    /// New arguments (JSON); empty: as they are.
    pub input: String,
    /// For the record.
    pub notes: Vec<Attribute>,
}

/// An HTTP head as it is on the caller's side.
#[derive(Clone, Debug)]
pub struct Head {
    /// Which way.
    pub direction: Direction,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// 0 in a request.
    pub status: u16,
    /// Headers; bytes outside ASCII as U+0080 to U+00FF.
    pub headers: Vec<Attribute>,
}

/// A policy's answer about a head.
#[derive(Clone, Debug)]
pub struct HeadDecision {
    /// What to do.
    pub verdict: Verdict,
    /// Headers to set.
    pub set: Vec<Attribute>,
    /// Headers to remove.
    pub remove: Vec<String>,
    /// For the record.
    pub notes: Vec<Attribute>,
}

/// A policy's answer about bytes.
#[derive(Clone, Debug)]
pub struct BodyDecision {
    /// What to do.
    pub verdict: Verdict,
    /// Start, end and what comes instead; in order, not overlapping.
    pub edits: Vec<(usize, usize, Bytes)>,
    /// Bytes of the end to keep and show again.
    pub hold_back: usize,
    /// For the record.
    pub notes: Vec<Attribute>,
}

/// How an exchange ended, as policies are told.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens.
    pub usage: Usage,
    /// How long it took.
    pub duration: Duration,
}

/// One policy at work in one exchange. A failed call leaves it with no instance: the next call takes a fresh one, with
/// `resumed` set. An answer that breaks a rule of the contract is a failure; offsets come out as bytes of UTF-8 on
/// character boundaries, in order, in bounds.
pub trait Guest: Send {
    /// `policy.open`, if no instance has been opened yet; else the verdict it gave then is not given again (`Allow`).
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>>;

    /// What `policy.open` asked and no call has answered with since, because it failed behind that. Given once; where its
    /// failures are let pass, its question is put all the same.
    fn owed(&mut self) -> Option<Question> {
        None
    }

    /// `conversation.on-request`.
    fn on_request<'a>(&'a mut self, request: &'a Conversation) -> BoxFuture<'a, Result<ConversationDecision, Failure>>;

    /// `text.on-text`.
    fn on_text<'a>(&'a mut self, window: Window<'a>) -> BoxFuture<'a, Result<Decision, Failure>>;

    /// `tools.on-tool-call`.
    fn on_tool_call<'a>(
        &'a mut self,
        id: &'a str,
        name: &'a str,
        input: &'a str,
    ) -> BoxFuture<'a, Result<ToolDecision, Failure>>;

    /// `bytes.on-head`.
    fn on_head<'a>(&'a mut self, head: &'a Head) -> BoxFuture<'a, Result<HeadDecision, Failure>>;

    /// `bytes.on-body`.
    fn on_body<'a>(
        &'a mut self,
        direction: Direction,
        pending: &'a [u8],
        fresh: usize,
        last: bool,
    ) -> BoxFuture<'a, Result<BodyDecision, Failure>>;

    /// `audit.on-end`.
    fn on_end<'a>(&'a mut self, summary: &'a Summary) -> BoxFuture<'a, Result<Vec<Attribute>, Failure>>;
}

/// No verdict came. Never an allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What happened.
    pub message: String,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The guest trapped.
    Trap,
    /// It used up its time.
    Deadline,
    /// It used up its memory.
    Memory,
    /// Its answer broke a rule of the contract.
    Answer,
    /// It answered `err`.
    Refused,
    /// No instance could be made.
    Instance,
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Answer => "answer",
            Self::Refused => "refused",
            Self::Instance => "instance",
        })
    }
}

// --------------------------------------------------------------------- records: made by `store`

/// Where exchanges are recorded.
pub trait Recorder: Send + Sync {
    /// Begins the record of an exchange with its first entry (`Entry::Opened`).
    ///
    /// # Errors
    /// [`RecordError`] when the store can take no more.
    fn open(&self, opened: model::record::Opened) -> Result<Box<dyn Tape>, RecordError>;

    /// Records a fact that belongs to no exchange; ready when it is durable.
    fn event(&self, event: Event) -> BoxFuture<'_, Result<(), RecordError>>;

    /// Keyed hash of a value that was masked, for `EditRecord::was`.
    fn keyed_hash(&self, value: &[u8]) -> [u8; 16];

    /// A request was refused before there was anything to record. Nothing is kept of it; [`Watched`] tells it to those
    /// who watch.
    ///
    /// [`Watched`]: crate::Watched
    fn turned_away(&self, _refused: &TurnedAway<'_>) {}
}

/// The record of one exchange, written from its first entry to its last. Dropped without `Entry::Closed`, it closes
/// itself as cancelled.
pub trait Tape: Send {
    /// Takes an entry, in order; costs no system call.
    ///
    /// # Errors
    /// [`RecordError`] when the store has failed: nothing more may be delivered.
    fn append(&mut self, entry: Entry) -> Result<(), RecordError>;

    /// Ready when all entries so far are as safe as `safety` says; the store's durability mode may settle for less.
    fn keep(&mut self, safety: Safety) -> BoxFuture<'_, Result<(), RecordError>>;

    /// A stage took so long. Nothing is kept of it, as with [`Recorder::turned_away`].
    fn timed(&mut self, _stage: Stage, _took: Duration) {}
}

/// How safe an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// In the operating system's hands: survives the death of this process.
    Written,
    /// On the disk: survives a power cut.
    Durable,
}

/// The record can't be kept, so the exchange can't go on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the record can't be kept: {0}")]
pub struct RecordError(pub String);

// --------------------------------------------------------------- approvals: made by `approvals`

/// Where questions to people go.
pub trait Desk: Send + Sync {
    /// Asks all that is to be decided about one thing, together; the answer comes with [`Ticket::decided`]. The same
    /// binding that is pending already is not asked again, and one that is approved and not yet used is used.
    fn ask(&self, asks: Vec<Ask>) -> BoxFuture<'_, Result<Box<dyn Ticket>, DeskError>>;
}

/// A question to a person, and all that its answer is bound to.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The exchange that waits.
    pub about: Arc<About>,
    /// The policy that asks: id and digest.
    pub policy: (String, Digest),
    /// What it asks.
    pub question: Question,
    /// What the approver sees: the pending text or the whole request, as it would go on.
    pub shown: Arc<[u8]>,
    /// And of its head.
    pub head: Arc<AskedHead>,
    /// SHA-256 over direction, connection, method, path, headers, exact bytes, caller and policy set (threats, section 6).
    pub bound_to: Digest,
}

/// Questions that were asked together, pending or decided.
pub trait Ticket: Send {
    /// The approvals' ids, in the order of the questions.
    fn approvals(&self) -> &[ApprovalId];

    /// The decision, once; none when there is none within this time. What is decided already is told however short that
    /// is. Only the waiting has an end: whoever bounds the whole may cut it between the use of an approval and its record.
    /// Questions expire by themselves. Dropped before, they are cancelled, unless `leave` was called.
    fn decided(&mut self, within: Duration) -> BoxFuture<'_, Option<Rulings>>;

    /// Leaves the questions open although nobody waits: the same request, sent again, passes once if all are approved.
    fn leave(self: Box<Self>);

    /// Takes the questions back and says why, to those who could have decided: also those that were left open by an earlier try.
    fn withdraw(self: Box<Self>, reason: &str);
}

/// How questions that were asked together ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rulings {
    /// All are approved, in their order; this use consumes every one of them.
    Approved(Vec<Ruling>),
    /// This one was not, so none is used.
    Stopped(ApprovalId, Ruling),
}

/// A person's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// How it ended.
    pub state: RulingState,
    /// Who; empty when nobody did.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulingState {
    /// Go on; this use consumes it.
    Approved,
    /// Stop.
    Denied,
    /// Nobody answered in time: stop.
    Expired,
    /// The question was taken back: stop.
    Cancelled,
}

impl RulingState {
    /// The word that the record and callers are told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The question could not be asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("nobody can be asked: {0}")]
pub struct DeskError(pub String);
