//! The control API: what operators and approvers see and decide. Never on the path of an exchange.
//!
//! ```text
//!   serve.rs     accept, bounds, the thread of its own
//!   visitor.rs   who is known and who is not: strangers keep nobody out
//!   guard.rs     Host, token, content type: before every route
//!   behind.rs    whether all that was recorded can be read: before every route that tells it
//!   routes: health.rs  status.rs  policies.rs  approvals.rs  access.rs  alerts.rs  credentials.rs  records.rs
//!           events.rs
//!   problem.rs   every error, as RFC 9457 says
//! ```
//!
//! What must hold: nothing but `/livez` and `/readyz` is told without the token; no GET decides anything; a request
//! that names another host than this one is refused (a rebound name can't reach it); no cross-origin access is ever
//! allowed; it answers while the data listener is flooded, since it has a thread and a runtime of its own, and
//! while strangers take all its places, since these are given to who comes next.

mod access;
mod aim;
mod alerts;
mod approvals;
mod behind;
mod credentials;
mod events;
mod guard;
mod health;
mod policies;
mod problem;
mod records;
mod said;
mod serve;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod visitor;

use std::sync::Arc;

use ::alerts::Alerts;
use ::approvals::Approvals;
use exchange::ports::PolicySet;
use identity::{Access, Registry};
use model::Family;
use store::Store;
use tokio::sync::watch;

pub use aim::Names;
pub use behind::BEHIND;
pub use events::told as event_told;
pub use serve::{on_own_thread, serve};
pub use token::{AdminToken, TokenError};

/// What the control API shows, and what it decides on.
pub struct Control {
    /// Who may come in.
    pub token: AdminToken,
    /// Names that the `Host` header may carry besides IP addresses and `localhost`.
    pub hosts: Vec<String>,
    /// What the host tells of itself.
    pub host: HostFacts,
    /// What an order to revoke may name.
    pub names: Names,
    /// Whether it takes exchanges.
    pub phase: watch::Receiver<Phase>,
    /// The policy set in force.
    pub policies: watch::Receiver<Arc<PolicySet>>,
    /// The questions to people.
    pub approvals: Approvals,
    /// What was noticed.
    pub alerts: Alerts,
    /// Tokens and revocations.
    pub registry: Registry,
    /// Requests for access.
    pub access: Access,
    /// The records.
    pub store: Arc<Store>,
    /// The metrics as Prometheus reads them; `None`: there are none.
    pub metrics: Option<Metrics>,
}

/// All metrics, in a format that Prometheus reads.
pub struct Metrics {
    /// Its content type.
    pub content_type: &'static str,
    /// Renders them as they are now.
    pub render: Box<dyn Fn() -> String + Send + Sync>,
}

/// What the host tells of itself.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// Its version.
    pub version: String,
    /// Where callers come in, as a URL.
    pub proxy: String,
    /// When it started: milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: u64,
    /// The same, by the clock that never jumps.
    pub started: std::time::Instant,
    /// Its connections, by name, and what each speaks.
    pub connections: Vec<(String, Family)>,
    /// `strict`, `bounded` or `off`.
    pub durability: String,
    /// When the certificate that callers are shown expires, in seconds since 1970-01-01T00:00:00Z; none where they are shown
    /// none, or that can't be told.
    pub certificate_expires: Option<i64>,
}

/// What is to be said of a certificate, from two weeks before it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiring {
    /// That it will expire soon.
    Soon(String),
    /// That it has.
    Expired(String),
}

impl Expiring {
    /// Of one that expires at a time, at another; both in seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn of(expires: i64, now: i64) -> Option<Self> {
        let left = expires.saturating_sub(now);
        let days = left.unsigned_abs() / DAY;
        match left {
            ..=0 => Some(Self::Expired(format!(
                "has expired {days} day(s) ago, and callers that verify it refuse every connection: renew it, and restart the host"
            ))),
            _ if left.unsigned_abs() <= TOLD_DAYS * DAY => Some(Self::Soon(format!(
                "expires in {days} day(s): renew it, and restart the host, which reads it at the start"
            ))),
            _ => None,
        }
    }
}

/// Seconds.
const DAY: u64 = 24 * 60 * 60;
/// Days before a certificate expires from which on that is told.
const TOLD_DAYS: u64 = 14;

/// Whether the host takes exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet.
    Starting,
    /// It does.
    Ready,
    /// Not any more: running ones are brought to their end.
    Draining,
}

impl Phase {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}
