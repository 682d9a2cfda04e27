//! The desk: the [`Book`] behind a lock, woken by decisions and by time, with the record beside it.
//!
//! What must hold: the lock is never held over an await; a decision is in the record before anybody sees it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use exchange::{
    Clock,
    ports::{Ask, Desk, DeskError, RecordError, Recorder, Ruling, RulingState, Rulings, Ticket},
};
use futures_util::future::{BoxFuture, try_join_all};
use model::{ApprovalId, Decider, Event};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{Approval, Book, Claim, Decision, State, Terms, Wrong};

/// Why a decision was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecideError {
    /// It can't be.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// It could not be recorded, so it does not count; the question is open still.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The task that records it was stopped.
    #[error("the host is stopping")]
    Stopping,
}

/// All questions, for the path ([`Desk`]) and for those who decide.
#[derive(Clone)]
pub struct Approvals(Arc<Inner>);

struct Inner {
    book: Mutex<Book>,
    /// Told after every change that somebody may wait for.
    moved: Notify,
    recorder: Arc<dyn Recorder>,
    clock: Clock,
}

impl Inner {
    fn book(&self) -> MutexGuard<'_, Book> {
        // The book is changed by whole steps that don't panic half-way, so what a panic elsewhere left is sound.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, approval: &Approval, state: State) -> Result<(), RecordError> {
        let event = Event::Approval {
            at_ms: self.clock.now().wall_ms,
            approval: approval.id,
            exchange: approval.exchange,
            state: state.as_str().to_owned(),
            by: approval.by.clone(),
            reason: approval.reason.clone(),
        };
        self.recorder.event(event).await
    }

    /// Records what closed by itself. A failure is told, not fatal: all of it means "stop" to whoever waits. Where this is
    /// dropped, what is not recorded yet is left for the next time; the one in hand may be recorded twice.
    async fn record_changes(&self) {
        loop {
            let change = self.book().next_change().cloned();
            let Some(change) = change else { return };
            if let Err(error) = self.record(&change, change.state).await {
                tracing::warn!(approval = %change.id, state = %change.state, %error, "an approval's end is not recorded");
            }
            self.book().told_of_change(change.id);
        }
    }

    /// The last step of approvals, which were claimed just now: their use is recorded, else they do not count.
    async fn used(&self, ids: &[ApprovalId], claimed: Vec<Option<Approval>>, rulings: Vec<Ruling>) -> Rulings {
        for (&id, approval) in ids.iter().zip(claimed) {
            let recorded = match &approval {
                Some(approval) => self.record(approval, State::Consumed).await.map_err(|error| error.to_string()),
                None => Err("the approval is not known any more".to_owned()),
            };
            if let Err(reason) = recorded {
                return Rulings::Stopped(id, Ruling { state: RulingState::Cancelled, by: String::new(), reason });
            }
        }
        Rulings::Approved(rulings)
    }
}

impl Approvals {
    /// An empty desk.
    #[must_use]
    pub fn new(terms: Terms, recorder: Arc<dyn Recorder>) -> Self {
        Self::at(terms, recorder, Clock::start())
    }

    /// The same, by this clock.
    fn at(terms: Terms, recorder: Arc<dyn Recorder>, clock: Clock) -> Self {
        let (book, moved) = (Mutex::new(Book::new(terms)), Notify::new());
        Self(Arc::new(Inner { book, moved, recorder, clock }))
    }

    /// Closes what expires with nobody there, and records it. Runs until it is dropped.
    pub async fn keep(&self) {
        loop {
            let moved = self.0.moved.notified();
            let next = {
                let mut book = self.0.book();
                book.expire(self.0.clock.steady_ms());
                book.next_expiry()
            };
            self.0.record_changes().await;
            tokio::select! {
                () = moved => {}
                () = self.0.clock.until(next) => {}
            }
        }
    }

    /// Decides. Durable before it is answered and before the exchange goes on.
    ///
    /// # Errors
    /// [`DecideError`]; the question then stands as it stood.
    pub async fn decide(
        &self,
        id: ApprovalId,
        decision: Decision,
        decider: &Decider,
        reason: &str,
    ) -> Result<Approval, DecideError> {
        let decided = self.0.book().begin(id, decision, decider, reason, self.0.clock.now())?;
        let inner = Arc::clone(&self.0);
        // A task of its own: what is begun is ended even when the approver's connection breaks meanwhile.
        let task = tokio::spawn(async move {
            let recorded = inner.record(&decided, decided.state).await;
            let taken = match recorded {
                Ok(()) => inner.book().decide(decided.clone()).map_err(DecideError::Wrong),
                Err(error) => {
                    inner.book().give_up(id);
                    Err(DecideError::Record(error))
                }
            };
            inner.moved.notify_waiters();
            taken.map(|()| decided.told(inner.clock.steady_ms()))
        });
        task.await.map_err(|_| DecideError::Stopping)?
    }

    /// Cancels every open question of which `gone` says that it may not lead to anything any more: its caller's
    /// credentials were revoked. Whoever waits is told. `gone` is told as well how many milliseconds ago it was asked: the
    /// times of this desk compare with those of no other clock.
    pub fn withdraw(&self, gone: impl Fn(&Approval, u64) -> bool, reason: &str) {
        let now_ms = self.0.clock.steady_ms();
        let gone = |approval: &Approval| gone(approval, now_ms.saturating_sub(approval.steady.asked_ms));
        self.0.book().withdraw(gone, reason);
        self.0.moved.notify_waiters();
    }

    /// Cancels every open question, and records what became of all: a host stops, and what it was asked is known to no other.
    pub async fn close(&self) {
        self.withdraw(|_, _| true, "the host was stopped");
        self.0.record_changes().await;
    }

    /// All questions: open ones first, then closed ones, each oldest first. What would go on is not among it:
    /// [`approval`](Self::approval) has that.
    #[must_use]
    pub fn list(&self) -> Vec<Approval> {
        let (mut book, now_ms) = (self.0.book(), self.0.clock.steady_ms());
        book.expire(now_ms);
        book.iter().map(|approval| approval.with_nothing_shown().told(now_ms)).collect()
    }

    /// One question.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<Approval> {
        let (mut book, now_ms) = (self.0.book(), self.0.clock.steady_ms());
        book.expire(now_ms);
        book.approval_of(id).map(|approval| approval.clone().told(now_ms))
    }

    /// How many questions nobody has decided.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.book().iter().filter(|approval| approval.state == State::Pending).count()
    }
}

impl Desk for Approvals {
    fn ask(&self, asks: Vec<Ask>) -> BoxFuture<'_, Result<Box<dyn Ticket>, DeskError>> {
        Box::pin(async move {
            // From here on dropping the ticket takes the questions back, also when this future is dropped.
            let mut ticket =
                Box::new(Waiter { ids: Vec::new(), desk: Arc::clone(&self.0), leave: false, withdrawn: None });
            let mut new = Vec::new();
            for ask in &asks {
                let mut book = self.0.book();
                let asked = book.ask(ApprovalId::new(), ask, self.0.clock.now());
                let asked = asked.map_err(|wrong| DeskError(wrong.to_string()))?;
                ticket.ids.push(asked.id);
                new.extend(book.approval_of(asked.id).filter(|_| asked.new).cloned());
            }
            if ticket.ids.is_empty() {
                return Err(DeskError("there is no question".to_owned()));
            }
            let recorded = new.iter().map(|approval| self.0.record(approval, State::Pending));
            try_join_all(recorded).await.map_err(|error| DeskError(error.to_string()))?;
            if !new.is_empty() {
                self.0.moved.notify_waiters();
            }
            Ok(ticket as Box<dyn Ticket>)
        })
    }
}

/// One exchange that waits.
struct Waiter {
    ids: Vec<ApprovalId>,
    desk: Arc<Inner>,
    leave: bool,
    /// Why its questions are taken back, where that is more than that nobody waits.
    withdrawn: Option<String>,
}

impl Ticket for Waiter {
    fn approvals(&self) -> &[ApprovalId] {
        &self.ids
    }

    fn decided(&mut self, within: Duration) -> BoxFuture<'_, Option<Rulings>> {
        Box::pin(async move {
            let desk = &*self.desk;
            let over = tokio::time::sleep(within);
            tokio::pin!(over);
            loop {
                // Listening begins before the look, so that no decision falls between the two.
                let moved = desk.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                let (claim, claimed) = {
                    let mut book = desk.book();
                    let claim = book.claim(&self.ids, desk.clock.steady_ms());
                    // Under the same lock: nothing that is closed meanwhile makes the desk forget them.
                    let claimed = matches!(claim, Claim::Ruled(Rulings::Approved(_)))
                        .then(|| self.ids.iter().map(|id| book.claimed(*id).cloned()).collect::<Vec<_>>());
                    (claim, claimed.unwrap_or_default())
                };
                match claim {
                    Claim::Ruled(Rulings::Approved(rulings)) => {
                        return Some(desk.used(&self.ids, claimed, rulings).await);
                    }
                    Claim::Ruled(stopped @ Rulings::Stopped(..)) => return Some(stopped),
                    Claim::Wait(until_ms) => tokio::select! {
                        biased;
                        () = moved => {}
                        () = desk.clock.until(until_ms) => {}
                        () = &mut over => return None,
                    },
                }
            }
        })
    }

    fn leave(mut self: Box<Self>) {
        self.leave = true;
    }

    fn withdraw(mut self: Box<Self>, reason: &str) {
        self.withdrawn = Some(reason.to_owned());
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut book = self.desk.book();
        for id in &self.ids {
            match &self.withdrawn {
                Some(reason) => book.take_back(*id, reason),
                None => book.drop_waiter(*id, self.leave),
            }
        }
        drop(book);
        self.desk.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
