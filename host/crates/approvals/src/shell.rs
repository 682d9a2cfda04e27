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
            at_ms: self.clock.now_ms(),
            approval: approval.id,
            exchange: approval.exchange,
            state: state.as_str().to_owned(),
            by: approval.by.clone(),
            reason: approval.reason.clone(),
        };
        self.recorder.event(event).await
    }

    /// Records what closed by itself. A failure is told, not fatal: all of it means "stop" to whoever waits.
    async fn record_changes(&self) {
        let changes = self.book().changes();
        for change in changes {
            if let Err(error) = self.record(&change, change.state).await {
                tracing::warn!(approval = %change.id, state = %change.state, %error, "an approval's end is not recorded");
            }
        }
    }

    /// The last step of approvals: their use is recorded, else they do not count.
    async fn used(&self, ids: &[ApprovalId], rulings: Vec<Ruling>) -> Rulings {
        for &id in ids {
            let approval = self.book().approval_of(id).cloned();
            let Some(approval) = approval else { continue };
            if let Err(error) = self.record(&approval, State::Consumed).await {
                let reason = error.to_string();
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
        let (book, moved) = (Mutex::new(Book::new(terms)), Notify::new());
        Self(Arc::new(Inner { book, moved, recorder, clock: Clock::start() }))
    }

    /// Closes what expires with nobody there, and records it. Runs until it is dropped.
    pub async fn keep(&self) {
        loop {
            let moved = self.0.moved.notified();
            let next = {
                let mut book = self.0.book();
                book.expire(self.0.clock.now_ms());
                book.next_expiry()
            };
            self.0.record_changes().await;
            match next {
                Some(at_ms) => tokio::select! {
                    () = moved => {}
                    () = tokio::time::sleep_until(self.0.clock.instant(at_ms)) => {}
                },
                None => moved.await,
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
        let decided = self.0.book().begin(id, decision, decider, reason, self.0.clock.now_ms())?;
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
            taken.map(|()| decided)
        });
        task.await.map_err(|_| DecideError::Stopping)?
    }

    /// Cancels every open question of which `gone` says that it may not lead to anything any more: its caller's
    /// credentials were revoked. Whoever waits is told. `gone` is told as well how many milliseconds ago it was asked: the
    /// times of this desk compare with those of no other clock.
    pub fn withdraw(&self, gone: impl Fn(&Approval, u64) -> bool, reason: &str) {
        let now_ms = self.0.clock.now_ms();
        let gone = |approval: &Approval| gone(approval, now_ms.saturating_sub(approval.asked_at_ms));
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
        let mut book = self.0.book();
        book.expire(self.0.clock.now_ms());
        book.iter().map(Approval::with_nothing_shown).collect()
    }

    /// One question.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<Approval> {
        let mut book = self.0.book();
        book.expire(self.0.clock.now_ms());
        book.approval_of(id).cloned()
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
            let mut ticket = Box::new(Waiter { ids: Vec::new(), desk: Arc::clone(&self.0), leave: false });
            let mut new = Vec::new();
            for ask in &asks {
                let mut book = self.0.book();
                let asked = book.ask(ApprovalId::new(), ask, self.0.clock.now_ms());
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
                let claim = desk.book().claim(&self.ids, desk.clock.now_ms());
                match claim {
                    Claim::Ruled(Rulings::Approved(rulings)) => return Some(desk.used(&self.ids, rulings).await),
                    Claim::Ruled(stopped @ Rulings::Stopped(..)) => return Some(stopped),
                    Claim::Wait(until_ms) => tokio::select! {
                        biased;
                        () = moved => {}
                        () = tokio::time::sleep_until(desk.clock.instant(until_ms)) => {}
                        () = &mut over => return None,
                    },
                }
            }
        })
    }

    fn leave(mut self: Box<Self>) {
        self.leave = true;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut book = self.desk.book();
        self.ids.iter().for_each(|id| book.drop_waiter(*id, self.leave));
        drop(book);
        self.desk.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
