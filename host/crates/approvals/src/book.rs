//! The machine behind the desk. Pure: time is an argument (milliseconds, by the clock that never jumps where it says no more),
//! ids are given, nothing is awaited.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use exchange::{
    Now,
    ports::{Ask, Ruling, RulingState, Rulings},
};
use model::{ApprovalId, AskedHead, Caller, Decider, Digest, Question};
use thiserror::Error;

use crate::{
    Approval, Decision, State,
    approval::{Steady, shown_bytes},
    memory::Memory,
    open::Open,
};

/// Closed questions that are kept to be looked at; the record has them all.
const CLOSED: usize = 1_000;
/// The longest time that a policy may keep a question open.
const LONGEST_MS: u64 = 24 * 3_600_000;

/// What the operator says of questions.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long a question stays open when the policy does not say.
    pub default_timeout_ms: u64,
    /// Groups that may decide when the policy names none.
    pub approvers: Vec<String>,
    /// Questions open at once.
    pub pending: usize,
    /// Of these, by one caller.
    pub pending_per_caller: usize,
    /// Bytes shown to approvers, over all open questions.
    pub shown_bytes: usize,
    /// Of these, by one caller; one question of its own is asked however long it is.
    pub shown_bytes_per_caller: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            default_timeout_ms: 300_000,
            approvers: Vec::new(),
            pending: 1_000,
            pending_per_caller: 100,
            shown_bytes: 256 << 20,
            shown_bytes_per_caller: 32 << 20,
        }
    }
}

/// Why something can't be done with a question.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Wrong {
    /// A bound of [`Terms`] is reached.
    #[error("too many questions are open ({0})")]
    Full(&'static str),
    /// There is no such question, or it was closed long ago.
    #[error("there is no approval {0}")]
    Unknown(ApprovalId),
    /// It is closed, or decided.
    #[error("the approval is {0} already")]
    NotPending(State),
    /// Somebody's decision is being recorded.
    #[error("somebody else is deciding at this moment")]
    BeingDecided,
    /// The caller's own request, or not a member of a group that may decide.
    #[error("{0} may not decide this")]
    NotAllowed(String),
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Not all is decided; the first question expires then, if one may. Nothing is used up.
    Wait(Option<u64>),
    /// This. Approvals are consumed by it: all of them, or none.
    Ruled(Rulings),
}

/// How one question stands, for who asked.
enum Standing {
    /// It expires then; none: it is being decided.
    Open(Option<u64>),
    Ruled(Ruling),
}

/// Where an ask ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The question to claim.
    pub id: ApprovalId,
    /// Whether it is a new one, under the given id.
    pub new: bool,
}

/// All questions.
#[derive(Debug)]
pub struct Book {
    terms: Terms,
    open: Open,
    closed: BTreeMap<ApprovalId, Approval>,
    /// These, in the order in which they were closed.
    forgetting: VecDeque<ApprovalId>,
    by_binding: HashMap<Digest, ApprovalId>,
    memory: Memory,
    /// Questions that were closed with nobody there to say so, oldest first, until that is told.
    changes: VecDeque<Approval>,
}

impl Book {
    /// No questions.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            open: Open::default(),
            closed: BTreeMap::new(),
            forgetting: VecDeque::new(),
            by_binding: HashMap::new(),
            memory: Memory::default(),
            changes: VecDeque::new(),
        }
    }

    /// Asks, under this id if the question is new; else it is an open question with the same binding, or one that is
    /// remembered.
    ///
    /// # Errors
    /// [`Wrong::Full`].
    pub fn ask(&mut self, id: ApprovalId, ask: &Ask, now: Now) -> Result<Asked, Wrong> {
        self.expire(now.steady_ms);
        let request = request(ask);
        let binding = binding(request, ask);
        if let Some(id) = self.memory.of(ask.about.session, binding) {
            return Ok(Asked { id, new: false });
        }
        if let Some(open) = self.by_binding.get(&binding).copied() {
            self.open.change(open, |open| open.waiting += 1);
            return Ok(Asked { id: open, new: false });
        }
        self.room(ask, request)?;
        let approval = self.approval(id, ask, (request, binding), now);
        self.by_binding.insert(binding, id);
        self.open.put(approval);
        Ok(Asked { id, new: true })
    }

    fn room(&self, ask: &Ask, request: Digest) -> Result<(), Wrong> {
        let (all, own) = (self.open.all(), self.open.of(&ask.about.caller));
        let more = if self.open.shows(&ask.about.caller, request) { 0 } else { shown_bytes(&ask.head, &ask.shown) };
        if all.questions >= self.terms.pending {
            return Err(Wrong::Full("pending"));
        }
        if own.questions >= self.terms.pending_per_caller {
            return Err(Wrong::Full("pending_per_caller"));
        }
        if all.shown.saturating_add(more) > self.terms.shown_bytes {
            return Err(Wrong::Full("shown_bytes"));
        }
        if own.shown > 0 && more > 0 && own.shown.saturating_add(more) > self.terms.shown_bytes_per_caller {
            return Err(Wrong::Full("shown_bytes_per_caller"));
        }
        Ok(())
    }

    fn approval(&self, id: ApprovalId, ask: &Ask, (request, bound_to): (Digest, Digest), now: Now) -> Approval {
        let mut question = ask.question.clone();
        if question.approvers.is_empty() {
            question.approvers.clone_from(&self.terms.approvers);
        }
        let (timeout_ms, asked_ms) = (self.timeout_ms(question.timeout_seconds), now.steady_ms);
        Approval {
            id,
            state: State::Pending,
            exchange: ask.about.exchange,
            session: ask.about.session,
            caller: Caller::clone(&ask.about.caller),
            connection: ask.about.connection.to_string(),
            model: ask.about.model.to_string(),
            policy: ask.policy.0.clone(),
            policy_digest: ask.policy.1,
            expires_at_ms: now.wall_ms.saturating_add(timeout_ms),
            left_ms: timeout_ms,
            question,
            head: Arc::clone(&ask.head),
            shown: Arc::clone(&ask.shown),
            request,
            bound_to,
            asked_at_ms: now.wall_ms,
            decided_at_ms: None,
            by: String::new(),
            reason: String::new(),
            waiting: 1,
            steady: Steady { asked_ms, decided_ms: asked_ms, due_ms: asked_ms.saturating_add(timeout_ms) },
            left: false,
            deciding: false,
            withdrawn: None,
        }
    }

    fn timeout_ms(&self, asked_seconds: u32) -> u64 {
        match asked_seconds {
            0 => self.terms.default_timeout_ms,
            seconds => u64::from(seconds) * 1000,
        }
        .min(LONGEST_MS)
    }

    /// Begins a decision: from now on the question neither expires nor is cancelled, until [`decide`](Self::decide) or
    /// [`give_up`](Self::give_up). The answer is the question as it will stand.
    ///
    /// # Errors
    /// [`Wrong`], and nothing has changed.
    pub fn begin(
        &mut self,
        id: ApprovalId,
        decision: Decision,
        decider: &Decider,
        reason: &str,
        now: Now,
    ) -> Result<Approval, Wrong> {
        self.expire(now.steady_ms);
        let Some(open) = self.open.get(id) else {
            return Err(self.closed.get(&id).map_or(Wrong::Unknown(id), |closed| Wrong::NotPending(closed.state)));
        };
        if open.deciding {
            return Err(Wrong::BeingDecided);
        }
        if open.state != State::Pending {
            return Err(Wrong::NotPending(open.state));
        }
        if !open.may(decider, decision) {
            return Err(Wrong::NotAllowed(decider.name.clone()));
        }
        let mut decided = open.clone();
        decided.deciding = true;
        decided.state = match decision {
            Decision::Approve => State::Approved,
            Decision::Deny => State::Denied,
        };
        decided.by.clone_from(&decider.name);
        reason.clone_into(&mut decided.reason);
        decided.decided_at_ms = Some(now.wall_ms);
        // From the decision on there is the same time again to use it, or to hear it.
        let timeout_ms = self.timeout_ms(decided.question.timeout_seconds);
        decided.expires_at_ms = now.wall_ms.saturating_add(timeout_ms);
        decided.steady.decided_ms = now.steady_ms;
        decided.steady.due_ms = now.steady_ms.saturating_add(timeout_ms);
        self.open.change(id, |open| open.deciding = true);
        Ok(decided)
    }

    /// Puts a decision that [`begin`](Self::begin) answered into force.
    ///
    /// # Errors
    /// [`Wrong::NotPending`] for an approval of what was withdrawn meanwhile: it is cancelled.
    pub fn decide(&mut self, decided: Approval) -> Result<(), Wrong> {
        let id = decided.id;
        let decide = |open: &mut Approval| {
            // Who waits may have changed since the decision began.
            let (waiting, left, withdrawn) = (open.waiting, open.left, open.withdrawn.take());
            *open = Approval { waiting, left, deciding: false, ..decided };
            (open.clone(), withdrawn)
        };
        let (open, withdrawn) = self.open.change(id, decide).ok_or(Wrong::Unknown(id))?;
        match withdrawn {
            Some(reason) if open.state == State::Approved => {
                self.close(id, State::Cancelled, &reason);
                return Err(Wrong::NotPending(State::Cancelled));
            }
            Some(_) => {}
            None if open.question.remember_key.is_empty() => {}
            None => self.memory.put(&open),
        }
        Ok(())
    }

    /// Takes back what [`begin`](Self::begin) began: the decision could not be recorded.
    pub fn give_up(&mut self, id: ApprovalId) {
        let give_up = |open: &mut Approval| {
            open.deciding = false;
            (open.withdrawn.take(), open.waiting == 0 && !open.left)
        };
        let Some((withdrawn, alone)) = self.open.change(id, give_up) else { return };
        if let Some(reason) = withdrawn {
            self.close(id, State::Cancelled, &reason);
        } else if alone {
            self.close(id, State::Cancelled, "nobody waits for it any more");
        }
    }

    /// What an exchange gets that waits for all of these. Approvals go to the first that claims them, and only together:
    /// while one is not there, and where one is anything else, none is used.
    pub fn claim(&mut self, ids: &[ApprovalId], now_ms: u64) -> Claim {
        self.expire(now_ms);
        let (mut approved, mut open, mut wait) = (Vec::new(), false, None::<u64>);
        for &id in ids {
            match self.standing(id) {
                Standing::Ruled(ruling) if ruling.state == RulingState::Approved => approved.push(ruling),
                Standing::Ruled(ruling) => {
                    self.use_up(id);
                    return Claim::Ruled(Rulings::Stopped(id, ruling));
                }
                Standing::Open(until_ms) => {
                    open = true;
                    wait = wait.into_iter().chain(until_ms).min();
                }
            }
        }
        if open {
            return Claim::Wait(wait);
        }
        ids.iter().for_each(|id| self.use_up(*id));
        Claim::Ruled(Rulings::Approved(approved))
    }

    fn standing(&self, id: ApprovalId) -> Standing {
        if let Some(ruling) = self.remembered_ruling(id) {
            return Standing::Ruled(ruling);
        }
        let Some(open) = self.open.get(id) else {
            let closed = self.closed.get(&id);
            return Standing::Ruled(closed.map_or_else(|| cancelled("it was closed long ago"), closed_ruling));
        };
        match open.state {
            State::Approved => Standing::Ruled(ruling(RulingState::Approved, open)),
            State::Denied => Standing::Ruled(ruling(RulingState::Denied, open)),
            State::Pending | State::Expired | State::Cancelled | State::Consumed => {
                Standing::Open((!open.deciding).then_some(open.steady.due_ms))
            }
        }
    }

    fn remembered_ruling(&self, id: ApprovalId) -> Option<Ruling> {
        let known = self.memory.get(id)?;
        let approved = known.state == State::Approved;
        let state = if approved { RulingState::Approved } else { RulingState::Denied };
        let reason = "decided once for this session".to_owned();
        Some(Ruling { state, by: known.by.clone(), reason })
    }

    /// Closes a question whose decision was heard.
    fn use_up(&mut self, id: ApprovalId) {
        match self.open.get(id).map(|open| open.state) {
            Some(State::Approved) => {
                self.open.change(id, |open| open.state = State::Consumed);
            }
            Some(State::Denied) => {}
            Some(State::Pending | State::Expired | State::Cancelled | State::Consumed) | None => return,
        }
        self.shelve(id);
    }

    /// One that waited waits no more. A question that nobody waits for is cancelled, unless it was left open.
    pub fn drop_waiter(&mut self, id: ApprovalId, leave: bool) {
        let dropped = self.open.change(id, |open| {
            open.waiting = open.waiting.saturating_sub(1);
            open.left |= leave;
            open.waiting == 0 && !open.left && !open.deciding && open.state == State::Pending
        });
        if dropped == Some(true) {
            self.close(id, State::Cancelled, "nobody waits for it any more");
        }
    }

    /// One that waited takes the question back. When nobody else waits it is cancelled for this reason, also where it was left
    /// open or decided: what it was about is no more.
    pub fn take_back(&mut self, id: ApprovalId, reason: &str) {
        let alone = self.open.change(id, |open| {
            open.waiting = open.waiting.saturating_sub(1);
            open.waiting == 0
        });
        if alone == Some(true) {
            self.cancel(id, reason);
        }
    }

    /// Closes everything whose time is up.
    pub fn expire(&mut self, now_ms: u64) {
        self.memory.expire(now_ms);
        while let Some((id, state)) = self.open.next_over(now_ms).map(|open| (open.id, open.state)) {
            match state {
                // A denial that nobody came to hear needs no second change.
                State::Denied => self.shelve(id),
                State::Approved => self.close(id, State::Expired, "approved, and not used in time"),
                _ => self.close(id, State::Expired, "nobody decided in time"),
            }
        }
    }

    /// Cancels every open question that may not lead to anything any more, waited for or left, decided or not, and
    /// forgets what was remembered of such. One that is being decided is cancelled when that is recorded.
    pub fn withdraw(&mut self, gone: impl Fn(&Approval) -> bool, reason: &str) {
        self.memory.withdraw(&gone);
        let gone: Vec<_> = self.open.iter().filter(|open| gone(open)).map(|open| open.id).collect();
        gone.into_iter().for_each(|id| self.cancel(id, reason));
    }

    /// One that is being decided is cancelled when that is recorded.
    fn cancel(&mut self, id: ApprovalId, reason: &str) {
        match self.open.get(id).map(|open| (open.deciding, open.state)) {
            Some((true, _)) => {
                self.open.change(id, |open| {
                    open.withdrawn.get_or_insert_with(|| reason.to_owned());
                });
            }
            Some((false, State::Pending | State::Approved)) => self.close(id, State::Cancelled, reason),
            Some((false, State::Denied | State::Expired | State::Cancelled | State::Consumed)) | None => {}
        }
    }

    /// When the next question expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        self.open.next_expiry()
    }

    fn close(&mut self, id: ApprovalId, state: State, reason: &str) {
        let close = |open: &mut Approval| {
            open.state = state;
            reason.clone_into(&mut open.reason);
            open.clone()
        };
        self.changes.extend(self.open.change(id, close));
        self.shelve(id);
    }

    /// Moves a question to the closed ones.
    fn shelve(&mut self, id: ApprovalId) {
        let Some(approval) = self.open.take(id) else { return };
        self.by_binding.remove(&approval.bound_to);
        self.closed.insert(id, approval.with_nothing_shown());
        self.forgetting.push_back(id);
        if self.forgetting.len() > CLOSED
            && let Some(first) = self.forgetting.pop_front()
        {
            self.closed.remove(&first);
        }
    }

    /// Of the questions that were closed by themselves (expired, cancelled) and of which nobody was told, the oldest. It
    /// stays until [`told_of_change`](Self::told_of_change): whoever tells may be stopped meanwhile.
    #[must_use]
    pub fn next_change(&self) -> Option<&Approval> {
        self.changes.front()
    }

    /// What [`next_change`](Self::next_change) answered is told.
    pub fn told_of_change(&mut self, id: ApprovalId) {
        if self.next_change().is_some_and(|change| change.id == id) {
            self.changes.pop_front();
        }
    }

    /// A question that was just claimed, also where it is remembered only.
    pub(crate) fn claimed(&self, id: ApprovalId) -> Option<&Approval> {
        self.approval_of(id).or_else(|| self.memory.get(id))
    }

    /// One question.
    #[must_use]
    pub fn approval_of(&self, id: ApprovalId) -> Option<&Approval> {
        self.open.get(id).or_else(|| self.closed.get(&id))
    }

    /// All questions: open ones first, then closed ones, each oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Approval> {
        self.open.iter().chain(self.closed.values())
    }

    /// That what is known of all open questions at once is what a walk over them says.
    #[cfg(test)]
    pub(crate) fn assert_sums(&self) {
        self.open.assert_sums();
    }
}

fn ruling(state: RulingState, approval: &Approval) -> Ruling {
    Ruling { state, by: approval.by.clone(), reason: approval.reason.clone() }
}

fn cancelled(reason: &str) -> Ruling {
    Ruling { state: RulingState::Cancelled, by: String::new(), reason: reason.to_owned() }
}

/// What a second waiter gets after the first one: never an approval.
fn closed_ruling(closed: &Approval) -> Ruling {
    match closed.state {
        State::Denied => ruling(RulingState::Denied, closed),
        State::Expired => ruling(RulingState::Expired, closed),
        State::Consumed => cancelled("another exchange used the approval, which counts once"),
        State::Pending | State::Approved | State::Cancelled => cancelled(&closed.reason),
    }
}

/// What is asked about: all that the path binds, with what is shown of it. Questions about one thing share that. Who asks is
/// among what the path binds; here it is once more, so that no two callers ever share a question.
fn request(ask: &Ask) -> Digest {
    let AskedHead { direction, method, target, headers } = &*ask.head;
    let Caller { issuer, subject, .. } = &*ask.about.caller;
    let head = [
        ask.bound_to.0.as_slice(),
        issuer.as_bytes(),
        subject.as_bytes(),
        &ask.shown,
        direction.as_str().as_bytes(),
        method.as_bytes(),
        target.as_bytes(),
    ];
    digest(head.into_iter().chain(headers.iter().flat_map(|header| [header.name.as_bytes(), header.value.as_bytes()])))
}

/// What an approval is bound to: what is asked about, who asks and all that it asks. Two policies that ask about one
/// request ask two questions.
fn binding(request: Digest, ask: &Ask) -> Digest {
    let Question { title, summary, approvers, timeout_seconds, remember_key } = &ask.question;
    let timeout = timeout_seconds.to_be_bytes();
    let fields = [
        request.0.as_slice(),
        ask.policy.0.as_bytes(),
        ask.policy.1.0.as_slice(),
        title.as_bytes(),
        summary.as_bytes(),
        remember_key.as_bytes(),
        &timeout,
    ];
    digest(fields.into_iter().chain(approvers.iter().map(String::as_bytes)))
}

/// SHA-256 over fields, each with its length before it.
fn digest<'f>(fields: impl IntoIterator<Item = &'f [u8]>) -> Digest {
    let mut context = Context::new(&SHA256);
    for field in fields {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Digest(bytes)
}
