//! Idle connections to one upstream. hyper-util's pool drives each connection in a task of its own, which costs the
//! batching that `live.rs` is about; decision 0004 has the figures.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{IDLE, live::Live};

/// Idle connections, the one used last on top.
pub(super) struct Pool {
    most: usize,
    idle: Mutex<Vec<(Live, Instant)>>,
}

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self { most, idle: Mutex::default() }
    }

    /// A connection that seems to be usable.
    pub(super) fn take(&self) -> Option<Live> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((mut live, since)) = idle.pop() {
            if since.elapsed() < IDLE && live.is_usable() {
                return Some(live);
            }
        }
        None
    }

    /// Takes a connection back if it can be used again and there is room.
    pub(super) fn give(&self, mut live: Live) {
        if !live.is_usable() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= self.most {
            // One that is past its time makes room.
            idle.retain(|(_, since)| since.elapsed() < IDLE);
        }
        if idle.len() < self.most {
            idle.push((live, Instant::now()));
        }
    }

    /// Closes what has been idle for its time, or was closed by the upstream: where nobody asks, nobody else looks.
    pub(super) fn reap(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(|(live, since)| since.elapsed() < IDLE && live.is_usable());
    }
}
