//! What the host keeps beside one instance: its bounds, its CPU budget, and what its imports need.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use exchange::ports::About;
use model::PolicyLimits;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use super::{
    blueprint::Blueprint,
    engine::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES},
    journal::Lines,
    state::State,
    ticker::{TICK, ticks},
};

/// Component-model handles alive at once in one store; the contract has no resources, composed components may.
const HANDLES: usize = 1_000;

/// The data of one store.
pub(super) struct Inside {
    pub(super) bounds: Bounds,
    pub(super) budget: Budget,
    /// What the call at hand may take.
    pub(super) limits: PolicyLimits,
    pub(super) blueprint: Arc<Blueprint>,
    /// The exchange; none until it is opened.
    pub(super) about: Option<Arc<About>>,
    /// Where the `state` grant keeps values: the runtime's, or one of its own in a trial.
    pub(super) state: Arc<State>,
    pub(super) lines: Lines,
    /// Whether the clock of CPU budgets knows that it runs.
    running: bool,
}

impl Inside {
    /// A store with all its bounds set.
    pub(super) fn store(blueprint: &Arc<Blueprint>, state: Arc<State>) -> Store<Self> {
        let limits = blueprint.limits;
        let inside = Self {
            bounds: Bounds { memory: limits.memory_bytes, used: 0, denied: false },
            budget: Budget::default(),
            limits,
            blueprint: Arc::clone(blueprint),
            about: None,
            state,
            lines: Lines::default(),
            running: false,
        };
        let mut store = Store::new(blueprint.engine(), inside);
        store.limiter(|inside| &mut inside.bounds);
        store.set_hostcall_fuel(limits.answer_bytes);
        store.set_max_component_handles(HANDLES);
        // Yields at every tick, so that a busy guest never keeps a thread of the host to itself for longer.
        store.epoch_deadline_callback(|mut context| context.data_mut().budget.tick());
        store
    }

    /// The guest runs: from now on ticks pass.
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.running, true) {
            self.blueprint.runtime.ticker.begin();
        }
    }

    /// The guest's call has ended.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.running) {
            self.blueprint.runtime.ticker.end();
        }
    }
}

impl Drop for Inside {
    /// A call that was cut off has ended, too.
    fn drop(&mut self) {
        self.end();
    }
}

/// Gives the guest this much CPU time from now on; its call is to be [ended](Inside::end).
pub(super) fn arm(store: &mut Store<Inside>, time: Duration) {
    let inside = store.data_mut();
    inside.budget = Budget { ticks: ticks(time), charged: Duration::ZERO };
    inside.begin();
    store.set_epoch_deadline(1);
}

/// CPU time left, in ticks that pass while the guest runs. A tick that passes while other tasks run is not counted:
/// the deadline is set anew when the guest goes on.
#[derive(Default)]
pub(super) struct Budget {
    ticks: u32,
    charged: Duration,
}

impl Budget {
    fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.spend(1)?;
        Ok(UpdateDeadline::Yield(1))
    }

    /// Counts time that the host worked for the guest: epochs don't see it.
    pub(super) fn charge(&mut self, since: Instant) -> wasmtime::Result<()> {
        self.charged += since.elapsed();
        let whole = self.charged.as_nanos() / TICK.as_nanos();
        self.charged -= TICK * u32::try_from(whole).unwrap_or(u32::MAX);
        self.spend(u32::try_from(whole).unwrap_or(u32::MAX))
    }

    fn spend(&mut self, ticks: u32) -> wasmtime::Result<()> {
        self.ticks = self.ticks.saturating_sub(ticks);
        if self.ticks == 0 { Err(wasmtime::Error::new(OutOfTime)) } else { Ok(()) }
    }
}

/// The guest used up its CPU time.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfTime;

impl fmt::Display for OutOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the policy used up its time")
    }
}

impl std::error::Error for OutOfTime {}

/// What an instance may take.
pub(super) struct Bounds {
    memory: usize,
    used: usize,
    /// It asked for more, and was told no: a trap that follows is about memory.
    pub(super) denied: bool,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        // All memories of the instance together.
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.memory {
            self.denied = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        self.denied |= desired > TABLE_ELEMENTS;
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}
