//! The sandbox: one engine for the host, one fresh store for each exchange and policy.
//!
//! ```text
//!   Runtime ─ prepare ─▶ Blueprint ─ guest ─▶ Seat ─ first call ─▶ Live (store + instance) ─▶ hooks
//!   (engine, ticks,      (compiled, linked,    (one exchange)      │            ▲
//!    slots, state)        configured once)                         ▼            │
//!                                                     shown (host → guest)   answers (guest → host, checked)
//! ```
//!
//! What must hold: a guest gets no more CPU, memory, output or log than its bounds say, wherever it spends them; after a
//! failure, a time-out or a dropped call its store is gone; nothing is granted that the operator did not write.

mod allowance;
mod answers;
mod bindings;
mod blueprint;
mod compiled;
mod engine;
mod glance;
mod grants;
mod guest;
mod imports;
mod inside;
mod journal;
mod live;
mod offsets;
mod prepare;
mod schema;
mod shown;
mod state;
mod ticker;
mod trial;

pub(crate) use allowance::{MOST_ANSWER, MOST_TIME};
pub use engine::{EngineError, Runtime, RuntimeConfig};
pub(crate) use glance::glance;
pub use grants::Grants;
pub use prepare::{CodeSlot, Description, PolicySpec, PrepareError, Proven, SettingProblem};
