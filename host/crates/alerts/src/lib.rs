//! Detection: what a person should know of is noticed, kept and told.
//!
//! ```text
//!   path ──Watch──▶ detector.rs ──▶ book.rs ──▶ shell.rs ──▶ control log, log line
//!                   baseline.rs     one alert      └──▶ webhook/: signed, tried again until it is told
//!                   burst.rs        per rule and subject, until it is quiet
//! ```
//!
//! `baseline.rs`, `burst.rs`, `detector.rs` and `book.rs` are pure: time is an argument.
//!
//! What must hold: watching costs an exchange well under a microsecond and never stops one; everything that is remembered
//! is bounded; no credential is in an alert, only the first digits of its digest; an alert is durable before a webhook is
//! told of it, and one that no webhook has acknowledged is told again after a restart, under the same id.

mod baseline;
mod book;
mod burst;
mod detector;
mod history;
mod recent;
mod shell;
mod terms;
mod watch;
pub mod webhook;

pub use shell::{Alerts, OpenError, Standing, Unknown};
pub use terms::{Burst, Terms, Volume};
pub use webhook::{Secret, Webhook};
