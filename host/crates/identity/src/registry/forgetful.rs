//! Logs for tests: keep everything in memory, nothing, nothing any more, or only what the test lets through.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use exchange::ports::{ControlLog, RecordError};
use futures_util::{FutureExt, future::BoxFuture};
use model::ControlEvent;
use tokio::sync::Semaphore;

/// Acknowledges everything and keeps nothing.
pub(crate) struct Forgetful;

impl ControlLog for Forgetful {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        Ok(Vec::new())
    }

    fn append(&self, _event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>> {
        async { Ok(()) }.boxed()
    }
}

/// Keeps everything, as long as it is well.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) events: Mutex<Vec<ControlEvent>>,
    pub(crate) broken: AtomicBool,
}

impl ControlLog for Memory {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        Ok(self.events.lock().unwrap().clone())
    }

    fn append(&self, event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>> {
        async move {
            if self.broken.load(Ordering::Relaxed) {
                return Err(RecordError("input/output error".to_owned()));
            }
            self.events.lock().unwrap().push(event);
            Ok(())
        }
        .boxed()
    }
}

/// A disk that syncs when the test says so; events that came in between are kept in their order.
pub(crate) struct Slow {
    pub(crate) kept: Arc<Memory>,
    /// Syncs that may be done.
    pub(crate) syncs: Semaphore,
    /// Events that wait for one.
    pub(crate) waiting: Mutex<usize>,
}

impl Default for Slow {
    fn default() -> Self {
        Self { kept: Arc::default(), syncs: Semaphore::new(0), waiting: Mutex::default() }
    }
}

impl ControlLog for Slow {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        self.kept.replay()
    }

    fn append(&self, event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>> {
        async move {
            *self.waiting.lock().unwrap() += 1;
            self.syncs.acquire().await.unwrap().forget();
            *self.waiting.lock().unwrap() -= 1;
            self.kept.append(event).await
        }
        .boxed()
    }
}
