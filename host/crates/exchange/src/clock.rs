//! The time of day, for those beside the path that keep times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Wall-clock time that never jumps: read once, then carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    origin_ms: u64,
}

impl Clock {
    /// Reads the wall clock.
    #[must_use]
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_ms: since_1970.as_millis() as u64 }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.origin_ms + self.origin.elapsed().as_millis() as u64
    }

    /// When it will be, or was, that time; never before the clock was read.
    #[must_use]
    pub fn instant(&self, at_ms: u64) -> Instant {
        self.origin + Duration::from_millis(at_ms.saturating_sub(self.origin_ms))
    }
}
