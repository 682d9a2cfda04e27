//! Portcullis: a gate in front of inference. The binary's own part of the house:
//!
//! ```text
//!   cli/        what people type            app.rs       joins the crates: the only place that does
//!   config/     what operators say          listen/      callers come in
//!   reload.rs   policies while it runs      forward/     requests go out
//!   telemetry.rs  what it says of itself    sieve.rs     what either may read
//!   process.rs    what is left of it        demo/        a model to try it with
//!   files.rs      what it may have open
//! ```
//!
//! What must hold: nothing here decides what passes; that is the path's (`exchange`), with the policies' (`engine`).

mod app;
mod burst;
mod cli;
mod config;
mod demo;
mod files;
mod forward;
mod listen;
mod process;
mod reload;
mod shipped;
mod sieve;
mod telemetry;

/// An exchange is many short-lived allocations; this allocator takes a sixth off the CPU time of each
/// (`host/docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
