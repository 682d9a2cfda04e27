//! The clock of CPU budgets: advances an engine's epoch once a tick while guests run, for as long as it lives.
//!
//! Without it no runaway guest would ever be stopped, so [`super::Runtime`] owns it and can't be made without one. What must
//! hold: from [`Ticker::begin`] to [`Ticker::end`] the epoch advances. While nobody runs for a while it sleeps, so that an
//! idle host wakes nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// Time between two ticks: the grain in which a guest's CPU time is counted.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// Ticks in a row without a guest that runs, after which it sleeps: many, for waking it costs a system call.
const IDLE_TICKS: u32 = 100;
/// In [`Shared::state`]: it sleeps.
const ASLEEP: usize = 1;
/// In [`Shared::state`]: one guest that runs.
const GUEST: usize = 2;

/// A thread that advances an engine's epoch every [`TICK`]; ends when this is dropped.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// [`GUEST`] for each that runs, and [`ASLEEP`]: in one word, so that none begins unseen while it falls asleep.
    state: AtomicUsize,
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let thread = thread::Builder::new().name("policy-ticks".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.tick(&engine)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A guest runs from now on.
    pub(super) fn begin(&self) {
        if self.shared.state.fetch_add(GUEST, Ordering::SeqCst) & ASLEEP != 0 {
            self.wake();
        }
    }

    /// A guest that began runs no more.
    pub(super) fn end(&self) {
        self.shared.state.fetch_sub(GUEST, Ordering::SeqCst);
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Shared {
    fn tick(&self, engine: &Engine) {
        let mut idle = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            engine.increment_epoch();
            idle = if self.state.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle >= IDLE_TICKS {
                self.sleep();
                idle = 0;
            }
        }
    }

    /// Sleeps until a guest runs; not at all if one does.
    fn sleep(&self) {
        if self.state.compare_exchange(0, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return;
        }
        while self.state.load(Ordering::SeqCst) == ASLEEP && !self.stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        self.state.fetch_and(!ASLEEP, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.wake();
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
    use std::time::Instant;

    use wasmtime::{Instance, Module, Store, Trap};

    use super::*;
    use crate::runtime::Runtime;

    #[test]
    fn a_budget_is_never_less_than_its_time() {
        assert_eq!(ticks(Duration::ZERO), 2);
        assert_eq!(ticks(Duration::from_micros(1)), 2);
        assert_eq!(ticks(Duration::from_millis(50)), 51);
        assert_eq!(ticks(Duration::from_secs(u64::MAX)), u32::MAX);
    }

    fn is_asleep(ticker: &Ticker) -> bool {
        ticker.shared.state.load(Ordering::SeqCst) & ASLEEP != 0
    }

    /// Waits until it sleeps; a minute is for ever.
    fn wait_for_sleep(ticker: &Ticker) {
        let begin = Instant::now();
        while !is_asleep(ticker) {
            assert!(begin.elapsed() < Duration::from_secs(60), "it never sleeps");
            thread::sleep(TICK);
        }
    }

    /// A guest that never ends by itself: this returns once the epoch has stopped it.
    fn spin(engine: &Engine, module: &Module) -> Option<Trap> {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        let spin = instance.get_typed_func::<(), ()>(&mut store, "spin").unwrap();
        spin.call(&mut store, ()).unwrap_err().downcast_ref::<Trap>().copied()
    }

    #[test]
    fn it_sleeps_while_nobody_runs_and_whoever_runs_then_is_stopped_all_the_same() {
        let engine = Engine::new(&Runtime::config_for_compile()).unwrap();
        let module =
            Module::new(&engine, wat::parse_str("(module (func (export \"spin\") (loop (br 0))))").unwrap()).unwrap();
        let ticker = Ticker::start(engine.clone()).unwrap();
        wait_for_sleep(&ticker);
        ticker.begin();
        assert_eq!(spin(&engine, &module), Some(Trap::Interrupt));
        // One more that comes and goes lets nobody else sleep.
        ticker.begin();
        ticker.end();
        for _ in 0..IDLE_TICKS {
            assert_eq!(spin(&engine, &module), Some(Trap::Interrupt));
        }
        assert!(!is_asleep(&ticker), "a guest runs");
        ticker.end();
        wait_for_sleep(&ticker);
    }

    #[test]
    fn a_guest_that_begins_just_as_it_falls_asleep_is_seen() {
        let ticker = Ticker::start(Engine::new(&Runtime::config_for_compile()).unwrap()).unwrap();
        for _ in 0..3 {
            wait_for_sleep(&ticker);
            // At once again and again, while it wakes and parks.
            for _ in 0..10_000 {
                ticker.begin();
                ticker.end();
            }
            ticker.begin();
            let begin = Instant::now();
            while is_asleep(&ticker) {
                assert!(begin.elapsed() < Duration::from_secs(60), "it sleeps on");
                thread::yield_now();
            }
            ticker.end();
        }
    }
}
