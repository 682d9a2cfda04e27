//! What the child does that compiles: see [`super::child`] for who starts it.
//!
//! What must hold: no byte of a file is read before the limits stand; nothing is written but the answer.

use std::{
    io::{Read as _, Write as _},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm};

use super::{CompileConfig, Refused, component, stage};
use crate::runtime::Runtime;

/// The child's word for "the file is to blame"; the reason is on its standard error.
pub(super) const EXIT_REFUSED: u8 = 3;
// What it is told is in its environment, which holds little else.
/// Seconds of CPU time.
pub(super) const CPU_SECONDS: &str = "PORTCULLIS_COMPILE_CPU_SECONDS";
/// Bytes of address space.
pub(super) const MEMORY_BYTES: &str = "PORTCULLIS_COMPILE_MEMORY_BYTES";
/// Bytes of a file.
pub(super) const WASM_BYTES: &str = "PORTCULLIS_COMPILE_WASM_BYTES";
/// How far it steps back behind others.
pub(super) const NICENESS: &str = "PORTCULLIS_COMPILE_NICENESS";
/// [`DRAFT`] or [`OPTIMISED`].
pub(super) const QUALITY: &str = "PORTCULLIS_COMPILE_QUALITY";
/// Code that is there soon.
pub(super) const DRAFT: &str = "draft";
/// Code that is fast.
pub(super) const OPTIMISED: &str = "optimised";
/// Set where there is nothing to compile yet, so that there is time to warm up.
pub(super) const SPARE: &str = "PORTCULLIS_COMPILE_SPARE";

/// The whole of the hidden subcommand: limits itself, reads Wasm from standard input, writes machine code to standard
/// output. Exit code 3 means that the file is refused; standard error has the stage and the reason then. `warm_up`: a good
/// policy to begin with, where nobody waits yet; whatever is touched for the first time then is not touched so later.
#[must_use]
pub fn compile_child_main(warm_up: &[u8]) -> ExitCode {
    match limit_myself().and_then(|wasm_bytes| compile_stdin(wasm_bytes, warm_up)) {
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
    let _ = nice(i32::try_from(named(NICENESS, 0)).unwrap_or(0));
    Ok(named(WASM_BYTES, defaults.wasm_bytes))
}

fn compile_stdin(wasm_bytes: u64, warm_up: &[u8]) -> Result<(), Refused> {
    let io = |error: std::io::Error| Refused::new(stage::COMPILE, format!("the compiler lost the host: {error}"));
    // Made before there is anything to read: a child may be started before it is needed.
    let engine = Engine::new(&config(std::env::var(QUALITY).is_ok_and(|word| word == DRAFT)))
        .map_err(|error| Refused::new(stage::COMPILE, format!("{error:#}")))?;
    if std::env::var_os(SPARE).is_some() {
        // Nobody waits for what it makes.
        let _ = compile(&engine, warm_up);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(wasm_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > wasm_bytes {
        return Err(Refused::new(stage::VALIDATE, format!("it is larger than {wasm_bytes} bytes")));
    }
    let compiled = compile(&engine, &bytes)?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&compiled).and_then(|()| stdout.flush()).map_err(io)
}

fn compile(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, Refused> {
    let (_form, component) = component::to_component(wasm)?;
    component::validate(&component)?;
    engine.precompile_component(&component).map_err(|error| Refused::new(stage::COMPILE, format!("{error:#}")))
}

/// All that decides what code means is the host's own configuration; a draft is only made with less thought, which
/// wasmtime knows not to matter to who runs it.
fn config(draft: bool) -> Config {
    let mut config = Runtime::config_for_compile();
    if draft {
        config.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    config
}
