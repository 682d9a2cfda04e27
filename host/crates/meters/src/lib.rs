//! Metrics: what passes is counted and timed, and told as Prometheus reads it (OpenMetrics 1.0 text).
//!
//! ```text
//!   path ──Watch──▶ watch.rs ──▶ handles.rs: one set of handles per connection, dialect, policy
//!   scrape ───────▶ facts.rs: what others keep, put in when it is asked for
//! ```
//!
//! What must hold: watching costs an exchange well under a microsecond: handles are looked up once, no text is made while
//! an exchange runs, nothing at all is done for a chunk but its time; no label has a value that callers choose, and every
//! label has a bounded number of them.

mod facts;
mod families;
mod handles;
mod watch;

use std::sync::Arc;

use prometheus_client::{encoding::text::encode, registry::Registry};

pub use facts::{Facts, StoreFacts, WebhookFacts};
use families::Families;
use handles::Handles;

/// The content type of [`Meters::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a host.
#[derive(Clone)]
pub struct Meters(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: Families,
    handles: Handles,
}

impl Meters {
    /// Metrics that have counted nothing yet, of a host of this version.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let families = Families::new(&mut registry, version);
        Self(Arc::new(Inner { registry, families, handles: Handles::default() }))
    }

    /// All of them, with what others keep as it is now.
    #[must_use]
    pub fn render(&self, facts: &Facts) -> String {
        facts.put(&self.0.families);
        let mut text = String::new();
        // Writing to a `String` does not fail, and no metric here has an encoding that does.
        if let Err(error) = encode(&mut text, &self.0.registry) {
            debug_assert!(false, "{error}");
        }
        text
    }
}

#[cfg(test)]
mod tests;
