//! A child process that compiles, as the host sees it.
//!
//! The child is this same program, started by a hidden subcommand ([`super::compile_child`]): Wasm on standard input,
//! machine code on standard output, the reason for a refusal on standard error. Small files can make a compiler run for
//! minutes or take gigabytes, so the child limits its own CPU time and address space before it reads a byte, and the host
//! ends it by the clock.
//!
//! What must hold: nothing of a child stays when its answer is there, or late.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

pub(super) use tokio::process::Child;

use super::{
    CompileConfig, Refused,
    compile::Quality,
    compile_child::{CPU_SECONDS, DRAFT, EXIT_REFUSED, MEMORY_BYTES, NICENESS, OPTIMISED, QUALITY, SPARE, WASM_BYTES},
    sealed::Sealed,
    stage,
};

/// Cranelift works on as many functions at once as this says.
const THREADS: &str = "RAYON_NUM_THREADS";
const MAX_THREADS: usize = 4;
/// glibc reserves 64 MiB of address space for each arena, which would count against the child's limit.
const ARENAS: &str = "MALLOC_ARENA_MAX";
/// The host's allocator gives back what lies unused for a second. A child that waits has warmed up its memory, and keeps it.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";
/// A draft is waited for, perhaps by whoever must stop something on a machine that is busy.
const DRAFT_NICENESS: i32 = 0;
/// For optimised code nobody waits.
const OPTIMISED_NICENESS: i32 = 10;
/// What is read of a child's complaint.
const MAX_COMPLAINT_BYTES: u64 = 16 << 10;

/// Runs a child to its end: the spare one if it is still alive, else a new one.
///
/// # Errors
/// [`Refused`] when the file is no valid policy, breaks a limit, or no child can be had.
pub(super) async fn run(
    config: &CompileConfig,
    spare: Option<Child>,
    quality: Quality,
    wasm: &[u8],
) -> Result<Sealed, Refused> {
    let spare = spare.and_then(|mut child| child.try_wait().is_ok_and(|ended| ended.is_none()).then_some(child));
    let mut child = spare
        .map_or_else(|| start(command(config, quality)), Ok)
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

/// Starts a child for the next draft, which waits for its file and warms up meanwhile.
///
/// # Errors
/// That of the system.
pub(super) fn start_spare(config: &CompileConfig) -> std::io::Result<Child> {
    let mut command = command(config, Quality::Draft);
    command.env(SPARE, "1");
    start(command)
}

/// A child ends when it is dropped, and when the host goes.
fn start(mut command: Command) -> std::io::Result<Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()
}

fn command(config: &CompileConfig, quality: Quality) -> Command {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let (word, niceness) = match quality {
        Quality::Draft => (DRAFT, DRAFT_NICENESS),
        Quality::Optimised => (OPTIMISED, OPTIMISED_NICENESS),
    };
    let mut command = Command::new(&config.program);
    command
        .args(&config.args)
        .env_clear()
        .env(CPU_SECONDS, config.cpu_seconds.to_string())
        .env(MEMORY_BYTES, config.memory_bytes.to_string())
        .env(WASM_BYTES, config.wasm_bytes.to_string())
        .env(QUALITY, word)
        .env(NICENESS, niceness.to_string())
        .env(THREADS, threads.to_string())
        .env(ARENAS, "2")
        .env(PURGE_DELAY, "-1");
    command
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_inherits_nothing_of_the_environment() {
        let config = CompileConfig { program: "/usr/bin/env".into(), args: Vec::new(), ..CompileConfig::default() };
        let output = start(command(&config, Quality::Draft)).unwrap().wait_with_output().await.unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let given = [CPU_SECONDS, MEMORY_BYTES, WASM_BYTES, QUALITY, NICENESS, THREADS, ARENAS, PURGE_DELAY];
        // Their names alone: a value may be a secret.
        let names: Vec<&str> = told.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(std::env::var_os("PATH").is_some() && names.contains(&QUALITY));
        assert_eq!(names.into_iter().filter(|name| !given.contains(name)).collect::<Vec<_>>(), [""; 0]);
    }
}
