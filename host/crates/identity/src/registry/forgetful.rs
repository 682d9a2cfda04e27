//! A log for tests: keeps everything in memory, nothing, or nothing any more.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use exchange::ports::{ControlLog, RecordError};
use futures_util::{FutureExt, future::BoxFuture};
use model::ControlEvent;

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
