//! Questions to people: an exchange is held until somebody decides, or nobody does in time.
//!
//! ```text
//!                 approve          claim
//!   ask ─▶ pending ─────▶ approved ─────▶ consumed      (once: the exchange goes on)
//!             │ │ │          │
//!        deny │ │ │ nobody   │ nobody claims it in time
//!             ▼ │ ▼ waits    ▼
//!        denied │ cancelled  expired
//!               ▼
//!            expired
//! ```
//!
//! [`Book`] is that machine: pure, time passed in. [`Approvals`] is the thin shell around it: the path's [`Desk`], the
//! control API's decisions, and the record.
//!
//! What must hold: an approval lets exactly the bytes pass that it was asked for, once, before it expires, and together
//! with all others that its exchange needs (where
//! the policy asked for it: exactly these again and again in the session, for 12 hours); the caller never approves its own request; a decision is durable
//! before it takes effect; after a restart nothing is approved.
//!
//! [`Desk`]: exchange::ports::Desk

mod approval;
mod book;
mod memory;
mod open;
#[cfg(test)]
pub(crate) mod reference;
mod shell;

pub use approval::{Approval, Decision, State};
pub use book::{Asked, Book, Claim, Terms, Wrong};
pub use shell::{Approvals, DecideError};
