//! The queue in the hands of an exchange that runs, so that the queue knows how many there are.

use std::{
    ops::Deref,
    sync::{Arc, atomic::Ordering},
};

use crate::queue::Queue;

/// Counts as an exchange that runs, as long as it lives.
pub(crate) struct Running(Arc<Queue>);

impl Running {
    /// One more.
    pub(crate) fn new(queue: &Arc<Queue>) -> Self {
        queue.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(queue))
    }
}

impl Deref for Running {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
