//! Machine code from Wasm, in a child process that can be killed.
//!
//! The child is this same program, started by a hidden subcommand: Wasm on standard input, machine code on standard
//! output, the reason for a refusal on standard error. Small files can make a compiler run for minutes or take gigabytes,
//! so the child limits its own CPU time and address space before it reads a byte, and the host ends it by the clock.
//!
//! What must hold: whatever the child does, the host goes on, and the policy set in force stays in force.

use std::{
    ffi::OsString,
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitCode, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use model::Digest;
use rustix::process::{Resource, Rlimit, Signal, nice, setrlimit};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    sync::Semaphore,
};
use wasmtime::{Engine, component::Component};

use super::{Cache, Refused, component, digest::of_bytes, sealed::Sealed, stage};
use crate::runtime::Runtime;

/// The child's word for "the file is to blame"; the reason is on its standard error.
const EXIT_REFUSED: u8 = 3;
/// Names of the child's limits in its environment, which holds nothing else but [`THREADS`] and [`ARENAS`].
const CPU_SECONDS: &str = "PORTCULLIS_COMPILE_CPU_SECONDS";
const MEMORY_BYTES: &str = "PORTCULLIS_COMPILE_MEMORY_BYTES";
const WASM_BYTES: &str = "PORTCULLIS_COMPILE_WASM_BYTES";
/// Cranelift works on as many functions at once as this says.
const THREADS: &str = "RAYON_NUM_THREADS";
const MAX_THREADS: usize = 4;
/// glibc reserves 64 MiB of address space for each arena, which would count against the child's limit.
const ARENAS: &str = "MALLOC_ARENA_MAX";
/// What is read of a child's complaint.
const MAX_COMPLAINT_BYTES: u64 = 16 << 10;
/// Children at once.
const MAX_CHILDREN: usize = 4;
/// Below traffic, but not so far that a blocking policy would wait for an idle machine.
const NICENESS: i32 = 5;

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
    children: Semaphore,
}

/// A policy's code, ready to be instantiated.
pub struct Compiled {
    /// The component.
    pub component: Component,
    /// How long that took.
    pub took: Duration,
    /// Whether it came out of the cache.
    pub cached: bool,
}

impl Compiler {
    /// A compiler for the runtime's engine; without a cache everything is compiled anew.
    #[must_use]
    pub fn new(config: CompileConfig, runtime: &Runtime, cache: Option<Cache>) -> Self {
        Self { config, engine: runtime.engine().clone(), cache, children: Semaphore::new(MAX_CHILDREN) }
    }

    /// The bounds.
    #[must_use]
    pub fn config(&self) -> &CompileConfig {
        &self.config
    }

    /// Makes machine code of a policy's file, whose SHA-256 is `digest`, or takes it from the cache. Dropped before it is
    /// ready, it ends the child.
    ///
    /// # Errors
    /// [`Refused`] when the file is no valid policy, or breaks a limit.
    pub async fn compile(self: &Arc<Self>, bytes: Arc<[u8]>, digest: Digest) -> Result<Compiled, Refused> {
        let begun = Instant::now();
        let done = |component, cached| Compiled { component, took: begun.elapsed(), cached };
        if let Some(component) = self.blocking(move |this| this.remembered(digest)).await? {
            return Ok(done(component, true));
        }
        let Ok(_place) = self.children.acquire().await else {
            return Err(Refused::passing(stage::COMPILE, "the host is stopping"));
        };
        let sealed = run_child(&self.config, &bytes).await?;
        let component = self.blocking(move |this| this.load_and_remember(&sealed, digest)).await??;
        Ok(done(component, false))
    }

    /// Compiles a policy before anybody needs it, so that it comes from the cache when it is dropped into the folder: a gate
    /// that must fall at once can't wait for a compiler.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub async fn warm(self: &Arc<Self>, wasm: &[u8]) -> Result<(), Refused> {
        self.compile(wasm.into(), of_bytes(wasm)).await.map(|_compiled| ())
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

/// Runs one child to its end.
async fn run_child(config: &CompileConfig, wasm: &[u8]) -> Result<Sealed, Refused> {
    let mut child = start_child(config)
        .map_err(|error| Refused::passing(stage::COMPILE, format!("the compiler can't be started: {error}")))?;
    let outcome = tokio::time::timeout(config.wall, talk(&mut child, wasm, config.output_bytes)).await;
    // Nothing of it stays: not when it is done, not when it is late, not when it closed its pipes and lives on.
    let killed = child.kill().await;
    let Ok(outcome) = outcome else {
        let late = config.wall.as_secs_f32();
        return Err(Refused::new(stage::COMPILE, format!("compiling took longer than {late} s and was ended")));
    };
    let (status, output, complaint) = outcome
        .and_then(|outcome| killed.map(|()| outcome))
        .map_err(|error| Refused::passing(stage::COMPILE, format!("the compiler can't be talked to: {error}")))?;
    verdict(config, status, output, &complaint)
}

fn start_child(config: &CompileConfig) -> std::io::Result<Child> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    Command::new(&config.program)
        .args(&config.args)
        .env_clear()
        .env(CPU_SECONDS, config.cpu_seconds.to_string())
        .env(MEMORY_BYTES, config.memory_bytes.to_string())
        .env(WASM_BYTES, config.wasm_bytes.to_string())
        .env(THREADS, threads.to_string())
        .env(ARENAS, "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Feeds the child and listens to it, all at once so that no full pipe stops both.
async fn talk(child: &mut Child, wasm: &[u8], bound: u64) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("no pipes to it"));
    };
    let feed = async move {
        // A child that refuses early closes its end: its exit code says why.
        let _ = stdin.write_all(wasm).await;
        drop(stdin);
    };
    let ((), output, complaint) =
        tokio::join!(feed, read_at_most(stdout, bound + 1), read_at_most(stderr, MAX_COMPLAINT_BYTES),);
    let (output, complaint) = (output?, complaint?);
    Ok((child.wait().await?, output, complaint))
}

/// Reads to the bound, then closes the pipe: whoever writes more gets a broken one.
async fn read_at_most(pipe: impl AsyncRead + Unpin, bound: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(bound).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// What the end of a child means.
fn verdict(config: &CompileConfig, status: ExitStatus, output: Vec<u8>, complaint: &[u8]) -> Result<Sealed, Refused> {
    let complaint = String::from_utf8_lossy(complaint);
    let refused = |message: String| Err(Refused::new(stage::COMPILE, message));
    if output.len() as u64 > config.output_bytes {
        return refused(format!("it compiles to more than {} bytes", config.output_bytes));
    }
    if status.success() {
        return if output.is_empty() {
            refused("the compiler answered nothing".into())
        } else {
            Ok(Sealed::from_child(output))
        };
    }
    if status.code() == Some(i32::from(EXIT_REFUSED)) {
        let (word, message) = complaint.split_once('\n').unwrap_or((stage::COMPILE, &complaint));
        let stage = if word == stage::VALIDATE { stage::VALIDATE } else { stage::COMPILE };
        return Err(Refused::new(stage, message.trim_end()));
    }
    let memory = config.memory_bytes >> 20;
    if complaint.contains("memory allocation of") {
        return refused(format!("compiling took more than {memory} MiB of memory and was ended"));
    }
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::XCPU) => {
            refused(format!("compiling took more than {} s of CPU time and was ended", config.cpu_seconds))
        }
        Some(Signal::SEGV | Signal::ABORT | Signal::BUS) => {
            refused(format!("the compiler crashed on it (memory limit {memory} MiB): {}", last_line(&complaint)))
        }
        // From outside: an operator, or the kernel when the machine ran out of memory.
        Some(Signal::KILL | Signal::TERM) => {
            Err(Refused::passing(stage::COMPILE, "the compiler was killed from outside, perhaps for want of memory"))
        }
        _ => refused(format!("the compiler failed ({status}): {}", last_line(&complaint))),
    }
}

fn last_line(complaint: &str) -> &str {
    complaint.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing")
}

// ------------------------------------------------------------------------------------------------ in the child

/// The whole of the hidden subcommand: limits itself, reads Wasm from standard input, writes machine code to standard
/// output. Exit code 3 means that the file is refused; standard error has the stage and the reason then.
#[must_use]
pub fn compile_child_main() -> ExitCode {
    match limit_myself().and_then(compile_stdin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => {
            let _ = writeln!(std::io::stderr(), "{}\n{}", refused.stage, refused.message);
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

/// Sets the limits that the host named, or the defaults; answers how many bytes may be read.
fn limit_myself() -> Result<u64, Refused> {
    let defaults = CompileConfig::default();
    let named =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let cpu = named(CPU_SECONDS, defaults.cpu_seconds).max(1);
    let memory = named(MEMORY_BYTES, defaults.memory_bytes);
    let set = |resource, current: u64, maximum: u64| {
        let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
        setrlimit(resource, limit)
            .map_err(|error| Refused::new(stage::COMPILE, format!("the compiler can't limit itself: {error}")))
    };
    // The signal at the soft limit says what happened; the hard one, a second later, can't be ignored.
    set(Resource::Cpu, cpu, cpu + 1)?;
    set(Resource::As, memory, memory)?;
    // No trace of a policy's bytes on the disk, no file of any size.
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, 0, 0)?;
    // A host that may not be nicer compiles anyway.
    let _ = nice(NICENESS);
    Ok(named(WASM_BYTES, defaults.wasm_bytes))
}

fn compile_stdin(wasm_bytes: u64) -> Result<(), Refused> {
    let io = |error: std::io::Error| Refused::new(stage::COMPILE, format!("the compiler lost the host: {error}"));
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(wasm_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > wasm_bytes {
        return Err(Refused::new(stage::VALIDATE, format!("it is larger than {wasm_bytes} bytes")));
    }
    let (_form, component) = component::to_component(&bytes)?;
    component::validate(&component)?;
    let compiled = Engine::new(&Runtime::config_for_compile())
        .and_then(|engine| engine.precompile_component(&component))
        .map_err(|error| Refused::new(stage::COMPILE, format!("{error:#}")))?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&compiled).and_then(|()| stdout.flush()).map_err(io)
}
