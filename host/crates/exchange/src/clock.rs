//! The time of day, for those beside the path that keep times.
//!
//! What must hold: what is due goes by a time that no step of the system's clock moves; what is told and recorded is the
//! time of day as the system has it then.

use std::{
    future::pending,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, sleep_until};

/// Tells both times.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    origin_ms: u64,
}

/// Now, by both times. Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For what is due: it never jumps, and is the time of day as it was when the clock was started, carried on.
    pub steady_ms: u64,
    /// For what is told and recorded: the time of day.
    pub wall_ms: u64,
}

impl Now {
    /// When it will be, or was, that time of day, by the steady time.
    #[must_use]
    pub fn steady(&self, wall_ms: u64) -> u64 {
        self.steady_ms.saturating_add(wall_ms).saturating_sub(self.wall_ms)
    }
}

impl Clock {
    /// Its steady time begins with the time of day.
    #[must_use]
    pub fn start() -> Self {
        Self::at(wall_ms())
    }

    /// Its steady time begins with this one: as if the system's clock had been wrong at the start.
    #[must_use]
    pub fn at(origin_ms: u64) -> Self {
        Self { origin: Instant::now(), origin_ms }
    }

    /// The steady time.
    #[must_use]
    pub fn steady_ms(&self) -> u64 {
        self.origin_ms.saturating_add(self.origin.elapsed().as_millis() as u64)
    }

    /// Both times.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { steady_ms: self.steady_ms(), wall_ms: wall_ms() }
    }

    /// Until it is that steady time; for ever where there is none.
    pub async fn until(&self, steady_ms: Option<u64>) {
        match steady_ms {
            Some(at_ms) => {
                sleep_until(self.origin + Duration::from_millis(at_ms.saturating_sub(self.origin_ms))).await;
            }
            None => pending().await,
        }
    }
}

/// The time of day.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_a_time_of_day_is_so_long_from_now_by_the_steady_time() {
        let now = Now { steady_ms: 1000, wall_ms: 9000 };
        assert_eq!([9000, 9500, 8500, 0].map(|wall_ms| now.steady(wall_ms)), [1000, 1500, 500, 0]);
    }
}
