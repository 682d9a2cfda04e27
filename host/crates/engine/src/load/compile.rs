//! Machine code from Wasm: out of the cache, or made by a child process ([`super::child`]).
//!
//! Code comes in two qualities. A *draft* is made in a fraction of the time and runs somewhat slower: with it a policy that
//! was just saved comes into force. *Optimised* code takes its place when it is ready, and is what the cache keeps.
//!
//! What must hold: whatever a child does, the host goes on, and the policy set in force stays in force; which quality runs
//! changes how fast a policy is, never what it answers.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use model::Digest;
use tokio::sync::Semaphore;
use wasmtime::{Engine, component::Component};

use super::{
    Cache, Refused,
    child::{self, Child},
    digest::of_bytes,
    draft::{Better, Draft, Drafts},
    sealed::Sealed,
    stage,
};
use crate::runtime::Runtime;

/// Children at once that make drafts.
const DRAFTERS: usize = 4;
/// Besides, children that make drafts of small files: a policy that stops everything is small, and waits for no language's
/// whole runtime.
const SMALL_DRAFTERS: usize = 4;
/// The most bytes of a small file: the shipped policies take less than a fifth, JavaScript ten times as many.
const SMALL: usize = 1 << 20;
/// Children at once that optimise. Theirs are places of their own: no draft ever waits for what nobody waits for.
const OPTIMISERS: usize = 2;

/// How policies are compiled.
#[derive(Clone, Debug)]
pub struct CompileConfig {
    /// The program that calls [`compile_child_main`].
    pub program: PathBuf,
    /// Its arguments, up to where it calls that.
    pub args: Vec<OsString>,
    /// CPU time of a compilation, all threads together.
    pub cpu_seconds: u64,
    /// Address space of a compilation.
    pub memory_bytes: u64,
    /// How long a compilation may take by the clock.
    pub wall: Duration,
    /// Bytes of a policy's file.
    pub wasm_bytes: u64,
    /// Bytes of its machine code. (Python's is about 60 MiB.)
    pub output_bytes: u64,
}

impl Default for CompileConfig {
    /// This program itself, even if its file has been replaced meanwhile, as `portcullis compile-policy`. The bounds hold
    /// a Python or JavaScript engine (17 MiB, 9 s on two cores) four times over.
    fn default() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            args: vec![OsString::from("compile-policy")],
            cpu_seconds: 60,
            memory_bytes: 2 << 30,
            wall: Duration::from_secs(60),
            wasm_bytes: 64 << 20,
            output_bytes: 512 << 20,
        }
    }
}

/// Compiles policies, and remembers what it has compiled.
pub struct Compiler {
    config: CompileConfig,
    engine: Engine,
    cache: Option<Cache>,
    drafts: Drafts,
    drafters: Semaphore,
    small_drafters: Semaphore,
    optimisers: Semaphore,
    /// A child that has started and waits for a file to make a draft of: nobody waits for a process to begin.
    spare: Mutex<Option<Child>>,
}

/// A policy's code, ready to be instantiated.
pub struct Compiled {
    /// The component.
    pub component: Component,
    /// How long that took.
    pub took: Duration,
    /// Whether nothing had to be compiled for this: it was in the cache, in use, or being made for another policy or version.
    pub cached: bool,
    /// Where it is a draft: something better can be made.
    pub(super) draft: Option<Arc<Draft>>,
}

/// How much work goes into machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quality {
    /// Soon.
    Draft,
    /// Fast.
    Optimised,
}

impl Compiler {
    /// A compiler for the runtime's engine; without a cache everything is compiled anew.
    #[must_use]
    pub fn new(config: CompileConfig, runtime: &Runtime, cache: Option<Cache>) -> Self {
        Self {
            config,
            engine: runtime.engine().clone(),
            cache,
            drafts: Drafts::default(),
            drafters: Semaphore::new(DRAFTERS),
            small_drafters: Semaphore::new(SMALL_DRAFTERS),
            optimisers: Semaphore::new(OPTIMISERS),
            spare: Mutex::default(),
        }
    }

    /// The bounds.
    #[must_use]
    pub fn config(&self) -> &CompileConfig {
        &self.config
    }

    /// Takes the machine code of a policy's file, whose SHA-256 is `digest`, from the cache, or a draft of it that is in use,
    /// or makes one. Dropped before it is ready, it ends the child.
    ///
    /// # Errors
    /// [`Refused`] when the file is no valid policy, or breaks a limit.
    pub async fn compile(self: &Arc<Self>, bytes: Arc<[u8]>, digest: Digest) -> Result<Compiled, Refused> {
        let begun = Instant::now();
        if let Some(component) = self.blocking(move |this| this.remembered(digest)).await? {
            return Ok(Compiled { component, took: begun.elapsed(), cached: true, draft: None });
        }
        let draft = self.drafts.of(bytes, digest);
        let (component, cached) = draft.code(self.draft(&draft.wasm)).await?;
        Ok(Compiled { component, took: begun.elapsed(), cached, draft: Some(draft) })
    }

    async fn draft(self: &Arc<Self>, bytes: &[u8]) -> Result<Component, Refused> {
        let sealed = self.make(bytes, Quality::Draft).await?;
        self.blocking(move |this| sealed.load(&this.engine)).await?
    }

    /// Optimised machine code in place of a draft's, for all that run it.
    pub(super) fn better(self: &Arc<Self>, draft: &Arc<Draft>) -> Better {
        draft.better(|| {
            let (this, draft) = (Arc::clone(self), Arc::clone(draft));
            async move { this.optimise(&draft.wasm, draft.digest).await }.boxed()
        })
    }

    /// Takes optimised machine code of a policy's file from the cache, or makes and keeps it.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub async fn optimise(self: &Arc<Self>, bytes: &[u8], digest: Digest) -> Result<Component, Refused> {
        if let Some(component) = self.blocking(move |this| this.remembered(digest)).await? {
            return Ok(component);
        }
        let sealed = self.make(bytes, Quality::Optimised).await?;
        self.blocking(move |this| this.load_and_remember(&sealed, digest)).await?
    }

    /// Compiles a policy before anybody needs it, so that it comes from the cache when it is dropped into the folder: a gate
    /// that must fall at once can't wait for a compiler.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub async fn warm(self: &Arc<Self>, wasm: &[u8]) -> Result<(), Refused> {
        self.optimise(wasm, of_bytes(wasm)).await.map(|_component| ())
    }

    /// Starts the child that the next draft is made by, if there is none yet.
    pub fn keep_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            // Whoever needs one and finds none starts it, and says what is wrong.
            *spare = child::start_spare(&self.config).ok();
        }
    }

    async fn make(&self, bytes: &[u8], quality: Quality) -> Result<Sealed, Refused> {
        let places = match quality {
            Quality::Draft if bytes.len() <= SMALL => &self.small_drafters,
            Quality::Draft => &self.drafters,
            Quality::Optimised => &self.optimisers,
        };
        let Ok(_place) = places.acquire().await else {
            return Err(Refused::passing(stage::COMPILE, "the host is stopping"));
        };
        let spare = match quality {
            Quality::Draft => self.spare.lock().unwrap_or_else(PoisonError::into_inner).take(),
            Quality::Optimised => None,
        };
        child::run(&self.config, spare, quality, bytes).await
    }

    /// Reads files and verifies megabytes: not on an asynchronous thread.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&this))
            .await
            .map_err(|error| Refused::passing(stage::COMPILE, format!("the host could not load it: {error}")))
    }

    fn remembered(&self, digest: Digest) -> Option<Component> {
        let sealed = self.cache.as_ref()?.get(digest, &self.engine)?;
        sealed.load(&self.engine).inspect_err(|error| tracing::warn!(%error, "cached policy is compiled anew")).ok()
    }

    fn load_and_remember(&self, sealed: &Sealed, digest: Digest) -> Result<Component, Refused> {
        let component = sealed.load(&self.engine)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.put(digest, &self.engine, sealed)
        {
            tracing::warn!(%error, "a compiled policy can't be kept in the cache");
        }
        Ok(component)
    }
}
