//! What is kept of an exchange, and the only maker of [`Recorded`].
//!
//! What must hold: nothing goes upstream that is not durable, nothing goes to the caller that is not in the operating
//! system's hands, and no reply is completed before all of it is durable (each as the store's durability mode has it).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use model::{
    Attribute, Connection, Entry, ExchangeId, Outcome, Usage,
    record::{Chunk, Closed, Decided, Held, Opened, PolicyTally, Request, ResponseHead, SetRef},
};
use wire::Asked;

use crate::{
    clock::wall_ms,
    head::{Head, attributes},
    judge::{Cleared, Judge},
    ports::{About, RecordError, Recorder, Safety, Stage, Summary, Tape, TurnedAway},
    strangers::{self, Line, Strangers},
};

/// Something that is in the record. Nothing but this module makes one.
#[derive(Debug)]
pub struct Recorded<T>(T);

impl<T> Recorded<T> {
    /// What was recorded.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A request that may go upstream.
pub struct Outbound {
    /// Where to.
    pub connection: Arc<Connection>,
    /// HTTP method.
    pub method: Method,
    /// Path and query below the connection's prefix; begins with `/`.
    pub target: String,
    /// Headers; framing, host and credentials are the forwarder's to add.
    pub headers: HeaderMap,
    /// The body, as it was judged and recorded.
    pub body: Recorded<Bytes>,
}

/// Microseconds since an exchange began.
pub(crate) fn micros_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn request_entry(at: u64, body: &Bytes, asked: Option<&Asked>, forwarded: bool) -> Request {
    Request {
        at,
        model: asked.map(|asked| asked.model.as_str().into()).unwrap_or_default(),
        streaming: asked.is_some_and(|asked| asked.streaming),
        body: body.to_vec(),
        forwarded,
    }
}

/// The record of one exchange under way.
pub(crate) struct Record {
    tape: Box<dyn Tape>,
    started: Instant,
    closed: bool,
    /// The set that the record names last.
    set: SetRef,
    /// A request that waits for a person: kept when it comes to nothing, however that is.
    waiting: Option<Request>,
    /// The request is cleared, and nothing of it went upstream so far.
    unsent: bool,
    /// Tokens, as far as the provider has told them.
    usage: Usage,
}

impl Record {
    /// Opens the record of an exchange.
    pub(crate) fn open(
        recorder: &dyn Recorder,
        about: &About,
        head: &Head,
        set: SetRef,
        started: Instant,
    ) -> Result<Self, RecordError> {
        let tape = recorder.open(Opened {
            exchange: about.exchange,
            session: about.session,
            at_ms: wall_ms(),
            caller: Arc::clone(&about.caller),
            connection: about.connection.clone(),
            dialect: about.dialect.into(),
            method: head.method.as_str().into(),
            path: head.target(),
            headers: head.attributes(),
            set,
        })?;
        Ok(Self { tape, started, closed: false, set, waiting: None, unsent: false, usage: Usage::default() })
    }

    /// Whether the last entry is written.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What the provider has told so far of the tokens.
    pub(crate) fn spent(&mut self, usage: Usage) {
        self.usage = usage;
    }

    /// The exchange, as policies are told of its end.
    pub(crate) fn summary(&self, outcome: Outcome) -> Summary {
        Summary { outcome, usage: self.usage, duration: self.started.elapsed() }
    }

    fn at(&self) -> u64 {
        micros_since(self.started)
    }

    /// Tells those who watch how long a stage took.
    pub(crate) fn timed(&mut self, stage: Stage, took: Duration) {
        self.tape.timed(stage, took);
    }

    /// Takes what the judge found.
    pub(crate) fn findings(&mut self, findings: Vec<Entry>) -> Result<(), RecordError> {
        findings.into_iter().try_for_each(|entry| self.tape.append(entry))
    }

    /// Makes a cleared request durable: the only way to one that may go upstream.
    pub(crate) async fn request(
        &mut self,
        cleared: Cleared,
        asked: Option<&Asked>,
    ) -> Result<Recorded<Bytes>, RecordError> {
        let (body, _) = cleared.into_both();
        self.append_request(&body, asked, true)?;
        self.unsent = true;
        let began = Instant::now();
        self.tape.keep(Safety::Durable).await?;
        self.timed(Stage::Record, began.elapsed());
        Ok(Recorded(body))
    }

    /// The request may go upstream from here on.
    pub(crate) fn sending(&mut self) {
        self.unsent = false;
    }

    /// Nothing of it went.
    pub(crate) fn unsent(&mut self) {
        self.unsent = true;
    }

    /// Keeps that nothing of a cleared request went upstream, where the exchange ends so.
    fn keep_unsent(&mut self) -> Result<(), RecordError> {
        if std::mem::take(&mut self.unsent) { self.tape.append(Entry::Unsent(self.at())) } else { Ok(()) }
    }

    /// Keeps a request that was stopped, as far as it was masked.
    pub(crate) fn stopped_request(&mut self, body: &Bytes, asked: Option<&Asked>) -> Result<(), RecordError> {
        self.append_request(body, asked, false)
    }

    fn append_request(&mut self, body: &Bytes, asked: Option<&Asked>, forwarded: bool) -> Result<(), RecordError> {
        let at = self.at();
        self.tape.append(Entry::Request(request_entry(at, body, asked, forwarded)))
    }

    /// A request begins to wait for a person, as it was masked.
    pub(crate) fn waits(&mut self, body: &Bytes, asked: Option<&Asked>) {
        self.waiting = Some(request_entry(self.at(), body, asked, false));
    }

    /// It waits no more, and goes on.
    pub(crate) fn goes_on(&mut self) {
        self.waiting = None;
    }

    /// Keeps a request that waited and comes to nothing.
    fn keep_waiting(&mut self) -> Result<(), RecordError> {
        self.waiting.take().map_or(Ok(()), |request| self.tape.append(Entry::Request(request)))
    }

    /// Judging goes on by this set, or begins with it: told where it is another than the record has.
    pub(crate) fn judged_by(&mut self, set: SetRef) -> Result<(), RecordError> {
        if self.set == set {
            return Ok(());
        }
        self.set = set;
        let at = self.at();
        self.tape.append(Entry::Switched(set, at))
    }

    /// The exchange waits for people.
    pub(crate) async fn held(&mut self, held: Vec<Held>) -> Result<(), RecordError> {
        let at = self.at();
        held.into_iter().try_for_each(|held| self.tape.append(Entry::Held(Held { at, ..held })))?;
        self.tape.keep(Safety::Durable).await
    }

    /// The wait is over.
    pub(crate) async fn decided(&mut self, decided: Vec<Decided>) -> Result<(), RecordError> {
        let at = self.at();
        decided.into_iter().try_for_each(|decided| self.tape.append(Entry::Decided(Decided { at, ..decided })))?;
        self.tape.keep(Safety::Durable).await
    }

    /// The head of the response, before it is said.
    pub(crate) fn response_head(&mut self, status: StatusCode, headers: &HeaderMap) -> Result<(), RecordError> {
        let at = self.at();
        let headers: Vec<Attribute> = attributes(headers);
        self.tape.append(Entry::ResponseHead(ResponseHead { at, status: status.as_u16(), headers }))
    }

    /// The head of a stream that begins before there is anything to say in it: the only way to one that may be said alone.
    pub(crate) async fn stream_head(
        &mut self,
        status: StatusCode,
        headers: HeaderMap,
    ) -> Result<Recorded<(StatusCode, HeaderMap)>, RecordError> {
        self.response_head(status, &headers)?;
        self.tape.keep(Safety::Written).await?;
        Ok(Recorded((status, headers)))
    }

    /// A cleared chunk of the response: the only way to one that may go to the caller.
    pub(crate) async fn chunk(&mut self, cleared: Cleared) -> Result<Recorded<Bytes>, RecordError> {
        let data = self.append_chunk(cleared)?;
        self.tape.keep(Safety::Written).await?;
        Ok(Recorded(data))
    }

    /// The last chunk of a response that is complete, and how the exchange ended.
    pub(crate) async fn last_chunk(
        &mut self,
        cleared: Cleared,
        policies: Vec<PolicyTally>,
    ) -> Result<Recorded<Bytes>, RecordError> {
        let data = self.append_chunk(cleared)?;
        self.close(Outcome::Completed, String::new(), policies).await?;
        Ok(Recorded(data))
    }

    fn append_chunk(&mut self, cleared: Cleared) -> Result<Bytes, RecordError> {
        let (judged, delivered) = cleared.into_both();
        if !judged.is_empty() {
            let at = self.at();
            self.tape.append(Entry::Chunk(Chunk { at, data: judged.to_vec() }))?;
        }
        Ok(delivered)
    }

    /// Words of the gate's own (an error, a sign of life): no policy judges them, the record keeps them.
    pub(crate) async fn own_words(&mut self, words: Vec<u8>) -> Result<Recorded<Bytes>, RecordError> {
        let at = self.at();
        self.tape.append(Entry::Chunk(Chunk { at, data: words.clone() }))?;
        self.tape.keep(Safety::Written).await?;
        Ok(Recorded(words.into()))
    }

    /// What is told before the end: a request that waited, what was found since, and the gate's own last words, behind a head
    /// where none was said.
    pub(crate) fn last_words(
        &mut self,
        findings: Vec<Entry>,
        head: Option<&(StatusCode, HeaderMap)>,
        words: Vec<u8>,
    ) -> Result<(), RecordError> {
        self.keep_waiting()?;
        self.findings(findings)?;
        if let Some((status, headers)) = head {
            self.response_head(*status, headers)?;
        }
        let at = self.at();
        self.tape.append(Entry::Chunk(Chunk { at, data: words }))
    }

    /// The last entry, which is given to the store at once; ready when all of the exchange is durable.
    pub(crate) async fn close(
        &mut self,
        outcome: Outcome,
        detail: String,
        policies: Vec<PolicyTally>,
    ) -> Result<(), RecordError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.keep_unsent()?;
        let (at, usage) = (self.at(), self.usage);
        self.tape.append(Entry::Closed(Closed { at, outcome, detail, usage, policies }))?;
        self.tape.keep(Safety::Durable).await
    }

    /// The exchange is dropped. If nothing has closed the record it ends here, with what was found, judged and spent: for
    /// what `cut` says, or the caller went away, or the path itself panicked. Nobody is there to wait for it to be durable,
    /// and no policy can be told any more.
    pub(crate) fn left(&mut self, judge: Option<&mut Judge>, cut: Option<(Outcome, String)>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let (findings, policies) = judge.map(|judge| (judge.findings(), judge.tallies())).unwrap_or_default();
        let mut closed = Closed::dropped(self.at(), self.usage, policies);
        if std::thread::panicking() {
            let detail = "the gate failed: a fault of its own, of which its log tells";
            (closed.outcome, closed.detail) = (Outcome::Failed, detail.to_owned());
        } else if let Some(cut) = cut {
            (closed.outcome, closed.detail) = cut;
        }
        let ended = self.keep_waiting().and_then(|()| self.findings(findings)).and_then(|()| self.keep_unsent());
        if let Err(error) = ended.and_then(|()| self.tape.append(Entry::Closed(closed))) {
            tracing::error!(%error, "the end of an exchange that was dropped is not recorded");
        }
    }
}

/// Of those whom nobody knows, all that this process refuses: they share the log.
static STRANGERS: Mutex<Strangers> = Mutex::new(Strangers::none());

/// Time for which strangers are counted that are not told one by one.
pub const STRANGERS_WINDOW: Duration = strangers::WINDOW;

fn strangers() -> MutexGuard<'static, Strangers> {
    // Changed by steps that don't panic half-way.
    STRANGERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell_of(left_out: u64) {
    if left_out > 0 {
        tracing::warn!(count = left_out, "strangers were turned away and not told of each");
    }
}

/// Tells the log how many strangers were left out of it in a time that is over; where the host stops, until now.
pub fn tell_of_strangers(stops: bool) {
    let left_out = strangers().left_out(Instant::now(), stops);
    tell_of(left_out);
}

/// Tells the end of an exchange that never came to have a record, to the log and to those who watch: it was refused at
/// the door. So was what asked the gate itself, and is no exchange.
pub fn turned_away(recorder: &dyn Recorder, exchange: Option<ExchangeId>, refused: &TurnedAway<'_>, detail: &str) {
    recorder.turned_away(refused);
    if refused.caller.is_none() {
        let stranger = (refused.address, refused.credential);
        let (line, missed) = strangers().one(stranger, Instant::now());
        tell_of(missed);
        match line {
            Line::Full => {}
            Line::Crowd(time) => {
                tracing::warn!(
                    ?time,
                    "many strangers are turned away: for this time they are counted, and not all told"
                );
                return;
            }
            Line::None => return,
        }
    }
    let exchange = exchange.map(tracing::field::display);
    let caller = refused.caller.map(|caller| format!("{}|{}", caller.issuer, caller.subject));
    let (caller, credential) = (caller.as_deref(), refused.credential.map(|digest| digest.short()));
    let (credential, address) = (credential.as_deref(), refused.address.map(tracing::field::display));
    tracing::warn!(exchange, code = refused.code, caller, credential, address, detail, "turned away");
}
