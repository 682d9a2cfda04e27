//! The clock of CPU budgets: advances an engine's epoch once a tick, for as long as it lives.
//!
//! Without it no runaway guest would ever be stopped, so [`super::Runtime`] owns it and can't be made without one.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// Time between two ticks: the grain in which a guest's CPU time is counted.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// A thread that advances an engine's epoch every [`TICK`]; ends when this is dropped.
pub(super) struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("policy-ticks".to_owned()).spawn(move || {
            while matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread can't panic: it only waits and counts.
            let _ = thread.join();
        }
    }
}

/// How many ticks a guest may see pass while it runs, for this much CPU time: at least one, and one more because the
/// first tick comes at once or a whole tick later.
pub(super) fn ticks(time: Duration) -> u32 {
    let whole = time.as_nanos().div_ceil(TICK.as_nanos());
    u32::try_from(whole).unwrap_or(u32::MAX).max(1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_less_than_its_time() {
        assert_eq!(ticks(Duration::ZERO), 2);
        assert_eq!(ticks(Duration::from_micros(1)), 2);
        assert_eq!(ticks(Duration::from_millis(50)), 51);
        assert_eq!(ticks(Duration::from_secs(u64::MAX)), u32::MAX);
    }
}
