//! What an exchange and the reader of its connection tell each other: whether one runs, since when none does, and that
//! a body was refused.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use tokio::time::Instant;

/// The course of a connection. Clones share it.
#[derive(Clone)]
pub(super) struct Course(Arc<Mutex<State>>);

struct State {
    running: bool,
    /// Exchanges that are over.
    ended: u64,
    idle_since: Instant,
    broken_off: bool,
    /// Who waits for the exchange to end.
    waits: Option<Waker>,
}

/// An exchange that runs, until this is dropped.
pub(super) struct Running(Course);

impl Course {
    /// No exchange runs.
    pub(super) fn new() -> Self {
        let state = State { running: false, ended: 0, idle_since: Instant::now(), broken_off: false, waits: None };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An exchange begins.
    pub(super) fn begin(&self) -> Running {
        self.state().running = true;
        Running(self.clone())
    }

    /// Since when no exchange runs; none while one does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (!state.running).then_some(state.idle_since)
    }

    /// Whether not all of the first so many exchanges are over; then this task is woken when the next one ends.
    pub(super) fn wait(&self, exchanges: u64, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        let waits = state.ended < exchanges;
        state.waits = waits.then(|| cx.waker().clone());
        waits
    }

    /// The body of a request was refused.
    pub(super) fn break_off(&self) {
        self.state().broken_off = true;
    }

    /// Whether the body of a request was refused: its answer is the last one.
    pub(super) fn is_broken_off(&self) -> bool {
        self.state().broken_off
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let waits = {
            let mut state = self.0.state();
            (state.running, state.idle_since) = (false, Instant::now());
            state.ended += 1;
            state.waits.take()
        };
        if let Some(waits) = waits {
            waits.wake();
        }
    }
}
