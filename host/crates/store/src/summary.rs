//! What is told of an exchange and of a session without reading their entries; and the fold that makes it. Pure.

use model::{
    CompactString, Entry, ExchangeId, Outcome, SessionId, Usage,
    record::{JudgedVerdict, SetRef},
};
use serde::{Deserialize, Serialize};

use crate::{frame::Frame, pack::Place};

/// Bytes of a text in a summary (path, model, detail); the entries have it whole.
const TEXT_BYTES: usize = 512;

/// One exchange in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeSummary {
    /// Which.
    pub exchange: ExchangeId,
    /// Its session.
    pub session: SessionId,
    /// Whether it is over.
    pub state: State,
    /// How it ended; none unless `state` is `closed`.
    pub outcome: Option<Outcome>,
    /// A sentence for people, cut to 512 bytes.
    pub detail: CompactString,
    /// The caller's subject.
    pub caller: CompactString,
    /// Who vouches for the caller.
    pub issuer: CompactString,
    /// The connection's name.
    pub connection: CompactString,
    /// The dialect.
    pub dialect: CompactString,
    /// HTTP method.
    pub method: CompactString,
    /// Canonical path and query, cut to 512 bytes.
    pub path: CompactString,
    /// The model asked for, cut to 512 bytes; may be empty.
    pub model: CompactString,
    /// Whether a stream was asked for.
    pub streaming: bool,
    /// Whether the request was cleared to go upstream, and nothing says that none of it went. What arrived there is not known.
    pub forwarded: bool,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: u64,
    /// Microseconds until its last entry so far.
    pub duration_us: u64,
    /// HTTP status of the response; none when none was begun.
    pub status: Option<u16>,
    /// The policy set at its beginning.
    pub set: SetRef,
    /// Edits made: spans masked. Those of shadow policies don't count, here and below.
    pub masked: u32,
    /// Verdicts that stopped it.
    pub blocked: u32,
    /// Questions to people.
    pub asked: u32,
    /// Verdicts that failed to come.
    pub failed: u32,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// Chunks of the response's body.
    pub chunks: u32,
    /// Tokens.
    pub usage: Usage,
    /// Entries of its record.
    pub entries: u64,
    /// Bytes that its record takes in the store.
    pub record_bytes: u64,
}

/// Whether an exchange is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It goes on, in the process that has the store open.
    Running,
    /// Its record ends as it should.
    Closed,
    /// The process that recorded it died before it ended.
    Interrupted,
    /// Entries are missing from its record; reading it tells which.
    Damaged,
}

/// One session in a list. Its sums are those of its exchanges as they are: also of those that run, and of those that
/// never ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Which.
    pub session: SessionId,
    /// The caller's subject.
    pub caller: CompactString,
    /// Who vouches for the caller.
    pub issuer: CompactString,
    /// The connection's name.
    pub connection: CompactString,
    /// When its first exchange began: milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: u64,
    /// When its last entry so far came, of any exchange.
    pub last_ms: u64,
    /// Exchanges.
    pub exchanges: u64,
    /// Of which closed.
    pub closed: u64,
    /// Of which completed.
    pub completed: u64,
    /// Of which blocked.
    pub blocked: u64,
    /// Exchanges in which something was masked.
    pub masked: u64,
    /// Exchanges in which a person was asked.
    pub asked: u64,
    /// Bytes of the requests' bodies.
    pub request_bytes: u64,
    /// Bytes of the responses' bodies.
    pub response_bytes: u64,
    /// Tokens of the requests.
    pub input_tokens: u64,
    /// Tokens of the responses.
    pub output_tokens: u64,
}

/// An exchange as the index keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) summary: ExchangeSummary,
    /// In which opening of the store it began.
    pub(crate) run: u64,
    /// Segments that hold its frames, in order.
    pub(crate) segments: Vec<u32>,
    /// Where in the first of them a pack holds its first frames: all of them, of an exchange that was short.
    pub(crate) place: Option<Place>,
    /// Hash over the hashes of its frames in order; the leaf of a closed exchange.
    pub(crate) root: [u8; 32],
}

impl Row {
    /// The row of an exchange of which nothing is known yet.
    pub(crate) fn new(exchange: ExchangeId, run: u64) -> Self {
        let summary = ExchangeSummary {
            exchange,
            session: SessionId(uuid::Uuid::nil()),
            state: State::Running,
            outcome: None,
            detail: CompactString::default(),
            caller: CompactString::default(),
            issuer: CompactString::default(),
            connection: CompactString::default(),
            dialect: CompactString::default(),
            method: CompactString::default(),
            path: CompactString::default(),
            model: CompactString::default(),
            streaming: false,
            forwarded: false,
            started_ms: 0,
            duration_us: 0,
            status: None,
            set: SetRef::default(),
            masked: 0,
            blocked: 0,
            asked: 0,
            failed: 0,
            request_bytes: 0,
            response_bytes: 0,
            chunks: 0,
            usage: Usage::default(),
            entries: 0,
            record_bytes: 0,
        };
        Self { summary, run, segments: Vec::new(), place: None, root: [0; 32] }
    }

    /// Takes the next frame in: `segment` holds it. `entry`: none when it can't be decoded.
    pub(crate) fn take(&mut self, frame: &Frame<'_>, entry: Option<&Entry>, segment: u32) {
        if self.segments.last() != Some(&segment) {
            self.segments.push(segment);
        }
        self.root = extend_root(&self.root, frame.hash);
        let summary = &mut self.summary;
        if frame.number != summary.entries || entry.is_none() {
            summary.state = State::Damaged;
        }
        summary.entries += 1;
        summary.record_bytes += frame.bytes.len() as u64;
        if let Some(entry) = entry {
            summary.duration_us = summary.duration_us.max(at(entry));
            summary.take(entry);
        }
    }

    /// The summary as it is told in run `run`: what began in an earlier one and never closed was interrupted.
    pub(crate) fn told(mut self, run: u64) -> ExchangeSummary {
        if self.summary.state == State::Running && self.run < run {
            self.summary.state = State::Interrupted;
        }
        self.summary
    }
}

/// The root after one more frame.
pub(crate) fn extend_root(root: &[u8; 32], frame: &[u8; 32]) -> [u8; 32] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(root);
    both[32..].copy_from_slice(frame);
    *blake3::hash(&both).as_bytes()
}

/// When an entry happened: microseconds since the exchange was opened.
pub(crate) fn at(entry: &Entry) -> u64 {
    match entry {
        Entry::Opened(_) => 0,
        Entry::Request(request) => request.at,
        Entry::Judged(judged) => judged.at,
        Entry::Held(held) => held.at,
        Entry::Decided(decided) => decided.at,
        Entry::Switched(_, at) => *at,
        Entry::ResponseHead(head) => head.at,
        Entry::Chunk(chunk) => chunk.at,
        Entry::Closed(closed) => closed.at,
        Entry::PutBack(put_back) => put_back.at,
        Entry::Unsent(at) => *at,
    }
}

impl ExchangeSummary {
    /// Whether its first entry, which names its session, was there.
    pub(crate) fn has_session(&self) -> bool {
        !self.session.0.is_nil()
    }

    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Opened(opened) => {
                self.session = opened.session;
                self.started_ms = opened.at_ms;
                self.caller = opened.caller.subject.as_str().into();
                self.issuer = opened.caller.issuer.as_str().into();
                self.connection.clone_from(&opened.connection);
                self.dialect.clone_from(&opened.dialect);
                self.method.clone_from(&opened.method);
                self.path = cut(&opened.path);
                self.set = opened.set;
            }
            Entry::Request(request) => {
                self.model = cut(&request.model);
                self.streaming = request.streaming;
                self.forwarded = request.forwarded;
                self.request_bytes = request.body.len() as u64;
            }
            Entry::Judged(judged) if !judged.shadow => {
                self.masked = self.masked.saturating_add(u32::try_from(judged.edits.len()).unwrap_or(u32::MAX));
                match judged.verdict {
                    JudgedVerdict::Allow | JudgedVerdict::Done | JudgedVerdict::Skipped(_) => {}
                    JudgedVerdict::Block(_) => self.blocked += 1,
                    JudgedVerdict::Ask(_) => self.asked += 1,
                    JudgedVerdict::Failed { .. } => self.failed += 1,
                }
            }
            Entry::Judged(_) | Entry::Held(_) | Entry::Decided(_) | Entry::Switched(..) | Entry::PutBack(_) => {}
            Entry::Unsent(_) => self.forwarded = false,
            Entry::ResponseHead(head) => self.status = Some(head.status),
            Entry::Chunk(chunk) => {
                self.chunks += 1;
                self.response_bytes += chunk.data.len() as u64;
            }
            Entry::Closed(closed) => {
                if self.state == State::Running {
                    self.state = State::Closed;
                }
                self.outcome = Some(closed.outcome);
                self.detail = cut(&closed.detail);
                self.usage = closed.usage;
            }
        }
    }
}

impl SessionSummary {
    /// The session of which `first` is the first exchange; it is not counted yet.
    pub(crate) fn new(first: &ExchangeSummary) -> Self {
        Self {
            session: first.session,
            caller: first.caller.clone(),
            issuer: first.issuer.clone(),
            connection: first.connection.clone(),
            started_ms: first.started_ms,
            last_ms: first.started_ms,
            exchanges: 0,
            closed: 0,
            completed: 0,
            blocked: 0,
            masked: 0,
            asked: 0,
            request_bytes: 0,
            response_bytes: 0,
            input_tokens: 0,
            output_tokens: 0,
        }
    }

    /// An exchange of it grew, whose share was `before`. Tells whether that changed anything here.
    pub(crate) fn grew(&mut self, before: &Share, exchange: &ExchangeSummary) -> bool {
        let now = Share::of(exchange);
        let last_ms = exchange.started_ms.saturating_add(exchange.duration_us / 1000);
        if now == *before && last_ms <= self.last_ms {
            return false;
        }
        let sums = [
            &mut self.exchanges,
            &mut self.closed,
            &mut self.completed,
            &mut self.blocked,
            &mut self.masked,
            &mut self.asked,
            &mut self.request_bytes,
            &mut self.response_bytes,
            &mut self.input_tokens,
            &mut self.output_tokens,
        ];
        for ((sum, before), now) in sums.into_iter().zip(before.0).zip(now.0) {
            *sum = sum.saturating_add(now).saturating_sub(before);
        }
        self.started_ms = self.started_ms.min(exchange.started_ms);
        self.last_ms = self.last_ms.max(last_ms);
        true
    }
}

/// What an exchange adds to the sums of its session, as far as it has come: in the order of the session's fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share([u64; 10]);

impl Share {
    /// The share of an exchange; nothing while its session is not known.
    pub(crate) fn of(exchange: &ExchangeSummary) -> Self {
        if !exchange.has_session() {
            return Self::default();
        }
        Self([
            1,
            u64::from(exchange.outcome.is_some()),
            u64::from(exchange.outcome == Some(Outcome::Completed)),
            u64::from(exchange.outcome == Some(Outcome::Blocked)),
            u64::from(exchange.masked > 0),
            u64::from(exchange.asked > 0),
            exchange.request_bytes,
            exchange.response_bytes,
            u64::from(exchange.usage.input_tokens),
            u64::from(exchange.usage.output_tokens),
        ])
    }
}

fn cut(text: &str) -> CompactString {
    text[..text.floor_char_boundary(TEXT_BYTES)].into()
}
