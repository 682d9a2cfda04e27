//! The one engine of the host: how Wasm is compiled and run, how many instances there may be, and the clock of their
//! CPU budgets.

use std::{sync::Arc, time::Duration};

use rustix::process::{Resource, getrlimit};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

use super::{compiled::CompiledPatterns, state::State, ticker::Ticker};

/// Address space that one linear memory takes: 4 GiB, so that loads and stores need no bounds checks, and its guards.
const MEMORY_SPACE: u64 = (4 << 30) + (64 << 20);
/// Address space that is left to everything else where it is limited.
const OTHER_SPACE: u64 = 4 << 30;
/// Pool slots for tables, for each one for a memory.
const TABLES_PER_MEMORY: u32 = 4;
/// Elements of one table: StarlingMonkey needs 7,694.
pub(super) const TABLE_ELEMENTS: usize = 20_000;
/// Core instances of one component: Python needs 38.
pub(super) const CORE_INSTANCES: u32 = 64;
/// Memories of one component: QuickJS needs 3.
pub(super) const MEMORIES: u32 = 16;
/// Tables of one component.
pub(super) const TABLES: u32 = 64;
/// Memories or tables of one core module.
const PER_MODULE: u32 = 8;
/// Bytes of a freed memory that stay resident, cleared by hand: cheaper than a page fault each at the next start.
const MEMORY_KEPT: usize = 64 << 10;
/// The same for tables.
const TABLE_KEPT: usize = 16 << 10;
/// Freed slots that keep their pages.
const WARM_SLOTS: u32 = 100;

/// Bounds of the runtime as a whole.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeConfig {
    /// Linear memories alive at once; most components need one, QuickJS three. 4 GiB of address space each.
    pub memories: u32,
    /// How long a call may wait for a free place among them.
    pub wait_for_slot: Duration,
    /// False: instances are mapped one by one instead of taken from a pool.
    pub pool: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self { memories: 2_000, wait_for_slot: Duration::from_secs(5), pool: true }
    }
}

/// The runtime can't be made on this machine.
#[derive(Debug, Error)]
pub enum EngineError {
    /// wasmtime refused.
    #[error("the Wasm engine can't be made: {0}")]
    Engine(String),
    /// The ticker's thread could not be started.
    #[error("the thread that counts policies' CPU time can't be started: {0}")]
    Ticker(#[from] std::io::Error),
    /// Not even one linear memory fits.
    #[error(
        "this process may use {0} bytes of address space, and one policy needs {MEMORY_SPACE} beside the host's own; \
         raise the limit (`ulimit -v unlimited`)"
    )]
    AddressSpace(u64),
}

/// What all policies share. One per host.
pub struct Runtime {
    engine: Engine,
    slots: Arc<Semaphore>,
    config: RuntimeConfig,
    pub(super) state: Arc<State>,
    pub(super) compiled: CompiledPatterns,
    pub(super) ticker: Ticker,
}

/// No place for an instance.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum NoSlot {
    #[error(
        "no place for an instance became free within {} ms: all {} are taken (as many as `exchanges` in [limits] calls \
         for); fewer exchanges at once, or fewer policies, need fewer", .0.as_millis(), .1
    )]
    Full(Duration, u32),
    #[error("it needs {0} places at once, and there are {1}")]
    TooLarge(u32, u32),
}

impl Runtime {
    /// Makes the engine and starts its ticker. Where the address space is too small for the pool, instances are mapped
    /// one by one, and fewer may be alive.
    ///
    /// # Errors
    /// [`EngineError`] when this machine can't run policies at all.
    pub fn new(mut config: RuntimeConfig) -> Result<Arc<Self>, EngineError> {
        if let Some(limit) = getrlimit(Resource::As).current {
            let room = limit.saturating_sub(OTHER_SPACE) / MEMORY_SPACE;
            if room == 0 {
                return Err(EngineError::AddressSpace(limit));
            }
            if room < u64::from(config.memories) {
                config.memories = u32::try_from(room).unwrap_or(u32::MAX);
                config.pool = false;
            }
        }
        config.memories = config.memories.max(1);
        let engine = Self::make_engine(&mut config)?;
        let ticker = Ticker::start(engine.clone())?;
        let slots = Arc::new(Semaphore::new(config.memories as usize));
        Ok(Arc::new(Self {
            engine,
            slots,
            config,
            state: Arc::default(),
            compiled: CompiledPatterns::default(),
            ticker,
        }))
    }

    fn make_engine(config: &mut RuntimeConfig) -> Result<Engine, EngineError> {
        if config.pool {
            let mut pooled = Self::config_for_compile();
            pooled.allocation_strategy(pool(config.memories));
            match Engine::new(&pooled) {
                Ok(engine) => return Ok(engine),
                Err(error) => tracing::warn!(
                    memories = config.memories,
                    error = format!("{error:#}"),
                    "no pool of instances on this machine: they are mapped one by one"
                ),
            }
            config.pool = false;
        }
        Engine::new(&Self::config_for_compile()).map_err(|error| EngineError::Engine(format!("{error:#}")))
    }

    /// The engine, to load compiled components into.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How policies are compiled: all but the allocator, so that what one process compiles another can run.
    #[must_use]
    pub fn config_for_compile() -> Config {
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.concurrency_support(false);
        // The same NaN on every machine: a recorded session gives the same verdicts when it is played again.
        config.cranelift_nan_canonicalization(true);
        config.wasm_features(
            WasmFeatures::MEMORY64
                | WasmFeatures::THREADS
                | WasmFeatures::RELAXED_SIMD
                | WasmFeatures::GC
                | WasmFeatures::FUNCTION_REFERENCES
                | WasmFeatures::EXCEPTIONS
                | WasmFeatures::WIDE_ARITHMETIC
                | WasmFeatures::CUSTOM_PAGE_SIZES
                | WasmFeatures::STACK_SWITCHING,
            false,
        );
        // Composed components need several memories (without them wasmtime panics on them), and languages the rest.
        config.wasm_features(
            WasmFeatures::MULTI_MEMORY
                | WasmFeatures::TAIL_CALL
                | WasmFeatures::EXTENDED_CONST
                | WasmFeatures::REFERENCE_TYPES,
            true,
        );
        // Debug information of guests is read for nobody.
        config.wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
        config
    }

    /// Waits for a place for an instance that needs this many memories and tables. A full pool would fail, so nothing
    /// is instantiated without this.
    pub(super) async fn slot(&self, memories: u32, tables: u32) -> Result<OwnedSemaphorePermit, NoSlot> {
        let places = places(memories, tables);
        if places > self.config.memories {
            return Err(NoSlot::TooLarge(places, self.config.memories));
        }
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_many_owned(places) {
            return Ok(permit);
        }
        let wait = self.config.wait_for_slot;
        match tokio::time::timeout(wait, Arc::clone(&self.slots).acquire_many_owned(places)).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed; were it, no instance may be made.
            Ok(Err(_)) | Err(_) => Err(NoSlot::Full(wait, self.config.memories)),
        }
    }
}

/// Places in the pool that a component takes: one for each memory, and enough for its tables.
fn places(memories: u32, tables: u32) -> u32 {
    memories.max(tables.div_ceil(TABLES_PER_MEMORY)).max(1)
}

fn pool(memories: u32) -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(memories)
        .total_component_instances(memories)
        .total_stacks(memories)
        .total_tables(memories.saturating_mul(TABLES_PER_MEMORY))
        .total_core_instances(memories.saturating_mul(CORE_INSTANCES))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(PER_MODULE)
        .max_tables_per_module(PER_MODULE)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(TABLE_KEPT);
    InstanceAllocationStrategy::Pooling(pool)
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    fn compiled_as(engine: &Engine) -> u64 {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn what_is_compiled_aside_runs_pooled_and_mapped() {
        let aside = Engine::new(&Runtime::config_for_compile()).unwrap();
        let pooled = Runtime::new(RuntimeConfig { memories: 4, ..RuntimeConfig::default() }).unwrap();
        let mapped = Runtime::new(RuntimeConfig { memories: 4, pool: false, ..RuntimeConfig::default() }).unwrap();
        assert_eq!(compiled_as(&aside), compiled_as(pooled.engine()));
        assert_eq!(compiled_as(&aside), compiled_as(mapped.engine()));
    }

    #[test]
    fn places_cover_memories_and_tables() {
        assert_eq!(places(0, 0), 1);
        assert_eq!(places(3, 2), 3);
        assert_eq!(places(1, 9), 3);
    }

    #[tokio::test]
    async fn a_full_runtime_makes_callers_wait_and_then_refuses() {
        let wait = Duration::from_millis(20);
        let runtime = Runtime::new(RuntimeConfig { memories: 2, wait_for_slot: wait, pool: false }).unwrap();
        let held = runtime.slot(2, 0).await.unwrap();
        assert!(matches!(runtime.slot(1, 0).await, Err(NoSlot::Full(..))));
        assert!(matches!(runtime.slot(3, 0).await, Err(NoSlot::TooLarge(3, 2))));
        let waiting = tokio::spawn({
            let runtime = Arc::clone(&runtime);
            async move { runtime.slot(1, 0).await.is_ok() }
        });
        drop(held);
        assert!(waiting.await.unwrap());
    }
}
