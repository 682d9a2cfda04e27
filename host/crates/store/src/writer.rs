//! The two threads that bring the queue to the disk: one writes, one syncs, so that who waits for `Written` never waits
//! for a sync.

use std::sync::Arc;

use crate::{StoreError, journal::Journal, queue::Queue};

/// Writes until the queue closes or fails.
pub(crate) fn write(queue: &Queue, mut journal: Journal) {
    let _alarm = Alarm { queue, thread: "writer" };
    while let Some(batch) = queue.take_buffer() {
        if journal.full() {
            match journal.rotate(batch.start) {
                Ok(()) => queue.rotated(journal.file()),
                Err(error) => return fail(queue, &error),
            }
        }
        match journal.append(&batch.bytes) {
            Ok(()) => queue.wrote(batch),
            Err(error) => return fail(queue, &error),
        }
    }
}

/// Syncs until the queue closes or fails. An error is final: after one the kernel may call lost pages clean, so that a
/// second sync would succeed and mean nothing.
pub(crate) fn sync(queue: &Queue) {
    let _alarm = Alarm { queue, thread: "syncer" };
    while let Some((file, position)) = queue.wait_for_sync() {
        match file.sync() {
            Ok(()) => queue.synced(position),
            Err(error) => return queue.fail(&format!("can't sync the journal: {error}")),
        }
    }
}

fn fail(queue: &Queue, error: &StoreError) {
    queue.fail(&error.to_string());
}

/// Fails the queue when its thread panics, so that nobody waits for a thread that is gone.
pub(crate) struct Alarm<'a> {
    /// The queue.
    pub(crate) queue: &'a Queue,
    /// The thread's name.
    pub(crate) thread: &'static str,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.queue.fail(&format!("the {} panicked", self.thread));
        }
    }
}

/// Starts a named thread.
pub(crate) fn spawn(
    name: &'static str,
    queue: &Arc<Queue>,
    body: impl FnOnce(&Queue) + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, StoreError> {
    let queue = Arc::clone(queue);
    std::thread::Builder::new()
        .name(format!("store-{name}"))
        .spawn(move || body(&queue))
        .map_err(StoreError::io("start a thread for", name))
}
