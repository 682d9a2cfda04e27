//! Policies: what runs them, what finds their patterns, what brings them in and swaps them.
//!
//! ```text
//!   folder ──▶ load (read, check, compile aside) ──▶ runtime.prepare (trial instance) ──▶ PolicySet
//!                                                         │
//!   exchange ──▶ Policy::scan (patterns, native) ──▶ Policy::guest ──▶ Guest (sandboxed calls)
//! ```
//!
//! What must hold: this is the only crate that names wasmtime; a guest sees nothing but its arguments and what the
//! operator granted; every failure is a [`exchange::ports::Failure`], never an allow.

pub mod load;
pub mod runtime;
mod words;

pub use runtime::{EngineError, Grants, PolicySpec, PrepareError, Runtime, RuntimeConfig};
