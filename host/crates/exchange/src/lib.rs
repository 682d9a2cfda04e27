//! The path of an exchange: from the caller's first byte to the last one that it gets.
//!
//! ```text
//!  caller ──▶ identify ──▶ route ──▶ record opens ──▶ relay(request) ──▶ hold ──▶ record ──▶ forward ──▶ upstream
//!                                                     │ judge                    (Cleared)  (Recorded)      │
//!  caller ◀── outlet ◀── record ◀────────────────── relay(response) ◀───────────────────────────────────────┘
//!                                                     │ judge
//! ```
//!
//! [`carry`] names each stage in order; [`relay`] is the one loop for both directions; every error ends in [`refuse`].
//!
//! What must hold: only `judge` makes a [`judge::Cleared`], only `record` a [`record::Recorded`], and nothing else
//! reaches the upstream or the caller. What the path needs from elsewhere stands in [`ports`].

mod aside;
pub mod carry;
mod clock;
mod echo;
mod gate;
mod head;
mod hold;
mod identify;
pub mod judge;
mod outlet;
mod placeholder;
pub mod ports;
pub mod record;
pub mod refuse;
mod relay;
mod respond;
mod returned;
mod route;
mod scope;
mod session;
mod spent;
mod strangers;
mod twin;
mod vault;
mod watched;
mod whole;
mod withheld;

pub use aside::while_others_go_on;
pub use carry::carry;
pub use clock::{Clock, Now};
pub use echo::Secrets;
pub use gate::{Answered, BodyError, ClientAddress, ClientCertificate, Forward, ForwardError, Gate, Incoming, Limits};
pub use head::own_target;
pub use outlet::{Cut, Reply};
pub use record::{Outbound, Recorded};
pub use watched::Watched;
