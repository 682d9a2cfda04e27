//! Detector and book behind a lock, with the control log and the webhooks beside them.
//!
//! What must hold: the lock is never held over an await; the path only counts, everything else is done in [`Alerts::keep`].

use std::{
    io,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use exchange::{
    Clock, Now,
    ports::{ControlLog, RecordError},
};
use futures_util::future::join_all;
use model::{
    Alert, AlertId, ApprovalId, ControlEvent, Rule, Subject,
    alert::{Acked, DeliveryState},
};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{
    Terms, Webhook,
    book::Book,
    detector::{Detector, Finding},
    history,
    recent::Recent,
    webhook::{self, Told},
};

/// Time between two times that habits are kept.
const HABITS_SAVE: Duration = Duration::from_secs(300);
/// Held exchanges whose callers are remembered until it is decided about them.
const HELD: usize = 10_000;

/// Why detection can't begin.
#[derive(Debug, Error)]
pub enum OpenError {
    /// What was noticed before can't be read.
    #[error(transparent)]
    Log(#[from] RecordError),
}

/// There is no such alert.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("there is no alert {0}")]
pub struct Unknown(pub AlertId);

/// Detection, for the path (as a [`Watch`](exchange::ports::Watch)) and for operators.
#[derive(Clone)]
pub struct Alerts(Arc<Inner>);

struct Inner {
    terms: Terms,
    state: Mutex<State>,
    /// Told after every change that somebody may wait for.
    moved: Notify,
    log: Arc<dyn ControlLog>,
    webhooks: Vec<(Webhook, Attempts)>,
    habits: Option<PathBuf>,
    clock: Clock,
}

pub(crate) struct State {
    pub(crate) detector: Detector,
    book: Book,
    /// Callers whose exchanges are held, by the question.
    pub(crate) held: Recent<ApprovalId, Subject>,
    /// Questions that came to nothing, which was counted, and of which the exchange that asked has not heard.
    pub(crate) unheard: Recent<ApprovalId, ()>,
}

#[derive(Default)]
struct Attempts {
    good: AtomicU64,
    bad: AtomicU64,
}

/// How telling one webhook goes, since the host started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The webhook's name.
    pub webhook: String,
    /// Attempts that it took.
    pub delivered: u64,
    /// Attempts that it did not.
    pub failed: u64,
    /// Alerts of which it is still to be told.
    pub pending: u64,
}

impl Alerts {
    /// Goes on with what was noticed before. `habits`: the file in which callers' habits are kept. Blocks.
    ///
    /// # Errors
    /// When the control log can't be read.
    pub fn open(
        terms: Terms,
        webhooks: Vec<Webhook>,
        log: Arc<dyn ControlLog>,
        habits: Option<PathBuf>,
    ) -> Result<Self, OpenError> {
        Self::open_at(terms, webhooks, log, habits, Clock::start())
    }

    /// The same, by this clock.
    fn open_at(
        terms: Terms,
        webhooks: Vec<Webhook>,
        log: Arc<dyn ControlLog>,
        habits: Option<PathBuf>,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let alerts = log.replay()?.into_iter().filter_map(|event| match event {
            ControlEvent::Alert(alert) => Some(alert),
            _ => None,
        });
        let wants = webhooks.iter().map(|webhook| (webhook.name().to_owned(), webhook.rules().to_vec())).collect();
        let book = Book::new(terms.quiet_ms, wants, alerts.collect(), clock.now());
        let mut detector = Detector::new(terms.clone());
        if let (Some(path), Some(volume)) = (&habits, &terms.unusual_volume) {
            match history::read(path, volume) {
                Ok(kept) => detector.take_up(kept, clock.steady_ms()),
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "callers' habits can't be read: they are learned anew");
                }
            }
        }
        let state = Mutex::new(State { detector, book, held: Recent::new(HELD), unheard: Recent::new(HELD) });
        let webhooks = webhooks.into_iter().map(|webhook| (webhook, Attempts::default())).collect();
        Ok(Self(Arc::new(Inner { terms, state, moved: Notify::new(), log, webhooks, habits, clock })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // It is changed by whole steps that don't panic half-way, so what a panic elsewhere left is sound.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.0.clock.steady_ms()
    }

    /// Counts a caller's request.
    pub(crate) fn request(&self, issuer: &str, subject: &str) {
        if self.0.terms.unusual_volume.is_none() {
            return;
        }
        let mut state = self.state();
        if let Some(finding) = state.detector.request(issuer, subject, self.now_ms()) {
            self.raise(state, finding, self.0.clock.now());
        }
    }

    /// Counts something that must not happen often; `what` says what it is.
    pub(crate) fn wrong(&self, rule: Rule, subject: Subject, what: &str) {
        if self.0.terms.burst(rule).is_none() {
            return;
        }
        let now = self.0.clock.now();
        let mut state = self.state();
        if state.book.repeat(rule, &subject, now) {
            return;
        }
        if let Some(finding) = state.detector.wrong(rule, subject, what, now.steady_ms) {
            self.raise(state, finding, now);
        }
    }

    fn raise(&self, mut state: MutexGuard<'_, State>, finding: Finding, now: Now) {
        if state.book.raise(finding, AlertId::new(), now) {
            drop(state);
            self.0.moved.notify_waiters();
        }
    }

    // ------------------------------------------------------------------ for operators

    /// All that are kept, the one that was raised last first.
    #[must_use]
    pub fn list(&self) -> Vec<Alert> {
        self.state().book.list().cloned().collect()
    }

    /// One of them.
    #[must_use]
    pub fn alert(&self, id: AlertId) -> Option<Alert> {
        self.state().book.alert(id).cloned()
    }

    /// Says that a person has seen it; the first who says so counts. Kept in a moment.
    ///
    /// # Errors
    /// When there is no such alert.
    pub fn ack(&self, id: AlertId, by: &str, reason: &str) -> Result<Alert, Unknown> {
        let now = self.0.clock.now();
        let acked = Acked { at_ms: now.wall_ms, by: by.to_owned(), reason: reason.to_owned() };
        let alert = self.state().book.ack(id, acked, now.steady_ms).ok_or(Unknown(id))?;
        self.0.moved.notify_waiters();
        Ok(alert)
    }

    /// Alerts that were raised since the host started, by rule.
    #[must_use]
    pub fn raised(&self) -> Vec<(Rule, u64)> {
        self.state().book.raised().collect()
    }

    /// How telling the webhooks goes.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let state = self.state();
        let standing = |(webhook, attempts): &(Webhook, Attempts)| Standing {
            webhook: webhook.name().to_owned(),
            delivered: attempts.good.load(Ordering::Relaxed),
            failed: attempts.bad.load(Ordering::Relaxed),
            pending: state.book.pending_for(webhook.name()) as u64,
        };
        self.0.webhooks.iter().map(standing).collect()
    }

    // ------------------------------------------------------------------ beside the path

    /// Keeps what is noticed, and tells the webhooks. Runs until it is dropped.
    pub async fn keep(&self) {
        let telling = join_all(self.0.webhooks.iter().map(|(webhook, attempts)| self.tell(webhook, attempts)));
        tokio::join!(self.save_alerts(), self.save_habits(), telling);
    }

    /// Keeps what is not kept yet: to be called when nothing is noticed any more.
    pub async fn close(&self) {
        self.save(u64::MAX).await;
        self.write_habits().await;
    }

    async fn save_alerts(&self) {
        loop {
            let mut moved = pin!(self.0.moved.notified());
            moved.as_mut().enable();
            self.save(self.now_ms()).await;
            let next = self.state().book.next_save();
            self.wait(moved, next).await;
        }
    }

    /// Until something has moved, or it is time.
    async fn wait(&self, moved: impl Future<Output = ()>, until_ms: Option<u64>) {
        tokio::select! {
            () = moved => {}
            () = self.0.clock.until(until_ms) => {}
        }
    }

    /// Keeps what is due. Where this is dropped, what is not kept yet stays due; the one in hand may be kept twice.
    async fn save(&self, until_ms: u64) {
        let due = self.state().book.due_for_saving(until_ms);
        for id in due {
            let begun = self.state().book.begin_saving(id);
            let Some((alert, new)) = begun else { continue };
            if new {
                let Alert { rule, subject, detail, .. } = &alert;
                tracing::warn!(alert = %id, %rule, %subject, detail, "alert");
            }
            let saved = self.0.log.append(ControlEvent::Alert(alert)).await;
            if let Err(error) = &saved {
                tracing::warn!(alert = %id, %error, "an alert can't be kept: it is tried again");
            }
            let now_ms = self.now_ms();
            let may_be_told = self.state().book.saved(id, saved.is_ok(), now_ms);
            if may_be_told {
                self.0.moved.notify_waiters();
            }
        }
    }

    /// Tells one webhook, alert by alert.
    async fn tell(&self, webhook: &Webhook, attempts: &Attempts) {
        let name = webhook.name();
        let mut gone = false;
        loop {
            let mut moved = pin!(self.0.moved.notified());
            moved.as_mut().enable();
            let next = self.state().book.next_for(name).map(|(due, alert)| (due, alert.clone()));
            let now = self.0.clock.now();
            match next {
                Some((due, alert)) if due <= now.steady_ms && gone => self.not_told(name, &alert),
                Some((due, alert)) if due <= now.steady_ms => {
                    let told = webhook.tell(&alert, now.wall_ms).await;
                    gone = told == Told::Gone;
                    self.told(name, &alert, told, attempts);
                }
                next => self.wait(moved, next.map(|(due, _)| due)).await,
            }
        }
    }

    fn told(&self, webhook: &str, alert: &Alert, told: Told, attempts: &Attempts) {
        let (id, tried) = (alert.id, tried(alert, webhook).saturating_add(1));
        let counted = if told == Told::Yes { &attempts.good } else { &attempts.bad };
        counted.fetch_add(1, Ordering::Relaxed);
        if let Told::No { cause, .. } = &told {
            tracing::warn!(alert = %id, webhook, attempt = tried, cause, "a webhook did not take an alert");
        }
        self.stands(webhook, alert, tried, told);
    }

    /// No attempt is made: the receiver wants no more.
    fn not_told(&self, webhook: &str, alert: &Alert) {
        self.stands(webhook, alert, tried(alert, webhook), Told::Gone);
    }

    fn stands(&self, webhook: &str, alert: &Alert, tried: u32, told: Told) {
        let (id, now) = (alert.id, self.0.clock.now());
        let state = webhook::after(alert, tried, told, now.wall_ms);
        if let DeliveryState::GivenUp { cause, .. } = &state {
            tracing::error!(alert = %id, webhook, cause, "a webhook is not told of an alert any more");
        }
        self.state().book.told(id, webhook, tried, state, now);
        self.0.moved.notify_waiters();
    }

    async fn save_habits(&self) {
        loop {
            tokio::time::sleep(HABITS_SAVE).await;
            self.write_habits().await;
        }
    }

    async fn write_habits(&self) {
        let (Some(path), Some(terms)) = (self.0.habits.clone(), self.0.terms.unusual_volume) else { return };
        let habits = self.state().detector.habits();
        let written = tokio::task::spawn_blocking(move || history::write(&path, &terms, habits)).await;
        if let Err(error) = written.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
            tracing::warn!(%error, "callers' habits can't be kept");
        }
    }
}

/// Attempts to tell a webhook of an alert so far.
fn tried(alert: &Alert, webhook: &str) -> u32 {
    alert.deliveries.iter().find(|delivery| delivery.webhook == webhook).map_or(0, |delivery| delivery.attempts)
}

#[cfg(test)]
mod tests;
