//! The desk: the [`Book`] behind a lock, woken by decisions and by time, with the record beside it.
//!
//! What must hold: the lock is never held over an await; a decision is in the record before anybody sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exchange::{
    Clock,
    ports::{Ask, Desk, DeskError, RecordError, Recorder, Ruling, RulingState, Ticket},
};
use futures_util::future::BoxFuture;
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

    /// The last step of an approval: its use is recorded, else it does not count.
    async fn heard(&self, id: ApprovalId, ruling: Ruling) -> Ruling {
        if ruling.state != RulingState::Approved {
            return ruling;
        }
        let approval = self.book().approval_of(id).cloned();
        let Some(approval) = approval else { return ruling };
        match self.record(&approval, State::Consumed).await {
            Ok(()) => ruling,
            Err(error) => Ruling { state: RulingState::Cancelled, by: String::new(), reason: error.to_string() },
        }
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
    /// credentials were revoked. Whoever waits is told.
    pub fn withdraw(&self, gone: impl Fn(&Approval) -> bool, reason: &str) {
        self.0.book().withdraw(gone, reason);
        self.0.moved.notify_waiters();
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
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Box<dyn Ticket>, DeskError>> {
        Box::pin(async move {
            let refused = |wrong: Wrong| DeskError(wrong.to_string());
            let (asked, approval) = {
                let mut book = self.0.book();
                let asked = book.ask(ApprovalId::new(), &ask, self.0.clock.now_ms()).map_err(refused)?;
                (asked, book.approval_of(asked.id).cloned())
            };
            // From here on dropping the ticket takes the question back, also when this future is dropped.
            let ticket = Box::new(Waiter { id: asked.id, desk: Arc::clone(&self.0), ruled: None, leave: false });
            if let Some(approval) = approval.filter(|_| asked.new) {
                self.0.record(&approval, State::Pending).await.map_err(|error| DeskError(error.to_string()))?;
                self.0.moved.notify_waiters();
            }
            Ok(ticket as Box<dyn Ticket>)
        })
    }
}

/// One exchange that waits.
struct Waiter {
    id: ApprovalId,
    desk: Arc<Inner>,
    /// Claimed, and not yet told.
    ruled: Option<Ruling>,
    leave: bool,
}

impl Waiter {
    fn claim(&mut self) -> Claim {
        if let Some(ruling) = &self.ruled {
            return Claim::Ruled(ruling.clone());
        }
        let claim = self.desk.book().claim(self.id, self.desk.clock.now_ms());
        if let Claim::Ruled(ruling) = &claim {
            self.ruled = Some(ruling.clone());
        }
        claim
    }
}

impl Ticket for Waiter {
    fn approval(&self) -> ApprovalId {
        self.id
    }

    fn decided(&mut self) -> BoxFuture<'_, Ruling> {
        Box::pin(async move {
            let desk = Arc::clone(&self.desk);
            loop {
                // Listening begins before the look, so that no decision falls between the two.
                let moved = desk.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                match self.claim() {
                    Claim::Ruled(ruling) => return desk.heard(self.id, ruling).await,
                    Claim::Wait(until_ms) => tokio::select! {
                        () = moved => {}
                        () = tokio::time::sleep_until(desk.clock.instant(until_ms)) => {}
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
        self.desk.book().drop_waiter(self.id, self.leave);
        self.desk.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
