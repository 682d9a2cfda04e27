//! The policies of one exchange, in order, on all of its text. The only maker of [`Cleared`].
//!
//! Text moves through the chain stage by stage: for each policy in order, every part that has something new. What the
//! last policy let go is released to the flow. A policy that stops a request does not end the pass: the others still
//! edit, so that the record shows the request as masked as it would have gone out.

mod asking;
mod behind;
mod bytes_hooks;
mod cleared;
mod due;
mod fields;
mod put_back;
mod request;
mod seat;
mod strand;
mod text;
mod told;
mod tool_calls;
mod track;
mod unseen;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use model::{
    Channel, Direction, Entry, Part, PartId, Restore, Scope, Verdict,
    record::{EditRecord, Judged, JudgedVerdict, PolicyTally},
};
use wire::{Asked, Step, ToolCall};

pub use self::cleared::Cleared;
pub(crate) use self::{asking::Asking, request::Reader};
use self::{
    asking::Progress,
    bytes_hooks::ByteTrack,
    due::Due,
    request::Unread,
    seat::{Seat, is_quiet},
    track::Track,
};
use crate::{
    aside::Stint,
    echo::{self, Bytewise, Echo, Secrets},
    placeholder::Placeholders,
    ports::{About, Failure, Policy, PolicySet, Recorder, Summary},
    refuse::Stop,
    scope,
    twin::{Taken, Twin},
    vault::Vault,
};

/// The policies of one exchange at work.
pub(crate) struct Judge {
    set: Arc<PolicySet>,
    seats: Vec<Seat>,
    about: Arc<About>,
    scope: Arc<Scope>,
    /// What reads the request, as often as it is read.
    reader: Arc<Reader>,
    /// What policies made of the request since it was read.
    unread: Unread,
    /// The seat from which on the request is judged as it was read last: those before are through with it.
    first: usize,
    direction: Direction,
    /// Parts on their way. One whose text has left an answer is forgotten: a stream may have any number of them.
    tracks: BTreeMap<PartId, Track>,
    /// Parts with something new since the last pass.
    due: Due,
    /// Bytes of text that were told, of the request and of the answer.
    text_bytes: (u64, u64),
    stint: Stint,
    /// Seats that came with the last switch.
    fresh: Vec<usize>,
    /// Tool calls that are complete and wait for their verdicts.
    calls: Vec<ToolCall>,
    bytes: ByteTrack,
    /// The gate's own credentials, which no answer may hold.
    secrets: Secrets,
    /// The same, for an answer whose text is not known.
    guard: Bytewise,
    /// The answer broke off: no part of it will be complete.
    broken: bool,
    asked: Option<Asked>,
    asking: Vec<Asking>,
    /// How far the body of this direction has come.
    progress: Progress,
    stop: Option<Stop>,
    /// A policy failed, so text may have passed it unmasked: nothing of it may be recorded.
    unmasked: bool,
    findings: Vec<Entry>,
    left: Vec<PolicyTally>,
    /// Policies that were in force in this exchange and have no newer version here.
    gone: Vec<Arc<dyn Policy>>,
    /// The dialect's text is not known: only byte hooks judge.
    raw: bool,
    started: Instant,
    recorder: Arc<dyn Recorder>,
    placeholders: Arc<Placeholders>,
    restore: Restore,
    /// What was taken out of the request.
    vault: Vault,
    /// Placeholders that policies put into the answer.
    masked_here: BTreeSet<String>,
}

impl Drop for Judge {
    /// However the exchange ends.
    fn drop(&mut self) {
        for policy in self.seats.iter().map(|seat| &seat.policy).chain(&self.gone) {
            policy.over(self.about.exchange);
        }
    }
}

impl Judge {
    /// The policies of this set that guard this connection.
    pub(crate) fn new(
        set: Arc<PolicySet>,
        about: Arc<About>,
        scope: Arc<Scope>,
        reader: Arc<Reader>,
        started: Instant,
        recorder: Arc<dyn Recorder>,
        placeholders: Arc<Placeholders>,
    ) -> Self {
        let secrets = Secrets::default();
        let seats = seats(&set, &about.connection, &secrets);
        Self {
            bytes: ByteTrack::new(&seats),
            set,
            seats,
            about,
            scope,
            raw: reader.is_raw(),
            reader,
            unread: Unread::default(),
            first: 0,
            direction: Direction::Request,
            tracks: BTreeMap::new(),
            text_bytes: (0, 0),
            stint: Stint::default(),
            due: Due::default(),
            fresh: Vec::new(),
            calls: Vec::new(),
            secrets,
            guard: Bytewise::default(),
            broken: false,
            asked: None,
            asking: Vec::new(),
            progress: Progress::default(),
            stop: None,
            unmasked: false,
            findings: Vec::new(),
            left: Vec::new(),
            gone: Vec::new(),
            started,
            recorder,
            placeholders,
            restore: Restore::Off,
            vault: Vault::default(),
            masked_here: BTreeSet::new(),
        }
    }

    /// The same, putting back into the answer what is taken out of the request.
    pub(crate) fn putting_back(mut self, restore: Restore) -> Self {
        self.restore = restore;
        self
    }

    pub(crate) fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    pub(crate) fn about(&self) -> &Arc<About> {
        &self.about
    }

    /// What the request asks for, once it is known.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }

    /// Bytes of text of the request, and of the answer so far, where a model was asked.
    pub(crate) fn text_bytes(&self) -> Option<(u64, u64)> {
        self.asked.as_ref().filter(|asked| !asked.model.is_empty()).map(|_| self.text_bytes)
    }

    /// Whether every policy has edited what it wanted to, so that a request that is stopped may be recorded.
    pub(crate) fn is_masked(&self) -> bool {
        !self.unmasked
    }

    /// Verdicts and edits since the last call, for the record.
    pub(crate) fn findings(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.findings)
    }

    /// How often each policy was called, those of earlier sets included.
    pub(crate) fn tallies(&self) -> Vec<PolicyTally> {
        // The host's own is told where it did something.
        let told = self.seats.iter().filter(|seat| seat.id() != echo::ID || seat.tally.edits > 0);
        self.left.iter().cloned().chain(told.map(|seat| seat.tally.clone())).collect()
    }

    /// Turns to the other direction: the guests stay, the parts are new ones.
    pub(crate) fn turn(&mut self) {
        self.direction = Direction::Response;
        self.first = 0;
        self.tracks.clear();
        self.due.clear();
        self.progress = Progress::default();
        self.bytes = ByteTrack::new(&self.seats);
    }

    /// An answer begins: none of `secrets` comes before the policies.
    pub(crate) fn keep_back(&mut self, secrets: &Secrets) {
        self.secrets = secrets.clone();
        self.guard = Bytewise::new(secrets.clone());
        self.seats.splice(0..0, Echo::of(secrets).map(|echo| Seat::new(echo, None, self.set.generation)));
        self.bytes = ByteTrack::new(&self.seats);
    }

    /// Takes another set in the place of this one, between two chunks. Policies whose digest is the same keep their
    /// guest; all text that has not left begins its way anew, so that one set alone judges it.
    pub(crate) async fn switch(&mut self, set: Arc<PolicySet>) -> Result<(), Stop> {
        let mut old = std::mem::replace(&mut self.seats, seats(&set, &self.about.connection, &self.secrets));
        let mut fresh = Vec::new();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let same = |kept: &Seat| kept.policy.info().digest == seat.policy.info().digest && kept.id() == seat.id();
            match old.iter().position(same) {
                Some(kept) => {
                    let kept = old.swap_remove(kept);
                    // A policy that was prepared anew from the same bytes may have declared other patterns.
                    let place = seat.place_in_set.filter(|_| Arc::ptr_eq(&kept.policy, &seat.policy));
                    *seat = kept;
                    seat.place_in_set = place;
                }
                None => {
                    seat.resumed = true;
                    fresh.push(at);
                }
            }
        }
        for seat in old {
            let known = |policy: &Arc<dyn Policy>| policy.info().id == seat.id();
            if !self.seats.iter().any(|seat| known(&seat.policy)) && !self.gone.iter().any(known) {
                self.gone.push(Arc::clone(&seat.policy));
            }
            self.left.push(seat.tally);
        }
        self.set = set;
        for track in self.tracks.values_mut() {
            let places = places(&self.seats, self.direction, track.part);
            track.rewind(places);
        }
        self.due = self.tracks.values().filter(|track| !track.is_over()).map(|track| track.part.id).collect();
        self.bytes.rewind(&self.seats);
        self.fresh.clone_from(&fresh);
        self.open_these(&fresh).await
    }

    /// Takes a request's body past what comes before its decoding: the byte hooks, and for a request whose text is not
    /// known the opening of the guests.
    pub(crate) async fn admit(&mut self, body: Bytes) -> Result<Bytes, Stop> {
        if self.raw {
            self.open().await?;
            return Ok(body);
        }
        Ok(self.judge_bytes(body, true).await?.into_both().0)
    }

    /// Opens the guests of policies that want to see every exchange.
    async fn open(&mut self) -> Result<(), Stop> {
        self.open_these(&(0..self.seats.len()).collect::<Vec<_>>()).await
    }

    async fn open_these(&mut self, seats: &[usize]) -> Result<(), Stop> {
        for &seat in seats {
            if self.seats[seat].policy.plan().hooks.open {
                let about = Arc::clone(&self.about);
                let answer = self.seats[seat].call(&about, &(), |guest, ()| guest.open()).await;
                if let Some(verdict) = self.heard(seat, "open", None, answer) {
                    self.obey(seat, "open", None, verdict, Vec::new(), Vec::new());
                }
            }
        }
        self.stopped_response()
    }

    /// Decides what can be decided of all that was heard.
    pub(crate) async fn decide(&mut self, flow: &mut Twin) -> Result<(), Stop> {
        if self.direction == Direction::Request && self.asked.is_some() {
            self.judge_request(flow).await?;
        } else {
            self.judge_text().await;
        }
        self.stopped_response()?;
        self.release(flow);
        self.judge_tool_calls(flow).await?;
        match self.stop.take() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// Hears all that the flow has to tell.
    pub(crate) fn hear(&mut self, flow: &mut Twin) -> Result<(), Stop> {
        self.progress.came = flow.came();
        while let Some(step) = flow.next() {
            match step {
                Step::Asked(asked) => {
                    // No policy has seen it yet, so nothing of it may be recorded.
                    let further = scope::further_models(&asked);
                    scope::check_models(&self.scope, &asked, &further).inspect_err(|_| self.unmasked = true)?;
                    let mut about = About::clone(&self.about);
                    about.model = asked.model.as_str().into();
                    about.further_models = further;
                    about.streaming = asked.streaming;
                    self.about = Arc::new(about);
                    self.asked = Some(*asked);
                }
                Step::Begin(part) => {
                    let first = self.first;
                    let places = places(&self.seats, self.direction, part).filter(|place| place.seat >= first);
                    self.tracks.insert(part.id, Track::new(part, places));
                    self.due.mark(part.id);
                }
                Step::Text { part, text } => {
                    match self.direction {
                        Direction::Request => self.text_bytes.0 += text.len() as u64,
                        Direction::Response => self.text_bytes.1 += text.len() as u64,
                    }
                    self.track(part).feed(text);
                    self.due.mark(part);
                }
                Step::End(part) => {
                    self.track(part).ended = true;
                    self.due.mark(part);
                }
                Step::ToolCall(call) => self.calls.push(call),
            }
        }
        Ok(())
    }

    /// Hears what the flow tells once more to those who judge from here on: it came once.
    pub(crate) fn hear_again(&mut self, flow: &mut Twin) -> Result<(), Stop> {
        let came = self.text_bytes;
        self.hear(flow)?;
        self.text_bytes = came;
        Ok(())
    }

    /// The track of a part that has not left.
    fn track(&mut self, part: PartId) -> &mut Track {
        self.tracks.get_mut(&part).expect("a part is told from its beginning to its end")
    }

    /// No more of the answer comes, and all that came was heard: all text that is pending is judged as the last of its part,
    /// but for what could have become a match with what will not come, which stays. What can leave so is answered.
    pub(crate) async fn break_off(&mut self, flow: &mut Twin) -> Result<Cleared, Stop> {
        self.broken = true;
        self.guard.break_off();
        self.due.clear();
        for track in self.tracks.values_mut().filter(|track| !track.is_over()) {
            track.ended = true;
            self.due.mark(track.part.id);
        }
        self.judge_text().await;
        self.stopped_response()?;
        self.release(flow);
        self.clear(flow, true).await
    }

    /// Takes from the flow what may leave, past the policies that judge bytes.
    pub(crate) async fn clear(&mut self, flow: &mut Twin, last: bool) -> Result<Cleared, Stop> {
        let Taken { judged, delivered } = flow.take();
        self.progress.left = flow.left();
        if self.direction == Direction::Response || self.raw {
            let cleared = self.judge_bytes(judged, last).await?;
            return Ok(cleared.delivered_as(delivered));
        }
        // A decoded request passed the byte hooks before it was decoded.
        Ok(Cleared::of(judged))
    }

    /// Tells the policies that want to know that the exchange is over.
    pub(crate) async fn over(&mut self, summary: &Summary) {
        for seat in 0..self.seats.len() {
            if !self.seats[seat].policy.plan().hooks.audit {
                continue;
            }
            let about = Arc::clone(&self.about);
            let answer = self.seats[seat].call(&about, summary, |guest, summary| guest.on_end(summary)).await;
            match answer {
                Ok(notes) if notes.is_empty() => {}
                Ok(notes) => self.note(seat, "on-end", None, JudgedVerdict::Allow, Vec::new(), notes),
                Err(failure) => self.note(seat, "on-end", None, failed(&failure, true), Vec::new(), Vec::new()),
            }
        }
    }

    /// An answer, or `None` where the failure mode is to go on without one.
    fn heard<T>(
        &mut self,
        seat: usize,
        hook: &'static str,
        part: Option<(PartId, Channel)>,
        answer: Result<T, Failure>,
    ) -> Option<T> {
        let mut failure = match answer {
            Ok(answer) => return Some(answer),
            Err(failure) => failure,
        };
        let open = self.seats[seat].fails_open() || self.seats[seat].is_shadow();
        if open && self.seats[seat].passed_over(&failure) {
            failure.message.push_str("; it is not called again in this exchange");
        }
        let policy = self.seats[seat].id().to_owned();
        tracing::warn!(%policy, hook, %failure, open, exchange = %self.about.exchange, "a policy failed");
        self.note(seat, hook, part, failed(&failure, open), Vec::new(), Vec::new());
        if !open {
            self.unmasked = true;
            self.stop.get_or_insert(Stop::PolicyFailed { policy, failure });
        } else if let Some(question) = self.seats[seat].owed() {
            // It was asked before the call failed, and no other call may come to put it.
            self.obey(seat, "open", None, Verdict::Ask(question), Vec::new(), Vec::new());
        }
        None
    }

    /// Does what a verdict says; the first stop stands.
    fn obey(
        &mut self,
        seat: usize,
        hook: &'static str,
        part: Option<(PartId, Channel)>,
        verdict: Verdict,
        edits: Vec<EditRecord>,
        notes: Vec<model::Attribute>,
    ) {
        let count = u32::try_from(edits.len()).unwrap_or(u32::MAX);
        self.seats[seat].tally.edits = self.seats[seat].tally.edits.saturating_add(count);
        if is_quiet(&verdict) && edits.is_empty() && notes.is_empty() {
            return;
        }
        let shadow = self.seats[seat].is_shadow();
        if !shadow && !edits.is_empty() {
            self.unread.by = Some(seat);
        }
        let kept = match &verdict {
            Verdict::Allow => JudgedVerdict::Allow,
            Verdict::Done => JudgedVerdict::Done,
            Verdict::Block(refusal) => JudgedVerdict::Block(refusal.clone()),
            Verdict::Ask(question) => JudgedVerdict::Ask(question.clone()),
        };
        self.note(seat, hook, part, kept, edits, notes);
        match verdict {
            Verdict::Allow => {}
            Verdict::Done => self.seats[seat].done = true,
            _ if shadow => {}
            Verdict::Block(refusal) => {
                let policy = self.seats[seat].id().to_owned();
                self.stop.get_or_insert(Stop::Blocked { policy, refusal });
            }
            Verdict::Ask(question) => self.ask(seat, question),
        }
    }

    fn note(
        &mut self,
        seat: usize,
        hook: &'static str,
        part: Option<(PartId, Channel)>,
        verdict: JudgedVerdict,
        edits: Vec<EditRecord>,
        notes: Vec<model::Attribute>,
    ) {
        let seat = &self.seats[seat];
        self.findings.push(Entry::Judged(Judged {
            at: crate::record::micros_since(self.started),
            policy: seat.id().to_owned(),
            digest: seat.tally.digest,
            generation: self.set.generation,
            direction: self.direction,
            hook: hook.to_owned(),
            part,
            verdict,
            edits,
            notes,
            shadow: seat.is_shadow(),
        }));
    }

    /// A response stops where it stands; a request goes on to be masked for the record.
    fn stopped_response(&mut self) -> Result<(), Stop> {
        match self.direction {
            Direction::Response => self.stop.take().map_or(Ok(()), Err),
            Direction::Request => Ok(()),
        }
    }
}

fn failed(failure: &Failure, open: bool) -> JudgedVerdict {
    JudgedVerdict::Failed { kind: failure.kind.to_string(), message: failure.message.clone(), open }
}

/// The policies of a set that guard a connection, behind the host's own, which keeps `secrets` from them.
fn seats(set: &PolicySet, connection: &str, secrets: &Secrets) -> Vec<Seat> {
    let guarding = set.policies.iter().enumerate().filter(|(_, policy)| {
        let connections = &policy.info().connections;
        connections.is_empty() || connections.iter().any(|name| name == connection)
    });
    let own = Echo::of(secrets).into_iter().map(|echo| (echo, None));
    let policies = own.chain(guarding.map(|(place, policy)| (Arc::clone(policy), Some(place))));
    policies.map(|(policy, place)| Seat::new(policy, place, set.generation)).collect()
}

/// The seats that a part passes: those that want its text, and in a request those that may edit any part of it.
fn places(seats: &[Seat], direction: Direction, part: Part) -> impl Iterator<Item = track::Place> {
    seats
        .iter()
        .enumerate()
        .filter(move |(_, seat)| {
            let plan = seat.policy.plan();
            plan.wants(direction, part.channel, part.speaker)
                || (direction == Direction::Request && plan.hooks.conversation)
        })
        .map(|(at, seat)| seat.place(at))
}
